"""What has been sent already: a list beside the run for systems that cannot be asked, and files of lines."""

import json
import os
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
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

    def __init__(self, path: Path, key_of: Callable[[Any], str], mark: str) -> None:
        """Open nothing yet; `key_of` gives an object's key, `mark` stands in each line that will be added."""
        self._path = path
        self._key_of = key_of
        self._mark = mark.encode()
        self._there: set[str] = set()
        self._place = 0
        """Up to where the file was looked at, in bytes: whole lines stay as they are."""
        self._file = (0, 0)
        """Which file that was."""

    def add(self, lines: Mapping[str, str]) -> None:
        """Add the lines whose keys are not there. Raises OSError."""
        self._path.parent.mkdir(parents=True, exist_ok=True)
        lock = FileLock(lock_of(self._path), timeout=PATIENCE)
        with lock, self._path.open("a+b") as file:
            self._look(file)
            new = {key: line for key, line in lines.items() if key not in self._there}
            if new:
                file.write(_separation(file) + "".join(f"{line}\n" for line in new.values()).encode())
                self._place = file.tell()
                self._there.update(new)

    def _look(self, file: IO[bytes]) -> None:
        """Read on where the last look ended; from the beginning where another file stands there now."""
        stat = os.fstat(file.fileno())
        which = (stat.st_dev, stat.st_ino)
        if which != self._file or stat.st_size < self._place:
            self._file, self._place, self._there = which, 0, set()
        file.seek(self._place)
        for line in file:
            if line.endswith(b"\n"):  # the end of another may yet be ended by who writes next
                self._place += len(line)
            if self._mark in line:
                # A killed sender may have left half a line: its object is added whole.
                with suppress(ValueError, KeyError, TypeError, IndexError, RecursionError):
                    self._there.add(self._key_of(json.loads(line)))


def _separation(file: IO[bytes]) -> bytes:
    """Give what ends a line that was left half."""
    if file.seek(0, os.SEEK_END) == 0:
        return b""
    file.seek(-1, os.SEEK_END)
    return b"" if file.read(1) == b"\n" else b"\n"
