"""`restore`: outputs of an earlier success come back from the store, and the stage does not run."""

import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from nbpipeline.errors import BusyError, StorageError
from nbpipeline.location import is_url
from nbpipeline.model import (
    EXECUTED,
    Failure,
    Job,
    StageInstance,
    StageRecord,
    StageResult,
    Status,
    StoredOutput,
    shell_name,
)
from nbpipeline.ports import Cancel
from nbpipeline.stage import asides, failures, journal
from nbpipeline.stage.backends import Backends
from nbpipeline.stage.executed import remake_copy
from nbpipeline.stage.lock import hold
from nbpipeline.stage.places import absolute
from nbpipeline.stage.rescue import settle


def restore(job: Job, record: StageRecord, backends: Backends, cancel: Cancel | None = None) -> StageResult:
    """Put the record's outputs where they belong; all come back, or none is touched.

    Outputs that already are as recorded stay as they are. Raises `BusyError` where another run holds the
    instance; with `--wait` it waits, until `cancel` is raised.
    """
    started = time.monotonic()
    cancelled = _level_of(cancel)
    try:
        with hold(Path(job.root), job.instance.id, backends.wait, run=job.run, give_up=cancelled):
            failure, notices = _settled(job, record, backends)
    except BusyError:
        if not cancelled():
            raise
        return StageResult(instance=job.instance.id, status=Status.CANCELLED)
    return StageResult(
        instance=job.instance.id,
        status=Status.RESTORED if failure is None else Status.FAILED,
        seconds=time.monotonic() - started,
        failure=failure,
        record=record if failure is None else None,
        notices=notices,
    )


def _level_of(cancel: Cancel | None) -> Callable[[], bool]:
    return lambda: cancel is not None and cancel.level > 0


def _settled(job: Job, record: StageRecord, backends: Backends) -> tuple[Failure | None, tuple[str, ...]]:
    """Settle what a dead run left and bring the outputs back; the disk's refusals are failures."""
    try:
        told = settle(job.instance, Path(job.root), backends.backing)
        failure, said = _brought_back(job, record, backends)
    except OSError as error:
        return failures.of_disk(job.instance, error, "the outputs could not be brought back"), ()
    except StorageError as error:
        one = error.complaints[0]
        return Failure(kind="storage", what=one.what, mend=one.mend, where=one.where), ()
    return failure, (*told, *said)


def _brought_back(
    job: Job, record: StageRecord, backends: Backends
) -> tuple[Failure | None, tuple[str, ...]]:
    root = Path(job.root)
    wanted = [one for one in record.outputs if one.kind != EXECUTED and not is_url(one.path)]
    elsewhere = [one.path for one in wanted if one.path not in _declared(job)]
    if elsewhere:
        return _not_declared(job, elsewhere), ()
    missing = [one for one in wanted if backends.digests.of(absolute(root, one.path)) != one.digest]
    lacking = [one.path for one in missing if not (one.stored and backends.store.has(one))]
    if lacking:
        return _not_stored(job, lacking), ()
    aside = journal.begin(
        _only(job, missing),
        root,
        run=job.run,
        state=record.state,
        token=f"restore-{job.run}",
        rejected=Path(job.folder) / "rejected-0",
        backing=backends.backing,
    )
    try:
        gone = [one.path for one in missing if not _taken_out(one, aside, backends)]
        if not gone:
            aside = journal.publish(aside)
            backends.state.add_record(record)
    except BaseException:
        journal.roll_back(journal.latest(aside), backends.backing)
        raise
    if gone:
        journal.roll_back(aside, backends.backing)
        return _not_stored(job, gone), ()
    told = journal.commit(aside)
    return None, (*told, *remake_copy(job.instance, record, backends.store, Path(job.folder), root))


def _taken_out(output: StoredOutput, aside: journal.Journal, backends: Backends) -> bool:
    """Write an output to its place, or beside it where readers may look; False where the store lacks it."""
    (entry,) = (one for one in aside.entries if one.path == output.path)
    target = journal.written_to(entry, aside.run)
    asides.remove(target)  # an empty folder that was made for it, or the original of a copy kept aside
    return backends.store.get(output, target)


def _only(job: Job, missing: list[StoredOutput]) -> StageInstance:
    """Leave the instance just the outputs that are to change, none of them to be updated where it stands."""
    paths = {one.path for one in missing}
    outputs = tuple(
        replace(
            output,
            paths=tuple(path for path in output.paths if path in paths),
            spec=replace(output.spec, mode="write"),
        )
        for output in job.instance.outputs
    )
    return replace(job.instance, outputs=outputs)


def _declared(job: Job) -> set[str]:
    return {path for output in job.instance.outputs for path in output.paths}


def _not_declared(job: Job, paths: list[str]) -> Failure:
    """Say that outputs go elsewhere by now: nothing is written where the stage does not say so."""
    name = shell_name(job.instance.id)
    return Failure(
        kind="output",
        where=job.instance.spec.where,
        what=f"'{job.instance.id}' no longer declares what is on record of it: {', '.join(paths)}",
        known=f"declared outputs: {', '.join(sorted(_declared(job))) or 'none'}",
        mend=f"run the stage: `nbpipeline run {name}`, or declare these paths again and restore them",
    )


def _not_stored(job: Job, paths: list[str]) -> Failure:
    return Failure(
        kind="storage",
        where=job.instance.spec.where,
        what=f"the store no longer holds {', '.join(paths)}",
        mend=f"run the stage: `nbpipeline run {shell_name(job.instance.id)}`",
    )
