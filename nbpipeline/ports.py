"""What a back end must offer: one small Protocol each, one entry-point group each.

A stateless port is filled by a module with these functions, a stateful one by a context manager.
Every implementation passes the port's suite in tests/contracts/.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol, runtime_checkable

from nbpipeline.model import (
    Check,
    Event,
    Job,
    KernelNeed,
    StageRecord,
    StageResult,
    StoredOutput,
    Verdict,
)

if TYPE_CHECKING:  # a plan has no use for them, and futures bring logging
    from concurrent.futures import Future

    from nbpipeline.model.exported import ExportGiven, Loss, Workflow
    from nbpipeline.model.told import RunLog


class GivenUpError(Exception):
    """Raised by a tracker that will never tell of the run any more; says why. It has not told of it."""


Emit = Callable[[Event], None]
Work = Callable[[Job, Emit, "Cancel"], StageResult]


class Cancel(Protocol):
    """Tells running work to stop: `level` 0 go on, 1 interrupt and restore, 2 kill."""

    @property
    def level(self) -> int:
        """The present level; it only rises."""

    def on_raise(self, callback: Callable[[int], None]) -> Callable[[], None]:
        """Call back from another thread when the level rises; returns how to unsubscribe."""


class Executor(AbstractContextManager["Executor"], Protocol):
    """Runs jobs somewhere. Leaving the context ends what still runs. Entry points: `nbpipeline.executors`.

    Each a module with `open_executor(work, *, slots, memory, settings)`, and `APART`: whether jobs leave this
    process. Then it is a `DistantExecutor`, its work can be pickled, and it gives the work each job with a
    `root` that is a folder of the worker's own.
    """

    def submit(self, job: Job, emit: Emit) -> "Future[StageResult]":
        """Start the job when there is room; events reach `emit` from any thread, in order a job."""

    def cancel(self, level: int) -> None:
        """Raise the cancel level of all that runs or waits."""


class DistantExecutor(Executor, Protocol):
    """Runs jobs in other processes, on other machines. Entering raises ExecutorError, MissingPluginError.

    `cancel` may be called while it is entered or asked, in a signal handler: then it waits no longer and
    raises ExecutorError.
    """

    def ask(self, question: Callable[[str], Any]) -> Mapping[str, Any]:
        """Put a question, which can be pickled, to each worker; gives the answers by the workers' names.

        It is called there with the folder that is the worker's own. An exception is an answer.
        """


class Kernels(AbstractContextManager["Kernels"], Protocol):
    """Where kernels come from (`kernels: plain | fork`).

    Entry points: `nbpipeline.kernels`, each a module with `open_kernels(cache, *, insist)`: `insist` where
    the kind was asked for by name, and not taken since nobody said.
    """

    def expect(self, coming: Sequence[KernelNeed]) -> None:
        """Prepare for the kernels that a run will ask for, in this order; only a hint."""

    def manager(self, need: KernelNeed, *, stays: bool = False) -> Any:
        """Give a not yet started `jupyter_client` kernel manager for nbclient to start.

        One that `stays` may outlive the run. Its attributes
        `fallback` (why it is not of the kind that was asked for; empty where it is), `late` (code to run
        in it before anything else) and `echo` (a file that it writes its process's output to; None: what
        `start_kernel` is given) stand for what jupyter_client has no word for.
        """


@runtime_checkable
class Store(Protocol):
    """Objects by content digest, records by state digest. Entry points: `nbpipeline.stores`.

    An object is never visible half: put is atomic, get verifies the digest and never serves wrong bytes. A
    store that is far away has a cache on this machine: it fails for nothing that the cache can do.
    """

    @property
    def near(self) -> "Store":
        """What of the store is on this machine: itself, or its cache."""

    @property
    def notices(self) -> tuple[str, ...]:
        """What its user should be told: that it does not answer, that results wait to be brought there."""

    def finish(self, hurry: Callable[[], bool] | None = None) -> tuple[str, ...]:
        """Wait until others find what was put, unless `hurry`; says what is not there yet, a line each."""

    def put(self, path: Path, output: StoredOutput) -> None:
        """Keep the file or folder at `path` (whose digest is `output.digest`)."""

    def share(self, outputs: Iterable[StoredOutput]) -> None:
        """Have what was put where others find it, when this returns; raises StorageError."""

    def get(self, output: StoredOutput, target: Path) -> bool:
        """Write the object to `target`, which must not exist; False where the store lacks it."""

    def has(self, output: StoredOutput) -> bool:
        """Whether `get` would work, without reading the bytes."""

    def sound(self, output: StoredOutput) -> bool:
        """Whether `get` gives the right bytes; reads them all, and drops what is damaged."""

    def put_text(self, digest: str, text: str) -> None:
        """Keep a small text (a cell's source, for `plan --diff`)."""

    def get_text(self, digest: str) -> str | None:
        """Give the small text back."""

    def put_record(self, record: StageRecord) -> None:
        """Keep a record under its instance and state."""

    def get_record(self, instance: str, state: str) -> StageRecord | None:
        """Find the record of a success of the instance in the state."""

    def ask_record(self, instance: str, state: str) -> StageRecord | None:
        """`get_record` as it is at this moment, whatever was looked up before."""

    def trim(self, max_size: int | None, keep: Iterable[str] = ()) -> int:
        """Drop the objects least recently used until the store is at most `max_size` bytes.

        `keep` are digests that stay whatever their age. Returns the bytes freed.
        """


@runtime_checkable
class Digests(Protocol):
    """Content digests of files, cached by (size, mtime_ns, ctime_ns, inode)."""

    def of_file(self, path: Path | str) -> str | None:
        """Digest of a file's bytes; None where there is no file."""

    def of_tree(self, path: Path | str) -> str | None:
        """Digest of a folder: sorted relative names with their digests; None where there is none."""

    def of(self, path: Path | str) -> str | None:
        """`of_file` or `of_tree`, whichever the path is."""


@runtime_checkable
class Cache(Protocol):
    """Facts that can be worked out again, kept to save the time. Losing it costs time alone."""

    def load(self, kind: str) -> dict[str, str]:
        """Every entry of the kind, in one read."""

    def save(self, kind: str, entries: Mapping[str, str]) -> None:
        """Remember entries, soon rather than at once; trouble in keeping them is no error."""


@runtime_checkable
class State(Protocol):
    """History: records, runs, attempts. Safe from several threads and processes at once."""

    @property
    def notices(self) -> tuple[str, ...]:
        """What its reader should be told: a damaged file that was moved aside."""

    def last_record(self, instance: str) -> StageRecord | None:
        """Give the newest success of the instance."""

    def last_records(self) -> Mapping[str, StageRecord]:
        """Give the newest success of every instance, in one read."""

    def earlier_records(self, instance: str) -> tuple[StageRecord, ...]:
        """Give the newest success of some other states, newest first, without `last_record`."""

    def last_failure(self, instance: str) -> Mapping[str, Any] | None:
        """`{run, kind, what, state, finished}` when an attempt newer than the last success failed."""

    def last_failures(self) -> Mapping[str, Mapping[str, Any]]:
        """`last_failure` of every instance that has one, in one read."""

    def add_record(self, record: StageRecord) -> None:
        """Remember a success; it is on disk when this returns."""

    def add_run(self, run: str, *, started: float, data: Mapping[str, Any]) -> None:
        """Remember that a run began."""

    def add_result(self, run: str, result: StageResult, *, finished: float) -> None:
        """Remember how an instance ended in a run."""

    def end_run(self, run: str, *, finished: float, status: str) -> None:
        """Remember how a run ended: `succeeded`, `failed`, `interrupted`."""

    def runs(self, limit: int = 20) -> tuple[Mapping[str, Any], ...]:
        """List the newest runs first: `{run, started, finished, status, data}`."""

    def results(self, run: str, known: int = 0) -> tuple[StageResult, ...]:
        """How the instances of a run ended, in the order in which they did, without the first `known`."""

    def durations(self) -> Mapping[str, float]:
        """Seconds that each instance took at its last success, for the ETA."""


class Validator(Protocol):
    """Checks data. Stateless: a module. Entry points: `nbpipeline.validators`.

    All but the built-in one are asked in a process of their own, which is ended, whatever it is at, by Ctrl-C
    and where the stage's time is up.
    """

    def knows(self, check: Check) -> bool:
        """Whether the check's name is this validator's."""

    def complaints(self, check: Check) -> tuple[str, ...]:
        """Say what is wrong with the check as written, before any data is read."""

    def validate(self, paths: tuple[Path, ...], checks: tuple[Check, ...]) -> tuple[Verdict, ...]:
        """Try the checks on the files; one verdict a check, in order.

        Beside it a module may have `require()`, which raises MissingPluginError, and `prepare()`, which
        imports ahead what it needs.
        """


class Tracker(AbstractContextManager["Tracker"], Protocol):
    """Tells another system of runs, in a process of its own. Entry points: `nbpipeline.trackers`.

    Each a module with `open_tracker(settings, root, project, spool)`, where `spool` is a folder of the run
    for what cannot be sent yet; `require()`, which raises MissingPluginError; `complaints(settings)`, pairs
    of what is wrong and the mend; `JOINED_BY`, a set of the modules by which a notebook speaks to the system
    itself; and `files(settings, root)`, how the paths of what it then writes in the project begin.
    It may have `untracked(folder)`: variables by which a kernel of a run with `--no-track` writes there.
    `PAGES = False` says that it has no use for executed notebooks as pages; `CHOOSES` names calls by which a
    notebook says itself where it logs, each with the variables that it then is not given.
    Each lives in a thread of its own; entering loads its libraries, one tracker after the other, and waits
    for nobody.
    """

    def environment(self, run: "RunLog", stage: str) -> Mapping[str, str]:
        """Variables for the kernel of a stage that imports one of `JOINED_BY` (MLflow's run id)."""

    def send(self, run: "RunLog") -> None:
        """Bring the system up to date with the run, which may be sent again and again while it grows.

        Sending the same twice changes nothing, also from another process. Raises anything: then it is sent
        later; with GivenUpError it is not, and that is said. Must not block for
        longer than some seconds a request.
        """


class Exporter(Protocol):
    """Workflow -> files of an orchestrator. Pure: a module. Entry points: `nbpipeline.exporters`.

    `TITLE` is the target's own name with the versions that it is written for; `FOLDER` where its files
    stand by default, a project path; `KEEPS` says of each name in `exporters.rendering.features.FEATURES`
    how it is kept, a few words each, and leaves out what is not; `OPTIONS` says what `--set` takes, by name.
    """

    TITLE: str
    FOLDER: str
    KEEPS: Mapping[str, str]
    OPTIONS: Mapping[str, str]

    def losses(self, workflow: "Workflow", given: "ExportGiven") -> Iterable["Loss"]:
        """Name what would be lost of this workflow beside the features that `KEEPS` leaves out."""

    def render(self, workflow: "Workflow", given: "ExportGiven") -> Mapping[str, str]:
        """Give {path within the export's folder: text}; the same for the same, in any process.

        Raises UsageError for an option's value, or a name, that the target cannot take.
        """


class Importer(Protocol):
    """Another tool's project -> files of ours. Pure. Entry points: `nbpipeline.importers`."""

    def read(self, source: Path) -> Mapping[str, str]:
        """Give {path: text}; raise `LossError` for what we cannot say."""
