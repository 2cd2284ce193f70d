"""The frozen types that everything else passes along.

What the author wrote (`StageSpec`), what it means (`StageInstance`, `Pipeline`), what is to be
done (`Step`, `Plan`), what was done (`StageRecord`, `StageResult`, `Event`). Nothing here reads
a file, and nothing holds both a spec and its status.

Paths: a *project path* is a string with `/`, relative to the project's root; a file outside the
project is absolute; a URL is left as it is.
"""

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, TypeAlias

from nbpipeline.location import Location

Value: TypeAlias = Any
"""A parameter's or declared name's value: JSON's types, and `PathValue` inside them."""


@dataclass(frozen=True, slots=True)
class PathValue:
    """A value that the notebook holds as `pathlib.Path`, not as text."""

    text: str

    def __str__(self) -> str:
        """Give the path's text, so that paths and strings may be treated alike."""
        return self.text


# --- what stands in a notebook ---------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class Cell:
    """One cell as the author saved it, without its outputs."""

    index: int
    """Counts every cell of the notebook from 1."""
    kind: str
    """`code`, `markdown` or `raw`."""
    source: str
    id: str = ""
    tags: frozenset[str] = frozenset()
    execution_count: int | None = None
    metadata: Mapping[str, Any] = field(default_factory=dict)
    attachments: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Notebook:
    """A notebook read as data: whatever its format, cells in order."""

    path: str
    """Project path."""
    cells: tuple[Cell, ...]
    kernel: str | None
    """Name of the saved kernelspec, None where the notebook names none."""
    language: str
    metadata: Mapping[str, Any] = field(default_factory=dict)
    format: str = "ipynb"

    @property
    def folder(self) -> str:
        """The folder's project path; empty for the project's root."""
        return self.path.rpartition("/")[0]


@dataclass(frozen=True, slots=True)
class Expression:
    """A right-hand side that is computed without running the notebook.

    `kind` is one of `literal` (args: the value), `name` (the name), `text` (an f-string or a header
    string with braces; args: expressions), `path` (`Path(...)`; args), `div` (two), `add` (two), `join` (`os.path.join`;
    args), `list`, `tuple` (items), `dict` (alternating key and value expressions).
    """

    kind: str
    args: tuple[Any, ...]
    line: int = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Parameter:
    """A name of the `parameters` cell or of the header's `params`."""

    name: str
    where: Location
    default: Expression | None = None
    """None: the value is opaque (counts by `source`), or there is no default."""
    opaque: bool = False
    source: str = ""
    """Normalised source of an opaque right-hand side."""
    type: str | None = None
    """The annotation or declared type as text: `float`, `int | None`, `Literal['a', 'b']`."""
    min: float | None = None
    max: float | None = None
    choices: tuple[Value, ...] = ()
    help: str = ""
    cell: int | None = None
    """The declaring cell; None for the header."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Reference:
    """`{from: STAGE.OUTPUT}`; `{from: "STAGE[*].OUTPUT"}` collects over the stage's matrix."""

    stage: str
    output: str
    collect: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Artifact:
    """A declared input or output, as written."""

    name: str
    where: Location
    value: Expression | None = None
    """The effective right-hand side; None where `reference` is given."""
    base: str = ""
    """Project path of the folder that relative paths of `value` start from."""
    reference: Reference | None = None
    cell: int | None = None
    """The tagged cell that assigns the name; None where only header or pipeline.yaml do."""
    cell_value: Expression | None = None
    """What that cell itself assigns (relative to the kernel's folder)."""
    must_agree: bool = False
    """Header and cell both give a path: they must resolve to the same."""
    kind: str = "file"
    """`file`, `directory`, or a name that a plug-in knows (`model`)."""
    mode: str = "write"
    """`write`, or `update`: several ordered stages may write it."""
    store: bool = True
    publish: str = "direct"
    """`direct`, or `atomic`: written beside and swapped in."""
    allow_outside: bool = False
    digest: str | None = None
    """A pinned digest, for inputs."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Check:
    """One expectation on an artifact: `{between: {column: distance, min: 0}}`."""

    name: str
    arguments: Value
    where: Location


@dataclass(frozen=True, slots=True, kw_only=True)
class StageLink:
    """A stage named under `after` or `dependencies`."""

    stage: str
    where: Location
    stale_with: bool
    """True for `dependencies`: stale when that stage is; False for `after`: order only."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Resources:
    """What an instance takes while it runs: cores, bytes, devices."""

    cpus: float = 1.0
    memory: int | None = None
    gpus: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class TestCase:
    """The `test:` key: what `nbpipeline test` replaces."""

    __test__ = False  # pytest: not a test class

    inputs: Mapping[str, Value] = field(default_factory=dict)
    """Project paths by input name."""
    params: Mapping[str, Value] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class StageSpec:
    """A stage as its author declared it: cells, header and pipeline.yaml merged, unresolved."""

    name: str
    notebook: Notebook
    where: Location
    """The header, the first declaring cell, or the entry in pipeline.yaml."""
    description: str = ""
    parameters: tuple[Parameter, ...] = ()
    settings: Mapping[str, Value] = field(default_factory=dict)
    """Parameter values from pipeline.yaml's `params`, `stages` and profile, by name."""
    inputs: tuple[Artifact, ...] = ()
    outputs: tuple[Artifact, ...] = ()
    links: tuple[StageLink, ...] = ()
    expect: Mapping[str, tuple[Check, ...]] = field(default_factory=dict)
    matrix: Mapping[str, tuple[Value, ...]] = field(default_factory=dict)
    retries: int = 0
    retry_delay: float = 0.0
    """Seconds."""
    retry_backoff: float = 1.0
    timeout: float | None = None
    """Seconds for an attempt; None: no limit."""
    cell_timeout: float | None = None
    resources: Resources = field(default_factory=Resources)
    kernel: str | None = None
    cwd: str = "notebook"
    """`notebook` or `project`: the folder that the kernel runs in."""
    pythonpath: tuple[str, ...] = ()
    """Project paths of further import roots."""
    env: tuple[str, ...] = ()
    secrets: tuple[str, ...] = ()
    fresh_for: float | None = None
    """Seconds."""
    cache: bool = True
    frozen: bool = False
    executed: str | None = None
    """Project path where the executed notebook is also kept."""
    test: TestCase = field(default_factory=TestCase)
    tags: tuple[str, ...] = ()
    plugins: Mapping[str, Value] = field(default_factory=dict)
    """Keys that plug-ins own, unread."""

    @property
    def working_folder(self) -> str:
        """Project path of the folder that the kernel runs in."""
        return "" if self.cwd == "project" else self.notebook.folder


