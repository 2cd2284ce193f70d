"""CSV, Parquet, JSON and JSON lines as batches of columns, a bounded piece at a time."""

import csv
import gzip
import json
import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import field
from pathlib import Path
from typing import Any, TextIO

from nbpipeline import plugins
from nbpipeline.errors import MissingPluginError
from nbpipeline.values import dataclass

BATCH = 20_000
"""Rows at a time."""
CHUNK = 1 << 20
"""Characters of JSON read at a time."""
LONGEST_FIELD = 1 << 24
"""Characters that one CSV field or JSON record may have."""
NULLS = frozenset({"", "NA", "N/A", "NaN", "nan", "null", "NULL", "None"})
"""What counts as no value in a CSV file, as for pandas."""
SUFFIXES = (".csv", ".tsv", ".json", ".jsonl", ".ndjson", ".parquet", ".pq")
_DELIMITERS = ",;\t|"


class UnreadableTableError(Exception):
    """The file is no table, or it is cut; the text says what was found."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Batch:
    """Some rows. Nulls and NaN are None; a column that some records lack holds None there."""

    first: int
    """Number of the first row, from 1."""
    size: int
    columns: Mapping[str, Sequence[Any]]


@dataclass(slots=True, kw_only=True)
class Table:
    """A file, or a folder of files of one kind, read once from start to end."""

    files: tuple[Path, ...]
    text: bool
    """Whether every value is text that stands for something (CSV)."""
    names: list[str] = field(default_factory=list)
    """Columns met so far: all of them once the batches are through."""
    types: dict[str, str] = field(default_factory=dict)
    """Types told by the file itself (Parquet), in the words of the check `types`."""

    def batches(self, wanted: frozenset[str]) -> Iterator[Batch]:
        """Read the wanted columns. Raises UnreadableTableError."""
        first = 1
        for path in self.files:
            try:
                for size, columns in _read(self, path, wanted):
                    yield Batch(first=first, size=size, columns=columns)
                    first += size
            except (UnicodeDecodeError, gzip.BadGzipFile, EOFError, OSError) as error:
                raise UnreadableTableError(f"{path.name} cannot be read: {error}") from error

    def meet_all(self, path: Path, names: Sequence[str], types: Mapping[str, str] | None = None) -> None:
        """Note a file's columns; the files of a folder must agree in them. Raises UnreadableTableError."""
        if self.names and (set(self.names) != set(names) or self.types != (types or {})):
            raise UnreadableTableError(f"{path.name} has other columns than {self.files[0].name}")
        self.meet(names)
        self.types.update(types or {})

    def meet(self, names: Iterable[str]) -> None:
        """Note columns, in the order in which they come."""
        for name in names:
            if name not in self.names:
                self.names.append(name)


def suffix_of(path: Path) -> str:
    """Tell the kind of a file by its name, compression aside: `.csv` of `flights.csv.gz`."""
    name = path.name.lower().removesuffix(".gz")
    return next((one for one in SUFFIXES if name.endswith(one)), "")


def open_table(path: Path) -> Table:
    """Find what is to be read. Raises UnreadableTableError where it is no table by its name."""
    files: tuple[Path, ...] = (path,)
    if path.is_dir():
        files = tuple(sorted(one for one in path.rglob("*") if one.is_file() and suffix_of(one)))
    if not files or not suffix_of(files[0]):
        raise UnreadableTableError(
            f"{path.name} is no table that can be read; known kinds: {', '.join(SUFFIXES)}, .gz of those"
        )
    kinds = {suffix_of(one) for one in files}
    if len(kinds) > 1:
        raise UnreadableTableError(f"{path.name} holds several kinds of tables: {', '.join(sorted(kinds))}")
    return Table(files=files, text=kinds <= {".csv", ".tsv"})


