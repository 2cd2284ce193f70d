"""Finds rows whose key came before, in bounded memory however many rows there are."""

import hashlib
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack
from typing import IO

from nbpipeline.validators.tables.table import Stop, go_on, never

IN_MEMORY = 2_000_000
"""Keys held in memory before they go to disk."""
BUCKETS = 64
_KEY = 16
_ROW = 8


class Duplicates:
    """Takes keys row by row; tells how many came again, and where first.

    Keys are kept as 128-bit digests. Past `in_memory` of them they are spread over files by their first
    byte, and each file is searched by itself at the end.
    """

    def __init__(self, *, shown: int, in_memory: int = IN_MEMORY) -> None:
        """Hold nothing yet; `shown` rows at most are remembered."""
        self._shown = shown
        self.in_memory = in_memory
        self._seen: set[bytes] = set()
        self._files: list[IO[bytes]] = []
        self._stack = ExitStack()
        self.count = 0
        self.rows: list[tuple[int, str]] = []
        """The first rows that repeat a key, with the key's words where they are still known."""

    def add(self, row: int, words: str) -> None:
        """Take the key of a row."""
        key = hashlib.blake2b(words.encode("utf-8", "surrogatepass"), digest_size=_KEY).digest()
        if key in self._seen:
            self._note(row, words)
        elif len(self._seen) < self.in_memory:
            self._seen.add(key)
        else:
            self._spill(key, row)

    def _note(self, row: int, words: str) -> None:
        self.count += 1
        if len(self.rows) < self._shown:
            self.rows.append((row, words))

    def _spill(self, key: bytes, row: int) -> None:
        if not self._files:
            self._files = [self._bucket() for _ in range(BUCKETS)]
        self._files[key[0] % BUCKETS].write(key + row.to_bytes(_ROW, "big"))

    def _bucket(self) -> IO[bytes]:
        return self._stack.enter_context(tempfile.TemporaryFile())

    def close(self, stop: Stop = never) -> None:
        """Search what went to disk, and remove it. Raises StoppedError where `stop` says so."""
        with self._stack:
            late: list[int] = []
            for file in self._files:
                go_on(stop)
                for number, row in enumerate(_repeated(file)):
                    self.count += 1
                    late += [row] if number < self._shown else []
        self.rows = sorted(self.rows + [(row, "") for row in late])[: self._shown]
        self._files = []


def _repeated(file: IO[bytes]) -> Iterator[int]:
    seen: set[bytes] = set()
    file.seek(0)
    while entry := file.read(_KEY + _ROW):
        key = entry[:_KEY]
        if key in seen:
            yield int.from_bytes(entry[_KEY:], "big")
        seen.add(key)
