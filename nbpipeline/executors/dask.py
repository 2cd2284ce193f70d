"""Runs jobs on a Dask cluster: one at an address, else one of this machine that lasts as long as the run.

What came back is safe: a job whose worker is lost begins anew elsewhere, one that has ended does not. Events
come by Dask's event log, in the order in which they were told; a thread of its own hands them on, and after
them the job's result.
"""

import itertools
import pickle
import queue
import threading
import time
import uuid
from collections.abc import Callable, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack, suppress
from dataclasses import field
from functools import partial
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self

import cloudpickle
from distributed import KilledWorker

from nbpipeline.errors import NbpipelineError
from nbpipeline.executors import dask_cluster as cluster
from nbpipeline.executors import dask_task as task
from nbpipeline.executors.dask_asking import Rounds, awaited, silent_of
from nbpipeline.executors.local import Level
from nbpipeline.model import Job, StageResult
from nbpipeline.ports import Emit, Work
from nbpipeline.values import dataclass

APART = True
"""Jobs leave this process."""

PATIENCE = 60.0
"""Seconds without any worker after which a run is given up; pipeline.yaml's `executor: {wait: ...}`."""
DEATHS = 4
"""So many workers a job may take with it."""
_LOOK = 1.0
_AGAIN = 0.2
"""Seconds at least between the two looks that see a job in no worker's hands."""
_LATE = 5.0
"""Seconds that a result waits for events which were told before it."""
_ANSWER = 120.0
"""Seconds for a question: it may look at packages, and load some."""
_TURN = 3.0
"""Seconds in which a worker hears of a cancel level."""
_LEAVING = 30.0
"""Seconds in which what was killed is gone."""
_GATHERING = 4


@dataclass(slots=True, kw_only=True)
class _Handed:
    """A job that was handed out."""

    key: str
    job: Job
    emit: Emit
    future: "Future[StageResult]"
    packed: bytes
    claim: cluster.Claim = field(default_factory=dict)
    there: Any = None
    """Dask's future."""
    worker: str = ""
    attempts: dict[str, int] = field(default_factory=dict)
    """Messages that were heard of each, the last one being the present one."""
    done: task.Done | None = None
    since: float = 0.0
    """When `done` came, of the monotonic clock."""