def _read(
    table: Table, path: Path, wanted: frozenset[str]
) -> Iterator[tuple[int, Mapping[str, Sequence[Any]]]]:
    suffix = suffix_of(path)
    if suffix in (".parquet", ".pq"):
        yield from _read_parquet(table, path, wanted)
        return
    with _open_text(path) as file:
        if suffix in (".csv", ".tsv"):
            yield from _read_csv(table, path, file, wanted)
        else:
            yield from _columns_of(table, _records(path, file), wanted)


def _open_text(path: Path) -> TextIO:
    if path.name.lower().endswith(".gz"):
        return gzip.open(path, "rt", encoding="utf-8-sig", newline="")
    return path.open(encoding="utf-8-sig", newline="")


# --- CSV -------------------------------------------------------------------------------------


def _read_csv(
    table: Table, path: Path, file: TextIO, wanted: frozenset[str]
) -> Iterator[tuple[int, Mapping[str, Sequence[Any]]]]:
    csv.field_size_limit(LONGEST_FIELD)
    head = file.readline()
    if not head.strip():
        raise UnreadableTableError(f"{path.name} has no header line")
    delimiter = max(_DELIMITERS, key=lambda one: (head.count(one), one == ","))
    file.seek(0)
    reader = csv.reader(file, delimiter=delimiter, strict=True)
    names = _header(path, reader)
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise UnreadableTableError(f"{path.name} names a column twice: {', '.join(twice)}")
    table.meet_all(path, names)
    places = [(name, place) for place, name in enumerate(names) if name in wanted]
    rows: list[list[str]] = []
    try:
        for row in reader:
            if not row and len(names) > 1:
                continue
            rows.append(row or [""])
            if len(row or [""]) != len(names):
                raise UnreadableTableError(
                    f"{path.name} is cut or damaged: the row that ends in line {reader.line_num} has "
                    f"{len(row)} fields, the header {len(names)}"
                )
            if len(rows) == BATCH:
                yield len(rows), _pick(rows, places)
                rows = []
    except csv.Error as error:
        raise UnreadableTableError(f"{path.name} is cut or damaged: {error}") from error
    yield len(rows), _pick(rows, places)


def _header(path: Path, reader: Iterator[list[str]]) -> list[str]:
    try:
        return next(reader)
    except csv.Error as error:
        raise UnreadableTableError(f"{path.name} is cut or damaged: {error}") from error


def _pick(rows: list[list[str]], places: list[tuple[str, int]]) -> Mapping[str, Sequence[Any]]:
    return {name: [None if row[place] in NULLS else row[place] for row in rows] for name, place in places}


# --- JSON ------------------------------------------------------------------------------------


def _columns_of(
    table: Table, records: Iterator[Mapping[str, Any]], wanted: frozenset[str]
) -> Iterator[tuple[int, Mapping[str, Sequence[Any]]]]:
    batch: list[Mapping[str, Any]] = []
    for record in records:
        table.meet(record)
        batch.append(record)
        if len(batch) == BATCH:
            yield len(batch), _turned(batch, wanted)
            batch = []
    yield len(batch), _turned(batch, wanted)


def _turned(records: list[Mapping[str, Any]], wanted: frozenset[str]) -> Mapping[str, Sequence[Any]]:
    return {name: [_not_nan(record.get(name)) for record in records] for name in wanted}


def _not_nan(value: Any) -> Any:
    return None if isinstance(value, float) and math.isnan(value) else value


def _records(path: Path, file: TextIO) -> Iterator[Mapping[str, Any]]:
    """Walk an array of objects, or objects one after another, without holding them all."""
    scanner = _Scanner(path, file)
    array = scanner.peek() == "["
    if array:
        scanner.drop()
    while (sign := scanner.peek()) != "":
        if array and sign == "]":
            scanner.drop()
            if scanner.peek():
                raise UnreadableTableError(f"{path.name}: text after the end of the array")
            return
        if sign != "{":
            raise UnreadableTableError(f"{path.name} is no JSON array of records, nor JSON lines")
        yield scanner.record()
        if array and scanner.peek() == ",":
            scanner.drop()
            if scanner.peek() != "{":
                raise UnreadableTableError(f"{path.name} is cut or damaged: a record is wanted after a comma")
        elif array and scanner.peek() != "]":
            raise UnreadableTableError(f"{path.name} is cut: the array has no end")
    if array:
        raise UnreadableTableError(f"{path.name} is cut: the array has no end")


