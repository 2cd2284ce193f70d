"""Content digests of files, worked out once for each version of a file.

A file's version is (size, mtime_ns, ctime_ns, inode). A file that changed in the last two seconds is
hashed each time: it may change again within its clock's tick and keep its version.
"""
# Paths are texts here: plans look at thousands.
# ruff: noqa: PTH112, PTH116

import errno
import os
import stat
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from nbpipeline.content import digest_file, digest_text, is_settled, tree_listing, version_of
from nbpipeline.errors import StorageError
from nbpipeline.ports import Cache

if TYPE_CHECKING:
    from nbpipeline.ports import Digests


class FileDigests:
    """Digests that are remembered in a cache; safe from several threads."""

    def __init__(self, cache: Cache, now: Callable[[], float] = time.time) -> None:
        """Use the cache's `file` entries: path -> version and digest."""
        self._cache = cache
        self._now = now
        self._known: dict[str, str] | None = None

    def of(self, path: Path | str) -> str | None:
        """Digest of a file or folder; None where there is neither. Raises StorageError."""
        try:
            found = os.stat(path)
            return self._of(os.fspath(path), found)
        except (FileNotFoundError, NotADirectoryError):
            return None
        except OSError as error:
            if error.errno == errno.ELOOP:  # a link to itself leads to nothing
                return None
            raise StorageError.of(
                f"{path} cannot be read: {error.strerror or error}.",
                mend="make it readable for this user, then try again.",
            ) from error

    def of_file(self, path: Path | str) -> str | None:
        """Digest of a file; None where there is no file. Raises StorageError."""
        return None if os.path.isdir(path) else self.of(path)

    def of_tree(self, path: Path | str) -> str | None:
        """Digest of a folder; None where there is none. Raises StorageError."""
        return self.of(path) if os.path.isdir(path) else None

    def _of(self, path: str, found: os.stat_result) -> str | None:
        if stat.S_ISREG(found.st_mode):
            return self._of_regular(path, found)
        if stat.S_ISDIR(found.st_mode):
            return digest_text(tree_listing(path, self._of_member))
        return None

    def _of_member(self, path: str) -> str:
        return self._of_regular(path, os.stat(path))

    def _of_regular(self, path: str, found: os.stat_result) -> str:
        known = self._known
        if known is None:
            known = self._known = self._cache.load("file")
        version = version_of(found)
        entry = known.get(path)
        if entry is not None and entry.startswith(version):
            return entry[len(version) :]
        digest = digest_file(path, found.st_size)
        if is_settled(found, self._now()) and version_of(os.stat(path)) == version:
            known[path] = version + digest
            self._cache.save("file", {path: version + digest})
        return digest


if TYPE_CHECKING:

    def _fills(one: FileDigests) -> Digests:
        return one
