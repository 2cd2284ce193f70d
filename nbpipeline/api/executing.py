"""Chooses where stages run: in threads here, or by an executor of other machines."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypedDict

from nbpipeline import apart, plugins
from nbpipeline.api.planning import Begun
from nbpipeline.api.warming import expected_validators
from nbpipeline.content import digest_bytes
from nbpipeline.errors import Complaint, ExecutorError, NbpipelineError, UsageError
from nbpipeline.executors.local import LocalExecutor
from nbpipeline.location import is_url
from nbpipeline.model import Action, Job, ProjectSpec, StageResult, Status, Step, StoredOutput
from nbpipeline.plan import Planner
from nbpipeline.ports import Cancel, DistantExecutor, Emit, Executor, Store, Work
from nbpipeline.run.admission import visible_gpus
from nbpipeline.run.options import RunOptions
from nbpipeline.worker import Workplace

if TYPE_CHECKING:
    from nbpipeline.apart.executor import Joined, Settle

LOCAL = "local"
_SHOWN = 3
"""So many workers are told by name."""
_EXPECTED = 64
"""So many kernels are told to workers before they are asked for."""


class RunKeywords(TypedDict, total=False):
    """Further keywords of `Project.run`; see `RunOptions`."""

    jobs: int
    keep_going: bool
    on_failure: str
    retries: bool
    executor: str
    address: str
    command: str


def settled(options: RunOptions, project: ProjectSpec, *, push: bool) -> RunOptions:
    """Add what pipeline.yaml says of the executor. Raises UsageError, MissingPluginError."""
    said = project.executor
    name = options.executor or str(said.get("name") or "") or (LOCAL if not options.address else "")
    address = options.address or (str(said.get("address") or "") if name == said.get("name") else "")
    if name in ("", LOCAL) and options.address:
        raise UsageError.of(
            "--address is given, and stages are to run here.", mend="name the executor, too: --executor dask"
        )
    elsewhere = name != LOCAL and _leaves(name)
    if elsewhere and options.on_failure == "keep":
        raise UsageError.of(
            f"--on-failure keep leaves a kernel on this machine, and executor '{name}' runs none here.",
            mend="leave out one of them",
        )
    if elsewhere and not push and is_url(str(project.store.get("path") or "")):
        raise UsageError.of(
            f"--no-push writes nothing to the store, by which stages and executor '{name}' meet.",
            mend="leave out one of them",
        )
    return replace(options, executor=name, address=address, elsewhere=elsewhere)


def _leaves(name: str) -> bool:
    """Whether an executor has jobs leave this process. Raises MissingPluginError where it is none."""
    plugins.refuse_clash("executors", name)
    return bool(plugins.load("executors", name).APART)


def executor_of(work: Work, options: RunOptions, project: ProjectSpec) -> Executor:
    """Open the executor by its name. Raises MissingPluginError where that is not to be had."""
    settings = {**project.executor, "address": options.address}
    if options.elsewhere and not options.address:
        settings["gpus"] = options.gpus if options.gpus is not None else visible_gpus()
    module = plugins.load("executors", options.executor)
    found: Any = plugins.trusted(
        "executors",
        options.executor,
        lambda: module.open_executor(work, slots=options.slots, memory=options.memory, settings=settings),
    )
    _refuse_none(found, options.executor, "opens")
    opened: Executor = found
    return opened


def _refuse_none(found: Any, name: str, does: str) -> None:
    """Raise MissingPluginError where what an executor opens or enters is none of its port."""
    distant = plugins.load("executors", name).APART
    wanted = ("submit", "cancel", "__enter__", "__exit__", *(["ask"] if distant else []))
    if not all(hasattr(found, one) for one in wanted):
        what = (
            f"{does} a {type(found).__name__}, which is no executor{' of other machines' if distant else ''}"
        )
        port = "DistantExecutor" if distant else "Executor"
        raise plugins.faulty("executors", name, what, f"see nbpipeline.ports.{port}")


def _entered(stack: ExitStack, opened: Executor, name: str) -> DistantExecutor:
    found: Any = plugins.trusted("executors", name, lambda: stack.enter_context(opened))
    _refuse_none(found, name, "enters")
    inner: DistantExecutor = found
    return inner


def _asked(inner: DistantExecutor, name: str, question: Callable[[str], Any]) -> Mapping[str, Any]:
    """Put a question to all workers. Raises ExecutorError, MissingPluginError."""
    found: Any = plugins.trusted("executors", name, lambda: inner.ask(question))
    if not isinstance(found, Mapping):
        raise plugins.faulty(
            "executors", name, f"answers with a {type(found).__name__}", "`ask` gives {worker: answer}"
        )
    return found


def apart_executor(
    stack: ExitStack,
    run: Begun,
    place: Workplace,
    options: RunOptions,
    *,
    settle: "Settle",
    joined: "Joined",
    track: bool,
    cancel: Cancel | None,
) -> Executor:
    """Open an executor of other machines, once it is known that they can do what is planned.

    Where the run is cancelled meanwhile, one that does nothing. Raises ExecutorError, MissingPluginError,
    StorageError.
    """
    steps = [one for one in run.plan.steps if one.action in (Action.RUN, Action.MAYBE)]
    project = place.project
    _refuse_impossible(steps, apart.shipping.refusals)
    around = apart.roots.Around(project.root, place.fingerprinter.roots, run.planner.imports)
    survey = apart.survey.Survey(
        supply=apart.supply.supply_of(project),
        probe=_probe(place.store),
        kernels=apart.survey.wanted(steps, around.outside),
        secrets=tuple(sorted({name for one in steps for name in one.instance.spec.secrets})),
        validators=expected_validators(run.plan),
    )
    bare = replace(project, root="", stages=(), store={}, tracking={}, params={}, plugins={}, executor={})
    work = apart.desk.FarWork(
        run=run.folder.run,
        project=bare,
        survey=survey,
        kernels=place.kind,
        untracked=() if track else tuple(project.tracking),
        coming=tuple(_coming(steps, run.planner, around)),
    )
    name = options.executor
    opened = executor_of(work, options, project)
    try:
        with _cancelled_by(cancel, opened):
            inner = _entered(stack, opened, name)
            answers = _asked(inner, name, partial(survey.first_time, run.folder.run))
            _refuse_unfit(answers)
            place.tell(_taking_part(name, sorted(answers)))
    except NbpipelineError:
        if cancel is None or not cancel.level:
            raise
        return LocalExecutor(_nothing, slots=1)  # the run ends in good order, as interrupted
    shipper = apart.shipping.Shipper(project, place.store, place.digests, around.inside)
    found: Executor = apart.executor.ShippingExecutor(
        inner,
        shipper,
        settle,
        joined,
        trackers=project.tracking if track else (),
        told_once=survey.supply.told_once,
    )
    return found


def _taking_part(name: str, workers: Sequence[str]) -> str:
    shown = ", ".join(workers[:_SHOWN]) + (", and others" if len(workers) > _SHOWN else "")
    return f"{name}: stages run on {len(workers)} worker{'' if len(workers) == 1 else 's'} ({shown})."


@contextmanager
def _cancelled_by(cancel: Cancel | None, executor: Executor) -> Iterator[None]:
    """Let an executor hear of the run's cancel level while it is waited for."""

    def tell(level: int) -> None:
        with suppress(Exception):  # not entered yet: a signal is not to raise what it lacks
            executor.cancel(level)

    with ExitStack() as stack:
        if cancel is not None:
            stack.callback(cancel.on_raise(tell))
        yield