class _Scanner:
    """Reads JSON values from a file through a window that moves on."""

    def __init__(self, path: Path, file: TextIO) -> None:
        self._name = path.name
        self._file = file
        self._window = ""
        self._place = 0
        self._decoder = json.JSONDecoder()

    def _more(self, size: int = CHUNK) -> bool:
        piece = self._file.read(size)
        self._window = self._window[self._place :] + piece
        self._place = 0
        return bool(piece)

    def peek(self) -> str:
        """Show the next sign that is no blank; empty at the end."""
        while True:
            rest = self._window
            while self._place < len(rest) and rest[self._place].isspace():
                self._place += 1
            if self._place < len(rest):
                return rest[self._place]
            if not self._more():
                return ""

    def drop(self) -> None:
        """Pass the sign that was shown."""
        self._place += 1

    def record(self) -> Mapping[str, Any]:
        """Read the object that begins here; the window grows by doubling until it is whole."""
        while True:
            try:
                value, self._place = self._decoder.raw_decode(self._window, self._place)
            except RecursionError as error:
                raise UnreadableTableError(f"{self._name}: a record is nested too deeply") from error
            except ValueError as error:
                held = len(self._window) - self._place
                if held > LONGEST_FIELD:
                    raise UnreadableTableError(
                        f"{self._name}: a record is damaged or too long: {error}"
                    ) from error
                if not self._more(max(CHUNK, held)):
                    raise UnreadableTableError(f"{self._name} is cut or damaged: {error}") from error
            else:
                if not isinstance(value, dict):
                    raise UnreadableTableError(f"{self._name} holds something else than records")
                return value


# --- Parquet ---------------------------------------------------------------------------------


def _read_parquet(
    table: Table, path: Path, wanted: frozenset[str]
) -> Iterator[tuple[int, Mapping[str, Sequence[Any]]]]:
    try:
        import pyarrow as pa  # noqa: PLC0415 - an extra, and slow to import
        import pyarrow.parquet as pq  # noqa: PLC0415 - the same
    except ImportError as error:
        raise MissingPluginError.of(
            f"checking {path.name} needs pyarrow, which is not installed.",
            mend=plugins.install("data"),
        ) from error
    try:
        with pq.ParquetFile(path) as file:
            types = {one.name: _type_name(pa, one.type) for one in file.schema_arrow}
            table.meet_all(path, file.schema_arrow.names, types)
            columns = [name for name in file.schema_arrow.names if name in wanted]
            for batch in file.iter_batches(batch_size=BATCH, columns=columns):
                yield batch.num_rows, {name: _values(batch.column(name)) for name in columns}
    except (
        pa.ArrowException,
        OverflowError,
        ValueError,
    ) as error:  # the last two: moments Python cannot hold
        raise UnreadableTableError(f"{path.name} is cut or damaged: {error}") from error


def _values(column: Any) -> Sequence[Any]:
    plain = column.dictionary_decode() if hasattr(column, "dictionary_decode") else column  # quicker
    return [_not_nan(one) for one in plain.to_pylist()]


def _type_name(pa: Any, kind: Any) -> str:
    """Say a Parquet type in the check's words; others by Arrow's own name."""
    if pa.types.is_dictionary(kind):
        return _type_name(pa, kind.value_type)
    tests = {
        "bool": pa.types.is_boolean,
        "int": pa.types.is_integer,
        "float": lambda one: pa.types.is_floating(one) or pa.types.is_decimal(one),
        "str": lambda one: pa.types.is_string(one) or pa.types.is_large_string(one),
        "datetime": pa.types.is_timestamp,
        "date": pa.types.is_date,
    }
    return next((name for name, test in tests.items() if test(kind)), str(kind))