@dataclass(frozen=True, slots=True, kw_only=True)
class ProjectSpec:
    """pipeline.yaml with the chosen profile applied, and all stages found."""

    root: str
    """Absolute path."""
    name: str
    file: str | None
    """`pipeline.yaml`, or None where there is none."""
    stages: tuple[StageSpec, ...]
    profile: str | None = None
    params: Mapping[str, Value] = field(default_factory=dict)
    environment: Value = "imported"
    """`imported`, `none`, or `{"lock": PATH}`."""
    store: Mapping[str, Value] = field(default_factory=dict)
    tracking: Mapping[str, Value] = field(default_factory=dict)
    schedule: Mapping[str, Value] = field(default_factory=dict)
    plugins: Mapping[str, Value] = field(default_factory=dict)


# --- what it means ---------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class Override:
    """`-p train.C=0.5` (stage `train`) or `-p year=2014` (stage None), unparsed."""

    stage: str | None
    name: str
    text: str


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


def slug_of(instance_id: str) -> str:
    """Turn an instance's id into a short folder name; a hash keeps altered ones apart."""
    safe = "".join(one if one.isascii() and (one.isalnum() or one in "_-=") else "_" for one in instance_id)
    if safe == instance_id and len(safe) <= 80:
        return safe
    import hashlib  # noqa: PLC0415 - rarely needed; start-up is counted

    return f"{safe[:60]}-{hashlib.sha256(instance_id.encode()).hexdigest()[:10]}"


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


# --- what is to be done ----------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class Fingerprint:
    """The state that an instance would run in, in parts, so that a difference has a name."""

    scheme: int = 1
    code: Mapping[str, str] = field(default_factory=dict)
    """`cell 4` -> digest of its normalised syntax, in order; declarations by resolved value."""
    modules: Mapping[str, str] = field(default_factory=dict)
    """Project path -> digest, of every local module imported, transitively."""
    parameters: Mapping[str, str] = field(default_factory=dict)
    """Name -> value as canonical JSON (opaque ones: their source)."""
    inputs: Mapping[str, str | None] = field(default_factory=dict)
    """Path -> content digest; None while its maker has yet to run."""
    upstream: Mapping[str, str | None] = field(default_factory=dict)
    """Instance id -> state digest, for `dependencies`; None while not known."""
    environment: Mapping[str, str] = field(default_factory=dict)
    """`python` -> `3.11`, distribution -> version, `env TZ` -> digest of the variable's value."""
    kernel: str = ""
    """Language and kind of the kernel."""

    @property
    def complete(self) -> bool:
        """Whether nothing waits for an upstream stage."""
        return None not in self.inputs.values() and None not in self.upstream.values()


class Action(StrEnum):
    """What a run does with an instance."""

    SKIP = "skip"
    RESTORE = "restore"
    RUN = "run"
    MAYBE = "maybe"