def _nothing(job: Job, emit: Emit, cancel: Cancel) -> StageResult:
    """Do nothing."""
    del emit, cancel
    return StageResult(instance=job.instance.id, status=Status.CANCELLED)


def _coming(
    steps: Sequence[Step], planner: Planner, around: "apart.roots.Around"
) -> "Iterator[apart.desk.Coming]":
    for step in steps[:_EXPECTED]:
        folders = around.inside(step.instance)
        spec = apart.roots.taught(step.instance.spec, folders, step.fingerprint.modules)
        bare = replace(spec, notebook=replace(spec.notebook, cells=()))
        yield apart.desk.Coming(spec=bare, imports=planner.imports(step.instance))


def _refuse_impossible(steps: Sequence[Step], refusals: Callable[..., Iterator[str]]) -> None:
    complaints = [
        Complaint(
            where=one.instance.spec.where,
            what=f"'{one.instance.id}' cannot run on another machine: {why}.",
            mend="change that, or run it here: leave out --executor",
        )
        for one in steps
        for why in refusals(one.instance)
    ]
    if complaints:
        raise ExecutorError(complaints)


def _probe(store: Store) -> StoredOutput:
    """Put a few bytes into the store, for workers to look for. Raises StorageError."""
    import tempfile  # noqa: PLC0415 - a run on this machine needs none of it

    data = b"nbpipeline: do workers see this?\n"
    one = StoredOutput(path="probe", digest=digest_bytes(data), size=len(data))
    with tempfile.TemporaryDirectory(prefix="nbpipeline-") as folder:
        path = Path(folder) / "probe"
        path.write_bytes(data)
        store.put(path, one)
        store.share([one])
    return one


def _refuse_unfit(answers: Mapping[str, Any]) -> None:
    """Raise what workers complained of, each with its name."""
    found: list[Complaint] = []
    for name, answer in sorted(answers.items()):
        if isinstance(answer, BaseException):
            told = f"{type(answer).__name__}: {answer}"
            found.append(
                Complaint(where=None, what=f"worker {name} does not answer: {told}", mend="see its log")
            )
            continue
        found += [replace(one, what=f"worker {name}: {one.what}") for one in answer]
    if found:
        raise apart.survey.refusal(found)
