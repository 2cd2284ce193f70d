"""Protects the previous outputs of an instance while it runs.

Before the kernel starts, previous outputs get out of the way under hidden names beside them, and a
journal on disk says so. Whatever happens then - failure, Ctrl-C, SIGKILL, power cut - either the new
outputs stand and are recorded, or `roll_back` (at once, or by `replay` in a later run) puts the old
ones back and what was half written with the attempt.

Phases: `moving` (nothing was written yet), `running` (the notebook may have written), `publishing`
(outputs with `publish: atomic` are swapped in), `recorded` (the record is on disk: the new outputs stay).

A notebook that clears its output folder clears what waits there too. So previous bytes that the store
could not give again wait in hidden folders of the project's root (`.nbpipeline-aside-*`, not in
`.nbpipeline`: whoever deletes that loses no output), and those that it can come back from it.
"""

import dataclasses
import errno
import os
from collections.abc import Callable, Collection
from pathlib import Path

from nbpipeline.errors import BusyError
from nbpipeline.location import STATE_FOLDER
from nbpipeline.model import Artifact, StageInstance, slug_of
from nbpipeline.replacing import beside_of
from nbpipeline.stage import asides, notebook_file, processes
from nbpipeline.stage.backing import Backing, Previous
from nbpipeline.stage.entries import (
    COPY,
    RENAME,
    SWAP,
    Entry,
    Journal,
    enter,
    folder_of,
    leave_shelter,
    make_shelter,
    place_of,
    read,
    shelter_of,
    written_to,
)
from nbpipeline.stage.lock import hold, is_free
from nbpipeline.stage.places import absolute, aside_of, local_outputs, make_folders, relative, staged_of
from nbpipeline.stage.rollback import Back, roll_back

_NO_SHELTER = (errno.EXDEV, errno.EACCES, errno.EPERM, errno.EROFS)
"""What a root answers that takes no folder, or that is another file system within the same device."""

__all__ = [
    "Back",
    "Entry",
    "Journal",
    "begin",
    "commit",
    "folder_of",
    "latest",
    "publish",
    "read",
    "recover",
    "rejected",
    "replay",
    "roll_back",
    "standing",
    "unreadable",
    "waiting",
    "written_to",
]

# --- forward ---------------------------------------------------------------------------------


def begin(
    instance: StageInstance, root: Path, *, run: str, state: str, token: str, rejected: Path,
    backing: Backing | None = None,
) -> Journal:  # fmt: skip
    """Put the previous outputs aside and make the folders of the new ones.

    `backing` tells which of their bytes could be had again; without it all are taken to be on record.
    Raises OSError, with everything back where it was.
    """
    entries = tuple(
        _entry(
            root,
            output.spec,
            path,
            _asked(backing, instance.id, path),
            shelter_of(root, instance.slug, run, number),
        )
        for number, (output, path) in enumerate(local_outputs(instance))
    )
    journal = Journal(
        root=str(root), instance=instance.id, run=run, state=state, token=token,
        rejected=str(rejected), entries=entries,
    )  # fmt: skip
    if any(entry.how == COPY and entry.existed for entry in entries):
        journal = enter(journal, "moving")
    else:  # renames come back by the same rule in both phases, so one durable write does
        journal = enter(journal, "running")
    try:
        for entry in entries:
            _put_aside(entry, run)
        made = make_folders(_folders(entries))
        journal = dataclasses.replace(journal, folders=tuple(str(one) for one in made))
        return journal if journal.phase == "running" else enter(journal, "running")
    except OSError:
        roll_back(journal, backing)
        raise


def _asked(backing: Backing | None, instance: str, path: str) -> Callable[[Path], Previous]:
    return lambda target: Previous() if backing is None else backing.previous(instance, path, target)


def _entry(
    root: Path, spec: Artifact, path: str, previous: Callable[[Path], Previous], shelter: Path
) -> Entry:
    target = Path(os.path.realpath(absolute(root, path)))
    how = SWAP if spec.publish == "atomic" else COPY if spec.mode == "update" else RENAME
    existed = asides.exists(target)
    found = previous(target) if existed else Previous()
    apart = how != SWAP and not found.held and asides.same_device(target, root)
    return Entry(
        path=path,
        target=str(target),
        how=how,
        directory=spec.kind == "directory" or path.endswith("/"),
        existed=existed,
        inode=asides.inode(target) if how == SWAP else None,
        unrecorded=not found.recorded,
        digest=found.digest,
        shelter=str(shelter) if apart else "",
    )


def _folders(entries: tuple[Entry, ...]) -> tuple[Path, ...]:
    """Name the folders that a notebook may take for granted: of files, and declared ones."""
    return tuple(
        Path(entry.target) if entry.directory and entry.how != SWAP else Path(entry.target).parent
        for entry in entries
    )


def _put_aside(entry: Entry, run: str) -> None:
    target = Path(entry.target)
    if not entry.existed or entry.how == SWAP:
        return
    if entry.shelter and _sheltered(entry, target):
        return
    if entry.how == COPY:
        asides.clone(target, aside_of(target, run))
    else:
        target.rename(aside_of(target, run))


