"""What an author settles by hand: outputs made in JupyterLab, outputs brought back."""

import contextlib
import os
from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from pathlib import Path

from nbpipeline.errors import (
    Complaint,
    ExitCode,
    NbpipelineError,
    StorageError,
    UsageError,
    did_you_mean,
)
from nbpipeline.location import STATE_FOLDER, is_url
from nbpipeline.masking.secrets import Masker
from nbpipeline.model import (
    BoundArtifact,
    Failure,
    Fingerprint,
    Job,
    Pipeline,
    StageInstance,
    StageRecord,
    Status,
    StoredOutput,
    Value,
    shell_name,
)
from nbpipeline.run.cancel import CancelSwitch
from nbpipeline.run.folder import new_run_id
from nbpipeline.stage import keep, restore
from nbpipeline.stage.backends import Backends
from nbpipeline.stage.checks import after
from nbpipeline.stage.failures import presentable
from nbpipeline.stage.lock import hold
from nbpipeline.stage.places import absolute
from nbpipeline.stage.rescue import settle
from nbpipeline.state.memory import MemoryState
from nbpipeline.values import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Restored:
    """What came back."""

    paths: tuple[str, ...]
    unchanged: tuple[str, ...] = ()
    """What already stood there as recorded."""
    notices: tuple[str, ...] = ()


def record_outputs(
    instance: StageInstance,
    fingerprint: Fingerprint,
    backends: Backends,
    root: Path,
    told: Callable[[str], None],
) -> StageRecord:
    """Take the outputs that stand on disk as the result of the state, once they pass the stage's checks.

    `told` hears of checks that only warn, and of those that looked at some rows alone; secrets are masked.
    What a dead run left is settled first, and then nothing is recorded: what stands there now need not be
    what the author meant. Raises UsageError for that, where a stage declares none, for a missing or empty one
    or a failed check (exit code 4); BusyError; StorageError.
    """
    if not any(not is_url(path) for one in instance.outputs for path in one.paths):
        raise UsageError.of(
            f"stage '{instance.id}' declares no output that could be recorded.",
            mend="run it: its result is its executed notebook",
        )
    with hold(root, instance.id):
        _refuse_settled(instance, root, backends)
        direct = replace(instance, outputs=tuple(_direct(instance)))
        masker = Masker.of(instance.spec.secrets, os.environ)

        def hear(kind: str, data: Mapping[str, Value]) -> None:
            if kind == "notice":
                told(f"{instance.id}: {masker.text(str(data['text']))}")

        failure = after(direct, backends, root, "", hear, CancelSwitch(), masker)
        if failure is not None:
            raise _refusal(presentable(failure, masker))
        last = backends.state.last_record(instance.id)
        followed = last.followed if last is not None else ()
        return keep(instance, fingerprint, backends, root=root, origin="recorded", followed=followed)


def _refuse_settled(instance: StageInstance, root: Path, backends: Backends) -> None:
    """Settle what a dead run left, and raise UsageError where there was anything."""
    try:
        told = settle(instance, root, backends.backing)
    except OSError as error:
        raise StorageError.of(
            f"'{instance.id}' cannot be recorded before its previous outputs are back: {error}",
            mend="make room or the folders writable; then record it again",
        ) from error
    if told:
        raise UsageError.of(
            f"'{instance.id}' is not recorded: a run of it had died, and what it left is settled only now.",
            known="; ".join(told),
            mend="see that its outputs are as you made them; then "
            f"nbpipeline record {shell_name(instance.id)}",
        )


def _direct(instance: StageInstance) -> list[BoundArtifact]:
    """Look for atomic outputs where a reader finds them: nobody staged those made by hand."""
    return [replace(one, spec=replace(one.spec, publish="direct")) for one in instance.outputs]


def _refusal(failure: Failure) -> NbpipelineError:
    code = ExitCode.CHECK_FAILED if failure.kind == "check" else ExitCode.USAGE
    return UsageError(
        Complaint(
            where=failure.where,
            what=failure.what,
            known=failure.known,
            mend=failure.mend,
            exit_code=code,
        )
    )


