"""Sent to kernels as text: asks Linux which files this very process opens, whatever library does it.

Libraries in C++ or Rust open files past Python, so that no audit hook hears of it. Linux tells any process
what happens in folders that it marks (fanotify, since 5.13 without privileges) and, of each event, whether
that process itself did it. That costs some microseconds an opened file: it begins with the first library
that opens files so.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterator
from typing import Any

_CLOSE_ON_EXEC, _NONBLOCK, _FOLDER_AND_NAME = 0x1, 0x2, 0x400 | 0x800
_ADD, _REMOVE = 0x1, 0x2
_MODIFY, _OPEN, _MOVED_TO, _CREATE, _LOST = 0x2, 0x20, 0x80, 0x100, 0x4000
_ON_CHILDREN, _FOLDERS = 0x0800_0000, 0x4000_0000
_HERE = -100
_READ, _WRITE = 3, 4
_ROOM = 128
"""Bytes of a file handle, as the system has them at most."""
_MOST_FOLDERS = 2_000
_MOST_ENTRIES = 50_000
_PASSED_OVER = ("site-packages", "dist-packages", "node_modules", "__pycache__")
ENVIRONMENT_MARKS = ("pyvenv.cfg", "conda-meta")


class Native:
    """The system's word on what this process opens under a folder."""

    LIBRARIES = (
        "_dbm", "_gdbm", "adbc_driver_manager", "catboost", "chdb", "cv2", "datafusion", "deltalake",
        "duckdb", "fiona", "h5py", "lance", "lightgbm", "netCDF4", "osgeo", "pikepdf", "polars", "pyarrow",
        "pydicom", "pyogrio", "pyreadstat", "pysam", "rasterio", "safetensors", "SimpleITK", "soundfile",
        "tables", "tensorflow", "tokenizers", "torch", "vaex", "xgboost",
    )  # fmt: skip
    """Modules that open files past Python."""

    def __init__(self, root: str) -> None:
        """Ask for nothing yet."""
        self.on = False
        self.state = ""
        """Empty where no library asked for it, `on`, `off` where the system refuses, else `partly`."""
        self._root = os.path.realpath(root)
        self._named = root
        self._queue = -1
        self._folders: dict[bytes, str] = {}
        self._system: Any = None

    def begin(self) -> None:
        """Mark the project's folders, once."""
        if self.state:
            return
        self.state = "off"
        if not sys.platform.startswith("linux"):
            return
        import ctypes  # noqa: PLC0415 - every kernel has it; other processes pay for what they use

        self._system = ctypes.CDLL(None, use_errno=True)
        how = _CLOSE_ON_EXEC | _NONBLOCK | _FOLDER_AND_NAME
        self._queue = self._system.fanotify_init(how, os.O_RDONLY)
        if self._queue >= 0 and self._mark(self._root):
            self.on, self.state = True, "on"
            for place, folder in enumerate(_folders(self._root)):
                if place >= _MOST_FOLDERS or not (folder and self._mark(folder)):
                    self.state = "partly"
                    break

    def _mark(self, folder: str, do: int = _ADD) -> bool:
        import ctypes  # noqa: PLC0415 - as above

        events = ctypes.c_uint64(_OPEN | _MODIFY | _MOVED_TO | _CREATE | _ON_CHILDREN | _FOLDERS)
        name = os.fsencode(folder)
        if self._system.fanotify_mark(self._queue, do, events, _HERE, name):
            return False
        if do == _ADD:
            handle = ctypes.create_string_buffer(_ROOM.to_bytes(4, sys.byteorder), 8 + _ROOM)
            mount = ctypes.c_int()
            if self._system.name_to_handle_at(_HERE, name, handle, ctypes.byref(mount), 0):
                return False
            self._folders[_handle(handle.raw)] = folder
        return True

    def leave(self, folder: str) -> None:
        """Ask no more of one folder; so not everything is seen from now on."""
        self.state = "partly"
        self._mark(self._root + folder[len(self._named.rstrip("/")) :], _REMOVE)

    def close(self) -> None:
        """Leave the queue to the parent; of a fork."""
        if self._queue >= 0:
            os.close(self._queue)
        self.on, self._queue, self.state = False, -1, self.state or "off"

    def drain(self, note: Callable[[str, int], None]) -> None:
        """Tell of every file that this process opened since: (absolute path, how)."""
        while self.on:
            try:
                data = os.read(self._queue, 1 << 16)
            except BlockingIOError:
                return
            for mask, pid, path in self._events(data):
                if mask & _LOST:
                    self.state = "partly"
                elif pid == os.getpid() and path:
                    self._event(mask, path, note)

    def _event(self, mask: int, path: str, note: Callable[[str, int], None]) -> None:
        if mask & _FOLDERS:
            if mask & (_CREATE | _MOVED_TO):
                self._mark(path)
            return
        named = self._named.rstrip("/") + path[len(self._root) :]
        note(named, _WRITE if mask & (_MODIFY | _MOVED_TO | _CREATE) else _READ)

    def _events(self, data: bytes) -> Iterator[tuple[int, int, str]]:
        """Read the system's records; gives (what was done, by which process, absolute path)."""
        order, at = sys.byteorder, 0
        while at < len(data):
            length = int.from_bytes(data[at : at + 4], order)
            told = at + int.from_bytes(data[at + 6 : at + 8], order)
            mask = int.from_bytes(data[at + 8 : at + 16], order)
            pid = int.from_bytes(data[at + 20 : at + 24], order)
            handle = _handle(data[told + 12 : at + length])
            folder = self._folders.get(handle, "")
            name = data[told + 12 + 4 + len(handle) : at + length].split(b"\0")[0]
            at += length
            yield mask, pid, f"{folder}/{os.fsdecode(name)}" if folder and name != b"." else ""


def _handle(raw: bytes) -> bytes:
    """Cut a file handle (length, type, bytes) out of what follows it; gives type and bytes."""
    return raw[4 : 8 + int.from_bytes(raw[:4], sys.byteorder)]


def _folders(root: str) -> Iterator[str]:
    """Walk the project's own folders below its root; an empty one ends it where there are too many files."""
    waiting, entries = [root], 0
    while waiting:
        here = waiting.pop()
        try:
            with os.scandir(here) as found:
                inside = list(found)
        except OSError:
            continue
        entries += len(inside)
        if entries > _MOST_ENTRIES:
            yield ""
        if any(one.name in ENVIRONMENT_MARKS for one in inside):
            continue
        if here != root:
            yield here
        waiting += [
            one.path
            for one in inside
            if one.name not in _PASSED_OVER and one.name[:1] != "." and one.is_dir(follow_symlinks=False)
        ]
