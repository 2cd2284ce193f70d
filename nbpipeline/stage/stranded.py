"""Previous outputs that wait beside their places although no journal tells of them.

Their journal was damaged, or deleted with the rest of `.nbpipeline`. The names that they wait under are known
without it: hidden siblings, and folders in the root for those that the store could not give again.
"""

# Paths are texts here: plans look at thousands.
# ruff: noqa: PTH114, PTH118, PTH208

import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path

from nbpipeline.content import unfinished_of
from nbpipeline.location import STATE_FOLDER
from nbpipeline.model import StageInstance
from nbpipeline.patterns import regex
from nbpipeline.stage import asides
from nbpipeline.stage.backing import Backing
from nbpipeline.stage.entries import empty_folder, folder_of, leave_shelter, read, shelter_of
from nbpipeline.stage.places import aside_of, local_outputs, staged_of
from nbpipeline.values import dataclass

_Place = tuple[str, Path, list[tuple[str, str, Path]]]
"""An output's path, its target, and what waits for it: run, kind and place of each."""
_MARK = "nbpipeline-"
_RUN = r"\d{8}-\d{6}-[0-9a-z]+"
_BESIDE = regex(rf"(?P<of>\..+\.{_MARK})(?P<run>{_RUN})(?P<kind>\.part|\.rejected)?")
_STAGED = regex(rf"(?P<of>\.{_MARK})(?P<run>{_RUN})(?P<rest>\..+)")
_APART = regex(rf"(?P<of>\.{_MARK}aside-.+-)(?P<run>{_RUN})(?P<rest>-\d+)")


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


Hidden = Mapping[str, Sequence[tuple[str, str, str]]]
"""Run, kind and name of what is hidden in a folder, by the hidden name that it has without the run."""


class Look:
    """One look at a project: each folder is listed, and its links followed, once. Plans look at thousands."""

    def __init__(self, root: Path) -> None:
        """Look at the project in `root`."""
        self.root = root
        self._home = os.fspath(root)
        self._hidden: dict[str, Hidden] = {}
        self._real: dict[str, str] = {}

    def at_root(self) -> Hidden:
        """Find what is ours in the project's folder."""
        return self.hidden(self._home)

    def hidden(self, folder: str) -> Hidden:
        """Find what is ours in a folder; nothing where it cannot be listed."""
        found = self._hidden.get(folder)
        if found is None:
            try:
                found = _hidden(name for name in os.listdir(folder) if _MARK in name)
            except OSError:
                found = {}
            self._hidden[folder] = found
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


def find(instance: StageInstance, root: Path) -> tuple[Stranded, ...]:
    """Find what waits for an instance and is in no readable journal; the caller holds the instance's lock."""
    return find_all((instance,), root).get(instance.id, ())


def find_all(instances: Iterable[StageInstance], root: Path) -> dict[str, tuple[Stranded, ...]]:
    """Find by instance what waits and is in no readable journal.

    What a living run has put aside is in its journal, which is another instance's where several update one
    output; to move anything the caller holds the instance's lock, and looks once more.
    """
    look = Look(root)
    looked = ((one.id, tuple(_places(one, look))) for one in instances)
    places = {name: found for name, found in looked if found}
    if not places:
        return {}
    told = _Told.by(root)  # read last: a journal is written before anything moves
    stranded = {name: tuple(told.left_out(name, found)) for name, found in places.items()}
    return {name: found for name, found in stranded.items() if found}


def _places(instance: StageInstance, look: Look) -> Iterator[_Place]:
    for number, (_, path) in enumerate(local_outputs(instance)):
        folder, name = look.target(path)
        beside, apart = look.hidden(folder), look.at_root()
        if not (beside or apart):
            continue
        target = Path(folder, name)
        found = [*_beside(target, beside), *_apart(instance, look.root, number, apart)]
        if found:
            yield path, target, found


@dataclass(frozen=True, slots=True)
class _Told:
    """What readable journals tell of."""

    targets: frozenset[tuple[str, str]]
    """Runs with the targets that they protect."""
    instances: frozenset[tuple[str, str]]
    """Runs with the instances that they are in the middle of: all that is the instance's is told."""

    @classmethod
    def by(cls, root: Path) -> "_Told":
        journals = [one for one in map(read, folder_of(root).glob("*.json")) if one]
        return cls(
            frozenset((one.run, entry.target) for one in journals for entry in one.entries),
            frozenset((one.run, one.instance) for one in journals),
        )

    def left_out(self, name: str, places: Iterable[_Place]) -> Iterator[Stranded]:
        """Give what is told neither of the instance nor of the target."""
        for path, target, found in places:
            left = [
                one
                for one in found
                if (one[0], name) not in self.instances and (one[0], str(target)) not in self.targets
            ]
            if left:
                yield _sorted(path, target, left)


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
        waiting=tuple(sorted(kinds[""], key=_changed, reverse=True)),
        written=tuple(kinds[".rejected"]),
        begun=tuple(kinds[".part"]),
    )


def _changed(place: Path) -> int:
    """Tell when it was put there; 0 for what its run has just taken away."""
    try:
        return place.lstat().st_ctime_ns
    except OSError:
        return 0


def _hidden(names: Iterable[str]) -> Hidden:
    found: dict[str, list[tuple[str, str, str]]] = {}
    for name in names:
        if one := _BESIDE.fullmatch(name):
            found.setdefault(one["of"], []).append((one["run"], one["kind"] or "", name))
        elif one := _STAGED.fullmatch(name):
            found.setdefault(one["of"] + one["rest"], []).append((one["run"], ".rejected", name))
        if one := _APART.fullmatch(name):
            found.setdefault(one["of"] + one["rest"], []).append((one["run"], "", name))
    return found


def _beside(target: Path, hidden: Hidden) -> Iterator[tuple[str, str, Path]]:
    for of in (aside_of(target, "").name, staged_of(target, "").name):
        for run, kind, name in hidden.get(of, ()):
            yield run, kind, target.with_name(name)


def _apart(
    instance: StageInstance, root: Path, number: int, hidden: Hidden
) -> Iterator[tuple[str, str, Path]]:
    for run, _, _ in hidden.get(shelter_of(root, instance.slug, "", number).parent.name, ()):
        shelter = shelter_of(root, instance.slug, run, number)
        part = shelter.with_name(f"{shelter.name}.part")
        for kind, place in (("", shelter), (".part", part)):
            if asides.exists(place):
                yield run, kind, place


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
