"""The text of a file of the project, or why it cannot be had."""

from pathlib import Path


class NoText(Exception):  # noqa: N818 - a reader makes its own complaint of it
    """There is no text to read; `what` says why, and `mend` what to do."""

    def __init__(self, what: str, mend: str) -> None:
        """Keep both parts of the message."""
        super().__init__(what)
        self.what = what
        self.mend = mend


def read_text(path: Path, absent: NoText) -> str:
    """Read a file as UTF-8, with or without a mark at its start. Raises NoText.

    `absent` is raised where nothing stands at the path. A pipe or a device is not waited for.
    """
    try:
        _require_file(path, absent)
        return path.read_bytes().decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise NoText(f"the file is not UTF-8 text (byte {error.start}).", "save it as UTF-8.") from error
    except OSError as error:
        raise NoText(
            f"the file cannot be read: {error.strerror}.", "give yourself the right to read it."
        ) from error


def stands(path: Path) -> bool:
    """Whether anything stands at the path, be it a link to nowhere."""
    return path.exists() or path.is_symlink()


def is_file(path: Path) -> bool:
    """Whether a plain file stands at the path, which may be none that a file can have."""
    try:
        return path.is_file()
    except OSError:  # the name is too long
        return False


def _require_file(path: Path, absent: NoText) -> None:
    if path.is_file():
        return
    if path.is_dir():
        raise NoText("this is a folder; it wants a file.", "take it away, or give it another name.")
    if path.exists():
        raise NoText("this is no plain file.", "take it away, or give it another name.")
    if not path.is_symlink():
        raise absent
    raise NoText(
        f"this is a link to nowhere: {path.readlink()}.",
        "bring back what it leads to, or take the link away.",
    )
