"""What it means: instances with their values and paths, and the DAG that they make."""

import json
from collections.abc import Iterator, Mapping
from dataclasses import field

from nbpipeline.model.declared import Artifact, ProjectSpec, StageSpec, Value
from nbpipeline.values import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Override:
    """`-p train.C=0.5` (stage `train`) or `-p year=2014` (stage None), unparsed."""

    stage: str | None
    name: str
    text: str
    value: Value = None
    """What stands for it where no type is declared, if it `has_type` already: JSON, Python."""
    has_type: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class BoundArtifact:
    """An input or output of one instance with its paths worked out."""

    spec: Artifact
    paths: tuple[str, ...]
    """Project paths (or absolute paths, or URLs); several for a list, or a collected input."""
    value: Value
    """What the notebook's name holds: paths relative to the kernel's folder, in the cell's own type."""

    @property
    def name(self) -> str:
        """The declared name."""
        return self.spec.name


@dataclass(frozen=True, slots=True, kw_only=True)
class Injection:
    """Names to assign in one cell after cell `after` (0: before the first cell)."""

    after: int
    values: Mapping[str, Value]


@dataclass(frozen=True, slots=True, kw_only=True)
class StageInstance:
    """A stage with values for its axes: what is planned, run and recorded."""

    spec: StageSpec
    axes: tuple[tuple[str, Value], ...] = ()
    parameters: Mapping[str, Value] = field(default_factory=dict)
    """Resolved values of every parameter that has one (opaque ones only where overridden)."""
    inputs: tuple[BoundArtifact, ...] = ()
    outputs: tuple[BoundArtifact, ...] = ()
    injections: tuple[Injection, ...] = ()
    executed: str | None = None
    """`spec.executed` with axes and parameters filled in."""

    @property
    def id(self) -> str:
        """Canonical name: `train`, or `train[region=eu,year=2013]` with axes in declared order."""
        if not self.axes:
            return self.spec.name
        inside = ",".join(f"{name}={axis_text(value)}" for name, value in self.axes)
        return f"{self.spec.name}[{inside}]"

    @property
    def slug(self) -> str:
        """A name that is safe as a folder's, and unique within the pipeline."""
        return slug_of(self.id)


SLUG_LENGTH = 80
"""A folder's name stays well under the 255 bytes of file systems, with room for what is put beside it."""


def slug_of(instance_id: str) -> str:
    """Turn an instance's id into a short folder name; a hash keeps altered ones apart."""
    safe = "".join(one if one.isascii() and (one.isalnum() or one in "_-=") else "_" for one in instance_id)
    if safe == instance_id and len(safe) <= SLUG_LENGTH:
        return safe
    import hashlib  # noqa: PLC0415 - rarely needed; start-up is counted

    return f"{safe[:60]}-{hashlib.sha256(instance_id.encode()).hexdigest()[:10]}"


def canonical_id(text: str) -> str:
    """Write `train@region=eu`, which no shell expands, as the id that it stands for: `train[region=eu]`."""
    stage, sign, axes = text.partition("@")
    return f"{stage}[{axes}]" if sign else text


def at_name(instance_id: str) -> str:
    """Write an id as `train@region=eu`, which has no brackets; `canonical_id` turns it back."""
    stage, bracket, axes = instance_id.partition("[")
    return f"{stage}@{axes.removesuffix(']')}" if bracket else instance_id


def shell_name(instance_id: str) -> str:
    """Write an id for a command line that is printed, so that a shell takes it: `train@region=eu`."""
    import shlex  # noqa: PLC0415 - only failures and mends need it; start-up is counted

    return shlex.quote(at_name(instance_id))


def axis_text(value: Value) -> str:
    """Write an axis value as ids and collected keys do: `eu`, `2013`, `true`."""
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class Edge:
    """`downstream` waits for `upstream`, both instance ids."""

    upstream: str
    downstream: str
    kind: str
    """`data` (a path), `after` (order only) or `dependency` (stale with it)."""
    path: str = ""
    """The project path of a data edge."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Pipeline:
    """All instances in an order in which they can run, and the edges; it has no circle.

    Made only by `nbpipeline.pipeline.build`.
    """

    project: ProjectSpec
    instances: Mapping[str, StageInstance]
    """By id, in topological order; ties in the order of the stages' files."""
    edges: tuple[Edge, ...]
    _by_downstream: Mapping[str, tuple[Edge, ...]] = field(init=False, repr=False, compare=False)
    _by_upstream: Mapping[str, tuple[Edge, ...]] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        """Index the edges by both ends, so that a walk over all instances stays linear."""
        before: dict[str, list[Edge]] = {}
        after: dict[str, list[Edge]] = {}
        for edge in self.edges:
            before.setdefault(edge.downstream, []).append(edge)
            after.setdefault(edge.upstream, []).append(edge)
        object.__setattr__(self, "_by_downstream", {end: tuple(found) for end, found in before.items()})
        object.__setattr__(self, "_by_upstream", {end: tuple(found) for end, found in after.items()})

    def __iter__(self) -> Iterator[StageInstance]:
        """Walk the instances in run order."""
        return iter(self.instances.values())

    def upstream(self, instance_id: str) -> tuple[Edge, ...]:
        """Edges that end at the instance."""
        return self._by_downstream.get(instance_id, ())

    def downstream(self, instance_id: str) -> tuple[Edge, ...]:
        """Edges that start at the instance."""
        return self._by_upstream.get(instance_id, ())
