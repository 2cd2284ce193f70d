"""Previous outputs that wait beside their places although no journal tells of them.

Their journal was damaged, or deleted with the rest of `.nbpipeline`. The names that they wait under are known
without it: hidden siblings, and folders in the root for those that the store could not give again.
"""

# Paths are texts here: plans look at thousands.
# ruff: noqa: PTH114, PTH118, PTH208

import os
import re
from collections.abc import Iterable, Iterator
from pathlib import Path

from nbpipeline.content import unfinished_of
from nbpipeline.location import STATE_FOLDER
from nbpipeline.model import StageInstance
from nbpipeline.stage import asides
from nbpipeline.stage.backing import Backing
from nbpipeline.stage.entries import empty_folder, folder_of, leave_shelter, read, shelter_of
from nbpipeline.stage.places import aside_of, local_outputs, staged_of
from nbpipeline.values import dataclass

_MARK = "nbpipeline-"
_RUN = r"\d{8}-\d{6}-[0-9a-z]+"
_BESIDE = re.compile(rf"\..+\.{_MARK}(?P<run>{_RUN})(?P<kind>\.part|\.rejected)?")
_STAGED = re.compile(rf"\.{_MARK}(?P<run>{_RUN})\..+")
_APART = re.compile(rf"\.{_MARK}aside-.+-(?P<run>{_RUN})-\d+")


@dataclass(frozen=True, slots=True, kw_only=True)
class Stranded:
    """What waits for one output path."""

    path: str
    """Project path."""
    target: Path
    """The file that a write to the path really changes."""
    runs: frozenset[str]
    """The runs that put it there."""
    waiting: tuple[Path, ...] = ()
    """Whole previous bytes, the last put aside first."""
    written: tuple[Path, ...] = ()
    """What attempts wrote under hidden names."""
    begun: tuple[Path, ...] = ()
    """Copies that were not finished: what they were made of still stands."""


class Look:
    """One look at a project: each folder is listed, and its links followed, once. Plans look at thousands."""

    def __init__(self, root: Path) -> None:
        """Look at the project in `root`."""
        self.root = root
        self._home = os.fspath(root)
        self._names: dict[str, tuple[str, ...]] = {}
        self._real: dict[str, str] = {}

    def at_root(self) -> tuple[str, ...]:
        """List the names in the project's folder that may be ours."""
        return self.names(self._home)

    def names(self, folder: str) -> tuple[str, ...]:
        """List the names in a folder that may be ours; none where it cannot be listed."""
        found = self._names.get(folder)
        if found is None:
            try:
                found = tuple(name for name in os.listdir(folder) if _MARK in name)
            except OSError:
                found = ()
            self._names[folder] = found
        return found

    def target(self, path: str) -> tuple[str, str]:
        """Give the real folder, and the name there, that a write to the project path changes."""
        folder, name = os.path.split(os.path.normpath(os.path.join(self._home, path)))
        real = self._real.get(folder)
        if real is None:
            real = self._real[folder] = os.path.realpath(folder)
        if os.path.islink(os.path.join(real, name)):
            return os.path.split(os.path.realpath(os.path.join(real, name)))
        return real, name


def find(instance: StageInstance, root: Path, look: Look | None = None) -> tuple[Stranded, ...]:
    """Find what waits for an instance and is in no readable journal.

    What a living run has put aside is in its journal, which is another instance's where several update one
    output; to move anything the caller holds the instance's lock. A `look` shared by several calls saves
    looking twice; without one the disk is looked at as it is now.
    """
    look = look or Look(root)
    places: list[tuple[str, Path, list[tuple[str, str, Path]]]] = []
    for number, (_, path) in enumerate(local_outputs(instance)):
        folder, name = look.target(path)
        beside, apart = look.names(folder), look.at_root()
        if not (beside or apart):
            continue
        target = Path(folder, name)
        found = [*_beside(target, beside), *_apart(instance, root, number, apart)]
        if found:
            places.append((path, target, found))
    if not places:
        return ()
    told = _told(instance, root)  # read last: a journal is written before anything moves
    stranded = [
        (path, target, [one for one in found if not told & {(one[0], ""), (one[0], str(target))}])
        for path, target, found in places
    ]
    return tuple(_sorted(path, target, found) for path, target, found in stranded if found)


