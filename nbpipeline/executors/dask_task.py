"""The far side of the Dask executor: a job in a worker's thread, its events on their way, its cancel level.

Everything that crosses is bytes of ours: what Dask would look into, it would also change.
"""

import asyncio
import itertools
import pickle
import signal
import threading
import uuid
from dataclasses import field, replace
from pathlib import Path
from typing import Any

from distributed import WorkerPlugin, get_worker

from nbpipeline.executors.local import Level
from nbpipeline.model import Event, StageResult
from nbpipeline.values import dataclass

_REMEMBERED = 64
"""Runs whose cancel level a worker remembers."""
_switches: dict[str, Level] = {}
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

    result: StageResult
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


def do(packed: bytes, session: str, key: str) -> bytes:
    """Do a job's work in this thread of a worker; gives a pickled `Done`."""
    worker = get_worker()
    line = _Line(session, key, worker)
    line.tell(None)
    work, job = pickle.loads(packed)  # noqa: S301 - it comes from the run, by a scheduler that may run anything
    result = work(replace(job, root=home_of(worker)), line.tell, switch_of(session))
    return pickle.dumps(Done(result=result, attempt=line.attempt, sent=line.sent))


def home_of(worker: Any) -> str:
    """Name the folder that is this worker's own: Dask removes it when the worker ends."""
    return str(Path(worker.local_directory) / "nbpipeline")


def switch_of(session: str) -> Level:
    """Give the cancel level of an executor's jobs in this process."""
    with _lock:
        if session not in _switches:
            for old in list(itertools.islice(_switches, max(0, len(_switches) - _REMEMBERED))):
                del _switches[old]
            _switches[session] = Level()
        return _switches[session]


async def turn(session: str, level: int) -> None:
    """Raise the cancel level of a session's jobs in this process."""
    await asyncio.to_thread(switch_of(session).raise_to, level)


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
