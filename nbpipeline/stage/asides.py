"""Moving, copying and swapping of outputs: each step leaves the old bytes whole somewhere."""

import os
import shutil
import sys
from pathlib import Path

from nbpipeline.content import copy_file

_AT_FDCWD = -100
_RENAME_EXCHANGE = 2


def exists(path: Path) -> bool:
    """Whether something stands there, be it a link to nowhere."""
    return os.path.lexists(path)


def clone_file(source: Path, target: Path) -> None:
    """Copy a file with its times; blocks are shared where the file system can. Raises OSError."""
    copy_file(source, target)
    shutil.copystat(source, target)


def clone(source: Path, target: Path) -> None:
    """Copy a file or folder so that `target` is whole as soon as it is there. Raises OSError."""
    beside = target.with_name(f"{target.name}.part")
    remove(beside)
    if source.is_dir():
        shutil.copytree(source, beside, symlinks=True, copy_function=_clone_into)
    else:
        clone_file(source, beside)
    beside.rename(target)


def _clone_into(source: str, target: str) -> str:
    clone_file(Path(source), Path(target))
    return target


def remove(path: Path) -> None:
    """Remove a file, link or folder if it is there. Raises OSError."""
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)


def move(source: Path, target: Path) -> None:
    """Move to a place that may be on another file system; what is there is removed. Raises OSError."""
    target.parent.mkdir(parents=True, exist_ok=True)
    remove(target)
    try:
        source.rename(target)
    except OSError:
        if source.is_dir():
            shutil.copytree(source, target, symlinks=True)
        else:
            shutil.copy2(source, target, follow_symlinks=False)
        remove(source)


def move_to_free(source: Path, target: Path) -> Path:
    """Move to `target`, or beside it where something stands there; gives the place. Raises OSError."""
    free, number = target, 1
    while exists(free):
        number += 1
        free = target.with_name(f"{target.name}.{number}")
    move(source, free)
    return free


def inode(path: Path) -> int | None:
    """Give the number that tells whether two names are one file; None where there is none."""
    try:
        return path.stat().st_ino
    except OSError:
        return None


def same_device(path: Path, folder: Path) -> bool:
    """Whether a rename may lead from there into the folder."""
    try:
        return path.lstat().st_dev == folder.stat().st_dev
    except OSError:
        return False


def link_or_clone(source: Path, target: Path) -> None:
    """Give a file a second name, or a copy where the file system has no hard links."""
    try:
        os.link(source, target)
    except OSError:
        clone(source, target)


def exchange(one: Path, other: Path) -> bool:
    """Swap two names in one step (Linux); False where the system cannot, with nothing changed."""
    if sys.platform != "linux":
        return False
    import ctypes  # noqa: PLC0415 - a run with nothing to do swaps nothing

    try:
        rename = ctypes.CDLL(None, use_errno=True).renameat2
    except (OSError, AttributeError):
        return False
    return bool(rename(_AT_FDCWD, os.fsencode(one), _AT_FDCWD, os.fsencode(other), _RENAME_EXCHANGE) == 0)


def swap_in(new: Path, target: Path, old: Path) -> None:
    """Put `new` at `target` for readers to find one or the other, the old one at `old`. Raises OSError."""
    if not exists(target):
        new.rename(target)
    elif target.is_dir() or new.is_dir():
        if exchange(new, target):
            new.rename(old)
        else:
            target.rename(old)
            new.rename(target)
    else:
        link_or_clone(target, old)
        new.replace(target)