class ReasonKind(StrEnum):
    """Why an instance is not fresh."""

    NEVER_RUN = "never_run"
    CODE = "code"
    MODULE = "module"
    PARAMETER = "parameter"
    INPUT = "input"
    OUTPUT = "output"
    ENVIRONMENT = "environment"
    KERNEL = "kernel"
    UPSTREAM = "upstream"
    UNDECLARED_IO = "undeclared_io"
    FAILED = "failed"
    EXPIRED = "expired"
    ALWAYS = "always"
    FORCED = "forced"


@dataclass(frozen=True, slots=True, kw_only=True)
class Reason:
    """One difference between the last good state and the present one."""

    kind: ReasonKind
    subject: str = ""
    before: Value = None
    after: Value = None
    detail: str = ""
    """Said in words beside it, where before and after do not say it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredOutput:
    """One output path as a successful attempt left it."""

    path: str
    digest: str
    """Content digest; of a directory: of its sorted listing of paths and digests."""
    kind: str = "file"
    size: int = 0
    """Bytes, in all."""
    stored: bool = True
    """Whether the store was given the bytes (`store: false` says no)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class StageRecord:
    """A success: the state that it ran in and what it left. Written to history and store alike."""

    instance: str
    state: str
    """Digest of `fingerprint`."""
    fingerprint: Fingerprint
    outputs: tuple[StoredOutput, ...] = ()
    run: str = ""
    attempt: int = 1
    finished: float = 0.0
    """Unix time, seconds."""
    seconds: float = 0.0
    origin: str = "run"
    """`run`, or `recorded` for outputs made by hand."""
    metrics: Mapping[str, Value] = field(default_factory=dict)
    undeclared: tuple[str, ...] = ()
    """Project files read or written without being declared."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """One instance in a plan."""

    instance: StageInstance
    fingerprint: Fingerprint
    action: Action
    reasons: tuple[Reason, ...] = ()
    record: StageRecord | None = None
    """For `restore`: what to bring back; for `skip`: the record that makes it fresh."""

    @property
    def fresh(self) -> bool:
        """Whether a run would leave it alone."""
        return self.action is Action.SKIP


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """What a run would do and why, in run order."""

    pipeline: Pipeline
    steps: tuple[Step, ...]
    notices: tuple[str, ...] = ()


# --- what is done ----------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class Job:
    """One instance on its way to where it is executed; picklable."""

    root: str
    run: str
    folder: str
    """Absolute path of the instance's folder in the run's: attempts, logs, rejected outputs."""
    instance: StageInstance
    fingerprint: Fingerprint
    environment: Mapping[str, str] = field(default_factory=dict)
    """Variables that trackers hand to the kernel."""
    keep_kernel: bool = False
    """`--on-failure keep`: a failed stage's kernel stays for `debug`."""
    test: bool = False
    """Run the `test` cells too."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CellProfile:
    """What one executed cell cost."""

    cell: int
    """Index in the source notebook; 0 for an injected cell."""
    seconds: float
    peak_memory: int | None = None
    """Bytes resident in the kernel's process at its highest, None where the system cannot tell."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Failure:
    """Why an attempt did not succeed, in SPEC's three parts."""

    kind: str
    """`cell`, `dead_kernel`, `timeout`, `cell_timeout`, `exit`, `output`, `check`, `input`, `cancelled`, `storage`."""
    what: str
    mend: str
    where: Location | None = None
    known: str = ""
    traceback: str = ""


class Status(StrEnum):
    """How an instance ended in a run."""

    FRESH = "fresh"
    RESTORED = "restored"
    SUCCEEDED = "succeeded"
    FAILED = "failed"
    CHECK_FAILED = "check_failed"
    BLOCKED = "blocked"
    CANCELLED = "cancelled"


@dataclass(frozen=True, slots=True, kw_only=True)
class StageResult:
    """What became of one instance."""

    instance: str
    status: Status
    attempts: int = 0
    seconds: float = 0.0
    failure: Failure | None = None
    record: StageRecord | None = None
    cells: tuple[CellProfile, ...] = ()
    notices: tuple[str, ...] = ()
    state: str = ""
    """Digest of the fingerprint that a failed instance was tried in; a failure makes only that state stale."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RunResult:
    """What became of a run."""

    run: str
    folder: str
    results: tuple[StageResult, ...]
    seconds: float
    interrupted: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Event:
    """Something that happened in a run, as other programs may watch it.

    `kind`: `run_started`, `stage_started`, `attempt_started`, `cell_started`, `cell_finished`,
    `attempt_failed`, `stage_finished`, `notice`, `run_finished`. `data` is JSON-able; what each kind
    carries is in docs/reference/events.md.
    """

    kind: str
    run: str
    stage: str = ""
    time: float = 0.0
    """Unix time, seconds."""
    seq: int = 0
    """Counts from 1 within the run; given by the writer of events.jsonl."""
    version: int = 1
    data: Mapping[str, Value] = field(default_factory=dict)
