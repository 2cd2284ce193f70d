"""`check --io`: what the last successes did with files, against what their stages declare."""

import json
import keyword
import posixpath
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import PurePosixPath

from nbpipeline.errors import Complaint
from nbpipeline.location import Location, is_url
from nbpipeline.model import BoundArtifact, Pipeline, StageInstance, StageRecord, StageSpec
from nbpipeline.run.undeclared import makers
from nbpipeline.values import dataclass

_SHOWN = 8
"""Lines that one mend gives."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Declared:
    """A declared file."""

    side: str
    """`input` or `output`."""
    name: str
    path: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Undeclared:
    """A file that was opened and is not declared; `folder/` stands for very many in it."""

    how: str
    """`read` or `write`."""
    path: str
    maker: str = ""
    """The instance that makes it, as declared or as was seen."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Access:
    """What the last success of an instance did with the project's files."""

    instance: StageInstance
    run: str = ""
    """Empty where no success is on record."""
    watched: bool = False
    """Whether its kernel could be watched: without that nothing here says anything."""
    used: tuple[Declared, ...] = ()
    unopened: tuple[Declared, ...] = ()
    """Inputs that were never opened, as far as could be seen."""
    undeclared: tuple[Undeclared, ...] = ()
    listed: tuple[str, ...] = ()
    """Undeclared folders whose listing was taken."""
    unseen: tuple[str, ...] = ()
    """Libraries and programs that may have opened files unseen."""


def look(pipeline: Pipeline, records: Mapping[str, StageRecord]) -> tuple[Access, ...]:
    """Compare what every instance declares now with what its last success was seen to do."""
    return tuple(
        _access(pipeline, one, records[one.id], records) if one.id in records else Access(instance=one)
        for one in pipeline
    )


def _access(
    pipeline: Pipeline, instance: StageInstance, record: StageRecord, records: Mapping[str, StageRecord]
) -> Access:
    usage = record.usage
    sides = (("input", instance.inputs), ("output", instance.outputs))
    declared = [(side, artifact) for side, artifacts in sides for artifact in artifacts]
    used = [
        Declared(side=side, name=one.name, path=path)
        for side, one in declared
        for path in one.paths
        if path.rstrip("/") in usage.used
    ]
    names = {one.name for one in used if one.side == "input"}
    places = {path.rstrip("/") for _, one in declared for path in one.paths}
    opened = [path for path in record.undeclared if not _covered(path, places)]
    made = makers(pipeline, records, opened, but=instance.id)
    return Access(
        instance=instance,
        run=record.run,
        watched=usage.watched,
        used=tuple(used),
        unopened=tuple(_unopened(instance.inputs, names, record)) if usage.watched else (),
        undeclared=tuple(
            Undeclared(how="write" if path in record.written else "read", path=path, maker=made.get(path, ""))
            for path in opened
        ),
        listed=tuple(path for path in usage.listed if not _covered(path, places)),
        unseen=usage.unseen,
    )


def _unopened(
    inputs: Iterable[BoundArtifact], opened: Iterable[str], record: StageRecord
) -> Iterator[Declared]:
    """Find the inputs of which nothing was opened; of those declared later, or far away, nobody knows."""
    for one in inputs:
        known = all(path in record.fingerprint.inputs for path in one.paths)
        near = not any(is_url(path) or PurePosixPath(path).is_absolute() for path in one.paths)
        if one.paths and known and near and one.name not in opened:
            yield Declared(side="input", name=one.name, path=one.paths[0])


def _covered(path: str, places: Iterable[str]) -> bool:
    """Whether a path is declared by now, or stands in a declared folder."""
    bare = path.rstrip("/")
    return any(bare == place or bare.startswith(f"{place}/") for place in places)


# --- what is complained of -----------------------------------------------------------------------


def complaints(found: Iterable[Access]) -> Iterator[Complaint]:
    """Warn of what was opened undeclared, and of inputs that nothing opened; once for all of a stage."""
    stages: dict[str, list[Access]] = {}
    for one in found:
        if one.run:
            stages.setdefault(one.instance.spec.name, []).append(one)
    for instances in stages.values():
        yield from _of_undeclared(instances, "read")
        yield from _of_undeclared(instances, "write")
        yield from _of_unopened(instances)


