"""New files, all or none, and never over what is there."""

from collections.abc import Mapping
from pathlib import Path

from nbpipeline.errors import Complaint, StorageError, UsageError
from nbpipeline.location import Location


def write_new(root: Path, files: Mapping[str, str]) -> tuple[Path, ...]:
    """Write texts by path from `root`; gives the paths written.

    Raises UsageError, having written nothing, when one of them is there already; StorageError when the
    disk refuses.
    """
    taken = sorted(name for name in files if (root / name).exists() or (root / name).is_symlink())
    if taken:
        raise UsageError(
            Complaint(
                where=Location(path=name),
                what="is there already; nothing was written.",
                mend="move it away, or choose another folder or name",
            )
            for name in taken
        )
    try:
        return tuple(_write(root / name, text) for name, text in files.items())
    except OSError as error:
        raise StorageError.of(
            f"cannot be written: {error.strerror or error}.",
            where=Location(path=str(error.filename or root)),
            mend="make room or give yourself the right to write there",
        ) from error


def _write(path: Path, text: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("x", encoding="utf-8", newline="\n") as file:
        file.write(text)
    return path
