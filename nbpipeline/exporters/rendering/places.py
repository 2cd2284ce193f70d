"""Files that `--set` names."""

import posixpath
from collections.abc import Collection

from nbpipeline.errors import UsageError
from nbpipeline.exporters.rendering.guard import is_inside
from nbpipeline.model.exported import ExportGiven


def named(
    option: str, default: str, given: ExportGiven, *, what: str, mend: str, others: Collection[str]
) -> str:
    """Give the path of a file in the export's folder; `others` are those that the export writes beside it.

    Raises UsageError for what is no such path, and for one in whose way another file is. `what` it is for.
    """
    said = given.options.get(option, default)
    path = posixpath.normpath(said)
    if said.endswith("/") or not is_inside(path) or any(_clash(path, one) for one in others):
        raise refused(option, said, what, mend)
    return path


def refused(option: str, said: str, what: str, mend: str) -> UsageError:
    """Make the error that says what is no place for the file."""
    return UsageError.of(f"--set {option}={said}: that is no place for {what}.", mend=mend)


def _clash(one: str, other: str) -> bool:
    return one == other or one.startswith(f"{other}/") or other.startswith(f"{one}/")
