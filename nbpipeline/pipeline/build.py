"""StageSpecs -> Pipeline: expand, bind, link, refuse. Every complaint is gathered before anything is said."""

import itertools
import math
from collections.abc import Iterable, Iterator, Mapping, Sequence

from nbpipeline.errors import Complaint
from nbpipeline.graph import Graph
from nbpipeline.model import Edge, Override, Pipeline, ProjectSpec, StageInstance, StageSpec
from nbpipeline.pipeline import refusals
from nbpipeline.pipeline.binding import References, bind_paths, bind_reference
from nbpipeline.pipeline.drafts import Draft
from nbpipeline.pipeline.injections import find_injections
from nbpipeline.pipeline.linking import Index, NamedStages, index_paths, path_edges, reference_edges
from nbpipeline.pipeline.matrix import Axes, find_axes, grid
from nbpipeline.pipeline.parameters import Given, check, evaluate, gather_given, refuse_fixed_axes
from nbpipeline.pipeline.paths import Places
from nbpipeline.pipeline.scope import Scope
from nbpipeline.pipeline.updates import Updates
from nbpipeline.pipeline.wording import refusal


def build(
    project: ProjectSpec, overrides: Sequence[Override] = ()
) -> tuple[Pipeline | None, tuple[Complaint, ...]]:
    """Make the pipeline that the project's stages mean, with the command line's parameters.

    Gives every complaint, sorted by place; the pipeline is None when any of them is no warning.
    """
    making = _Making(project)
    pipeline = making.pipeline(overrides)
    complaints = sorted(
        dict.fromkeys(making.complaints), key=lambda one: one.where.order if one.where else ("", 0, 0)
    )
    refused = any(not one.warning for one in complaints)
    return None if refused else pipeline, tuple(complaints)


MOST_INSTANCES = 10_000
"""More of one stage are taken for a slip of the pen: they would take minutes and gigabytes to plan."""


def _too_many(stage: StageSpec, axes: Axes, count: int) -> Complaint:
    sizes = " x ".join(f"{len(values):,} ({name})" for name, values in axes.items())
    return refusal(
        stage.where,
        f"matrix: stage '{stage.name}' would have {count:,} instances: {sizes}.",
        f"leave out axes or values: at most {MOST_INSTANCES:,} instances of a stage can be planned",
    )


