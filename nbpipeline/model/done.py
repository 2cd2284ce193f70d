"""What is done: jobs on their way, results, events."""

from collections.abc import Mapping
from dataclasses import field
from enum import StrEnum
from typing import NamedTuple

from nbpipeline.location import Location
from nbpipeline.model.declared import Check, Value
from nbpipeline.model.planned import Fingerprint, StageRecord, StoredOutput
from nbpipeline.model.resolved import StageInstance
from nbpipeline.values import dataclass

UNTRIED = "untried"
"""In a verdict's details: the check could not be tried, through no fault of the data."""


class Imported(NamedTuple):
    """A third-party module that code imports."""

    module: str
    """Dotted."""
    names: tuple[str, ...] = ()
    """What is taken from it: attributes or submodules, which only an import can tell."""


@dataclass(frozen=True, slots=True, kw_only=True)
class KernelNeed:
    """What a stage needs of its kernel."""

    kernel: str
    """A kernelspec's name; empty: the Python that runs nbpipeline."""
    folder: str
    """Absolute path of its working folder."""
    environment: Mapping[str, str]
    """Its whole environment; where it is only expected, without what the attempt alone can tell."""
    imports: tuple[Imported, ...] = ()
    """Third-party modules that its notebook imports."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Job:
    """One instance on its way to where it is executed; picklable."""

    root: str
    run: str
    folder: str
    """Absolute path of the instance's folder in the run's: attempts, logs, rejected outputs."""
    instance: StageInstance
    fingerprint: Fingerprint
    imports: tuple[Imported, ...] = ()
    """The third-party modules that the notebook and the project's modules import."""
    environment: Mapping[str, str] = field(default_factory=dict)
    """Variables that trackers hand to the kernel."""
    unwatched: tuple[str, ...] = ()
    """How absolute paths begin that the stage need not declare: trackers' libraries write there."""
    keep_kernel: bool = False
    """`--on-failure keep`: a failed stage's kernel stays for `debug`."""
    test: bool = False
    """A trial (`nbpipeline test`): its `test` cells run too, and nothing is recorded."""
    files: tuple[StoredOutput, ...] = ()
    """What the store has for a root on another machine: project files to stand there before it begins."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CellProfile:
    """What one executed cell cost."""

    cell: int
    """Index in the source notebook; 0 for an injected cell."""
    seconds: float
    peak_memory: int | None = None
    """Bytes resident in the kernel's process at its highest, None where the system cannot tell."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """The outcome of one check on an artifact's data."""

    check: Check
    passed: bool
    message: str = ""
    """What was found instead, with counts and the first failing rows; empty where it passed."""
    severity: str = "fail"
    """`fail`, or `warn`: the stage goes on where it does not hold."""
    validator: str = "columns"
    """Name of the plug-in that tried it."""
    details: Mapping[str, Value] = field(default_factory=dict)
    """JSON-able facts beside the message: `rows` (how many were looked at), `failed` (how many do not
    hold), `examples` (the first of them, a mapping from column to value each), `observed`, UNTRIED."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Failure:
    """Why an attempt did not succeed, in SPEC's three parts."""

    kind: str
    """`cell`, `dead_kernel`, `timeout`, `cell_timeout`, `exit`, `output`, `check`, `input`, `cancelled`,
    `storage`, or `internal` (a bug of ours around the stage)."""
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
    """Digest of the fingerprint that a failed instance was tried in (only that state is stale for it), or
    that a fresh one was made in."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RunResult:
    """What became of a run."""

    run: str
    folder: str
    results: tuple[StageResult, ...]
    seconds: float
    interrupted: bool = False
    untold: tuple[str, ...] = ()
    """Trackers that were not told of all of it, with the reason, a line each."""
    unshared: tuple[str, ...] = ()
    """What of it is not yet where others find it, with the reason, a line each."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Event:
    """Something that happened in a run, as other programs may watch it.

    `kind`: `run_started`, `stage_started`, `attempt_started`, `cell_started`, `cell_finished`,
    `check_finished`, `attempt_failed`, `stage_finished`, `commit`, `notice`, `run_finished`. `data` is
    JSON-able; what each kind carries is in docs/reference/events.md.
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
