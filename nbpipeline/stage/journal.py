"""Protects the previous outputs of an instance while it runs.

Before the kernel starts, previous outputs get out of the way under hidden names beside them, and a
journal on disk says so. Whatever happens then - failure, Ctrl-C, SIGKILL, power cut - either the new
outputs stand and are recorded, or `roll_back` (at once, or by `replay` in a later run) puts the old
ones back and what was half written with the attempt.

Phases: `moving` (nothing was written yet), `running` (the notebook may have written), `publishing`
(outputs with `publish: atomic` are swapped in), `recorded` (the record is on disk: the new outputs stay).
"""

import dataclasses
import json
import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from nbpipeline.errors import BusyError
from nbpipeline.location import STATE_FOLDER
from nbpipeline.model import Artifact, StageInstance, slug_of
from nbpipeline.stage import asides, processes
from nbpipeline.stage.lock import hold
from nbpipeline.stage.places import (
    absolute,
    aside_of,
    local_outputs,
    make_folders,
    remove_empty,
    staged_of,
    sync_folder,
    to_json,
    write_durably,
)

VERSION = 1
RENAME, COPY, SWAP = "rename", "copy", "swap"

Recorded = Callable[[str, str, str], bool]
"""(instance, state digest, run) -> whether that success is on record."""


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


# --- forward ---------------------------------------------------------------------------------


def begin(
    instance: StageInstance, root: Path, *, run: str, state: str, token: str, rejected: Path,
    recorded: Callable[[str, Path], bool] = lambda _path, _target: True,
) -> Journal:  # fmt: skip
    """Put the previous outputs aside and make the folders of the new ones.

    `recorded(path, target)` says whether the bytes at an output path are on record. Raises OSError,
    with everything back where it was.
    """
    entries = tuple(_entry(root, output.spec, path, recorded) for output, path in local_outputs(instance))
    journal = Journal(
        root=str(root), instance=instance.id, run=run, state=state, token=token,
        rejected=str(rejected), entries=entries,
    )  # fmt: skip
    if any(entry.how == COPY and entry.existed for entry in entries):
        journal = _enter(journal, "moving")
    else:  # renames come back by the same rule in both phases, so one durable write does
        journal = _enter(journal, "running")
    try:
        for entry in entries:
            _put_aside(entry, run)
        made = make_folders(_folders(entries))
        journal = dataclasses.replace(journal, folders=tuple(str(one) for one in made))
        return journal if journal.phase == "running" else _enter(journal, "running")
    except OSError:
        roll_back(journal)
        raise


def _entry(root: Path, spec: Artifact, path: str, recorded: Callable[[str, Path], bool]) -> Entry:
    target = Path(os.path.realpath(absolute(root, path)))
    how = SWAP if spec.publish == "atomic" else COPY if spec.mode == "update" else RENAME
    existed = asides.exists(target)
    return Entry(
        path=path,
        target=str(target),
        how=how,
        directory=spec.kind == "directory" or path.endswith("/"),
        existed=existed,
        inode=asides.inode(target) if how == SWAP else None,
        unrecorded=existed and not _empty_folder(target) and not recorded(path, target),
    )


def _empty_folder(path: Path) -> bool:
    return path.is_dir() and not any(path.iterdir())


def _folders(entries: tuple[Entry, ...]) -> tuple[Path, ...]:
    """Name the folders that a notebook may take for granted: of files, and declared ones."""
    return tuple(
        Path(entry.target) if entry.directory and entry.how != SWAP else Path(entry.target).parent
        for entry in entries
    )


def _put_aside(entry: Entry, run: str) -> None:
    target = Path(entry.target)
    aside = aside_of(target, run)
    if not entry.existed or entry.how == SWAP:
        return
    if entry.how == COPY:
        asides.clone(target, aside)
    else:
        target.rename(aside)


def _enter(journal: Journal, phase: str) -> Journal:
    """Write the journal in its next phase; durable when this returns."""
    entered = dataclasses.replace(journal, phase=phase)
    entered.file.parent.mkdir(parents=True, exist_ok=True)
    write_durably(entered.file, to_json(dataclasses.asdict(entered)))
    return entered


def publish(journal: Journal) -> Journal:
    """Swap in the outputs that were written beside. Raises OSError."""
    swaps = [entry for entry in journal.entries if entry.how == SWAP]
    if not swaps:
        return journal
    published = _enter(journal, "publishing")
    for entry in swaps:
        target = Path(entry.target)
        staged = staged_of(target, journal.run)
        if asides.exists(staged):
            asides.swap_in(staged, target, aside_of(target, journal.run))
    return published


def commit(journal: Journal) -> tuple[str, ...]:
    """Drop what was put aside, now that the record is on disk. Returns notices of what was kept.

    A full disk cannot stop it: the new outputs are complete, and what cannot be dropped now the next
    replay drops.
    """
    try:
        journal = _enter(journal, "recorded")
    except OSError:
        journal = dataclasses.replace(journal, phase="recorded")
    notices = [_drop(journal, entry) for entry in journal.entries]
    journal.file.unlink(missing_ok=True)
    return tuple(notice for notice in notices if notice)


