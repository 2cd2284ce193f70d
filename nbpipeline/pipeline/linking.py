"""Edges between instances: paths that one writes and another reads, references, named stages."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import field

from nbpipeline.errors import Complaint
from nbpipeline.model import Artifact, BoundArtifact, Edge, StageLink, Value, axis_text
from nbpipeline.pipeline.drafts import Draft
from nbpipeline.pipeline.paths import Places, parents
from nbpipeline.pipeline.wording import known, meant, refusal
from nbpipeline.values import dataclass


@dataclass(frozen=True, slots=True)
class Maker:
    """An instance that writes a place, and the output by which it does."""

    draft: Draft
    output: BoundArtifact
    path: str


@dataclass(frozen=True, slots=True)
class Reader:
    """An instance that reads a place, and the input by which it does."""

    draft: Draft
    input: BoundArtifact
    path: str
    key: str


@dataclass(slots=True)
class Index:
    """Who writes and who reads which place; keys are places on the disk, links in them followed."""

    makers: dict[str, list[Maker]] = field(default_factory=dict)
    readers: list[Reader] = field(default_factory=list)

    def shared(self) -> Iterator[tuple[str, list[Maker]]]:
        """Places with several makers."""
        return ((key, makers) for key, makers in self.makers.items() if len(makers) > 1)


def index_paths(drafts: Sequence[Draft], places: Places) -> Index:
    """Gather every written and every read path. Inputs by reference are linked by name, not here."""
    index = Index()
    for draft in drafts:
        for output in draft.outputs.values():
            for path in dict.fromkeys(output.paths):
                index.makers.setdefault(places.key(path), []).append(Maker(draft, output, path))
        for one in draft.inputs.values():
            if one.spec.reference is None:
                index.readers.extend(
                    Reader(draft, one, path, places.key(path)) for path in dict.fromkeys(one.paths)
                )
    return index


def path_edges(index: Index, makers_of: Mapping[tuple[str, str], Maker]) -> Iterator[Edge]:
    """Make a data edge for every path read that another instance writes, or writes in, or writes around.

    `makers_of` says, by place and reading stage, which of several makers is meant.
    """
    inside = _inside(index)
    for reader in index.readers:
        for key in _matches(reader.key, index, inside):
            makers = index.makers[key]
            maker = makers_of.get((key, reader.draft.id), makers[-1]) if len(makers) > 1 else makers[0]
            if maker.draft is not reader.draft or maker.output.spec.mode != "update":
                yield Edge(upstream=maker.draft.id, downstream=reader.draft.id, kind="data", path=reader.path)


def _inside(index: Index) -> Mapping[str, list[str]]:
    """For every folder that somebody reads as a whole: the written places in it."""
    read = {reader.key for reader in index.readers}
    inside: dict[str, list[str]] = {}
    for key in index.makers:
        for folder in parents(key):
            if folder in read:
                inside.setdefault(folder, []).append(key)
        if "." in read:
            inside.setdefault(".", []).append(key)
    return inside


def _matches(key: str, index: Index, inside: Mapping[str, list[str]]) -> Iterator[str]:
    if key in index.makers:
        yield key
    yield from (folder for folder in parents(key) if folder in index.makers)
    yield from inside.get(key, ())


def reference_edges(draft: Draft, artifact: Artifact, makers: Iterable[Draft]) -> Iterator[Edge]:
    """Make a data edge for every path that comes by `{from: STAGE.OUTPUT}`."""
    if artifact.reference is None:
        return
    for maker in makers:
        output = maker.outputs.get(artifact.reference.output)
        for path in output.paths if output else ():
            yield Edge(upstream=maker.id, downstream=draft.id, kind="data", path=path)


class NamedStages:
    """Finds the instances that `after` and `dependencies` speak of."""

    def __init__(self, drafts: Sequence[Draft], stages: Sequence[str]) -> None:
        """Take all instances, and the names of all stages."""
        self._stages = tuple(stages)
        self._drafts: dict[str, list[Draft]] = {}
        self._groups: dict[tuple[str, tuple[str, ...]], dict[tuple[str, ...], list[Draft]]] = {}
        for draft in drafts:
            self._drafts.setdefault(draft.spec.name, []).append(draft)

    def edges(self, draft: Draft) -> Iterator[Edge]:
        """Edges from every named stage: where both have an axis, from the instances of equal value."""
        for link in draft.spec.links:
            kind = "dependency" if link.stale_with else "after"
            for before in self._named(draft, link):
                yield Edge(upstream=before.id, downstream=draft.id, kind=kind)

    def complaints(self, draft: Draft) -> Iterator[Complaint]:
        """Complain of links to stages that are not there."""
        for link in draft.spec.links:
            if link.stage not in self._stages:
                key = "dependencies" if link.stale_with else "after"
                yield refusal(
                    link.where,
                    f"{key}: there is no stage '{link.stage}'.",
                    meant(link.stage, self._stages, "name a stage of this project"),
                    known=known("stages", self._stages),
                )

    def _named(self, draft: Draft, link: StageLink) -> Sequence[Draft]:
        named = self._drafts.get(link.stage)
        if not named:
            return ()
        mine = dict(draft.axes)
        shared = tuple(axis for axis, _ in named[0].axes if axis in mine)
        if not shared:
            return named
        return self._grouped(link.stage, shared).get(_key(mine, shared), ())

    def _grouped(self, stage: str, shared: tuple[str, ...]) -> Mapping[tuple[str, ...], list[Draft]]:
        if (stage, shared) not in self._groups:
            groups: dict[tuple[str, ...], list[Draft]] = {}
            for draft in self._drafts[stage]:
                groups.setdefault(_key(dict(draft.axes), shared), []).append(draft)
            self._groups[stage, shared] = groups
        return self._groups[stage, shared]


def _key(axes: Mapping[str, Value], shared: Iterable[str]) -> tuple[str, ...]:
    return tuple(axis_text(axes[axis]) for axis in shared)