def _of_undeclared(instances: Sequence[Access], how: str) -> Iterator[Complaint]:
    spec = instances[0].instance.spec
    files = {one.path: one for access in instances for one in access.undeclared if one.how == how}
    if not files:
        return
    tag = "inputs" if how == "read" else "outputs"
    made = [f"'{one.maker}' makes {one.path}" for one in files.values() if one.maker]
    cell = next((one.index for one in spec.notebook.cells if tag in one.tags), None)
    yield Complaint(
        where=Location(path=spec.notebook.path, cell=cell),
        what=f"'{spec.name}' was seen to {how} {_listed(files)}, undeclared; so it runs every time.",
        known="; ".join(made[:_SHOWN]),
        mend=_mend(spec, list(files), tag, cell),
        warning=True,
    )


def _listed(paths: Iterable[str]) -> str:
    found = list(paths)
    more = f" and {len(found) - _SHOWN} more" if len(found) > _SHOWN else ""
    return ", ".join(found[:_SHOWN]) + more


def _mend(spec: StageSpec, paths: Sequence[str], tag: str, cell: int | None) -> str:
    """Give the lines that would declare the paths, and say where they belong."""
    folder = spec.working_folder or "."
    named = dict(zip(_names(spec, paths), (_from(path, folder) for path in paths), strict=True))
    shown = list(named.items())[:_SHOWN]
    more = f" ... ({len(named) - _SHOWN} more)" if len(named) > _SHOWN else ""
    if spec.notebook.language != "python":
        said = ", ".join(f"{name}: {json.dumps(path)}" for name, path in shown)
        return f"write into the header: {tag}: {{{said}}}{more}"
    lines = "; ".join(f"{name} = {json.dumps(path)}" for name, path in shown)
    where = f"cell {cell}" if cell is not None else f"a new cell with the tag `{tag}`"
    return f"write into {where}: {lines}{more}"


def _from(path: str, folder: str) -> str:
    near = posixpath.relpath(path, folder)
    return f"{near}/" if path.endswith("/") else near


def _names(spec: StageSpec, paths: Iterable[str]) -> Iterator[str]:
    """Make a name of each path that the stage does not have yet."""
    taken = {one.name for one in (*spec.inputs, *spec.outputs)} | {one.name for one in spec.parameters}
    for path in paths:
        bare = re.sub(r"\W", "_", PurePosixPath(path).stem).strip("_") or "data"
        base = f"{bare}_" if keyword.iskeyword(bare) else bare if bare.isidentifier() else f"data_{bare}"
        free = (base, *(f"{base}_{number}" for number in range(2, len(taken) + 3)))
        name = next(one for one in free if one not in taken)
        taken.add(name)
        yield name


def _of_unopened(instances: Sequence[Access]) -> Iterator[Complaint]:
    """Warn of an input only where each instance was seen whole and none opened it."""
    if any(not one.watched or one.unseen for one in instances):
        return
    spec = instances[0].instance.spec
    for one in instances[0].unopened:
        if all(one.name in {other.name for other in access.unopened} for access in instances):
            artifact = next(other for other in spec.inputs if other.name == one.name)
            yield Complaint(
                where=artifact.where,
                what=f"'{spec.name}' was not seen to open its input '{one.name}' ({one.path}).",
                known="it waits for this file, and goes stale with it",
                mend="take it out if no cell needs it",
                warning=True,
            )


def notes(found: Iterable[Access]) -> Iterator[str]:
    """Say what is no fault but good to know."""
    for one in found:
        name = one.instance.id
        if not one.run:
            yield f"{name} has no success on record, so nothing is known of its files"
        elif not one.watched:
            yield f"of {name} nothing is known: its last success was not watched"
        elif one.unseen and one.unopened:
            inputs = ", ".join(f"'{other.name}'" for other in one.unopened)
            blind = ", ".join(one.unseen)
            yield f"{name} was not seen to open {inputs}; it ran {blind}, whose files are not all seen"
        if one.listed:
            yield (
                f"{name} lists {_listed(one.listed)}, not declared: a file that comes there does not make it "
                "stale. Declare the folder as an input with `kind: directory`"
            )