def _drop(journal: Journal, entry: Entry) -> str:
    """Delete or keep one aside; says what it kept."""
    target = Path(entry.target)
    aside = aside_of(target, journal.run)
    staged = staged_of(target, journal.run)
    if entry.how == SWAP and asides.exists(staged):
        asides.remove(staged)
    if not asides.exists(aside):
        return ""
    if not entry.unrecorded or _same_bytes(aside, target):
        asides.remove(aside)
        return ""
    kept = Path(journal.root) / STATE_FOLDER / "kept" / journal.run / entry.path.lstrip("/")
    asides.move(aside, kept)
    return (
        f"{entry.path} held bytes that no run had recorded; "
        f"they are kept at {STATE_FOLDER}/kept/{journal.run}/{entry.path.lstrip('/')}"
    )


def _same_bytes(one: Path, other: Path) -> bool:
    """Whether two plain files are equal (a folder counts as different: keeping it is safe)."""
    import filecmp  # noqa: PLC0415 - only where something was altered by hand

    return one.is_file() and other.is_file() and filecmp.cmp(one, other, shallow=False)


def latest(journal: Journal) -> Journal:
    """Give the journal in the phase that stands on disk: a step may have been cut short by an error."""
    written = read(journal.file)
    return journal if written is None else dataclasses.replace(journal, phase=written.phase)


# --- back ------------------------------------------------------------------------------------


def roll_back(journal: Journal) -> tuple[str, ...]:
    """Bring every previous output back; what the attempt wrote goes to its rejected folder.

    May be repeated after it was cut short. Returns the paths that came back. Raises OSError; the
    journal then stays, for the next replay.
    """
    back = [entry.path for entry in journal.entries if _bring_back(journal, entry)]
    remove_empty(Path(folder) for folder in reversed(journal.folders))
    for entry in journal.entries:
        folder = Path(entry.target).parent
        if folder.is_dir():
            sync_folder(folder)
    journal.file.unlink(missing_ok=True)
    return tuple(back)


def _bring_back(journal: Journal, entry: Entry) -> bool:
    target = Path(entry.target)
    aside = aside_of(target, journal.run)
    if entry.how == SWAP:
        return _unswap(journal, entry, target, aside)
    if entry.how == COPY and journal.phase == "moving":
        asides.remove(aside)  # nothing was written yet
        asides.remove(aside.with_name(f"{aside.name}.part"))
        return False
    if entry.existed and not asides.exists(aside):
        return False  # not yet put aside, or back already
    _reject(journal, entry, target)
    if entry.existed:
        aside.rename(target)
    return entry.existed


def _unswap(journal: Journal, entry: Entry, target: Path, aside: Path) -> bool:
    staged = staged_of(target, journal.run)
    exchanged = entry.existed and entry.inode is not None and asides.inode(staged) == entry.inode
    untouched = journal.phase != "publishing" or (entry.existed and asides.inode(target) == entry.inode)
    if untouched:
        asides.remove(aside)
    else:
        _reject(journal, entry, target)
        old = staged if exchanged else aside
        if asides.exists(old):
            old.rename(target)
    if not exchanged:
        _reject(journal, entry, staged)
    return entry.existed and not untouched


def _reject(journal: Journal, entry: Entry, written: Path) -> None:
    """Move what a failed attempt wrote to the attempt; an empty folder is nothing."""
    if not asides.exists(written):
        return
    if _empty_folder(written):
        written.rmdir()
        return
    waiting = written.with_name(f".{written.name}.nbpipeline-{journal.run}.rejected")
    asides.remove(waiting)
    written.rename(waiting)  # first out of the way, at no cost: the old output must come back in any case
    try:
        asides.move(waiting, Path(journal.rejected) / entry.path.lstrip("/"))
    except OSError:
        asides.remove(waiting)  # no room to keep a copy of what failed


# --- after a death ---------------------------------------------------------------------------


def read(file: Path) -> Journal | None:
    """Read a journal; None where there is none, or it is not ours."""
    try:
        data: dict[str, Any] = json.loads(file.read_text(encoding="utf-8"))
        entries = tuple(Entry(**entry) for entry in data.pop("entries"))
        folders = tuple(data.pop("folders", ()))
        return Journal(entries=entries, folders=folders, **data)
    except (OSError, ValueError, TypeError, KeyError, AttributeError):
        return None


def recover(root: Path, instance_id: str, recorded: Recorded | None = None) -> tuple[str, ...]:
    """Settle the journal that a dead run left for the instance, whose lock the caller holds.

    Returns notices. Raises OSError.
    """
    journal = read(folder_of(root) / f"{slug_of(instance_id)}.json")
    if journal is None:
        return ()
    processes.end(journal.token)
    complete = journal.phase == "recorded" or (
        recorded is not None and recorded(journal.instance, journal.state, journal.run)
    )
    if complete:
        return commit(journal)
    back = roll_back(journal)
    if not back:
        return (f"{instance_id}: run {journal.run} died; nothing had to be brought back",)
    return (f"{instance_id}: run {journal.run} died; its previous outputs are back: {', '.join(back)}",)


def replay(root: Path, recorded: Recorded | None = None) -> tuple[str, ...]:
    """Settle the journals of all dead runs (those whose lock is free). Returns notices.

    With `recorded`, a run that died between its record and the end of its journal keeps its new
    outputs; without it the previous ones come back, and the next plan restores the new ones from the store.
    """
    notices: list[str] = []
    for file in sorted(folder_of(root).glob("*.json")):
        journal = read(file)
        if journal is None:
            if file.exists():
                notices.append(f"{STATE_FOLDER}/journals/{file.name} cannot be read; left as it is")
            continue
        try:
            with hold(root, journal.instance):
                notices += recover(root, journal.instance, recorded)
        except BusyError:
            continue
        except OSError as error:
            notices.append(f"{journal.instance}: outputs could not be brought back yet: {error}")
    return tuple(notices)
