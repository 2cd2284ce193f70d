"""`nbpipeline clean`: what may go, said first and removed then."""

import shutil
import time
from collections.abc import Collection
from pathlib import Path

from nbpipeline.location import is_url
from nbpipeline.model import EXECUTED, Pipeline, StageRecord, StoredOutput
from nbpipeline.ports import State
from nbpipeline.run.folder import drop_old_runs, kept_runs
from nbpipeline.stage.backends import Backends
from nbpipeline.stage.lock import hold
from nbpipeline.values import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Doomed:
    """An output that may go."""

    instance: str
    output: StoredOutput
    """As it stands on disk."""
    altered: bool = False
    """No record holds these bytes: they are put into the store first."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Cleanable:
    """What `clean` would remove."""

    doomed: tuple[Doomed, ...] = ()
    spared: tuple[tuple[str, str], ...] = ()
    """Paths that stay, each with the reason."""
    runs: tuple[str, ...] = ()
    """Ids of old runs."""
    store: bool = False
    """Whether the store is to drop what no last record needs."""

    @property
    def empty(self) -> bool:
        """Whether there is nothing to remove."""
        return not (self.doomed or self.runs or self.store)


@dataclass(frozen=True, slots=True, kw_only=True)
class Cleaned:
    """What `clean` removed."""

    outputs: int
    runs: int
    bytes: int


def look(
    pipeline: Pipeline, chosen: Collection[str], backends: Backends, *, force: bool
) -> tuple[tuple[Doomed, ...], tuple[tuple[str, str], ...]]:
    """Say which outputs of the chosen instances may go and which stay."""
    doomed: list[Doomed] = []
    spared: list[tuple[str, str]] = []
    records = backends.state.last_records()
    for instance in pipeline:
        if instance.id not in chosen:
            continue
        for path in (path for one in instance.outputs for path in one.paths if not is_url(path)):
            one, reason = _judge(instance.id, path, records.get(instance.id), pipeline, backends)
            if one and (not reason or force):
                doomed.append(one)
            elif reason:
                spared.append((path, reason))
    return tuple(doomed), tuple(spared)


def _judge(
    instance: str, path: str, record: StageRecord | None, pipeline: Pipeline, backends: Backends
) -> tuple[Doomed | None, str]:
    """Give the output and, where only force removes it, the reason why it would stay."""
    target = Path(pipeline.project.root) / path
    digest = backends.digests.of(target)
    if digest is None:
        return None, ""
    kind = "directory" if target.is_dir() else "file"
    present = StoredOutput(path=path, digest=digest, kind=kind)
    known = next((one for one in record.outputs if one.path == path), None) if record else None
    if known is None:
        return Doomed(instance=instance, output=present, altered=True), "no run has recorded it (--force)"
    if known.digest != digest:
        return Doomed(instance=instance, output=present, altered=True), "altered since its run (--force)"
    if not backends.store.has(known):
        reason = "the store does not have it, so it could not come back (--force)"
        return Doomed(instance=instance, output=known), reason
    return Doomed(instance=instance, output=known), ""


def old_runs(root: Path) -> tuple[str, ...]:
    """Name the runs before the last; `drop_old_runs` keeps the last good one among them."""
    return tuple(one.run for one in kept_runs(root)[1:])


def remove(found: Cleanable, backends: Backends, root: Path) -> Cleaned:
    """Remove what was found, each output only as it was then. Raises BusyError, StorageError, OSError."""
    count = sum(_remove_output(one, backends, root) for one in found.doomed)
    runs = drop_old_runs(root, now=time.time(), keep=1, unsent=True) if found.runs else ()
    freed = backends.store.trim(0, keep=needed(backends.state)) if found.store else 0
    return Cleaned(outputs=count, runs=len(runs), bytes=freed)


def needed(state: State) -> set[str]:
    """Digests that a restore of the last results needs, with the texts of their cells."""
    records = state.last_records().values()
    outputs = {one.digest for record in records for one in record.outputs}
    return outputs | {digest for record in records for digest in record.fingerprint.code.values()}


def _remove_output(one: Doomed, backends: Backends, root: Path) -> int:
    target = root / one.output.path
    with hold(root, one.instance):
        if backends.digests.of(target) != one.output.digest:
            return 0
        if one.altered and one.output.kind != EXECUTED:
            backends.store.put(target, one.output)
        if target.is_dir() and not target.is_symlink():
            shutil.rmtree(target)
        else:
            target.unlink()
    return 1
