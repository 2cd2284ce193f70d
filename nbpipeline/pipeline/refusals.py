"""Outputs that would harm something, and circles."""

import posixpath
from collections.abc import Iterator, Mapping, Sequence
from itertools import pairwise

from nbpipeline.errors import Complaint
from nbpipeline.graph import Graph
from nbpipeline.location import Location
from nbpipeline.model import Edge, ProjectSpec
from nbpipeline.pipeline.drafts import Draft
from nbpipeline.pipeline.linking import Index, Maker
from nbpipeline.pipeline.paths import Places, parents
from nbpipeline.pipeline.wording import refusal

RESERVED = (".nbpipeline", ".git")
"""Folders of the project that no stage writes into."""


def bad_places(index: Index, project: ProjectSpec, places: Places) -> Iterator[Complaint]:
    """Refuse outputs outside the project, over its sources, or one inside another's folder."""
    sources = _sources(project, places)
    told: set[tuple[str, str]] = set()
    for key, makers in index.makers.items():
        maker = makers[0]
        identity = (maker.draft.spec.name, maker.output.name)
        complaint = _outside(maker, key, places) or _over_source(maker, key, sources)
        if complaint and identity not in told:
            told.add(identity)
            yield complaint
        for folder in parents(key):
            if folder in index.makers:
                yield from _nested(maker, index.makers[folder][0], told)


def _nested(inner: Maker, outer: Maker, told: set[tuple[str, str]]) -> Iterator[Complaint]:
    identity = (_qualified(inner), _qualified(outer))
    if identity in told:
        return
    told.add(identity)
    yield refusal(
        inner.output.spec.where,
        f"output '{inner.output.name}' of stage '{inner.draft.spec.name}' ({inner.path}) lies inside "
        f"output '{outer.output.name}' of stage '{outer.draft.spec.name}' ({outer.path}).",
        "give each its own folder",
        known=f"the other one: {outer.output.spec.where}",
    )


def _qualified(maker: Maker) -> str:
    return f"{maker.draft.spec.name}.{maker.output.name}"


def _sources(project: ProjectSpec, places: Places) -> Mapping[str, str]:
    """Files that no output may be or hold, with what they are; and the folders above them."""
    files = {places.key(stage.notebook.path): "a notebook of the pipeline" for stage in project.stages}
    if project.file:
        files[project.file] = "the pipeline's own file"
    above = {folder: f"the folder of {path}" for path in reversed(list(files)) for folder in parents(path)}
    return {".": "the whole project", **above, **files}


def _outside(maker: Maker, key: str, places: Places) -> Complaint | None:
    spec = maker.output.spec
    if spec.allow_outside or not places.outside(maker.path):
        return None
    link = "" if posixpath.isabs(maker.path) else f" (through a link to {key})"
    return refusal(
        spec.where,
        f"output '{spec.name}' of stage '{maker.draft.spec.name}' lies outside the project: "
        f"{maker.path}{link}.",
        "write it inside the project, or say `allow_outside: true`",
    )


def _over_source(maker: Maker, key: str, sources: Mapping[str, str]) -> Complaint | None:
    reserved = key.split("/", 1)[0] in RESERVED
    what = f"inside {key.split('/', 1)[0]}" if reserved else sources.get(key)
    if what is None:
        return None
    spec = maker.output.spec
    return refusal(
        spec.where,
        f"output '{spec.name}' of stage '{maker.draft.spec.name}' is {what}: {maker.path}.",
        "give it a place of its own",
    )


def executed_copies(drafts: Sequence[Draft], index: Index, places: Places) -> Iterator[Complaint]:
    """Refuse executed notebooks that would be written over each other, an output or a source."""
    taken: dict[str, str] = {
        places.key(draft.spec.notebook.path): f"the notebook of stage '{draft.spec.name}'" for draft in drafts
    }
    for key, makers in index.makers.items():
        taken[key] = f"output '{makers[0].output.name}' of stage '{makers[0].draft.spec.name}'"
    for draft in drafts:
        if draft.executed is None:
            continue
        key = places.key(draft.executed)
        other = taken.get(key) or ("outside the project" if places.outside(draft.executed) else None)
        if other:
            mend = "give it a place of its own" + (", with the axes in braces" if draft.axes else "")
            what = f"executed: {draft.executed} of stage '{draft.spec.name}' is {other}."
            yield refusal(draft.spec.where, what, mend)
        taken[key] = f"also that of another instance of '{draft.spec.name}'"


def circles(drafts: Mapping[str, Draft], edges: Sequence[Edge]) -> Iterator[Complaint]:
    """Show every circle's whole path, once for all instances of the same stages."""
    ends = {(edge.upstream, edge.downstream): edge for edge in reversed(edges)}
    told: set[tuple[str, ...]] = set()
    for path in Graph(drafts, ends).circles():
        stages = tuple(drafts[one].spec.name for one in path)
        if stages in told:
            continue
        told.add(stages)
        steps = [ends[pair] for pair in pairwise(path)]
        first = steps[0]
        yield refusal(
            _declared(drafts[first.downstream], first),
            f"the stages go in a circle: {' -> '.join(path)}.",
            _circle_mend(path),
            known="; ".join(_step(edge, drafts) for edge in steps),
        )


def _circle_mend(path: Sequence[str]) -> str:
    if path[0] == path[1]:
        return "read and write different files, or say `mode: update` on the output"
    return "take one of these inputs, `after` or `dependencies` away"


def _step(edge: Edge, drafts: Mapping[str, Draft]) -> str:
    where = _declared(drafts[edge.downstream], edge)
    if edge.kind == "data":
        return f"{edge.downstream} reads {edge.path} of {edge.upstream} ({where})"
    return f"{edge.downstream} comes after {edge.upstream} ({where})"


def _declared(draft: Draft, edge: Edge) -> Location:
    """Where the author said what makes the edge."""
    if edge.kind == "data":
        both = (*draft.inputs.values(), *draft.outputs.values())
        return next((one.spec.where for one in both if edge.path in one.paths), draft.spec.where)
    stale_with = edge.kind == "dependency"
    return next((link.where for link in draft.spec.links if link.stale_with is stale_with), draft.spec.where)
