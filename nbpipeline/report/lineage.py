"""Where a file comes from, and what was made of it: back to the raw data, forward to all that builds on it.

Everything is read from records: each holds the digests that its run read and wrote, so a version of a file
is followed, not its name.
"""

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from nbpipeline.encoding import plain
from nbpipeline.errors import UsageError, did_you_mean
from nbpipeline.fingerprint.differences import CELL, MISSING
from nbpipeline.model import EXECUTED, StageRecord, StageResult
from nbpipeline.ports import Digests, State
from nbpipeline.report.wording import VERSION, Page, duration, figure, moment
from nbpipeline.values import dataclass

Version = tuple[str, str]
"""A project path and the digest of what stood there."""
_SHORT = 12
_STANDING = {
    "recorded": "",
    "earlier": "an earlier version of it stands there",
    "changed": "what stands there now is another, which no run on record has left",
    "missing": "nothing stands there now",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Known:
    """All records of the instances, by what they read and wrote."""

    makers: Mapping[Version, Sequence[StageRecord]]
    """Those that wrote a version, the newest first; a state that was brought back last comes before all."""
    readers: Mapping[Version, Sequence[StageRecord]]
    newest: Mapping[str, StageRecord]
    """The record whose outputs a path was last given."""
    results: Callable[[str], Sequence[StageResult]]
    """How the instances of a run ended."""

    @classmethod
    def of(cls, state: State) -> "Known":
        """Read the newest records and the earlier ones that are kept, the newest counting first."""
        last = sorted(state.last_records().values(), key=_finished, reverse=True)
        earlier = [one for record in last for one in state.earlier_records(record.instance)]
        records = [*last, *sorted(earlier, key=_finished, reverse=True)]
        makers: dict[Version, list[StageRecord]] = {}
        readers: dict[Version, list[StageRecord]] = {}
        newest: dict[str, StageRecord] = {}
        for record in records:
            for version in written_by(record):
                makers.setdefault(version, []).append(record)
                newest.setdefault(version[0], record)
            for version in read_by(record):
                readers.setdefault(version, []).append(record)
        return cls(makers=makers, readers=readers, newest=newest, results=state.results)

    def paths(self) -> list[str]:
        """Every path that is on record."""
        return sorted({path for path, _ in [*self.makers, *self.readers]})

    def makers_of(self, consumer: StageRecord) -> list[StageRecord]:
        """Give the records that what a success read is from.

        Several states of an instance may have left the same bytes in one of their outputs: the one counts
        that has all that was read of them, that the same run tells of, or that was there by then.
        """
        read = list(read_by(consumer))
        results = self.results(consumer.run) if consumer.run else ()
        told = {(one.instance, one.record.state if one.record else one.state) for one in results}

        def fits(record: StageRecord) -> tuple[int, bool, bool, float]:
            matching = sum(one in read for one in written_by(record))
            in_run = (record.instance, record.state) in told
            return matching, in_run, record.finished <= consumer.finished, record.finished

        return [max(self.makers[one], key=fits) for one in read if one in self.makers]


def _finished(record: StageRecord) -> float:
    return record.finished


def written_by(record: StageRecord) -> Iterator[Version]:
    """Give the files that a success left."""
    return ((one.path, one.digest) for one in record.outputs if one.kind != EXECUTED)


def read_by(record: StageRecord) -> Iterator[Version]:
    """Give the files that it read, as they were then."""
    inputs = record.fingerprint.inputs.items()
    return ((path, digest) for path, digest in inputs if digest and digest != MISSING)


def lineage(
    state: State, digests: Digests, root: Path, what: str, notebooks: Mapping[str, str] | None = None
) -> Page:
    """Trace a file by its project path; `notebooks` gives the notebooks of instances, where they are known.

    Raises UsageError for a path that no record speaks of.
    """
    known = Known.of(state)
    version, standing = _chosen(known, digests.of(root / what), what)
    back = [*_back(known, version)]
    forward = [*_forward(known, version)]
    raw = sorted({one for record in back for one in read_by(record) if one not in known.makers})
    data = {
        "version": VERSION,
        "path": version[0],
        "digest": version[1],
        "standing": standing,
        "made_by": [_data(one, known, notebooks or {}) for one in back],
        "raw": [{"path": path, "digest": digest} for path, digest in raw],
        "used_by": [_data(one, known, notebooks or {}) for one in forward],
    }
    return Page(data=data, text=_text(data))


def _chosen(known: Known, present: str | None, path: str) -> tuple[Version, str]:
    """Choose the version to trace: the one that stands there if a record knows it, else the newest known."""
    if present is not None and ((path, present) in known.makers or (path, present) in known.readers):
        newest = known.newest.get(path)
        earlier = newest is not None and (path, present) not in {*written_by(newest)}
        return (path, present), "earlier" if earlier else "recorded"
    standing = "missing" if present is None else "changed"
    if path in known.newest:
        return next(one for one in written_by(known.newest[path]) if one[0] == path), standing
    read = [one for one in known.readers if one[0] == path]
    if read:
        return max(read, key=lambda one: known.readers[one][0].finished), standing
    close = did_you_mean(path, known.paths())
    raise UsageError.of(
        f"no run on record has read or written '{path}'.",
        known=f"on record: {', '.join(known.paths()[:8]) or 'nothing'}",
        mend=f"did you mean '{close}'?"
        if close
        else "give a path from the project's root, or run the pipeline",
    )


def _back(known: Known, version: Version) -> Iterator[StageRecord]:
    """Give what made the version and all that it was made of, the nearest first."""
    waiting, given = [*known.makers.get(version, ())][:1], set[tuple[str, str]]()
    while waiting:
        record = waiting.pop(0)
        if (record.instance, record.state) not in given:
            given.add((record.instance, record.state))
            yield record
            waiting += known.makers_of(record)


def _forward(known: Known, version: Version) -> Iterator[StageRecord]:
    """Give what read the version and all that was made of that, the nearest first."""
    waiting, seen, given = [version], {version}, set[tuple[str, str]]()
    while waiting:
        for record in known.readers.get(waiting.pop(0), ()):
            if (record.instance, record.state) in given:
                continue
            given.add((record.instance, record.state))
            yield record
            new = [one for one in written_by(record) if one not in seen]
            seen.update(new)
            waiting += new


def _data(record: StageRecord, known: Known, notebooks: Mapping[str, str]) -> dict[str, Any]:
    state = record.fingerprint
    return {
        "stage": record.instance,
        "notebook": notebooks.get(record.instance, ""),
        "run": record.run,
        "finished": record.finished,
        "seconds": record.seconds,
        "origin": record.origin,
        "state": record.state,
        "code": dict(state.code),
        "modules": dict(state.modules),
        "parameters": plain(state.parameters),
        "packages": dict(state.environment),
        "kernel": state.kernel,
        "metrics": plain(record.metrics),
        "inputs": [
            {
                "path": path,
                "digest": digest,
                "made_by": known.makers[path, digest][0].instance if (path, digest) in known.makers else None,
            }
            for path, digest in read_by(record)
        ],
        "outputs": [{"path": path, "digest": digest} for path, digest in written_by(record)],
    }


# --- as text -----------------------------------------------------------------------------------


def _text(data: Mapping[str, Any]) -> str:
    lines = [f"{data['path']}  {data['digest'][:_SHORT]}"]
    if _STANDING[data["standing"]]:
        lines.append(f"  {_STANDING[data['standing']]}")
    for one in data["made_by"]:
        lines += ["", *_stage_lines(one)]
    if data["raw"]:
        width = max(len(one["path"]) for one in data["raw"])
        lines += ["", "raw data, which no stage on record made"]
        lines += [f"  {one['path']:{width}}  {one['digest']}" for one in data["raw"]]
    if data["used_by"]:
        lines += ["", "used by", *_user_lines(data["used_by"])]
    return "\n".join(lines)


def _user_lines(users: Sequence[Mapping[str, Any]]) -> Iterator[str]:
    """Name the users with what they made; where that is alike, also the run."""
    told = [f"  {one['stage']}: {', '.join(out['path'] for out in one['outputs'])}" for one in users]
    for one, text in zip(users, told, strict=True):
        yield f"{text}  ({_how(one)})" if told.count(text) > 1 else text


def _how(one: Mapping[str, Any]) -> str:
    how = "recorded by hand" if one["origin"] == "recorded" else f"run {one['run']}"
    return f"{how}, {moment(one['finished'])}"


def _stage_lines(one: Mapping[str, Any]) -> Iterator[str]:
    yield f"{one['stage']}: {_how(one)}, {duration(one['seconds'])}"
    cells = sum(name.startswith(CELL) for name in one["code"])
    notebook = f"{one['notebook']}, " if one["notebook"] else ""
    yield f"  code        {notebook}{cells} cells, state {one['state'][:_SHORT]}"
    if one["modules"]:
        yield f"  modules     {', '.join(one['modules'])}"
    if one["parameters"]:
        told = ", ".join(f"{name} = {_value(value)}" for name, value in one["parameters"].items())
        yield f"  parameters  {told}"
    if one["packages"]:
        yield f"  packages    {', '.join(f'{name} {version}' for name, version in one['packages'].items())}"
    for file in one["inputs"]:
        maker = f"made by {file['made_by']}" if file["made_by"] else "raw"
        yield f"  read        {file['path']}  {file['digest'][:_SHORT]}  {maker}"
    for file in one["outputs"]:
        yield f"  wrote       {file['path']}  {file['digest'][:_SHORT]}"


def _value(value: Any) -> str:
    return figure(value) if isinstance(value, float) else str(value)


# --- as a graph --------------------------------------------------------------------------------


def mermaid(data: Mapping[str, Any]) -> str:
    """Draw the traced stages and files as a mermaid flowchart; the traced file stands out."""
    names: dict[str, str] = {}
    nodes: list[str] = []
    edges: list[str] = []

    def node(key: str, label: str, shape: str) -> str:
        if key not in names:
            names[key] = f"n{len(names)}"
            nodes.append(f'  {names[key]}{shape[0]}"{_label(label)}"{shape[1]}')
        return names[key]

    for one in (*reversed(data["made_by"]), *data["used_by"]):
        stage = node(f"stage {one['stage']} {one['state']}", one["stage"], "[]")
        edges += [f"  {node(_key(file), file['path'], '()')} --> {stage}" for file in one["inputs"]]
        edges += [f"  {stage} --> {node(_key(file), file['path'], '()')}" for file in one["outputs"]]
    own = node(_key(data), data["path"], "()")
    return "\n".join(("flowchart LR", *nodes, *dict.fromkeys(edges), f"  style {own} stroke-width:3px"))


def _key(file: Mapping[str, Any]) -> str:
    return f"file {file['path']} {file['digest']}"


def _label(text: str) -> str:
    """Escape what mermaid would read as its own."""
    return re.sub(r"[^\w ./@=\[\],-]", lambda found: f"#{ord(found[0])};", text)
