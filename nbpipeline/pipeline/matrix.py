"""Which axes a stage has, its own and inherited ones, and the grid that they span."""

import itertools
from collections import Counter, deque
from collections.abc import Iterable, Mapping, Sequence

from nbpipeline.errors import Complaint
from nbpipeline.model import Artifact, ProjectSpec, StageSpec, Value, axis_text
from nbpipeline.pipeline.parameters import Given, evaluate
from nbpipeline.pipeline.paths import Places, leaves
from nbpipeline.pipeline.scope import Scope
from nbpipeline.pipeline.wording import refusal
from nbpipeline.values import dataclass

Axes = Mapping[str, tuple[Value, ...]]

# An axis stands in a path's pattern as its name between two characters of Unicode's private use area.
_OPEN, _CLOSE = "\ue000", "\ue001"


@dataclass(frozen=True, slots=True)
class Source:
    """A stage that another one inherits axes from, and the input by which it does."""

    stage: str
    axes: frozenset[str] | None
    """Only these; None for all."""
    artifact: Artifact


def find_axes(
    project: ProjectSpec, given: Mapping[str, Given], places: Places
) -> tuple[Mapping[str, Axes], tuple[Complaint, ...]]:
    """Give every stage its axes: declared ones first, then those that come with its inputs.

    An input inherits by `{from: STAGE.OUTPUT}`, or by a path that is, with the axis' name in
    place of its value, the path of another stage's output.
    """
    own = {stage.name: dict(stage.matrix) for stage in project.stages}
    complaints = [one for stage in project.stages for one in _odd_axes(stage)]
    if not any(own.values()):
        return own, tuple(complaints)
    sources = _sources(project, given, places)
    axes: dict[str, dict[str, tuple[Value, ...]]] = {name: dict(found) for name, found in own.items()}
    _spread(axes, sources)
    for stage in project.stages:
        complaints.extend(_disagreements(stage, own[stage.name], axes, sources[stage.name]))
    return axes, tuple(complaints)


def _odd_axes(stage: StageSpec) -> Iterable[Complaint]:
    for axis, values in stage.matrix.items():
        if not values:
            what = f"matrix: axis '{axis}' of stage '{stage.name}' has no values."
            yield refusal(stage.where, what, "give it at least one value, or take it out")
        times = Counter(axis_text(value) for value in values)
        for text in (text for text, count in times.items() if count > 1):
            what = f"matrix: axis '{axis}' of stage '{stage.name}' has the value {text} twice."
            yield refusal(stage.where, what, "give every value once")


def _spread(axes: dict[str, dict[str, tuple[Value, ...]]], sources: Mapping[str, Sequence[Source]]) -> None:
    """Hand axes down until nothing changes; a circle of stages ends too, since axes only come."""
    heirs: dict[str, list[str]] = {}
    for name, found in sources.items():
        for source in found:
            heirs.setdefault(source.stage, []).append(name)
    waiting = deque(sources)
    while waiting:
        name = waiting.popleft()
        before = len(axes[name])
        for source in sources[name]:
            for axis, values in axes[source.stage].items():
                if source.axes is None or axis in source.axes:
                    axes[name].setdefault(axis, values)
        if len(axes[name]) > before:
            waiting.extend(heirs.get(name, ()))


def _disagreements(
    stage: StageSpec, own: Axes, axes: Mapping[str, Axes], sources: Sequence[Source]
) -> Iterable[Complaint]:
    """Axes that come from two stages with different values, or with values that the source lacks."""
    for source in sources:
        for axis, values in axes[source.stage].items():
            if source.axes is not None and axis not in source.axes:
                continue
            mine = axes[stage.name][axis]
            lacking = [value for value in mine if value not in values]
            if lacking or (axis not in own and len(mine) != len(values)):
                yield refusal(
                    source.artifact.where,
                    f"input '{source.artifact.name}': axis '{axis}' is {_values(mine)} in stage "
                    f"'{stage.name}', but {_values(values)} in stage '{source.stage}'.",
                    f"declare '{axis}' in the matrix of '{stage.name}' with values that every maker has",
                )


def _values(values: Iterable[Value]) -> str:
    return f"[{', '.join(axis_text(value) for value in values)}]"


def _sources(
    project: ProjectSpec, given: Mapping[str, Given], places: Places
) -> Mapping[str, tuple[Source, ...]]:
    axis_names = tuple(dict.fromkeys(axis for stage in project.stages for axis in stage.matrix))
    scopes = {
        stage.name: _pattern_scope(stage, given, axis_names, project.profile) for stage in project.stages
    }
    makers: dict[str, list[str]] = {}
    for stage in project.stages:
        for output in stage.outputs:
            for pattern in _patterns(output, scopes[stage.name], places):
                makers.setdefault(pattern, []).append(stage.name)
    return {
        stage.name: tuple(_sources_of(stage, scopes, makers, axis_names, places)) for stage in project.stages
    }


def _pattern_scope(
    stage: StageSpec, given: Mapping[str, Given], axis_names: Sequence[str], profile: str | None
) -> Scope:
    """Give the stage's names, with a mark in place of every axis' value."""
    marks = {axis: f"{_OPEN}{axis}{_CLOSE}" for axis in axis_names}
    values, _ = evaluate(stage, given[stage.name], marks, profile)
    return Scope(stage, values, profile)


def _patterns(artifact: Artifact, scope: Scope, places: Places) -> Iterable[str]:
    """Project paths of the artifact with marks in them; none where it names no axis."""
    if artifact.value is None:
        return
    try:
        paths = [places.project_path(str(leaf), artifact.base) for leaf in leaves(scope.value(artifact))]
    except (KeyError, ValueError):
        return  # binding tells, with the axes' true values
    yield from (path for path in paths if _OPEN in path)


def _sources_of(
    stage: StageSpec,
    scopes: Mapping[str, Scope],
    makers: Mapping[str, Sequence[str]],
    axis_names: Sequence[str],
    places: Places,
) -> Iterable[Source]:
    for artifact in stage.inputs:
        reference = artifact.reference
        if reference and not reference.collect and reference.stage in scopes:
            yield Source(reference.stage, None, artifact)
        for pattern in _patterns(artifact, scopes[stage.name], places):
            inside = frozenset(axis for axis in axis_names if f"{_OPEN}{axis}{_CLOSE}" in pattern)
            for maker in makers.get(pattern, ()):
                if maker != stage.name:
                    yield Source(maker, inside, artifact)


def grid(axes: Axes) -> Iterable[tuple[tuple[str, Value], ...]]:
    """Every combination of the axes' values, the last axis turning fastest; one empty one without axes."""
    names = tuple(axes)
    for values in itertools.product(*axes.values()):
        yield tuple(zip(names, values, strict=True))
