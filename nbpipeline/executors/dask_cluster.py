"""A Dask cluster as the executor needs it: reached or started, looked at before anything runs, its room."""

import logging
import os
import time
import uuid
from collections.abc import Iterable, Iterator, Mapping
from contextlib import ExitStack
from typing import Any

from distributed import Client, LocalCluster

from nbpipeline.errors import Complaint, ExecutorError, ExitCode, MissingPluginError
from nbpipeline.executors.dask_asking import Rounds, awaited
from nbpipeline.executors.dask_task import Deaf, own_versions
from nbpipeline.executors.local import Level
from nbpipeline.model import Event, Failure, Job, Resources, StageResult, Status
from nbpipeline.values import dataclass

CONNECT = 15.0
"""Seconds in which a scheduler answers, and workers say what they are."""
PROMPT = 5.0
"""Seconds in which a worker that is well answers a question which costs nothing."""
NAMES: Mapping[str, tuple[str, ...]] = {
    "cpus": ("cpus", "cpu"),
    "memory": ("memory",),
    "gpus": ("gpus", "gpu"),
}
"""What stages ask for -> how workers may call it, whatever the case."""


def reached(address: str, level: Level) -> Any:
    """Connect to the scheduler at an address. Raises ExecutorError, also when the cancel level rises."""

    def connect() -> Any:
        client = Client(address, timeout=CONNECT, set_as_default=False, name="nbpipeline")
        if level.level:  # nobody waits for it any more
            client.close()
        return client

    try:
        return awaited(connect, CONNECT + PROMPT, level)
    except (OSError, ValueError, ImportError) as error:  # timeouts are OSErrors
        raise ExecutorError.of(
            f"the Dask scheduler at {address} cannot be reached: {_short(error)}",
            mend="start it (`dask scheduler`), or see address and network; without --address, "
            "nbpipeline starts one on this machine",
        ) from error


def started(stack: ExitStack, slots: int, memory: int | None, gpus: int) -> Any:
    """Start a cluster on this machine, which ends with the stack, and connect to it."""
    room: dict[str, float] = {"cpus": slots, "gpus": gpus}
    if memory is not None:
        room["memory"] = memory
    cluster = LocalCluster(
        n_workers=1,
        threads_per_worker=slots,
        host="127.0.0.1",
        dashboard_address="127.0.0.1:0",
        resources=room,
        memory_limit=0,  # kernels are processes of their own, which it does not see
        silence_logs=logging.CRITICAL,
    )
    stack.callback(cluster.close, 10)
    client = Client(cluster, timeout=CONNECT, set_as_default=False)
    client.register_plugin(Deaf())
    return client


def wait_for_workers(client: Any, seconds: float, level: Level) -> None:
    """Wait until there is a worker, or the cancel level rises. Raises ExecutorError."""
    # An adaptive cluster starts workers for tasks that wait, not for who waits for workers.
    demand = client.submit(os.getpid, key=f"nbpipeline-wants-a-worker-{uuid.uuid4().hex}", pure=False)
    try:
        awaited(lambda: client.wait_for_workers(1, timeout=seconds), seconds + PROMPT, level)
    except TimeoutError as error:
        raise ExecutorError.of(
            f"no worker joined the Dask scheduler at {client.scheduler.address} within {seconds:g} s.",
            mend="start one, with nbpipeline installed: `dask worker ADDRESS`; where a queue starts them, "
            "`executor: {wait: 10m}` in pipeline.yaml waits longer",
        ) from error
    finally:
        demand.release()


# --- who is there ----------------------------------------------------------------------------


def refuse_strangers(client: Any, level: Level) -> None:
    """Refuse a scheduler and workers whose Python or nbpipeline is another one: they read other bytes.

    Asks by Dask's own words, which every version understands. Raises MissingPluginError, ExecutorError.
    """
    try:
        found = awaited(lambda: client.get_versions(packages=["nbpipeline"]), CONNECT, level)
    except TimeoutError:
        raise _silent(client, level) from None
    others = [("the Dask scheduler", found["scheduler"])]
    others += [(f"worker {name}", one) for name, one in sorted(found["workers"].items())]
    complaints = [one for who, what in others for one in _strange(who, what["packages"])]
    if complaints:
        missing = any(one.exit_code == ExitCode.MISSING_PLUGIN for one in complaints)
        raise (MissingPluginError if missing else ExecutorError)(complaints)


def _silent(client: Any, level: Level) -> ExecutorError:
    """Name who does not answer: a process that hangs or is stopped, a machine that has no more memory."""
    answers = awaited(lambda: Rounds(client).ask(os.getpid, seconds=PROMPT), 2 * PROMPT, level)
    # Dask may also tell of one that hangs by an error of the connection; the question itself raises nothing.
    silent = sorted(name for name, one in answers.items() if isinstance(one, BaseException))
    names = [f"worker {name}" for name in silent] or ["the Dask cluster"]
    mend = "see its log; end it, or start it anew"
    return ExecutorError(Complaint(where=None, what=f"{name} does not answer.", mend=mend) for name in names)


