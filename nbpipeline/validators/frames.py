"""Tables as pandas frames for libraries that want a whole one; past a limit every k-th row is taken.

What is read is what `tables` reads. The index is the row's number in the file, from 1.
"""

from collections.abc import Iterator, Sequence
from dataclasses import field
from pathlib import Path
from typing import Any, TextIO

from nbpipeline.validators.tables import Table, UnreadableTableError, open_table, suffix_of
from nbpipeline.validators.tables.delimited import Lines, delimiter_of, head_of, pieces
from nbpipeline.validators.tables.table import NULLS, open_text, readable
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
            before, self.pieces, self.held = self.pieces[::-1], [], 0
            while before:  # what was thinned is let go at once
                self._keep(before.pop())

    def _keep(self, piece: Any) -> None:
        kept = piece if self.step == 1 else piece[(piece.index - 1) % self.step == 0].copy()
        self.held += int(kept.memory_usage(deep=True).sum())
        self.pieces.append(kept)

    def frame(self, pandas: Any) -> Frame:
        some = [one for one in self.pieces if len(one)] or self.pieces[:1]
        data = some[0] if len(some) == 1 else pandas.concat(some) if some else pandas.DataFrame()
        return Frame(data=data, rows=self.rows, step=self.step)


def read_frame(path: Path, table: str = "", limit: int = LIMIT) -> Frame:
    """Read a file, or a folder of files of one kind, into at most `limit` bytes of memory.

    What can be read, and what is cut or damaged, is as for the built-in checks. `table` names a table of a
    database or a sheet. Raises UnreadableTableError, and MissingPluginError where a library for the kind of
    file is not installed.
    """
    if not path.exists():
        raise UnreadableTableError(f"{path.name} is not there")
    opened = open_table(path, table)
    if opened.text:
        return _of_text(opened, limit)
    return _sampled(_parquet(opened) if suffix_of(opened.files[0]) in _PARQUET else _rows(opened), limit)


def _sampled(pieces: Iterator[Any], limit: int) -> Frame:
    import pandas as pd  # noqa: PLC0415 - half a second; this runs in a process of its own

    sampler = _Sampler(limit=limit)
    for piece in pieces:
        sampler.take(piece)
    return sampler.frame(pd)


# --- CSV and its like ----------------------------------------------------------------------------


def _of_text(opened: Table, limit: int) -> Frame:
    """Read text, whose kinds pandas guesses piece by piece.

    A column that turns out to be numbers in some pieces and words in others is text, as it stands in the
    file: then all is read once more, since numbers no longer tell how they were written (1.50).
    """
    kinds: dict[str, set[str]] = {}
    found = _sampled(_delimited(opened, kinds, ()), limit)
    mixed = [name for name, seen in kinds.items() if len(seen) > 1]
    return _sampled(_delimited(opened, {}, mixed), limit) if mixed else found


def _delimited(opened: Table, kinds: dict[str, set[str]], texts: Sequence[str]) -> Iterator[Any]:
    """Read pieces with pandas, the columns `texts` as text; notes what `kinds` the others' values are of."""
    import pandas as pd  # noqa: PLC0415 - as above

    for path in opened.files:
        with readable(path), open_text(path) as file:
            head = head_of(file)
            delimiter = delimiter_of(head)
            seen: Any = _Seen(opened, path, file, delimiter)
            read = pd.read_csv(
                seen,
                sep=delimiter,
                chunksize=ROWS,
                low_memory=False,
                index_col=False,
                dtype=dict.fromkeys(texts, str),
                keep_default_na=False,
                na_values=sorted(NULLS),
                skip_blank_lines=delimiter in head,  # in a single column a blank is a value, a missing one
            )
            for piece in read:
                for name in piece.columns:
                    if piece[name].notna().any():
                        kinds.setdefault(name, set()).add(_kind(piece[name].dtype, pd))
                yield piece


def _kind(dtype: Any, pandas: Any) -> str:
    if pandas.api.types.is_bool_dtype(dtype):
        return "truth"
    return "number" if pandas.api.types.is_numeric_dtype(dtype) else "text"


class _Seen:
    """A text file for pandas, each row of which the built-in checks' reader sees before pandas does.

    pandas lets rows that are cut pass. Raises UnreadableTableError while it is read.
    """

    def __init__(self, opened: Table, path: Path, file: TextIO, delimiter: str) -> None:
        self._held: list[str] = []
        self._text = ""
        self._lines = Lines(file, path, self._held.append)
        self._seen = pieces(opened, path, self._lines, delimiter)

    def __iter__(self) -> Iterator[str]:
        """Be a file to pandas, which asks for this and calls `read` alone."""
        return iter(self._lines)

    def read(self, size: int = -1) -> str:
        """Give so many characters of the next rows, or as many as there are."""
        if not self._text:
            next(self._seen, None)
            self._text = "".join(self._held)
            self._held.clear()
        end = size if size >= 0 else len(self._text)
        given, self._text = self._text[:end], self._text[end:]
        return given


# --- other kinds ---------------------------------------------------------------------------------


def _refuse_damaged(opened: Table) -> None:
    """Read the files once as the built-in checks do: what follows lets damage pass."""
    for _ in opened.batches(frozenset()):
        pass


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
