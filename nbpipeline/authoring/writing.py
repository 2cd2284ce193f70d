"""New files, all or none, and never over what is there."""

from collections.abc import Mapping, Sequence
from pathlib import Path

from nbpipeline.errors import StorageError, UsageError
from nbpipeline.location import Location


def write_new(root: Path, files: Mapping[str, str]) -> tuple[Path, ...]:
    """Write texts by path from `root`; gives the paths written.

    Raises UsageError, having written nothing, when one of them is there already; StorageError when the
    disk refuses.
    """
    taken = sorted(name for name in files if (root / name).exists() or (root / name).is_symlink())
    if taken:
        raise _refused(taken)
    try:
        return tuple(_write(root / name, text) for name, text in files.items())
    except OSError as error:
        raise StorageError.of(
            f"cannot be written: {error.strerror or error}.",
            where=Location(path=str(error.filename or root)),
            mend="make room or give yourself the right to write there",
        ) from error


def _refused(taken: Sequence[str]) -> UsageError:
    """Say once what is there already."""
    if len(taken) == 1:
        return UsageError.of(
            "is there already; nothing was written.",
            where=Location(path=taken[0]),
            mend="move it away, or choose another folder or name",
        )
    return UsageError.of(
        f"{len(taken)} of the files to write are there already; nothing was written.",
        known=f"there already: {', '.join(taken)}",
        mend="move them away, or choose another folder or name",
    )


def _write(path: Path, text: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("x", encoding="utf-8", newline="\n") as file:
        file.write(text)
    return path
