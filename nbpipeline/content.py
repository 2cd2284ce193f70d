"""Content: copies of it, and its digests: BLAKE3 of bytes, of files, and of folders as sorted listings."""
# Paths are texts here: plans look at thousands.
# ruff: noqa: PTH115, PTH116, PTH123

import json
import os
import shutil
import sys
from collections.abc import Callable, Iterator
from contextlib import suppress
from operator import itemgetter
from pathlib import Path

from blake3 import blake3

from nbpipeline import __version__
from nbpipeline.values import dataclass

TREE_HEAD = '["nbpipeline tree",1]\n'
SETTLED = 2.0
"""Seconds after its last change from which a file keeps its version as long as it keeps its bytes."""

_MAPPED_FROM = 1 << 20
_FICLONE = 0x40049409
"""Linux' ioctl that makes a file share another's blocks (btrfs, xfs, bcachefs)."""
_NEVER_LISTED = frozenset({".ipynb_checkpoints"})


@dataclass(frozen=True, slots=True)
class TreeEntry:
    """One line of a folder's listing."""

    kind: str
    """`file`, `folder` (an empty one) or `link`."""
    what: str
    """A file's digest, a link's target, nothing for an empty folder."""
    name: str
    """Path relative to the folder, with `/`."""


def digest_bytes(data: bytes) -> str:
    """Digest of bytes in hand, 64 hexadecimal digits."""
    return str(blake3(data).hexdigest())


def digest_text(text: str) -> str:
    """Digest of a text's UTF-8; what cannot be encoded (a lone surrogate) counts as it is."""
    return digest_bytes(text.encode("utf-8", "surrogatepass"))


def digest_file(path: Path | str, size: int | None = None) -> str:
    """Digest of a file's bytes; raises OSError."""
    if (os.stat(path).st_size if size is None else size) < _MAPPED_FROM:
        with open(path, "rb") as file:
            return digest_bytes(file.read())
    hasher = blake3(max_threads=blake3.AUTO)
    hasher.update_mmap(os.fspath(path))
    return str(hasher.hexdigest())


def version_of(found: os.stat_result) -> str:
    """Tell a file's version by (size, mtime_ns, ctime_ns, inode)."""
    return f"{found.st_size} {found.st_mtime_ns} {found.st_ctime_ns} {found.st_ino} "


def is_settled(found: os.stat_result, now: float) -> bool:
    """Whether the version may be relied on: a file may change again within its clock's tick and keep it."""
    return max(found.st_mtime, found.st_ctime) < now - SETTLED


def source_version(*folders: Path) -> str:
    """Tell the version of code that something follows from: its modules' sizes and times, and the Python.

    Code in an archive has no such files; the version of nbpipeline then stands for it alone.
    """
    parts = [__version__, sys.version]
    for folder in folders:
        try:
            with os.scandir(folder) as found:
                seen = [(one.name, one.stat()) for one in found if one.name.endswith(".py")]
        except OSError:
            continue
        parts += [f"{name} {at.st_size} {at.st_mtime_ns}" for name, at in sorted(seen, key=itemgetter(0))]
    return digest_text(" ".join(parts))[:32]


def copy_file(source: Path, target: Path) -> None:
    """Copy bytes to `target`, which must not exist, sharing blocks where it can be; raises OSError."""
    with source.open("rb") as reader, target.open("xb") as writer:
        if sys.platform == "linux":
            import fcntl  # noqa: PLC0415 - Windows has none

            with suppress(OSError):
                fcntl.ioctl(writer.fileno(), _FICLONE, reader.fileno())
                return
        shutil.copyfileobj(reader, writer, 1 << 20)


def tree_listing(folder: Path | str, digest: Callable[[str], str]) -> str:
    """Write the text whose digest is the folder's: one line an entry, sorted by name.

    `digest` gives that of a file. A link to a file counts as the file; one to a folder, to nothing or to
    itself as a link, so that no circle is walked. Checkpoints, and what nbpipeline itself puts there for a
    moment (`.nbpipeline*`), do not count. Raises OSError.
    """
    entries = []
    for name, kind in _walk(os.fspath(folder)):
        path = f"{os.fspath(folder)}/{name}"
        what = digest(path) if kind == "file" else os.readlink(path) if kind == "link" else ""
        entries.append((name, json.dumps([kind, what, name])))
    return TREE_HEAD + "".join(f"{line}\n" for _, line in sorted(entries))


def parse_listing(text: str) -> tuple[TreeEntry, ...]:
    """Read a listing back; raises ValueError for what is none, or for a name that leads out of the folder.

    A name below that of a link or a file would lead out as well, or nowhere.
    """
    if not text.startswith(TREE_HEAD):
        raise ValueError("not a listing")
    entries = tuple(TreeEntry(*json.loads(line)) for line in text[len(TREE_HEAD) :].splitlines())
    last = {entry.name for entry in entries if entry.kind != "folder"}
    for entry in entries:
        if not all(isinstance(one, str) for one in (entry.kind, entry.what, entry.name)):
            raise ValueError("not a listing")
        parts = entry.name.split("/")
        above = ("/".join(parts[:number]) for number in range(1, len(parts)))
        if not set(parts).isdisjoint(_NO_NAMES) or not last.isdisjoint(above):
            raise ValueError(f"leads out of the folder: {entry.name}")
    return entries


_NO_NAMES = frozenset({"", ".", ".."})


def unfinished_of(target: Path) -> Path:
    """Where the bytes that a store gives stand until they are whole: a name that a later look finds."""
    return target.with_name(f".nbpipeline-{digest_text(target.name)[:32]}")


def _walk(folder: str) -> Iterator[tuple[str, str]]:
    pending = [("", folder)]
    while pending:
        prefix, here = pending.pop()
        with os.scandir(here) as found:
            entries = [one for one in found if not _passed_over(one.name)]
        if not entries and prefix:
            yield prefix[:-1], "folder"
        for entry in entries:
            if entry.is_dir(follow_symlinks=False):
                pending.append((f"{prefix}{entry.name}/", entry.path))
            elif _leads_to_file(entry):
                yield prefix + entry.name, "file"
            elif entry.is_symlink():
                yield prefix + entry.name, "link"


def _leads_to_file(entry: "os.DirEntry[str]") -> bool:
    try:
        return entry.is_file()
    except OSError:  # a link in a circle
        return False


def _passed_over(name: str) -> bool:
    return name in _NEVER_LISTED or name.startswith(".nbpipeline")
