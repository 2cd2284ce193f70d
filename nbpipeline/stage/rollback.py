"""Brings the previous outputs of an attempt back."""

from pathlib import Path

from nbpipeline.content import unfinished_of
from nbpipeline.replacing import sync_folder
from nbpipeline.stage import asides
from nbpipeline.stage.backing import Backing
from nbpipeline.stage.entries import (
    COPY,
    SWAP,
    Entry,
    Journal,
    empty_folder,
    leave_shelter,
    place_of,
    written_to,
)
from nbpipeline.stage.places import aside_of, remove_empty, staged_of
from nbpipeline.values import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Back:
    """What a roll back did."""

    paths: tuple[str, ...] = ()
    """Outputs that came back."""
    notices: tuple[str, ...] = ()


def roll_back(journal: Journal, backing: Backing | None = None) -> Back:
    """Bring every previous output back; what the attempt wrote goes to its rejected folder.

    Bytes that went away while they waited come from `backing`. May be repeated after it was cut short.
    Raises OSError; the journal then stays, for the next replay.
    """
    for entry in journal.entries:
        for place in {Path(entry.target), written_to(entry, journal.run)}:
            unfinished = unfinished_of(place)  # of what a store was giving
            if asides.exists(unfinished):  # its folder may be a file
                asides.remove(unfinished)
    lost = [entry for entry in journal.entries if backing and _is_lost(journal, entry, backing)]
    back = [
        entry.path for entry in journal.entries if entry not in lost and _bring_back(journal, entry, backing)
    ]
    replaced = [(entry.path, _replace(journal, entry, backing)) for entry in lost if backing]
    stood = {entry.target for entry in journal.entries if entry.existed}
    remove_empty(Path(folder) for folder in reversed(journal.folders) if folder not in stood)
    for entry in journal.entries:
        if entry.shelter:
            leave_shelter(Path(entry.shelter))
        folder = Path(entry.target).parent
        if folder.is_dir():
            sync_folder(folder)
    journal.file.unlink(missing_ok=True)
    return Back(
        paths=tuple(back + [path for path, came in replaced if came]),
        notices=tuple(_told_lost(path, came) for path, came in replaced),
    )


def _is_lost(journal: Journal, entry: Entry, backing: Backing) -> bool:
    """Whether something removed the previous bytes while they waited."""
    target = Path(entry.target)
    if not entry.digest or journal.phase == "moving":
        return False
    if entry.how == SWAP:
        return journal.phase == "running" and not asides.exists(target)
    aside = place_of(entry, journal.run)
    if not asides.exists(aside):
        return not backing.stands(target, entry.digest)
    return aside.is_dir() and backing.holds(entry.digest) and not backing.stands(aside, entry.digest)


def _replace(journal: Journal, entry: Entry, backing: Backing) -> bool:
    """Take what an attempt wrote out of the way and get the previous bytes from the store."""
    target = Path(entry.target)
    _reject(journal, entry, target)
    if entry.how == SWAP:
        _reject(journal, entry, staged_of(target, journal.run))
    asides.remove(place_of(entry, journal.run))  # the rest of a folder
    return backing.give(entry.digest, target)


def _told_lost(path: str, came: bool) -> str:  # noqa: FBT001 - the one thing to be told
    end = "it is back from the store" if came else "the store does not hold it, so it is lost"
    return f"{path} was put aside while the stage ran, and something removed it there; {end}"


def _bring_back(journal: Journal, entry: Entry, backing: Backing | None) -> bool:
    target = Path(entry.target)
    aside = place_of(entry, journal.run)
    if entry.how == SWAP:
        return _unswap(journal, entry, backing)
    if entry.how == COPY and journal.phase == "moving":
        for begun in filter(None, (entry.shelter, str(aside_of(target, journal.run)))):
            asides.remove(Path(begun))  # nothing was written yet
            asides.remove(Path(f"{begun}.part"))
        return False
    if entry.existed and not asides.exists(aside):
        return False  # not yet put aside, or back already
    _reject(journal, entry, target)
    if entry.existed:
        target.parent.mkdir(parents=True, exist_ok=True)
        aside.rename(target)
    return entry.existed


def _unswap(journal: Journal, entry: Entry, backing: Backing | None) -> bool:
    target = Path(entry.target)
    aside, staged = aside_of(target, journal.run), staged_of(target, journal.run)
    swapping = journal.phase == "publishing"
    old = _old_of(entry, target, staged, aside, backing) if swapping else target
    if old == target:
        asides.remove(aside)
    else:
        _reject(journal, entry, target)
        if asides.exists(old):
            old.rename(target)
    if old != staged:
        _reject(journal, entry, staged)
    return entry.existed and old != target


def _old_of(entry: Entry, target: Path, staged: Path, aside: Path, backing: Backing | None) -> Path:
    """Find where the previous bytes are when a swap was cut short; a place where nothing is: nowhere.

    Their inode tells, but in a copy of the project, where every file is another one. There it tells what
    each step of a swap leaves, and of folders that may have been exchanged the bytes themselves.
    """
    if not entry.existed:
        return aside
    for place in (target, staged):
        if entry.inode is not None and asides.inode(place) == entry.inode:
            return place
    if asides.exists(aside) or not asides.exists(staged):
        return aside
    folder = target.is_dir() or staged.is_dir()
    changed_places = folder and backing is not None and backing.stands(staged, entry.digest)
    return staged if changed_places else target


def _reject(journal: Journal, entry: Entry, written: Path) -> None:
    """Move what a failed attempt wrote to the attempt; an empty folder is nothing."""
    if not asides.exists(written):
        return
    if empty_folder(written):
        written.rmdir()
        return
    beside = aside_of(written, journal.run)
    waiting = beside.with_name(f"{beside.name}.rejected")
    asides.remove(waiting)
    written.rename(waiting)  # first out of the way, at no cost: the old output must come back in any case
    try:
        asides.move(waiting, Path(journal.rejected) / entry.path.lstrip("/"))
    except OSError:
        asides.remove(waiting)  # no room to keep a copy of what failed
