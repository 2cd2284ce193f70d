"""What the author wrote: notebooks, declarations, stages, the project."""

from collections.abc import Mapping, Sequence
from dataclasses import field
from typing import Any, TypeAlias

from nbpipeline.location import Location
from nbpipeline.model.cells import Cell
from nbpipeline.values import dataclass

Value: TypeAlias = Any
"""A parameter's or declared name's value: JSON's types, and `PathValue` inside them."""


@dataclass(frozen=True, slots=True)
class PathValue:
    """A value that the notebook holds as `pathlib.Path`, not as text."""

    text: str

    def __str__(self) -> str:
        """Give the path's text, so that paths and strings may be treated alike."""
        return self.text


@dataclass(frozen=True, slots=True, kw_only=True)
class Notebook:
    """A notebook read as data: whatever its format, cells in order."""

    path: str
    """Project path."""
    cells: Sequence[Cell]
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
    string with braces; args: expressions), `path` (`Path(...)`; args), `div` (two), `add` (two),
    `join` (`os.path.join`; args), `list`, `tuple` (items), `dict` (alternating key and value expressions).
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
    default_in_cell: bool = True
    """False where the cell only annotates the name, and the default is the header's."""


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
    mostly: float | None = None
    """The share of values, from 0 to 1, for which it must hold; None: all of them."""
    severity: str = "fail"
    """`fail`, or `warn`: the stage goes on where it does not hold."""
    table: str = ""
    """Which table of a database, or sheet of a workbook; empty where there is but one."""
    others: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    """Absolute paths of all the stage's artifacts that are there, by name: given where it is tried."""


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
    named: bool = True
    """Whether pipeline.yaml says the name; else it is the folder's."""
    profile: str | None = None
    params: Mapping[str, Value] = field(default_factory=dict)
    environment: Value = "imported"
    """`imported`, `none`, or `{"lock": PATH}`."""
    kernels: str = ""
    """How kernels are started, `fork` or `plain`; empty: as it pays."""
    store: Mapping[str, Value] = field(default_factory=dict)
    executor: Mapping[str, Value] = field(default_factory=dict)
    """Where stages run: `name`, `address`, `wait`; empty: here."""
    tracking: Mapping[str, Value] = field(default_factory=dict)
    schedule: Mapping[str, Value] = field(default_factory=dict)
    plugins: Mapping[str, Value] = field(default_factory=dict)
    passed_over: tuple[str, ...] = ()
    """Paths of the notebooks found that are no stages, for nothing in them or in pipeline.yaml says so."""
