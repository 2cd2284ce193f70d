"""Tables as pandas frames for libraries that want a whole one; past a limit every k-th row is taken.

CSV, Parquet, JSON, JSON lines, Excel, Feather, tables of SQLite and DuckDB. The index is the row's number
in the file, from 1.
"""

import gzip
import sqlite3
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing
from dataclasses import field
from pathlib import Path
from typing import Any

from nbpipeline import plugins
from nbpipeline.errors import MissingPluginError
from nbpipeline.validators import tables
from nbpipeline.values import dataclass

LIMIT = 500_000_000
"""Bytes of a frame in memory; past it, rows are left out."""
ROWS = 100_000
"""Rows read at a time."""
_VECTORS = ROWS // 2048
"""DuckDB counts rows in vectors."""
_DELIMITERS = ",;\t|"


class UnreadableFrameError(Exception):
    """The file is no table, or it is damaged; the text says what was found."""


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
            before, self.pieces, self.held = self.pieces, [], 0
            for one in before:
                self._keep(one)

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

    `table` names a table of a database or a sheet. Raises UnreadableFrameError, and MissingPluginError where
    a library for the kind of file is not installed.
    """
    import pandas as pd  # noqa: PLC0415 - half a second; this runs in a process of its own

    sampler = _Sampler(limit=limit)
    for one in _files(path):
        read = READERS[_suffix(one)]
        try:
            for piece in read(one, table):
                sampler.take(piece)
        except UnreadableFrameError:
            raise
        except ModuleNotFoundError as error:
            raise plugins.missing_library(error.name or "", f"checking {one.name}") from error
        except ImportError as error:  # pandas' own word for it
            raise MissingPluginError.of(f"{one.name}: {error}", mend=plugins.install("tables")) from error
        except MemoryError:
            raise
        except Exception as error:  # whatever the readers' libraries raise of what is damaged
            said = str(error).strip().splitlines()
            raise UnreadableFrameError(
                f"{one.name} is cut or damaged: {said[0] if said else type(error).__name__}"
            ) from error
    return sampler.frame(pd)


def _suffix(path: Path) -> str:
    name = path.name.lower().removesuffix(".gz")
    return next((one for one in READERS if name.endswith(one)), "")


def _files(path: Path) -> tuple[Path, ...]:
    if not path.exists():
        raise UnreadableFrameError(f"{path.name} is not there")
    files: tuple[Path, ...] = (path,)
    if path.is_dir():
        files = tuple(sorted(one for one in path.rglob("*") if one.is_file() and _suffix(one)))
    if not files or not _suffix(files[0]):
        raise UnreadableFrameError(
            f"{path.name} is no table that can be read; known kinds: {', '.join(READERS)}"
        )
    if len({_suffix(one) for one in files}) > 1:
        raise UnreadableFrameError(f"{path.name} holds several kinds of tables")
    return files


# --- kinds of files --------------------------------------------------------------------------


def _open(path: Path) -> Any:
    if path.name.lower().endswith(".gz"):
        return gzip.open(path, "rt", encoding="utf-8-sig", newline="")
    return path.open(encoding="utf-8-sig", newline="")


def _csv(path: Path, _table: str) -> Iterator[Any]:
    import pandas as pd  # noqa: PLC0415 - as above

    with _open(path) as file:
        head = file.readline()
        if not head.strip():
            raise UnreadableFrameError(f"{path.name} has no header line")
        file.seek(0)
        delimiter = max(_DELIMITERS, key=lambda one: (head.count(one), one == ","))
        yield from pd.read_csv(file, sep=delimiter, chunksize=ROWS, low_memory=False)


def _json(path: Path, _table: str) -> Iterator[Any]:
    """Read an array of records, or records one after another, without holding all of it."""
    import pandas as pd  # noqa: PLC0415 - as above

    try:
        names = tables.open_table(path)
        for _ in names.batches(frozenset()):
            pass
        for batch in tables.open_table(path).batches(frozenset(names.names)):
            yield pd.DataFrame({name: batch.columns[name] for name in names.names})
    except tables.UnreadableTableError as error:
        raise UnreadableFrameError(str(error)) from error


def _parquet(path: Path, _table: str) -> Iterator[Any]:
    import pyarrow.parquet as pq  # noqa: PLC0415 - an extra

    with pq.ParquetFile(path) as file:
        yield from (one.to_pandas() for one in file.iter_batches(batch_size=ROWS))
        if file.metadata.num_rows == 0:
            yield file.schema_arrow.empty_table().to_pandas()


def _feather(path: Path, _table: str) -> Iterator[Any]:
    import pyarrow as pa  # noqa: PLC0415 - an extra

    with pa.memory_map(str(path)) as source, pa.ipc.open_file(source) as file:
        if file.num_record_batches == 0:
            yield file.schema.empty_table().to_pandas()
        for number in range(file.num_record_batches):
            yield file.get_batch(number).to_pandas()


def _excel(path: Path, sheet: str) -> Iterator[Any]:
    """Read one sheet row by row: the header is the first row."""
    import openpyxl  # noqa: PLC0415 - an extra
    import pandas as pd  # noqa: PLC0415 - as above

    with closing(openpyxl.load_workbook(path, read_only=True, data_only=True)) as book:
        name = _chosen(path, sheet, book.sheetnames, "sheet")
        rows = book[name].iter_rows(values_only=True)
        header = [str(one) for one in next(rows, ()) if one is not None]
        if not header:
            raise UnreadableFrameError(f"{path.name} has no header row")
        held: list[Any] = []
        for row in rows:
            held.append(row[: len(header)])
            if len(held) == ROWS:
                yield pd.DataFrame(held, columns=header)
                held = []
        yield pd.DataFrame(held, columns=header)


def _sqlite(path: Path, table: str) -> Iterator[Any]:
    import pandas as pd  # noqa: PLC0415 - as above

    with closing(sqlite3.connect(f"{path.resolve().as_uri()}?mode=ro", uri=True)) as connection:
        found = connection.execute("SELECT name FROM sqlite_master WHERE type IN ('table', 'view')")
        name = _chosen(path, table, [one for (one,) in found if not one.startswith("sqlite_")], "table")
        yield from pd.read_sql_query(f"SELECT * FROM {_quoted(name)}", connection, chunksize=ROWS)  # noqa: S608 - a name that is there


def _duckdb(path: Path, table: str) -> Iterator[Any]:
    import duckdb  # noqa: PLC0415 - an extra

    with closing(duckdb.connect(str(path), read_only=True)) as connection:
        names = [one for (one,) in connection.execute(_TABLES).fetchall()]
        name = _chosen(path, table, names, "table")
        answer = connection.execute(f"SELECT * FROM {_quoted(name)}")  # noqa: S608 - a name that is there
        while len(piece := answer.fetch_df_chunk(_VECTORS)):
            yield piece
        yield piece


_TABLES = "SELECT table_name FROM information_schema.tables"


def _database(path: Path, table: str) -> Iterator[Any]:
    """Read a `.db` file as what it is."""
    with path.open("rb") as file:
        begins = file.read(16)
    yield from (_sqlite if begins.startswith(b"SQLite format 3") else _duckdb)(path, table)


def _quoted(name: str) -> str:
    doubled = name.replace('"', '""')
    return f'"{doubled}"'


def _chosen(path: Path, wanted: str, names: list[str], kind: str) -> str:
    """Take the table that is named, or the only one there is."""
    known = ", ".join(names) or "none"
    if wanted and wanted not in names:
        raise UnreadableFrameError(f"{path.name} has no {kind} '{wanted}'; known: {known}")
    if not wanted and len(names) != 1:
        raise UnreadableFrameError(
            f"{path.name} has {len(names)} {kind}s: {known}; name one with `table:` beside the check"
        )
    return wanted or names[0]


READERS: Mapping[str, Callable[[Path, str], Iterator[Any]]] = {
    ".csv": _csv,
    ".tsv": _csv,
    ".jsonl": _json,
    ".ndjson": _json,
    ".json": _json,
    ".parquet": _parquet,
    ".pq": _parquet,
    ".feather": _feather,
    ".arrow": _feather,
    ".xlsx": _excel,
    ".xlsm": _excel,
    ".sqlite": _database,
    ".sqlite3": _database,
    ".duckdb": _database,
    ".db": _database,
}
"""By the end of the file's name."""