def _sheltered(entry: Entry, target: Path) -> bool:
    """Put an output's bytes out of the notebook's reach; False where the root refuses, or is elsewhere."""
    shelter = Path(entry.shelter)
    try:
        make_shelter(shelter)
        if entry.how == COPY:
            asides.clone(target, shelter)
        else:
            target.rename(shelter)
    except OSError as error:
        leave_shelter(shelter)
        if error.errno not in _NO_SHELTER or entry.how == COPY:
            raise
        return False
    return True


def publish(journal: Journal) -> Journal:
    """Swap in the outputs that were written beside. Raises OSError."""
    swaps = [entry for entry in journal.entries if entry.how == SWAP]
    if not swaps:
        return journal
    published = enter(journal, "publishing")
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
        journal = enter(journal, "recorded")
    except OSError:
        journal = dataclasses.replace(journal, phase="recorded")
    notices = [_drop(journal, entry) for entry in journal.entries]
    journal.file.unlink(missing_ok=True)
    return tuple(notice for notice in notices if notice)


def _drop(journal: Journal, entry: Entry) -> str:
    """Delete or keep one aside; says what it kept."""
    target = Path(entry.target)
    aside = place_of(entry, journal.run)
    staged = staged_of(target, journal.run)
    if entry.how == SWAP and asides.exists(staged):
        asides.remove(staged)
    if not asides.exists(aside):
        return ""
    told = _cleared(journal, entry, aside)
    leave_shelter(aside)
    return told


def _cleared(journal: Journal, entry: Entry, aside: Path) -> str:
    target = Path(entry.target)
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


def waiting(journal: Journal) -> tuple[str, ...]:
    """Name the outputs whose previous bytes wait to be brought back, should the attempt not succeed."""
    if journal.phase == "recorded":
        return ()
    moved = [one for one in journal.entries if one.existed and (one.how != COPY or journal.phase != "moving")]
    return tuple(one.path for one in moved if asides.exists(place_of(one, journal.run)))


def rejected(journal: Journal) -> tuple[str, ...]:
    """Name the outputs of which the attempt's rejected folder holds what was written."""
    folder = Path(journal.rejected)
    return tuple(one.path for one in journal.entries if asides.exists(folder / one.path.lstrip("/")))


def latest(journal: Journal) -> Journal:
    """Give the journal in the phase that stands on disk: a step may have been cut short by an error."""
    written = read(journal.file)
    return journal if written is None else dataclasses.replace(journal, phase=written.phase)


# --- after a death ---------------------------------------------------------------------------


def recover(
    root: Path, instance_id: str, backing: Backing | None = None, *, quiet: Collection[str] = ()
) -> tuple[str, ...]:
    """Settle the journal that a dead run left for the instance, whose lock the caller holds.

    `quiet`: tokens of attempts of which no process was left, seen after they had died. Returns notices.
    Raises OSError.
    """
    file = folder_of(root) / f"{slug_of(instance_id)}.json"
    beside_of(file).unlink(missing_ok=True)  # a journal that had not begun
    journal = read(file)
    if journal is None:
        return ()
    if journal.token not in quiet:
        processes.end(journal.token)
    notebook_file.settle(Path(journal.rejected).parent)
    complete = journal.phase == "recorded" or (
        backing is not None and backing.recorded(journal.instance, journal.state, journal.run)
    )
    if complete:
        return commit(journal)
    back = roll_back(journal, backing)
    said = f"its previous outputs are back: {', '.join(back.paths)}"
    if not back.paths:
        said = "nothing had to be brought back" if not back.notices else "not all came back"
    notices = [f"{instance_id}: {one}" for one in back.notices]
    went = rejected(journal)
    if went:
        place = relative(root, Path(journal.rejected))
        notices.append(f"{instance_id}: what stood there meanwhile is in {place}: {', '.join(went)}")
    return (f"{instance_id}: run {journal.run} died; {said}", *notices)


def standing(root: Path) -> tuple[Journal, ...]:
    """Read the journals that stand now, of runs that go on and of dead ones; none that cannot be read."""
    found = map(read, sorted(folder_of(root).glob("*.json")))
    return tuple(one for one in found if one is not None)


def unreadable(root: Path) -> tuple[str, ...]:
    """Name the files among the journals that cannot be read: a disk or a hand has damaged them."""
    files = sorted(folder_of(root).glob("*.json"))
    return tuple(one.name for one in files if read(one) is None and one.exists())


def replay(root: Path, backing: Backing | None = None) -> tuple[str, ...]:
    """Settle the journals of all dead runs (those whose lock is free). Returns notices.

    With `backing`, a run that died between its record and the end of its journal keeps its new
    outputs; without it the previous ones come back, and the next plan restores the new ones from the store.
    """
    found = [(file, read(file)) for file in sorted(folder_of(root).glob("*.json"))]
    dead = [one.token for _, one in found if one and is_free(root, one.instance)] if found else []
    quiet = processes.quiet(dead) if dead else frozenset()  # one look, after all of them had died
    notices: list[str] = []
    for file, journal in found:
        if journal is None:
            if file.exists():
                notices.append(f"{STATE_FOLDER}/journals/{file.name} cannot be read; left as it is")
            continue
        try:
            with hold(root, journal.instance):
                notices += recover(root, journal.instance, backing, quiet=quiet)
        except BusyError:
            continue
        except OSError as error:
            notices.append(f"{journal.instance}: outputs could not be brought back yet: {error}")
    return tuple(notices)
