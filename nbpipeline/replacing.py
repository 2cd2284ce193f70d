"""Files that are replaced whole: a reader finds the old text or the new one, never half of it."""

import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path


@contextmanager
def replaced(path: Path, *, by: Path | None = None, durable: bool = False) -> Iterator[Path]:
    """Give a hidden file beside, or `by`, to fill; it takes the path's place if the block raises nothing.

    `durable` outlasts a power cut, too. Raises OSError, and leaves nothing behind then. A path has one
    writer at a time, so one hidden name does: what a killed one left is written over by the next.
    """
    beside = by or beside_of(path)
    try:
        yield beside
        if durable:
            _sync(beside)
        beside.replace(path)
    except BaseException:
        with suppress(OSError):
            beside.unlink(missing_ok=True)
        raise
    if durable:
        sync_folder(path.parent)


def beside_of(path: Path) -> Path:
    """Name the hidden file in which a new text waits until it is whole."""
    return path.with_name(f".{path.name}.new")


def replace_text(path: Path, text: str, *, durable: bool = False) -> None:
    """Replace a file by a text in UTF-8. Raises OSError."""
    with replaced(path, durable=durable) as beside:
        beside.write_text(text, encoding="utf-8", newline="\n")


def _sync(path: Path) -> None:
    handle = os.open(path, os.O_RDWR)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def sync_folder(folder: Path) -> None:
    """Make renames in a folder durable, where the system can."""
    if os.name == "nt":
        return
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    except OSError:  # some network file systems refuse it for folders
        return
    finally:
        os.close(handle)
