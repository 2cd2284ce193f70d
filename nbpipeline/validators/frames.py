"""Tables as pandas frames for libraries that want a whole one; past a limit every k-th row is taken.

What is read is what `tables` reads. The index is the row's number in the file, from 1.
"""

from collections.abc import Iterator, Sequence
from dataclasses import field
from pathlib import Path
from typing import Any

from nbpipeline.validators.tables import Table, UnreadableTableError, open_table, suffix_of
from nbpipeline.validators.tables.delimited import delimiter_of
from nbpipeline.validators.tables.table import open_text
from nbpipeline.values import dataclass

LIMIT = 500_000_000
"""Bytes of a frame in memory; past it, rows are left out."""
ROWS = 100_000
"""Rows read at a time."""
_PARQUET = (".parquet", ".pq")


@dataclass(frozen=True, slots=True, kw_only=True)
class Frame:
    """A table in memory, or every `step`-th of its rows."""

    data: Any
    """A pandas.DataFrame."""
    rows: int
    """Rows of the file."""
    step: int = 1

    @property
    def said(self) -> str:
        """Tell of rows that were left out; empty where there are none."""
        if self.step == 1:
            return ""
        looked = f"{len(self.data)} of {self.rows}"
        return f"only every {self.step}th row was looked at, {looked}: the table is too large for memory"


@dataclass(slots=True, kw_only=True)
class _Sampler:
    """Takes pieces of a table; drops every second of the rows that it kept when they become too many."""

    limit: int
    text: bool
    """Whether the kind of a column's values was guessed, piece by piece."""
    rows: int = 0
    step: int = 1
    held: int = 0
    pieces: list[Any] = field(default_factory=list)

    def take(self, piece: Any) -> None:
        piece.index = range(self.rows + 1, self.rows + len(piece) + 1)
        self.rows += len(piece)
        self._keep(piece)
        while self.held > self.limit:
            self.step *= 2
            before, self.pieces, self.held = self.pieces, [], 0
            for one in before:
                self._keep(one)

    def _keep(self, piece: Any) -> None:
        kept = piece if self.step == 1 else piece[(piece.index - 1) % self.step == 0].copy()
        self.held += int(kept.memory_usage(deep=True).sum())
        self.pieces.append(kept)

    def frame(self, pandas: Any) -> Frame:
        some = [one for one in self.pieces if len(one)] or self.pieces[:1]
        if self.text:
            _agree(some, pandas)
        data = some[0] if len(some) == 1 else pandas.concat(some) if some else pandas.DataFrame()
        return Frame(data=data, rows=self.rows, step=self.step)


def _agree(pieces: Sequence[Any], pandas: Any) -> None:
    """Make a column text in all pieces where it is in one: a word far down would leave numbers before it."""
    numeric = pandas.api.types.is_numeric_dtype
    for name in pieces[0].columns if pieces else ():
        kinds = [numeric(one[name].dtype) for one in pieces]
        if any(kinds) and not all(kinds):
            for one in pieces:
                if numeric(one[name].dtype):
                    one[name] = one[name].map(_as_written, na_action="ignore").astype(object)


def _as_written(value: Any) -> str:
    """Write a number as it most likely stood in the file."""
    return str(int(value)) if isinstance(value, float) and value.is_integer() else str(value)


def read_frame(path: Path, table: str = "", limit: int = LIMIT) -> Frame:
    """Read a file, or a folder of files of one kind, into at most `limit` bytes of memory.

    What can be read, and what is cut or damaged, is as for the built-in checks. `table` names a table of a
    database or a sheet. Raises UnreadableTableError, and MissingPluginError where a library for the kind of
    file is not installed.
    """
    import pandas as pd  # noqa: PLC0415 - half a second; this runs in a process of its own

    if not path.exists():
        raise UnreadableTableError(f"{path.name} is not there")
    opened = open_table(path, table)
    sampler = _Sampler(limit=limit, text=opened.text)
    for piece in _pieces(opened):
        sampler.take(piece)
    return sampler.frame(pd)


def _pieces(opened: Table) -> Iterator[Any]:
    """Give the rows as frames: by pandas' and pyarrow's own readers where these are much faster."""
    if opened.text:
        return _delimited(opened)
    if suffix_of(opened.files[0]) in _PARQUET:
        return _parquet(opened)
    return _rows(opened)


def _refuse_damaged(opened: Table) -> None:
    """Read the files once as the built-in checks do: what follows lets cut rows pass."""
    for _ in opened.batches(frozenset()):
        pass


def _delimited(opened: Table) -> Iterator[Any]:
    import pandas as pd  # noqa: PLC0415 - as above

    _refuse_damaged(opened)
    for path in opened.files:
        with open_text(path) as file:
            delimiter = delimiter_of(file.readline())
            file.seek(0)
            yield from pd.read_csv(file, sep=delimiter, chunksize=ROWS, low_memory=False, index_col=False)


def _parquet(opened: Table) -> Iterator[Any]:
    _refuse_damaged(opened)
    import pyarrow as pa  # noqa: PLC0415 - an extra
    import pyarrow.parquet as pq  # noqa: PLC0415 - as above

    for path in opened.files:
        try:
            with pq.ParquetFile(path) as file:
                yield from (one.to_pandas() for one in file.iter_batches(batch_size=ROWS))
                if file.metadata.num_rows == 0:
                    yield file.schema_arrow.empty_table().to_pandas()
        except (OSError, pa.ArrowException) as error:
            first = str(error).strip().splitlines()[0]
            raise UnreadableTableError(f"{path.name} is cut or damaged: {first}") from error


def _rows(opened: Table) -> Iterator[Any]:
    import pandas as pd  # noqa: PLC0415 - as above

    for batch in opened.batches(None):
        yield pd.DataFrame(dict(batch.columns))
    yield pd.DataFrame(columns=opened.names)
