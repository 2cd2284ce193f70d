"""One instance, one holder: a lock file each, beside it who holds it."""

import contextlib
import json
import os
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from nbpipeline.errors import BusyError, StorageError
from nbpipeline.liveness import told_time
from nbpipeline.location import STATE_FOLDER
from nbpipeline.model import slug_of
from nbpipeline.replacing import replace_text

PATIENCE = 0.2
"""Seconds between two looks at a lock that is waited for."""


def _lock_file(root: Path, instance_id: str) -> Path:
    return root / STATE_FOLDER / "locks" / f"{slug_of(instance_id)}.lock"


def _owner_file(root: Path, instance_id: str) -> Path:
    return _lock_file(root, instance_id).with_suffix(".owner")


def owner(root: Path, instance_id: str) -> Mapping[str, Any] | None:
    """Who wrote that they hold it: `{stage, pid, since, run}`; None where nobody did, or it is cut."""
    return _read(_owner_file(root, instance_id))


def _read(mark: Path) -> Mapping[str, Any] | None:
    try:
        found = json.loads(mark.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError):
        return None
    return found if isinstance(found, dict) else None


def _busy(root: Path, instance_id: str) -> BusyError:
    held = owner(root, instance_id) or {}
    since = told_time(held.get("since"), time.time())
    return busy(instance_id, pid=held.get("pid"), run=held.get("run", ""), since=since)


def busy(instance_id: str, *, pid: int | None, run: str, since: float) -> BusyError:
    """Say who holds an instance, and since when."""
    began = time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(since))
    return BusyError.of(
        f"stage '{instance_id}' is held by another run.",
        known=f"holder: process {pid or 'unknown'}, run {run or 'unknown'}, since {began}",
        mend="wait until it ends, or give `--wait` to wait for it",
    )


def _unwritable(instance_id: str, path: Path, error: OSError) -> StorageError:
    return StorageError.of(
        f"stage '{instance_id}' cannot be locked: {error.strerror or error}: {path.as_posix()}",
        mend="make the folder writable for this user, and see that its disk has room",
    )


def take(path: Path, *, patience: float, give_up: Callable[[], bool]) -> Any:
    """Take a lock file, for `release` to give back; None where another holds it and `give_up` says so.

    It is asked every `patience` seconds. The system frees the lock when the process dies. Raises OSError.
    """
    import filelock  # noqa: PLC0415 - it pulls asyncio, and start-up is counted

    lock = filelock.FileLock(path, thread_local=False)
    while True:
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            lock.acquire(timeout=patience, poll_interval=PATIENCE / 10)
        except filelock.Timeout:
            if give_up():
                return None
        else:
            return lock


@contextmanager
def hold(
    root: Path,
    instance_id: str,
    wait: bool = False,  # noqa: FBT001, FBT002 - reads as `--wait`
    *,
    run: str = "",
    give_up: Callable[[], bool] = lambda: False,
) -> Iterator[None]:
    """Hold the instance for the block; the system frees it when the process dies.

    Raises `BusyError`, saying who holds it, at once or (with `wait`) when `give_up` says so, and
    `StorageError` where the lock file cannot be made.
    """
    path = _lock_file(root, instance_id)
    try:
        lock = take(path, patience=PATIENCE if wait else 0, give_up=lambda: not wait or give_up())
    except OSError as error:
        raise _unwritable(instance_id, path, error) from error
    if lock is None:
        raise _busy(root, instance_id)
    mark = _owner_file(root, instance_id)
    try:
        _leave(mark, {"stage": instance_id, "pid": os.getpid(), "since": time.time(), "run": run})
        yield
    finally:
        with contextlib.suppress(OSError):
            mark.unlink(missing_ok=True)
        lock.release()


def _leave(mark: Path, who: Mapping[str, Any]) -> None:
    """Write who holds; it only tells others, and a full disk is told by what follows."""
    with contextlib.suppress(OSError):
        replace_text(mark, json.dumps(who))


def held(root: Path) -> tuple[str, ...]:
    """Name the instances that a living process holds now; marks that a killed one left do not count."""
    marks = sorted((root / STATE_FOLDER / "locks").glob("*.owner"))
    stages = [str(found["stage"]) for mark in marks if (found := _read(mark)) and "stage" in found]
    return tuple(one for one in stages if not is_free(root, one))


def has_lost_holder(root: Path, instance_id: str) -> bool:
    """Whether a living process still holds the instance by a lock file that was deleted under it.

    Only Linux tells; elsewhere it is taken that nobody does.
    """
    lost = f"{os.path.realpath(_lock_file(root, instance_id))} (deleted)"
    return any(_leads_to(handle) == lost for handle in Path("/proc").glob("[0-9]*/fd/*"))


def _leads_to(link: Path) -> str:
    try:
        return str(link.readlink())
    except OSError:  # closed meanwhile, or another user's
        return ""


def is_free(root: Path, instance_id: str) -> bool:
    """Whether nobody holds the instance now."""
    try:
        with hold(root, instance_id):
            return True
    except BusyError:
        return False
