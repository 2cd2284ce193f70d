"""JSON: an array of records, or records one after another (JSON lines)."""

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, TextIO

from nbpipeline.validators.tables.table import (
    BATCH,
    EVERY,
    Piece,
    Table,
    UnreadableTableError,
    not_nan,
    only_file,
    open_text,
)

CHUNK = 1 << 20
"""Characters read at a time."""
LONGEST_RECORD = 1 << 24
"""Characters that one record may have."""


def read(table: Table, path: Path, wanted: frozenset[str]) -> Iterator[Piece]:
    """Read records; a column that a record lacks is null there."""
    only_file(table, path, "a text file")
    with open_text(path) as file:
        yield from _columns_of(table, _records(path, file), wanted)


def _columns_of(
    table: Table, records: Iterator[Mapping[str, Any]], wanted: frozenset[str]
) -> Iterator[Piece]:
    batch: list[Mapping[str, Any]] = []
    for record in records:
        table.meet(record)
        batch.append(record)
        if len(batch) == BATCH:
            yield len(batch), _turned(batch, table.names if wanted is EVERY else wanted)
            batch = []
    yield len(batch), _turned(batch, table.names if wanted is EVERY else wanted)


def _turned(records: list[Mapping[str, Any]], wanted: Iterable[str]) -> Mapping[str, Sequence[Any]]:
    return {name: [not_nan(record.get(name)) for record in records] for name in wanted}


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
                if held > LONGEST_RECORD:
                    raise UnreadableTableError(
                        f"{self._name}: a record is damaged or too long: {error}"
                    ) from error
                if not self._more(max(CHUNK, held)):
                    raise UnreadableTableError(f"{self._name} is cut or damaged: {error}") from error
            else:
                if not isinstance(value, dict):
                    raise UnreadableTableError(f"{self._name} holds something else than records")
                return value