class DaskExecutor:
    """Fills `ports.DistantExecutor`."""

    def __init__(
        self, work: Work, *, slots: int, memory: int | None = None, settings: Mapping[str, Any] | None = None
    ) -> None:
        """Start nothing yet. `slots`, `memory` and `gpus` are the room of a cluster that is started here.

        `settings`: `address` of a scheduler, `wait` (seconds for a worker to be there), `gpus`.
        """
        given = settings or {}
        self._work = work
        self._packed = b""
        self._room = (max(1, slots), memory, int(given.get("gpus") or 0))
        self._address = str(given.get("address") or "")
        self._wait = float(given.get("wait") or PATIENCE)
        self._session = f"nbpipeline-{uuid.uuid4().hex}"
        self._numbers = itertools.count()
        self._level = Level()
        self._lock = threading.Condition()
        self._handed: dict[str, _Handed] = {}
        self._news: queue.SimpleQueue[Callable[[], None] | None] = queue.SimpleQueue()
        self._look: queue.SimpleQueue[None] = queue.SimpleQueue()
        """Wakes who looks on. A signal's handler may put into it while another one does."""
        self._over = False
        self._idle: dict[str, float] = {}
        """Keys of jobs that no worker has had in hand since the cancel level was told at that time."""
        self._offers: tuple[cluster.Offer, ...] = ()
        """What the workers had that were there last: jobs may be handed out while there is none."""
        self._alone_since: float | None = None
        self._stack = ExitStack()
        self._client: Any = None

    def __enter__(self) -> Self:
        """Reach or start the cluster, and refuse one that does not fit.

        Raises ExecutorError, MissingPluginError.
        """
        self._packed = cloudpickle.dumps(self._work)
        with ExitStack() as stack:
            self._client = (
                cluster.reached(self._address, self._level)
                if self._address
                else cluster.started(stack, *self._room)
            )
            self._address = self._address or self._client.scheduler.address
            stack.callback(self._client.close, 5)
            cluster.wait_for_workers(self._client, self._wait, self._level)
            cluster.refuse_strangers(self._client, self._level)
            self._rounds = Rounds(self._client)
            self._offers = cluster.offers(self._client)
            self._gatherers = ThreadPoolExecutor(_GATHERING, "nbpipeline-gather")
            stack.callback(self._gatherers.shutdown, wait=False, cancel_futures=True)
            for name, target in (("hear", self._hear_all), ("look", self._look_on)):
                thread = threading.Thread(target=target, daemon=True, name=f"nbpipeline-{name}")
                thread.start()
                stack.callback(thread.join, 10)
            stack.callback(self._end)
            self._client.subscribe_topic(self._session, self._take)
            self._stack = stack.pop_all()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Kill what runs, wait until it is gone, and end a cluster that was started here."""
        self.cancel(2)
        with self._lock:
            self._lock.wait_for(lambda: not self._handed, _LEAVING)
        with suppress(TimeoutError, OSError):
            self._stack.close()

    def _end(self) -> None:
        self._over = True
        self._look.put(None)
        for one in tuple(self._handed.values()):
            self._news.put(partial(self._settle, one, task.cancelled(one.job)))
        self._news.put(None)

    def ask(self, question: Callable[[str], Any]) -> Mapping[str, Any]:
        """Put a question to each worker, in a process of its own. Raises ExecutorError when cancelled."""
        packed = cloudpickle.dumps(question)
        put = partial(Rounds(self._client).ask, task.answer, packed, seconds=_ANSWER)
        answers = awaited(put, 2 * _ANSWER, self._level)
        return {
            name: pickle.loads(one) if isinstance(one, bytes) else one  # noqa: S301 - see `task.do`
            for name, one in answers.items()
        }

    # --- handing out -------------------------------------------------------------------------

    def submit(self, job: Job, emit: Emit) -> "Future[StageResult]":
        """Run the job on a worker that has room for it."""
        future: Future[StageResult] = Future()
        future.set_running_or_notify_cancel()
        if self._level.level:
            future.set_result(task.cancelled(job))
            return future
        key = f"{job.instance.slug}-{self._session[-12:]}-{next(self._numbers)}"
        packed = cloudpickle.dumps(job)
        one = _Handed(key=key, job=job, emit=emit, future=future, packed=packed)
        with self._lock:
            self._handed[key] = one
        self._send(one)
        return future

    def _send(self, one: _Handed) -> None:
        try:
            held = [other.claim for other in tuple(self._handed.values()) if other is not one]
            resources = one.job.instance.spec.resources
            self._offers = cluster.offers(self._client) or self._offers
            one.claim = cluster.claims(resources, self._offers, held)
            one.there = self._client.submit(
                task.do,
                self._packed,
                one.packed,
                self._session,
                one.key,
                task.own_versions(),
                key=one.key,
                pure=False,
                retries=0,
                resources=one.claim,
            )
            one.there.add_done_callback(partial(self._came, one))
        except Exception as error:  # noqa: BLE001 - it belongs to whoever waits for the future
            self._news.put(partial(self._settle, one, self._told(error)))

    def cancel(self, level: int) -> None:
        """Raise the cancel level of what runs; what no worker has in hand ends as cancelled.

        That is for the workers to say: word of a job that has begun may be on its way.
        """
        self._level.raise_to(level)
        self._look.put(None)

    def _turn(self, waiting: tuple[_Handed, ...]) -> None:
        """Tell all workers the cancel level; what none of them has in hand is not begun any more.

        So ends what waits for a worker after the one that had begun it was lost. Seen twice: the outcome of
        what has just ended may be on its way. What a worker has that does not answer waits for it, unless all
        is to be killed.
        """
        answers = self._rounds.ask(task.turn, self._session, self._level.level, seconds=_TURN)
        begun = {key for keys in answers.values() if isinstance(keys, tuple) for key in keys}
        silent = silent_of(answers)
        for one in waiting if self._level.level > 1 else ():
            if one.worker in silent and one.done is None:
                self._news.put(partial(self._give_up, one))
        unheard = bool(silent) and self._level.level == 1  # one whose worker is not known may be of those
        idle = [
            one
            for one in waiting
            if one.key not in begun
            and one.worker not in silent
            and (one.worker or not unheard)
            and one.done is None
            and _is_open(one)
        ]
        now = time.monotonic()
        self._idle = {one.key: self._idle.get(one.key, now) for one in idle}
        for one in idle:
            if now >= self._idle[one.key] + _AGAIN:
                with suppress(Exception):  # the scheduler may be gone
                    one.there.cancel()

    def _give_up(self, one: _Handed) -> None:
        """Wait no longer for a worker that does not answer."""
        if one.key in self._handed:
            with suppress(Exception):  # a disk that is full for events, say
                one.emit(
                    cluster.notice(one.job, f"worker {one.worker} does not answer, and is not waited for")
                )
            self._settle(one, task.cancelled(one.job))

    # --- what comes back ---------------------------------------------------------------------

    def _take(self, event: tuple[float, bytes]) -> None:
        """Take a message, in Dask's own thread."""
        message: task.Message = pickle.loads(event[1])  # noqa: S301 - see `task.do`
        self._news.put(partial(self._hear, message))

    def _came(self, one: _Handed, there: Any) -> None:
        with suppress(RuntimeError):  # the executor is being left
            self._gatherers.submit(self._gather, one, there)

    def _gather(self, one: _Handed, there: Any) -> None:
        """Bring a result here, however long that takes."""
        try:
            if there.cancelled():
                gone = task.cancelled(one.job) if self._level.level else cluster.lost(self._address)
                self._news.put(partial(self._settle, one, gone))
                return
            done: task.Done = pickle.loads(there.result())  # noqa: S301 - see `task.do`
        except KilledWorker:
            self._news.put(partial(self._again, one))
        except BaseException as error:  # noqa: BLE001 - it belongs to whoever waits for the future
            self._news.put(partial(self._settle, one, self._told(error)))
        else:
            self._news.put(partial(self._conclude, one, done))

    def _told(self, error: BaseException) -> BaseException:
        """Tell a lost scheduler or a worker unlike this process by its name, whatever Dask says."""
        if isinstance(error, NbpipelineError):
            return error
        if self._client.status != "running":
            return cluster.lost(self._address)
        try:
            cluster.refuse_strangers(self._client, Level())
        except NbpipelineError as known:
            return known
        except Exception:  # noqa: BLE001 - it was only to know more
            return error
        return error

    def _hear_all(self) -> None:
        while (news := self._news.get()) is not None:
            news()

    def _hear(self, message: task.Message) -> None:
        one = self._handed.get(message.key)
        if one is None:
            return
        try:
            if message.attempt not in one.attempts:
                self._note_begin(one, message)
            one.attempts[message.attempt] += 1
            if message.event is not None and message.attempt == next(reversed(one.attempts)):
                one.emit(message.event)
        except Exception as error:  # noqa: BLE001 - a disk that is full for events, say
            self._settle(one, error)
        if one.done is not None:
            self._conclude(one, one.done)

    def _note_begin(self, one: _Handed, message: task.Message) -> None:
        """Note that a job begins; what began before was lost with its worker."""
        if one.attempts:
            name = one.job.instance.id
            text = f"worker {one.worker} was lost; '{name}' begins anew on {message.worker}"
            one.emit(cluster.notice(one.job, text))
        one.worker = message.worker
        one.attempts[message.attempt] = 0

    def _again(self, one: _Handed) -> None:
        """Hand a job out again which Dask gave up: workers may have died for what others did."""
        if self._level.level:
            self._settle(one, task.cancelled(one.job))
        elif len(one.attempts) >= DEATHS:
            self._settle(one, cluster.deadly(one.job, len(one.attempts)))
        else:
            one.key = f"{one.key}+"
            with self._lock:
                self._handed = {other.key: other for other in self._handed.values()}
            self._send(one)

    def _conclude(self, one: _Handed, done: task.Done) -> None:
        """Hand a result on as soon as all that was told before it is heard."""
        if one.done is None:
            one.done, one.since = done, time.monotonic()
        overdue = time.monotonic() > one.since + _LATE
        if overdue or one.attempts.get(done.attempt, 0) >= done.sent:
            self._settle(one, done.outcome)

    def _settle(self, one: _Handed, outcome: StageResult | BaseException) -> None:
        with self._lock:
            known = self._handed.pop(one.key, None)
            self._lock.notify_all()
        one.there = None  # Dask forgets a result that nobody holds
        if known is None:
            return
        if isinstance(outcome, BaseException):
            one.future.set_exception(outcome)
        else:
            one.future.set_result(outcome)

    # --- looking on --------------------------------------------------------------------------

    def _look_on(self) -> None:
        """See to it that every worker knows the cancel level, late ones too, and that there are workers."""
        while not self._over:
            with suppress(queue.Empty):
                self._look.get(timeout=_AGAIN if self._idle else _LOOK)
                while True:  # one look is enough for all that was said
                    self._look.get_nowait()
            waiting = tuple(self._handed.values())
            if not waiting or self._over:
                continue
            with suppress(Exception):  # the scheduler may be gone, which the futures tell
                if self._level.level:
                    self._turn(waiting)
                self._watch_workers(waiting)
            for one in waiting:
                if one.done is not None:
                    self._news.put(partial(self._conclude, one, one.done))

    def _watch_workers(self, waiting: tuple[_Handed, ...]) -> None:
        now = time.monotonic()
        if self._client.nthreads():
            self._alone_since = None
        elif self._alone_since is None:
            self._alone_since = now
            text = f"the Dask cluster has no worker; waiting {self._wait:g} s for one"
            self._news.put(partial(waiting[0].emit, cluster.notice(waiting[0].job, text)))
        elif now > self._alone_since + self._wait:
            for one in waiting:
                self._news.put(partial(self._settle, one, cluster.deserted(self._address, self._wait)))


def open_executor(work: Work, *, slots: int, memory: int | None, settings: Mapping[str, Any]) -> DaskExecutor:
    """Give the executor."""
    return DaskExecutor(work, slots=slots, memory=memory, settings=settings)


def _is_open(one: _Handed) -> bool:
    """Whether Dask has no outcome of it yet."""
    return one.there is not None and one.there.status == "pending"


if TYPE_CHECKING:
    from nbpipeline.ports import DistantExecutor

    def _fills(one: DaskExecutor) -> DistantExecutor:
        return one