def _strange(who: str, packages: Mapping[str, Any]) -> Iterator[Complaint]:
    ours, own = own_versions()
    theirs = ".".join(str(packages["python"]).split(".")[:2])
    if theirs != ours:
        yield Complaint(
            where=None,
            what=f"{who} runs Python {theirs}, and this is Python {ours}.",
            mend=f"start it with Python {ours}, from an environment like this one",
        )
        return
    version = packages.get("nbpipeline")
    if version != own:
        has = f"has nbpipeline {version}" if version else "has no nbpipeline"
        yield Complaint(
            where=None,
            what=f"{who} {has}, and this is {own}.",
            mend="install there what is installed here, with its extra `dask`, and start it anew",
            exit_code=ExitCode.MISSING_PLUGIN,
        )


# --- what they have --------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class Offer:
    """What a worker was started with, by our names; what it does not speak of is not here."""

    names: Mapping[str, str]
    """Our name -> the worker's."""
    amounts: Mapping[str, float]

    def lacks(self, wanted: Mapping[str, float]) -> bool:
        """Whether a job that wants that never fits."""
        return any(amount > self.amounts.get(name, 0) for name, amount in wanted.items())


def offers(client: Any) -> tuple[Offer, ...]:
    """Ask the scheduler what its workers were started with."""
    workers = client.scheduler_info(n_workers=-1)["workers"]
    return tuple(_offer(one.get("resources") or {}) for one in workers.values())


def _offer(resources: Mapping[str, float]) -> Offer:
    names = {ours: theirs for ours, known in NAMES.items() for theirs in resources if theirs.lower() in known}
    return Offer(names=names, amounts={ours: float(resources[theirs]) for ours, theirs in names.items()})


Claim = dict[str, float]
"""Of what, by the workers' name for it -> how much."""


def claims(resources: Resources, there: tuple[Offer, ...], held: Iterable[Claim] = ()) -> Claim:
    """Say what a job claims, by the workers' names: of what they speak of, and no more than one of them has.

    One that asks for more than any has runs alone on the one that has most: it claims all that is there.
    Where workers have several words for one thing, it goes to those whose word has more left, beside what
    is `held`.
    """
    spoken = {name for one in there for name in one.names}
    asked = {"cpus": resources.cpus, "memory": resources.memory or 0, "gpus": resources.gpus}
    wanted = {name: float(amount) for name, amount in asked.items() if name in spoken and amount}
    fitting = [one for one in there if not one.lacks(wanted)]
    if there and not fitting:
        best = max(there, key=lambda one: [one.amounts.get(name, 0) for name in ("gpus", "memory", "cpus")])
        return {best.names[name]: amount for name, amount in best.amounts.items() if amount}
    options = [{one.names[name]: amount for name, amount in wanted.items()} for one in fitting]
    distinct = {tuple(sorted(one)): one for one in options}
    if len(distinct) < 2:  # noqa: PLR2004 - there is no choice
        return next(iter(distinct.values()), {})
    taken = [tuple(sorted(one)) for one in held]
    there_are = [tuple(sorted(one)) for one in options]
    return min(distinct.items(), key=lambda one: taken.count(one[0]) / there_are.count(one[0]))[1]


def notice(job: Job, text: str) -> Event:
    """Give an event that says something of a job."""
    data = {"text": text}
    return Event(kind="notice", run=job.run, stage=job.instance.id, time=time.time(), data=data)


def lost(address: str) -> ExecutorError:
    """Say that the scheduler went away."""
    return ExecutorError.of(
        f"the Dask scheduler at {address} was lost while stages ran.",
        known="stages that had finished are on record",
        mend="start it again; then `nbpipeline run` goes on from there",
    )


def deserted(address: str, seconds: float) -> ExecutorError:
    """Say that no worker is left."""
    return ExecutorError.of(
        f"the Dask scheduler at {address} has had no worker for {seconds:g} s.",
        known="stages that had finished are on record",
        mend="start workers; then `nbpipeline run` goes on from there",
    )


def deadly(job: Job, count: int) -> StageResult:
    """Fail a job that takes workers with it."""
    failure = Failure(
        kind="dead_kernel",
        where=job.instance.spec.where,
        what=f"{count} workers died one after the other while they ran '{job.instance.id}'.",
        mend="see the workers' logs; does it need more memory than they have?",
    )
    return StageResult(instance=job.instance.id, status=Status.FAILED, failure=failure)


def _short(error: BaseException) -> str:
    return (str(error) or type(error).__name__).strip().splitlines()[0]