class _Making:
    """The steps of one build, which share the project's folder and the complaints."""

    def __init__(self, project: ProjectSpec) -> None:
        self.project = project
        self.places = Places(project.root)
        self.complaints: list[Complaint] = []

    def pipeline(self, overrides: Sequence[Override]) -> Pipeline | None:
        given, complaints = gather_given(self.project, overrides)
        self.complaints.extend(complaints)
        axes, complaints = find_axes(self.project, given, self.places)
        self.complaints.extend(complaints)
        drafts = self._drafts(given, axes)
        edges = self._edges(drafts)
        by_id = {draft.id: draft for draft in drafts}
        try:
            order = Graph(by_id, ((edge.upstream, edge.downstream) for edge in edges)).order()
        except ValueError:
            self.complaints.extend(refusals.circles(by_id, edges))
            return None
        if any(not one.warning for one in self.complaints):
            return None
        return _assembled(self.project, [by_id[name] for name in order], edges)

    def _drafts(self, given: Mapping[str, Given], axes: Mapping[str, Axes]) -> list[Draft]:
        """Every instance with its parameters and paths."""
        drafts: list[Draft] = []
        for stage in self.project.stages:
            of_stage = axes[stage.name]
            self.complaints.extend(refuse_fixed_axes(stage, given[stage.name], of_stage, self.project.params))
            drafts.extend(self._instances(stage, given[stage.name], of_stage))
        self._refuse_same_ids(drafts)
        return drafts

    def _instances(self, stage: StageSpec, given: Given, axes: Axes) -> Iterator[Draft]:
        points = grid(axes)
        count = math.prod(len(values) for values in axes.values())
        if count > MOST_INSTANCES:
            self.complaints.append(_too_many(stage, axes, count))
            points = itertools.islice(points, 1)
        for point in points:
            values, complaints = evaluate(stage, given, dict(point), self.project.profile)
            self.complaints.extend(complaints)
            self.complaints.extend(check(stage, given, values))
            scope = Scope(stage, values, self.project.profile)
            draft = Draft(spec=stage, axes=point, parameters=values, scope=scope)
            self.complaints.extend(bind_paths(draft, self.places))
            yield draft

    def _refuse_same_ids(self, drafts: Iterable[Draft]) -> None:
        seen: set[str] = set()
        for draft in drafts:
            if draft.id in seen:
                what = f"matrix: two instances of stage '{draft.spec.name}' are both called {draft.id}."
                self.complaints.append(refusal(draft.spec.where, what, "use values without ',', '=' and ']'"))
            seen.add(draft.id)

    def _edges(self, drafts: Sequence[Draft]) -> tuple[Edge, ...]:
        """All edges, each once; in the order of the instances that wait."""
        edges = [*self._references(drafts), *self._named(drafts)]
        index = index_paths(drafts, self.places)
        self.complaints.extend(refusals.bad_places(index, self.project, self.places))
        self.complaints.extend(refusals.executed_copies(drafts, index, self.places))
        updates = Updates(index, self._order_without_shared(drafts, index, edges))
        self.complaints.extend(updates.complaints)
        edges.extend(path_edges(index, updates.followed()))
        edges.extend(updates.edges())
        rank = {draft.id: number for number, draft in enumerate(drafts)}
        return tuple(
            sorted(dict.fromkeys(edges), key=lambda one: (rank[one.downstream], rank[one.upstream], one.path))
        )

    def _references(self, drafts: Sequence[Draft]) -> list[Edge]:
        references = References(self.project.stages, drafts)
        edges: list[Edge] = []
        for draft in drafts:
            for artifact in draft.spec.inputs:
                makers, complaint = references.makers(draft, artifact)
                self.complaints.extend([complaint] if complaint else [])
                self.complaints.extend(bind_reference(draft, artifact, makers, self.places))
                edges.extend(reference_edges(draft, artifact, makers))
        return edges

    def _named(self, drafts: Sequence[Draft]) -> Iterator[Edge]:
        named = NamedStages(drafts, [stage.name for stage in self.project.stages])
        for draft in drafts:
            self.complaints.extend(named.complaints(draft))
            yield from named.edges(draft)

    def _order_without_shared(
        self, drafts: Sequence[Draft], index: Index, edges: Iterable[Edge]
    ) -> Graph[str]:
        """How the stages are ordered, leaving out the places that several of them write."""
        stage_of = {draft.id: draft.spec.name for draft in drafts}
        if not any(True for _ in index.shared()):
            return Graph((), ())
        alone = Index({key: found for key, found in index.makers.items() if len(found) == 1}, index.readers)
        pairs = dict.fromkeys(
            (stage_of[edge.upstream], stage_of[edge.downstream]) for edge in [*edges, *path_edges(alone, {})]
        )
        between = (pair for pair in pairs if pair[0] != pair[1])
        return Graph(dict.fromkeys(stage_of.values()), between)


def _assembled(project: ProjectSpec, drafts: Sequence[Draft], edges: tuple[Edge, ...]) -> Pipeline:
    """Make the pipeline of drafts in run order."""
    rank = {draft.id: number for number, draft in enumerate(drafts)}
    in_order = sorted(edges, key=lambda one: (rank[one.downstream], rank[one.upstream], one.path))
    return Pipeline(
        project=project, instances={draft.id: _instance(draft) for draft in drafts}, edges=tuple(in_order)
    )


def _instance(draft: Draft) -> StageInstance:
    return StageInstance(
        spec=draft.spec,
        axes=draft.axes,
        parameters=draft.parameters,
        inputs=draft.bound(draft.spec.inputs, draft.inputs),
        outputs=draft.bound(draft.spec.outputs, draft.outputs),
        injections=find_injections(draft),
        executed=draft.executed,
    )
