"""Writes exported files, and sees which of those that stand there somebody changed by hand."""

import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from nbpipeline.errors import StorageError
from nbpipeline.replacing import replace_text
from nbpipeline.values import dataclass

VERSION = 2
"""The first knew of one pipeline in a folder, and not of which."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Owner:
    """The pipeline that files are of."""

    name: str
    root: str
    """The way from the export's folder to its project: the same in each checkout of a repository."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Compared:
    """How the files on disk differ from what was rendered; paths within the export's folder, sorted."""

    new: tuple[str, ...]
    changed: tuple[str, ...]
    """As an earlier export wrote them, which is no longer what would be written."""
    by_hand: tuple[str, ...]
    """Others than an export wrote, and than would be written: to write them loses what they hold."""
    others: Mapping[str, Owner]
    """Of these, the ones that another pipeline's export wrote, and whose."""
    gone: tuple[str, ...]
    """Written by an earlier export, and no longer rendered."""
    left: tuple[str, ...]
    """Such ones that somebody has changed since: nothing removes them, and what reads them goes on to."""

    @property
    def same(self) -> bool:
        """Whether what is there is what would be written."""
        return not (self.new or self.changed or self.by_hand or self.gone or self.left)


def list_of(target: str) -> str:
    """Name the file that lists what an export wrote, with digests; it belongs under version control, too."""
    return f".nbpipeline-export-{target}.json"


def compare(folder: Path, target: str, files: Mapping[str, str], owner: Owner) -> Compared:
    """Compare what stands in the folder. Raises StorageError for what cannot be read."""
    pipelines = _pipelines(folder, target)
    before = _listed(_own(pipelines, owner))
    others = dict(_of_others(pipelines, owner))
    kinds: dict[str, list[str]] = {"new": [], "changed": [], "by_hand": [], "gone": [], "left": []}
    for path, text in files.items():
        present = _digest_of(folder / path)
        if present is None:
            kinds["new"].append(path)
        elif present != _digest(text):
            own = present == before.get(path) and path not in others
            kinds["changed" if own else "by_hand"].append(path)
    for path, digest in before.items():
        present = None if path in files or path in others else _digest_of(folder / path)
        if present is not None:
            kinds["gone" if present == digest else "left"].append(path)
    found = {name: tuple(sorted(one)) for name, one in kinds.items()}
    return Compared(**found, others={one: others[one] for one in found["by_hand"] if one in others})


def asked_of(folder: Path, target: str, owner: Owner) -> tuple[str, ...] | None:
    """Give the words that the pipeline's export there was asked for with; None where that is not known."""
    found = _own(_pipelines(folder, target), owner).get("asked")
    return tuple(map(str, found)) if isinstance(found, list) else None


def write(
    folder: Path, target: str, files: Mapping[str, str], owner: Owner, asked: Sequence[str] = ()
) -> None:
    """Write all files, then the list of them. Raises StorageError where the disk refuses."""
    found = compare(folder, target, files, owner)
    try:
        for path, text in files.items():
            place = folder / path
            if _digest_of(place) != _digest(text):
                place.parent.mkdir(parents=True, exist_ok=True)
                replace_text(place, text)
        for path in found.gone:
            (folder / path).unlink(missing_ok=True)
        text = _list(_pipelines(folder, target), files, owner, asked, taken=found.others)
        place = folder / list_of(target)
        if _digest_of(place) != _digest(text):
            replace_text(place, text)
    except OSError as error:
        raise _refused(folder, error) from error


def _list(
    pipelines: Mapping[str, Mapping[str, Any]],
    files: Mapping[str, str],
    owner: Owner,
    asked: Sequence[str],
    taken: Mapping[str, Owner],
) -> str:
    """Write the list anew: other pipelines keep what they have in it, but for files taken from them."""
    listed: dict[str, Mapping[str, Any]] = {}
    for root, one in pipelines.items():
        left = {path: digest for path, digest in _listed(one).items() if path not in taken}
        if root not in (_UNKNOWN, owner.root) and left:
            listed[root] = {**one, "files": left}
    own = {path: _digest(files[path]) for path in sorted(files)}
    listed[owner.root] = {"name": owner.name, "asked": list(asked), "files": own}
    return json.dumps({"version": VERSION, "pipelines": dict(sorted(listed.items()))}, indent=1) + "\n"


# --- the list of what was written ------------------------------------------------------------

_UNKNOWN = ""
"""Whose the first version's files are: the next pipeline's that is exported there."""


def _pipelines(folder: Path, target: str) -> Mapping[str, Mapping[str, Any]]:
    """Give what is listed there by the pipelines' roots."""
    found = _read(folder / list_of(target))
    if "files" in found:
        return {_UNKNOWN: found}
    pipelines = found.get("pipelines")
    if not isinstance(pipelines, dict):
        return {}
    return {root: one for root, one in pipelines.items() if isinstance(one, dict)}


def _own(pipelines: Mapping[str, Mapping[str, Any]], owner: Owner) -> Mapping[str, Any]:
    return pipelines.get(owner.root) or pipelines.get(_UNKNOWN) or {}


def _of_others(pipelines: Mapping[str, Mapping[str, Any]], owner: Owner) -> Iterator[tuple[str, Owner]]:
    """Give the files of other pipelines, and whose they are."""
    for root, one in pipelines.items():
        if root not in (_UNKNOWN, owner.root):
            other = Owner(name=str(one.get("name", "")), root=root)
            yield from ((path, other) for path in _listed(one))


def _read(place: Path) -> Mapping[str, Any]:
    """Read the list of an earlier export; one that is not there or damaged knows of nothing."""
    try:
        found: Any = json.loads(place.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return {}
    except (OSError, ValueError, RecursionError):
        return {}
    return found if isinstance(found, dict) else {}


def _listed(found: Mapping[str, Any]) -> Mapping[str, str]:
    files = found.get("files")
    if not isinstance(files, dict):
        return {}
    inside = {path: one for path, one in files.items() if isinstance(one, str)}
    return {
        path: one for path, one in inside.items() if not path.startswith("/") and ".." not in path.split("/")
    }


def _digest(text: str) -> str:
    return _digest_of_bytes(text.encode())


def _digest_of_bytes(data: bytes) -> str:
    """Digest what is under version control: unlike `content`, by a method that hangs on nothing installed.

    A checkout may have made other line ends of ours (git's `core.autocrlf`); they mean the same.
    """
    return hashlib.sha256(data.replace(b"\r\n", b"\n")).hexdigest()


def _digest_of(place: Path) -> str | None:
    try:
        return _digest_of_bytes(place.read_bytes())
    except (FileNotFoundError, NotADirectoryError):
        return None
    except OSError as error:
        raise _refused(place, error) from error


def _refused(place: Path, error: OSError) -> StorageError:
    return StorageError.of(
        f"{error.filename or place} cannot be written: {error.strerror or error}.",
        mend="make its folder writable, or name another: -o DIR",
    )
