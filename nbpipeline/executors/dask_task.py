"""The far side of the Dask executor: a job in a worker's thread, its events on their way, its cancel level.

Everything that crosses is bytes of ours: what Dask would look into, it would also change.
"""

import asyncio
import itertools
import pickle
import signal
import sys
import threading
import uuid
from dataclasses import field, replace
from pathlib import Path
from typing import Any

from distributed import WorkerPlugin, get_worker

from nbpipeline.errors import NbpipelineError
from nbpipeline.executors.local import Level
from nbpipeline.model import Event, Job, StageResult, Status
from nbpipeline.ports import Work
from nbpipeline.values import dataclass

_REMEMBERED = 64
"""Runs whose cancel level a worker remembers."""
_switches: dict[str, Level] = {}
_in_hand: dict[str, set[str]] = {}
"""Session -> keys of its jobs in this process that have begun."""
_works: dict[bytes, Work] = {}
_lock = threading.Lock()


@dataclass(frozen=True, slots=True, kw_only=True)
class Message:
    """An event on its way, by Dask's event log: through the scheduler, so none waits for a lost worker."""

    key: str
    attempt: str
    """A job that a lost worker had begins anew under another name."""
    worker: str
    event: Event | None = None
    """None: the job begins here."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Done:
    """What a job came to, and how many messages were sent of it."""

    outcome: StageResult | BaseException
    """An exception does not go by Dask, which logs it with all that the task was given."""
    attempt: str
    sent: int


@dataclass(slots=True)
class _Line:
    """Sends an attempt's messages in order, and counts them."""

    session: str
    key: str
    worker: Any
    attempt: str = field(default_factory=lambda: uuid.uuid4().hex)
    sent: int = 0
    _turn: Any = field(default_factory=threading.Lock)

    def tell(self, event: Event | None) -> None:
        message = Message(key=self.key, attempt=self.attempt, worker=self.worker.address, event=event)
        with self._turn:  # two threads must not change places between counting and sending
            self.sent += 1
            self.worker.log_event(self.session, pickle.dumps(message))


def do(work: bytes, packed: bytes, session: str, key: str, versions: tuple[str, str]) -> bytes:
    """Do a job's work in this thread of a worker; gives a pickled `Done`.

    Raises RuntimeError where this is not the Python and nbpipeline that packed it.
    """
    if versions != own_versions():
        raise RuntimeError("another Python or nbpipeline")
    worker = get_worker()
    line = _Line(session, key, worker)
    switch = switch_of(session)
    with _lock:
        _in_hand.setdefault(session, set()).add(key)
    outcome: StageResult | BaseException
    try:
        line.tell(None)
        job: Job = pickle.loads(packed)  # noqa: S301 - it comes from the run, by a scheduler that may run anything
        if switch.level:  # it has waited while the run was cancelled
            outcome = cancelled(job)
        else:
            outcome = _work_of(work)(replace(job, root=home_of(worker)), line.tell, switch)
    except BaseException as error:  # noqa: BLE001 - it belongs to whoever waits for the job
        outcome = _named(error, worker.address)
    finally:
        with _lock:
            _in_hand[session].discard(key)
    return _packed(Done(outcome=outcome, attempt=line.attempt, sent=line.sent))


def cancelled(job: Job) -> StageResult:
    """Give the result of a job that was not begun, or was ended."""
    return StageResult(instance=job.instance.id, status=Status.CANCELLED)


def _named(error: BaseException, worker: str) -> BaseException:
    """Say of which worker it is, where it is of no place in the project."""
    if not isinstance(error, NbpipelineError):
        return error
    complaints = [
        one if one.where else replace(one, what=f"worker {worker}: {one.what}") for one in error.complaints
    ]
    return type(error)(complaints)


def _work_of(packed: bytes) -> Work:
    """Unpack a run's work, once in a process: it is the same for all its jobs."""
    with _lock:
        if packed not in _works:
            _works.clear()
            _works[packed] = pickle.loads(packed)  # noqa: S301 - see `do`
        return _works[packed]


def _packed(done: Done) -> bytes:
    try:
        return pickle.dumps(done)
    except Exception:  # noqa: BLE001 - an exception of a library that cannot be pickled, whatever that raises
        told = RuntimeError(f"{type(done.outcome).__name__}: {done.outcome}")
        return pickle.dumps(replace(done, outcome=told))


def own_versions() -> tuple[str, str]:
    """Say which Python and nbpipeline this is."""
    from importlib.metadata import version  # noqa: PLC0415 - as Dask asks for it

    return "{}.{}".format(*sys.version_info), version("nbpipeline")


def home_of(worker: Any) -> str:
    """Name the folder that is this worker's own: Dask removes it when the worker ends."""
    return str(Path(worker.local_directory) / "nbpipeline")


def switch_of(session: str) -> Level:
    """Give the cancel level of an executor's jobs in this process."""
    with _lock:
        if session not in _switches:
            for old in list(itertools.islice(_switches, max(0, len(_switches) - _REMEMBERED))):
                del _switches[old]
                _in_hand.pop(old, None)
            _switches[session] = Level()
        return _switches[session]


async def turn(session: str, level: int) -> tuple[str, ...]:
    """Raise the cancel level of a session's jobs in this process, and name those that are in hand."""
    await asyncio.to_thread(switch_of(session).raise_to, level)
    with _lock:
        return tuple(_in_hand.get(session, ()))


async def answer(packed: bytes, dask_worker: Any) -> bytes:
    """Answer a question in this process, beside the tasks."""
    question = pickle.loads(packed)  # noqa: S301 - see `do`

    def ask() -> Any:
        try:
            return question(home_of(dask_worker))
        except Exception as error:  # noqa: BLE001 - it is the answer
            return error

    return pickle.dumps(await asyncio.to_thread(ask))


class Deaf(WorkerPlugin):  # type: ignore[misc] # distributed is not looked into
    """Lets a worker on this machine outlive the Ctrl-C that is meant for the run.

    A handler and not SIG_IGN, which its kernels would inherit.
    """

    name = "nbpipeline-deaf"

    def setup(self, worker: Any) -> None:
        """Take the signal, where the worker is its process's main thread."""
        del worker
        if threading.current_thread() is threading.main_thread():
            signal.signal(signal.SIGINT, _pass)


def _pass(_number: int, _frame: Any) -> None:
    """Hear a signal."""
