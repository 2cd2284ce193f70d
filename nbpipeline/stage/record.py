"""Keeps what a stage made: outputs into the store, the record into store and history, in that order."""

import time
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from nbpipeline.errors import StorageError
from nbpipeline.fingerprint import state_digest
from nbpipeline.model import (
    EXECUTED,
    BoundArtifact,
    Fingerprint,
    StageInstance,
    StageRecord,
    StoredOutput,
    Usage,
    Value,
)
from nbpipeline.stage.backends import Backends
from nbpipeline.stage.places import absolute, local_outputs, relative


def keep(  # noqa: PLR0913 - a record has that many sides
    instance: StageInstance,
    fingerprint: Fingerprint,
    backends: Backends,
    *,
    root: Path,
    run: str = "",
    attempt: int = 1,
    seconds: float = 0.0,
    origin: str = "run",
    metrics: Mapping[str, Value] | None = None,
    undeclared: Sequence[str] = (),
    written: Sequence[str] = (),
    followed: Sequence[str] = (),
    usage: Usage | None = None,
    planned: str = "",
    executed: Path | None = None,
) -> StageRecord:
    """Put the outputs as they are on disk into the store, and record them as the result of a state.

    `followed` are files that count as modules though only the run showed them, `planned` is the digest of
    the state that the run was planned in. `executed` is the executed notebook, kept as the output of a stage
    that declares none. Durable when it returns. Raises `StorageError` and OSError; nothing is recorded then.
    """
    kept = [_kept_output(output, path, backends, root) for output, path in local_outputs(instance)]
    if not kept and executed is not None:
        kept = [_kept_notebook(executed, backends, root)]
    state = state_digest(fingerprint)
    record = StageRecord(
        instance=instance.id,
        state=state,
        fingerprint=fingerprint,
        outputs=tuple(kept),
        run=run,
        attempt=attempt,
        finished=time.time(),
        seconds=seconds,
        origin=origin,
        metrics=dict(metrics or {}),
        undeclared=tuple(undeclared),
        written=tuple(written),
        followed=tuple(followed),
        usage=usage or Usage(),
        planned="" if planned == state else planned,
    )
    for digest, text in backends.sources(instance, fingerprint).items():
        backends.store.put_text(digest, text)
    if followed:
        # Who knows of no run yet finds it under what the code alone tells, and there what else counts.
        bare = state_digest(backends.following(fingerprint, instance, ()))
        backends.store.put_record(replace(record, state=bare))
    backends.store.put_record(record)
    backends.state.add_record(record)
    return record


def _kept_output(output: BoundArtifact, path: str, backends: Backends, root: Path) -> StoredOutput:
    target = absolute(root, path)
    kind = "directory" if target.is_dir() else output.spec.kind
    stored = _described(target, path, kind, backends, stored=output.spec.store)
    if stored.stored:
        backends.store.put(target, stored)
    return stored


def _kept_notebook(executed: Path, backends: Backends, root: Path) -> StoredOutput:
    stored = _described(executed, relative(root, executed), EXECUTED, backends, stored=True)
    backends.store.put(executed, stored)
    return stored


def _described(target: Path, path: str, kind: str, backends: Backends, *, stored: bool) -> StoredOutput:
    digest = backends.digests.of(target)
    if digest is None:
        raise StorageError.of(
            f"{path} went away while it was recorded.",
            mend="see what removes it, then run the stage again",
        )
    return StoredOutput(path=path, digest=digest, kind=kind, size=size_of(target), stored=stored)


def size_of(path: Path) -> int:
    """Bytes of a file, or of all files in a folder."""
    if path.is_dir():
        return sum(one.stat().st_size for one in path.rglob("*") if one.is_file())
    return path.stat().st_size
