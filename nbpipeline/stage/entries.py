"""The journal of one attempt as it stands on disk."""

import contextlib
import dataclasses
import json
from pathlib import Path
from typing import Any

from nbpipeline.location import STATE_FOLDER
from nbpipeline.model import slug_of
from nbpipeline.replacing import replace_text
from nbpipeline.stage import asides
from nbpipeline.stage.places import aside_of, staged_of, to_json
from nbpipeline.values import dataclass

VERSION = 1
RENAME, COPY, SWAP = "rename", "copy", "swap"
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
    """Read a journal; None where there is none, or it is not ours."""
    try:
        data: dict[str, Any] = json.loads(file.read_text(encoding="utf-8"))
        entries = tuple(Entry(**entry) for entry in data.pop("entries"))
        folders = tuple(data.pop("folders", ()))
        return Journal(entries=entries, folders=folders, **data)
    except (OSError, ValueError, TypeError, KeyError, AttributeError):
        return None


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