def find_records(
    pipeline: Pipeline,
    what: str,
    chosen: frozenset[str] | None,
    record_of: Callable[[str], StageRecord | None],
) -> tuple[tuple[StageInstance, StageRecord], ...]:
    """Find the records of the chosen instances, or of the one that makes the output `what`.

    `record_of` gives an instance's record: its last, or the one of some run. Raises UsageError where there is
    no such output or nothing is on record.
    """
    found = []
    for instance in pipeline:
        record = record_of(instance.id)
        if chosen is not None:
            if instance.id in chosen:
                found.append((instance, _required(instance, record)))
        elif record and any(one.path == what for one in record.outputs):
            found.append(narrowed(instance, what, record))
        elif any(what in one.paths for one in instance.outputs):
            found.append((instance, _required(instance, record)))
    if not found:
        raise _unknown_output(pipeline, what)
    return tuple(found)


def narrowed(instance: StageInstance, path: str, record: StageRecord) -> tuple[StageInstance, StageRecord]:
    """Leave an instance and its record the one output path that is to come back."""
    outputs = tuple(replace(one, paths=(path,)) for one in instance.outputs if path in one.paths)
    only = tuple(one for one in record.outputs if one.path == path)
    return replace(instance, outputs=outputs, executed=""), replace(record, outputs=only)


def _required(instance: StageInstance, record: StageRecord | None) -> StageRecord:
    if record is None:
        raise UsageError.of(
            f"nothing is on record of stage '{instance.id}'.",
            mend=f"run it: nbpipeline run {shell_name(instance.id)}",
        )
    return record


def _unknown_output(pipeline: Pipeline, what: str) -> UsageError:
    known = [path for one in pipeline for output in one.outputs for path in output.paths]
    nearest = did_you_mean(what, [*known, *pipeline.instances])
    return UsageError.of(
        f"'{what}' is neither a stage nor an output.",
        known=f"outputs: {', '.join(known[:12]) or 'none'}",
        mend=f"did you mean '{nearest}'?" if nearest else "name a stage, or an output by its path",
    )


def bring_back(
    found: Iterable[tuple[StageInstance, StageRecord]], backends: Backends, root: Path, now: float
) -> Restored:
    """Restore recorded outputs, keeping what stands there and nobody recorded.

    Raises UsageError where the store lacks them; BusyError; StorageError.
    """
    paths: list[str] = []
    unchanged: list[str] = []
    notices: list[str] = []
    run = new_run_id(now)
    for instance, record in found:
        folder = root / STATE_FOLDER / "restored" / run / instance.slug
        job = Job(
            root=str(root),
            run=run,
            folder=str(folder),
            instance=instance,
            fingerprint=record.fingerprint,
        )
        standing = _standing(record, backends, root)
        result = restore(job, record, _spoken_for(record, backends))
        if result.failure or result.status is not Status.RESTORED:
            raise _refusal(result.failure or _lost(instance))
        paths += [one.path for one in record.outputs if one not in standing]
        unchanged += [one.path for one in standing]
        notices += result.notices
    return Restored(paths=tuple(paths), unchanged=tuple(unchanged), notices=tuple(notices))


def _standing(record: StageRecord, backends: Backends, root: Path) -> list[StoredOutput]:
    """Find the outputs that already are as recorded; one that may not be read is to be brought back."""
    found = []
    for one in record.outputs:
        with contextlib.suppress(StorageError):
            if backends.digests.of(absolute(root, one.path)) == one.digest:
                found.append(one)
    return found


def _spoken_for(record: StageRecord, backends: Backends) -> Backends:
    """Keep a part of a record, which one output is, from becoming the instance's last record."""
    whole = backends.state.last_record(record.instance)
    if whole is None or whole == record:
        return backends
    aside = MemoryState()
    aside.add_record(whole)
    return replace(backends, state=aside)


def _lost(instance: StageInstance) -> Failure:
    return Failure(
        kind="storage",
        what=f"the outputs of '{instance.id}' could not be brought back.",
        mend=f"run it: nbpipeline run {shell_name(instance.id)}",
    )
