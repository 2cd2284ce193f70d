"""What has been sent already: a list beside the run for systems that cannot be asked, and files of lines."""

import json
import os
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import IO, Any

from filelock import FileLock

from nbpipeline.trackers.locks import lock_of

PATIENCE = 10.0
"""Seconds to wait for another process that writes the same file."""


class Ledger:
    """Keys of what was sent of one run; one sender at a time works at it."""

    def __init__(self, file: Path) -> None:
        """Read nothing yet."""
        self._file = file
        self._keys: set[str] | None = None

    def __contains__(self, key: str) -> bool:
        """Whether it was noted. Raises OSError."""
        return key in self._known()

    def _known(self) -> set[str]:
        if self._keys is None:
            text = self._file.read_text(encoding="utf-8") if self._file.exists() else ""
            self._keys = set(
                text[: text.rfind("\n") + 1].splitlines()
            )  # a killed sender may leave half a line
        return self._keys

    def note(self, keys: Iterable[str]) -> None:
        """Note what has just been sent. Raises OSError."""
        known = self._known()
        new = [key for key in keys if key not in known]
        self._file.parent.mkdir(parents=True, exist_ok=True)
        with self._file.open("ab") as file:
            cut = b"\n" if file.tell() else b""  # ends what a killed sender may have left half
            file.write(cut + "".join(f"{key}\n" for key in new).encode())
        known.update(new)


class LinesFile:
    """A file of JSON objects, a line each, that several processes add to, none of them twice."""

    def __init__(self, path: Path, key_of: Callable[[Any], str]) -> None:
        """Open nothing yet; `key_of` gives the key of an object that stands in the file."""
        self._path = path
        self._key_of = key_of

    def add(self, lines: Mapping[str, str], mark: str) -> None:
        """Add the lines whose keys are not there. Each holds the text `mark`. Raises OSError."""
        self._path.parent.mkdir(parents=True, exist_ok=True)
        lock = FileLock(lock_of(self._path), timeout=PATIENCE)
        with lock, self._path.open("a+b") as file:
            file.seek(0)
            there = self._keys(file, mark.encode())
            new = [line for key, line in lines.items() if key not in there]
            if new:
                file.write(_separation(file) + "".join(f"{line}\n" for line in new).encode())

    def _keys(self, file: IO[bytes], mark: bytes) -> set[str]:
        found = set()
        for line in file:
            if mark in line:
                try:
                    found.add(self._key_of(json.loads(line)))
                except (ValueError, KeyError, TypeError, IndexError, RecursionError):
                    continue  # half a line of a sender that was killed: its event is added whole
        return found


def _separation(file: IO[bytes]) -> bytes:
    """Give what ends a line that was left half."""
    if file.seek(0, os.SEEK_END) == 0:
        return b""
    file.seek(-1, os.SEEK_END)
    return b"" if file.read(1) == b"\n" else b"\n"
