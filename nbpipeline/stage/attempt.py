"""One attempt: outputs aside, kernel, checks, and then all new or all old."""

import time
import uuid
from dataclasses import replace
from pathlib import Path

from nbpipeline.errors import NbpipelineError, StorageError, UsageError
from nbpipeline.fingerprint import state_digest
from nbpipeline.kernels import registry
from nbpipeline.kernels.resolve import kernel_of
from nbpipeline.masking.secrets import Masker
from nbpipeline.model import (
    CellProfile,
    Failure,
    Fingerprint,
    Job,
    KernelNeed,
    StageRecord,
    shell_name,
)
from nbpipeline.ports import Cancel
from nbpipeline.stage import bases, checks, executed, failures, journal, leaving, processes, undeclared
from nbpipeline.stage.around import deadline
from nbpipeline.stage.backends import Backends
from nbpipeline.stage.checks import Tell
from nbpipeline.stage.environment import kernel_environment, mask_context, write_context
from nbpipeline.stage.outcome import Found, Orders
from nbpipeline.stage.places import absolute, relative
from nbpipeline.stage.prepare import executed_copy
from nbpipeline.stage.record import keep
from nbpipeline.stage.recorder import Recorder
from nbpipeline.values import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Attempt:
    """How an attempt went."""

    number: int
    began: float = 0.0
    """When the stage began, its earlier attempts and their pauses included; of the monotonic clock."""
    failure: Failure | None = None
    record: StageRecord | None = None
    cells: tuple[CellProfile, ...] = ()
    notices: tuple[str, ...] = ()


def run_attempt(
    job: Job,
    backends: Backends,
    cancel: Cancel,
    masker: Masker,
    tell: Tell,
    *,
    number: int,
    began: float,
) -> Attempt:
    """Try once; whatever goes wrong, the previous outputs are back when this returns.

    `began` is when the stage did (of the monotonic clock): its record counts all of its seconds.
    """
    token = uuid.uuid4().hex
    root = Path(job.root)
    folder = Path(job.folder)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        aside = journal.begin(
            job.instance,
            root,
            run=job.run,
            state=state_digest(job.fingerprint),
            token=token,
            rejected=folder / ("test-outputs" if job.test else f"rejected-{number}"),
            backing=backends.backing,
        )
    except OSError as error:
        failure = failures.of_disk(job.instance, error, "the outputs' places could not be prepared")
        return Attempt(number=number, failure=failure)
    try:
        attempt, aside = _under_journal(
            job, backends, cancel, masker, tell, attempt=Attempt(number=number, began=began), aside=aside
        )
    except OSError as error:
        failure = failures.of_disk(job.instance, error, "the stage could not be recorded")
        attempt = Attempt(number=number, failure=failure)
    except (StorageError, UsageError) as error:
        attempt = Attempt(number=number, failure=_of_error(error))
    except BaseException:
        journal.roll_back(journal.latest(aside), backends.backing)
        raise
    return _settled(attempt, aside, backends, test=job.test)


def _settled(attempt: Attempt, aside: journal.Journal, backends: Backends, *, test: bool) -> Attempt:
    """Commit what succeeded, roll back what did not (and every test)."""
    good = attempt.failure is None and not test
    try:
        if good:
            told = journal.commit(aside)
        else:
            told = journal.roll_back(journal.latest(aside), backends.backing).notices
            attempt = attempt if test else _with_rejected(attempt, aside)
    except OSError as error:
        wait = "to be cleared away" if good else "to be brought back"
        told = (f"previous outputs wait for the next run or `nbpipeline doctor` {wait}: {error}",)
    return replace(attempt, notices=(*attempt.notices, *told))


def _with_rejected(attempt: Attempt, aside: journal.Journal) -> Attempt:
    """Say of outputs that were refused where they are: who looks into it wants to see them."""
    failure = attempt.failure
    if failure is None or failure.kind not in ("check", "output"):
        return attempt
    went = journal.rejected(aside)
    if not went:
        return attempt
    place = relative(Path(aside.root), Path(aside.rejected))
    said = f"what was written is kept in {place}: {', '.join(went)}"
    known = f"{failure.known}\n{said}" if failure.known else said
    return replace(attempt, failure=replace(failure, known=known))


def _of_error(error: NbpipelineError) -> Failure:
    one = error.complaints[0]
    kind = "storage" if isinstance(error, StorageError) else "input"
    return Failure(kind=kind, what=one.what, known=one.known, mend=one.mend, where=one.where)