def _told(instance: StageInstance, root: Path) -> set[tuple[str, str]]:
    """Give the runs and targets that readable journals tell of; no target: all of that run's."""
    told: set[tuple[str, str]] = set()
    for file in folder_of(root).glob("*.json"):
        journal = read(file)
        if journal is None:
            continue
        told |= {(journal.run, entry.target) for entry in journal.entries}
        if journal.instance == instance.id:
            told.add((journal.run, ""))
    return told


def _sorted(path: str, target: Path, found: list[tuple[str, str, Path]]) -> Stranded:
    kinds: dict[str, list[Path]] = {"": [], ".part": [], ".rejected": []}
    for _, kind, place in found:
        kinds[kind].append(place)
    unfinished = unfinished_of(target)
    if asides.exists(unfinished):
        kinds[".rejected"].append(unfinished)
    return Stranded(
        path=path,
        target=target,
        runs=frozenset(run for run, _, _ in found),
        waiting=tuple(sorted(kinds[""], key=lambda one: one.lstat().st_ctime_ns, reverse=True)),
        written=tuple(kinds[".rejected"]),
        begun=tuple(kinds[".part"]),
    )


def _beside(target: Path, names: Iterable[str]) -> Iterator[tuple[str, str, Path]]:
    for name in names:
        if found := _BESIDE.fullmatch(name):
            run, kind = found["run"], found["kind"] or ""
            if f"{aside_of(target, run).name}{kind}" == name:
                yield run, kind, target.with_name(name)
        elif (found := _STAGED.fullmatch(name)) and staged_of(target, found["run"]).name == name:
            yield found["run"], ".rejected", target.with_name(name)


def _apart(
    instance: StageInstance, root: Path, number: int, names: Iterable[str]
) -> Iterator[tuple[str, str, Path]]:
    for name in names:
        if not (found := _APART.fullmatch(name)):
            continue
        shelter = shelter_of(root, instance.slug, found["run"], number)
        if shelter.parent.name != name:
            continue
        part = shelter.with_name(f"{shelter.name}.part")
        for kind, place in (("", shelter), (".part", part)):
            if asides.exists(place):
                yield found["run"], kind, place


# --- bringing back -----------------------------------------------------------------------------


def bring_back(one: Stranded, kept: Path, backing: Backing | None, instance_id: str) -> bool:
    """Put what waits at its place, and what stood there under `kept`; True where it came back.

    The record's own bytes stay where they stand, and what waits is kept instead. May be repeated after
    it was cut short. Raises OSError.
    """
    for begun in one.begun:
        asides.remove(begun)
    for written in one.written:
        _keep(written, kept / one.path.lstrip("/"))
    came = False
    for waiting in one.waiting:
        if came or _recorded(one, backing, instance_id):
            _keep(waiting, kept / one.path.lstrip("/"))
        elif not _same(waiting, one.target):
            if asides.exists(one.target):
                _keep(one.target, kept / one.path.lstrip("/"))
            one.target.parent.mkdir(parents=True, exist_ok=True)
            asides.move(waiting, one.target)
            came = True
        else:
            asides.remove(waiting)
        leave_shelter(waiting)
    for begun in one.begun:
        leave_shelter(begun)
    return came


def _recorded(one: Stranded, backing: Backing | None, instance_id: str) -> bool:
    """Whether what stands there is what the last success left."""
    last = backing.state.last_record(instance_id) if backing else None
    if backing is None or last is None or not asides.exists(one.target):
        return False
    return (one.path, backing.digests.of(one.target)) in {(out.path, out.digest) for out in last.outputs}


def _same(one: Path, other: Path) -> bool:
    """Whether two plain files are equal; folders count as different, since keeping them is safe."""
    import filecmp  # noqa: PLC0415 - only where a run died and its journal is gone

    return one.is_file() and other.is_file() and filecmp.cmp(one, other, shallow=False)


def _keep(place: Path, kept: Path) -> None:
    """Keep what stands there; an empty folder is nothing."""
    if empty_folder(place) and not place.is_symlink():
        place.rmdir()
    else:
        asides.move_to_free(place, kept)


def place_of_kept(root: Path, name: str) -> Path:
    """Where what nobody recorded is kept."""
    return root / STATE_FOLDER / "kept" / name
