"""The journal of one attempt as it stands on disk."""

import contextlib
import dataclasses
import json
import os
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from nbpipeline.location import STATE_FOLDER
from nbpipeline.model import slug_of
from nbpipeline.replacing import replace_text
from nbpipeline.stage import asides
from nbpipeline.stage.places import aside_of, is_another, staged_of, to_json
from nbpipeline.values import dataclass

VERSION = 1
RENAME, COPY, SWAP = "rename", "copy", "swap"
_PHASES = ("moving", "running", "publishing", "recorded")
_SHELTER = ".nbpipeline-aside-"


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """One output path and how its previous bytes are protected."""

    path: str
    """Project path."""
    target: str
    """Absolute, links followed: the file that a write to the path really changes."""
    how: str
    """`rename`, `copy` (`mode: update`) or `swap` (`publish: atomic`)."""
    directory: bool = False
    existed: bool = False
    inode: int | None = None
    unrecorded: bool = False
    """The previous bytes are nobody's record: on success they are kept, not deleted."""
    digest: str = ""
    """Of the previous bytes; empty where nothing stood there."""
    shelter: str = ""
    """Absolute place out of the notebook's reach where they wait; empty: beside the target."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Journal:
    """What is put aside for one attempt; written before it is done."""

    root: str
    instance: str
    run: str
    state: str
    """Digest of the state that the attempt runs in."""
    token: str
    """Marks the attempt's processes."""
    rejected: str
    """Absolute path of the folder for what a failed attempt wrote."""
    entries: tuple[Entry, ...]
    phase: str = "moving"
    folders: tuple[str, ...] = ()
    """Folders made for the outputs, outermost first."""
    version: int = VERSION

    @property
    def file(self) -> Path:
        """Where the journal stands."""
        return folder_of(Path(self.root)) / f"{slug_of(self.instance)}.json"


def folder_of(root: Path) -> Path:
    """Where a project's journals stand."""
    return root / STATE_FOLDER / "journals"


def read(file: Path) -> Journal | None:
    """Read a journal, with its paths where it stands; None where there is none, or it is not ours."""
    try:
        data: dict[str, Any] = json.loads(file.read_text(encoding="utf-8"))
        entries = tuple(Entry(**entry) for entry in data.pop("entries"))
        folders = tuple(data.pop("folders", ()))
        journal = Journal(entries=entries, folders=folders, **data)
    except (OSError, ValueError, TypeError, KeyError, AttributeError, RecursionError):
        return None
    return _at_home(journal, file.parent.parent.parent) if _is_ours(journal) else None


def _is_ours(journal: Journal) -> bool:
    """Whether `enter` can have written it: files are moved, and processes ended, on its word."""
    texts = [journal.root, journal.instance, journal.run, journal.state, journal.token, journal.rejected]
    for one in journal.entries:
        texts += [one.path, one.target, one.digest, one.shelter]
    return (
        _are_texts([*texts, *journal.folders])
        and journal.phase in _PHASES
        and Path(journal.run).name == journal.run != ""
        and all(one.how in (RENAME, COPY, SWAP) and Path(one.target).name for one in journal.entries)
    )


def _are_texts(found: Iterable[object]) -> bool:
    return all(isinstance(one, str) and "\0" not in one for one in found)


def _at_home(journal: Journal, root: Path) -> Journal:
    """Take a journal for that of the project it stands in, which was moved or copied since it was written.

    While the first project is there, its processes and what lies outside of it are its own to settle.
    """
    first = Path(journal.root)
    if os.path.abspath(root) == journal.root:  # noqa: PTH100 - links stay as they were written
        return journal
    copied = is_another(first, root)
    return dataclasses.replace(
        journal,
        root=str(root),
        token="" if copied else journal.token,
        rejected=_moved(journal.rejected, first, root),
        folders=tuple(_moved(one, first, root) for one in journal.folders),
        entries=tuple(
            dataclasses.replace(
                one,
                target=_moved(one.target, first, root),
                shelter=one.shelter and _moved(one.shelter, first, root),
                inode=None if copied else one.inode,
            )
            for one in journal.entries
            if not copied or Path(one.target).is_relative_to(first)
        ),
    )


def _moved(path: str, first: Path, root: Path) -> str:
    """Write a path within the first project as one within the other."""
    return str(root / Path(path).relative_to(first)) if Path(path).is_relative_to(first) else path


def enter(journal: Journal, phase: str) -> Journal:
    """Write the journal in its next phase; durable when this returns."""
    entered = dataclasses.replace(journal, phase=phase)
    entered.file.parent.mkdir(parents=True, exist_ok=True)
    replace_text(entered.file, to_json(dataclasses.asdict(entered)), durable=True)
    return entered


def shelter_of(root: Path, slug: str, run: str, number: int) -> Path:
    """Where previous bytes wait that a notebook must not reach and a deleted `.nbpipeline` not take along."""
    return root / f"{_SHELTER}{slug}-{run}-{number}" / "previous"


def make_shelter(shelter: Path) -> None:
    """Make the folder that an output's previous bytes wait in, ignored by git. Raises OSError."""
    shelter.parent.mkdir(mode=0o700, exist_ok=True)
    (shelter.parent / ".gitignore").write_text("*\n", encoding="utf-8")


def leave_shelter(shelter: Path) -> None:
    """Remove the folder that bytes waited in, if it is one of ours and nothing waits there any more."""
    folder = shelter.parent
    if not folder.name.startswith(_SHELTER):
        return
    with contextlib.suppress(OSError):
        if [one.name for one in folder.iterdir()] == [".gitignore"]:
            (folder / ".gitignore").unlink()
        folder.rmdir()


def place_of(entry: Entry, run: str) -> Path:
    """Find where an output's previous bytes wait: sheltered where they could be, else beside it."""
    shelter = Path(entry.shelter)
    return shelter if entry.shelter and asides.exists(shelter) else aside_of(Path(entry.target), run)


def written_to(entry: Entry, run: str) -> Path:
    """Where an attempt writes an output: beside its place where it is swapped in at the end."""
    target = Path(entry.target)
    return staged_of(target, run) if entry.how == SWAP else target


def empty_folder(path: Path) -> bool:
    """Whether a folder stands there with nothing in it."""
    return path.is_dir() and not any(path.iterdir())