def _under_journal(
    job: Job,
    backends: Backends,
    cancel: Cancel,
    masker: Masker,
    tell: Tell,
    *,
    attempt: Attempt,
    aside: journal.Journal,
) -> tuple[Attempt, journal.Journal]:
    """Run the notebook and judge it; on success the outputs are published and on record."""
    root = Path(job.root)
    notebook = Path(job.folder) / f"attempt-{attempt.number}.ipynb"
    based = bases.bring(job, backends.backing)
    started, until = time.time(), deadline(job.instance.spec)
    found, notices = _executed(job, backends, cancel, masker, tell, notebook=notebook, token=aside.token)
    attempt = replace(attempt, cells=tuple(found.cells), notices=(*based, *notices, *found.notices))
    if found.stop is not None:
        kept = _kept_kernel(job, found, aside.token)
        log = relative(root, Path(job.folder) / "log") if job.test else ""
        stopped = failures.of_stop(job.instance, found.stop, masker, tested=log)
        return replace(attempt, failure=stopped, notices=(*attempt.notices, *kept)), aside
    failure = checks.after(job.instance, backends, root, job.run, tell, cancel, masker, until)
    if failure is not None or job.test:
        return replace(attempt, failure=failure), aside
    aside = journal.publish(aside)
    changed = _changed_meanwhile(job, backends.fingerprint(job.instance))
    if changed:
        said = f"{changed} changed while the stage ran, so its result is not recorded as fresh"
        return replace(attempt, notices=(*attempt.notices, said)), aside
    named = backends.following(job.fingerprint, job.instance, ())
    seen = undeclared.files(job, found.sight, named.modules, started)
    record = keep(
        job.instance,
        backends.following(job.fingerprint, job.instance, seen.followed),
        backends,
        root=root,
        run=job.run,
        attempt=attempt.number,
        seconds=time.monotonic() - attempt.began,
        metrics=found.metrics,
        undeclared=seen.undeclared,
        written=seen.written,
        followed=seen.followed,
        usage=seen.usage,
        planned=state_digest(job.fingerprint),
        executed=notebook,
    )
    told = executed.keep_copy(job.instance, notebook, root, run=job.run, attempt=attempt.number)
    return replace(attempt, record=record, notices=(*attempt.notices, *told)), aside


def _kept_kernel(job: Job, found: Found, token: str) -> tuple[str, ...]:
    """Hand a failed attempt's kernel to the registry, where `debug` finds it."""
    if not found.connection:
        return ()
    try:
        registry.keep(
            Path(job.root), job.instance.id, run=job.run, connection=found.connection, pid=found.pid
        )
    except OSError as error:
        processes.end(token)
        return (f"the kernel could not be kept: {error}",)
    return (f"the kernel is kept: `nbpipeline debug {shell_name(job.instance.id)}`",)


def _executed(
    job: Job,
    backends: Backends,
    cancel: Cancel,
    masker: Masker,
    tell: Tell,
    *,
    notebook: Path,
    token: str,
) -> tuple[Found, tuple[str, ...]]:
    """Execute the planned notebook in a kernel of its own."""
    from nbpipeline.stage import engine  # noqa: PLC0415 - it imports papermill, which costs half a second

    root = Path(job.root)
    spec = job.instance.spec
    kernel, notices = kernel_of(spec)
    context = write_context(job, Path(job.folder))
    last = notebook.name == f"attempt-{spec.retries + 1}.ipynb"  # an earlier kernel would outlive a success
    copy = executed_copy(job.instance, test=job.test, run=job.run)
    recorder = Recorder(notebook, Path(job.folder) / "log", masker)
    spool = notebook.with_suffix(".opened")
    try:
        manager = backends.kernels.manager(  # last, since what it gives has to be ended
            KernelNeed(
                kernel=kernel,
                folder=str(absolute(root, spec.working_folder)),
                environment=kernel_environment(job, token, context),
                imports=job.imports,
            ),
            stays=job.keep_kernel,
        )
        if manager.fallback:
            notices = (*notices, f"the kernel is a plain one: {manager.fallback}")
        orders = Orders(
            manager=manager,
            recorder=recorder,
            tell=tell,
            cancel=cancel,
            token=token,
            language=spec.notebook.language,
            timeout=spec.timeout,
            cell_timeout=spec.cell_timeout,
            keep_kernel=job.keep_kernel and last,
            watched_root="" if job.test else str(root),
            spool=str(spool),
            last_words=leaving.last_words(job.imports),
        )
        return engine.execute(copy, orders), notices
    finally:
        recorder.close()
        spool.unlink(missing_ok=True)
        mask_context(context, masker)


def _changed_meanwhile(job: Job, now: Fingerprint) -> str:
    """Name the modules and inputs that are no longer what the plan saw; empty where all are."""
    before = job.fingerprint
    own = {path for output in job.instance.outputs for path in output.paths}
    modules = {
        path
        for path in {**before.modules, **now.modules}
        if before.modules.get(path) != now.modules.get(path)
    }
    inputs = {
        path
        for path, digest in before.inputs.items()
        if digest is not None and path not in own and now.inputs.get(path) != digest
    }
    cells = {"the notebook"} if before.code != now.code else set()
    return ", ".join(sorted(modules | inputs) + sorted(cells))
