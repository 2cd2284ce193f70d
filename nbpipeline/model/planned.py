"""What is to be done, and why: fingerprints, records to compare with, steps."""

from collections.abc import Mapping
from dataclasses import field
from enum import StrEnum

from nbpipeline.model.declared import Value
from nbpipeline.model.resolved import Pipeline, StageInstance
from nbpipeline.values import dataclass


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


BY_BYTES = "="
"""Stands before the path of a followed file that counts by its bytes."""

EXECUTED = "executed"
"""Kind of the output of a stage that declares none: its executed notebook, which the store keeps."""


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
class Usage:
    """What a run did with files, beside the undeclared ones; for `check --io`, not for the plan."""

    watched: bool = False
    """Whether its kernel could be watched; then `used` is all that was seen."""
    used: tuple[str, ...] = ()
    """Declared paths that were opened, or something in them."""
    listed: tuple[str, ...] = ()
    """Undeclared project folders, with `/` at the end, whose listing was taken."""
    unseen: tuple[str, ...] = ()
    """Libraries and programs that may have opened files without being seen."""


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
    """Project files read or written without being declared; `folder/` stands for very many in it."""
    written: tuple[str, ...] = ()
    """Of these, the ones that were opened for writing."""
    followed: tuple[str, ...] = ()
    """Project files that its run was seen to take code or settings from, beyond what its imports name.

    One behind `=` was read as text, so that its bytes count, not its syntax.
    They stand in the fingerprint as modules, from the next plan on.
    """
    usage: Usage = field(default_factory=Usage)
    planned: str = ""
    """Digest of the state that the run was planned in, where that is not `state`."""


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
