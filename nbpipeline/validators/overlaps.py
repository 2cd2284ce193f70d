"""Finds rows whose key another table holds too, in bounded memory however many rows there are."""

import hashlib
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from typing import IO, Any

from nbpipeline.validators.tables.table import Stop, go_on, never

IN_MEMORY = 1_000_000
"""Keys of the other tables held in memory (some 150 MB) before the rest goes to disk."""
BUCKETS = 64
_KEY = 16
_ROW = 8
_TABLE = 2
"""Bytes of a key, a row's number, a table's number on disk."""


class Overlap:
    """Takes the keys of other tables, then those of the rows that must share none.

    Keys are kept as 128-bit digests. Past `in_memory` of them they, and the rows that may share them, are
    spread over files by the key's first byte, and each pair of files is searched by itself at the end.
    """

    def __init__(self, *, shown: int, in_memory: int = IN_MEMORY) -> None:
        """Hold nothing yet; of each table `shown` rows at most are remembered."""
        self._shown = shown
        self._in_memory = in_memory
        self._held: dict[bytes, int] = {}
        self._files: list[tuple[IO[bytes], IO[bytes]]] = []
        self._stack = ExitStack()
        self.counts: dict[int, int] = {}
        """How many rows have a key of a table, by its number; the first table that has it counts."""
        self.rows: dict[int, list[tuple[int, str]]] = {}
        """The first of those rows, with what their keys are where that is still known."""

    def hold(self, table: int, words: str) -> None:
        """Take a key of another table, by its number from 0."""
        key = _digest(words)
        if key in self._held:
            return
        if len(self._held) < self._in_memory:
            self._held[key] = table
            return
        if not self._files:
            self._files = [(self._bucket(), self._bucket()) for _ in range(BUCKETS)]
        self._files[key[0] % BUCKETS][0].write(key + table.to_bytes(_TABLE, "big"))

    def add(self, row: int, words: str, values: Sequence[Any] = ()) -> None:
        """Take the key of a row, made of `values`, once all others are held."""
        key = _digest(words)
        table = self._held.get(key)
        if table is not None:
            self._note(table, row, ", ".join(map(str, values)))
        elif self._files:
            self._files[key[0] % BUCKETS][1].write(key + row.to_bytes(_ROW, "big"))

    def _note(self, table: int, row: int, words: str) -> None:
        self.counts[table] = self.counts.get(table, 0) + 1
        rows = self.rows.setdefault(table, [])
        rows.append((row, words))
        if len(rows) > 2 * self._shown:
            self.rows[table] = sorted(rows)[: self._shown]

    def _bucket(self) -> IO[bytes]:
        return self._stack.enter_context(tempfile.TemporaryFile())

    def close(self, stop: Stop = never) -> None:
        """Search what went to disk, and remove it. Raises StoppedError where `stop` says so."""
        with self._stack:
            for others, own in self._files:
                go_on(stop)
                for table, row in _shared(others, own):
                    self._note(table, row, "")
        self._files = []
        self.rows = {table: sorted(rows)[: self._shown] for table, rows in self.rows.items()}


def _digest(words: str) -> bytes:
    return hashlib.blake2b(words.encode("utf-8", "surrogatepass"), digest_size=_KEY).digest()


def _shared(others: IO[bytes], own: IO[bytes]) -> Iterator[tuple[int, int]]:
    held: dict[bytes, int] = {}
    others.seek(0)
    while entry := others.read(_KEY + _TABLE):
        held.setdefault(entry[:_KEY], int.from_bytes(entry[_KEY:], "big"))
    own.seek(0)
    while entry := own.read(_KEY + _ROW):
        table = held.get(entry[:_KEY])
        if table is not None:
            yield table, int.from_bytes(entry[_KEY:], "big")
