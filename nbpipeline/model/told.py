"""What a run has told of itself, as far as it has come: what trackers and reports are made of.

Named by its module, not with the others in `nbpipeline.model`: a plan does without it.
"""

from collections.abc import Mapping
from dataclasses import field

from nbpipeline.model.declared import Value
from nbpipeline.model.planned import Fingerprint, StoredOutput
from nbpipeline.values import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class CellLog:
    """One executed cell of an attempt."""

    cell: int
    """Index in the source notebook; 0 for an injected cell."""
    finished: float
    """Unix time, seconds."""
    seconds: float
    peak_memory: int | None = None
    """Bytes; None where the system cannot tell."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CheckLog:
    """One check that was tried on an input or output; its fields are a `Verdict`'s."""

    side: str
    """`input` or `output`."""
    artifact: str
    check: str
    arguments: Value
    passed: bool
    severity: str = "fail"
    message: str = ""
    validator: str = ""
    details: Mapping[str, Value] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class StageLog:
    """What became of one instance in a run."""

    stage: str
    action: str = "run"
    """`run` or `restore`."""
    reasons: tuple[Mapping[str, Value], ...] = ()
    """As in `plan --format json`."""
    parameters: Mapping[str, Value] = field(default_factory=dict)
    notebook: str = ""
    """Project path; empty for what was never handed out."""
    reads: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    """Paths of its declared inputs, by name."""
    writes: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    """The same of its outputs."""
    started: float | None = None
    """Unix time; None for what was never handed out."""
    finished: float | None = None
    """Unix time; None while it goes on."""
    status: str = ""
    """A `Status`; empty while it goes on."""
    seconds: float = 0.0
    attempts: int = 0
    failure: Mapping[str, Value] | None = None
    metrics: Mapping[str, Value] = field(default_factory=dict)
    cells: tuple[CellLog, ...] = ()
    """Of the last attempt."""
    checks: tuple[CheckLog, ...] = ()
    """Those on the inputs, then those on the outputs of the last attempt."""
    fingerprint: Fingerprint | None = None
    """The state that it ran in; None where it did not run."""
    outputs: tuple[StoredOutput, ...] = ()
    before: str = ""
    """How it ended in the last run before that tried it, a `Status`; empty where none on record did."""
    files: Mapping[str, str] = field(default_factory=dict)
    """What it left in the run's folder, by name: the executed notebook, the log; absolute paths."""

    @property
    def peak_memory(self) -> int | None:
        """Bytes that its kernel held at its highest."""
        return max((one.peak_memory for one in self.cells if one.peak_memory is not None), default=None)


@dataclass(frozen=True, slots=True, kw_only=True)
class Commit:
    """The state of the project's repository when the run began."""

    id: str
    dirty: bool
    """Whether files under version control differ from it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelLog:
    """An output of `kind: model` that the pipeline has, whether or not the run made it."""

    stage: str
    output: str
    """Its declared name."""
    path: str
    """Project path."""
    notebook: str = ""
    """Project path of its stage's notebook."""
    folder: str = ""
    """Where its stage's kernel runs: what a pickled model may import from, beside `import_roots`."""
    import_roots: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class RunLog:
    """What became of a run."""

    run: str
    root: str
    project: str
    started: float = 0.0
    """Unix time, seconds."""
    finished: float | None = None
    """Unix time; None while it goes on."""
    status: str = ""
    """`succeeded`, `failed` or `interrupted` (a run that was killed, too); empty while it goes on."""
    seconds: float = 0.0
    command: str = ""
    profile: str = ""
    fresh: int = 0
    """Instances that the plan found fresh: none of `stages` is one of them."""
    counts: Mapping[str, int] = field(default_factory=dict)
    stages: tuple[StageLog, ...] = ()
    """Those that were handed out or ended, in that order."""
    models: tuple[ModelLog, ...] = ()
    commit: Commit | None = None
    """None outside of a git repository, and until git has answered."""
    store: str = ""
    """Absolute folder of the store on this machine: what outputs were, by their digests; empty for none."""
    plan: str = ""
    """Absolute path of plan.json."""
