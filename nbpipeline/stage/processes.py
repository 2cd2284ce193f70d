"""Finds and ends what a kernel leaves behind, whatever session or parent it moved to."""

import os
import signal
from collections.abc import Iterable, Iterator
from pathlib import Path

MARK = "NBPIPELINE_TOKEN"
"""The variable that every process of an attempt inherits."""
GRACE = 2.0
"""Seconds between SIGTERM and SIGKILL."""


def marked(token: str) -> Iterator[int]:
    """Pids of the living processes that inherited the token, this one left out."""
    needle = f"{MARK}={token}"
    proc = Path("/proc")
    if not (proc / "self" / "environ").exists():
        yield from _marked_by_psutil(token)
        return
    wanted = needle.encode()
    for folder in proc.iterdir():
        if not folder.name.isdigit() or int(folder.name) == os.getpid():
            continue
        try:
            inherited = (folder / "environ").read_bytes()
        except OSError:  # ended meanwhile, or another user's
            continue
        if wanted in inherited.split(b"\0"):
            yield int(folder.name)


def _marked_by_psutil(token: str) -> Iterator[int]:
    import psutil  # noqa: PLC0415 - start-up is counted, and Linux does without it

    for process in psutil.process_iter():
        try:
            if process.pid != os.getpid() and process.environ().get(MARK) == token:
                yield process.pid
        except (psutil.Error, OSError):
            continue


def family(pid: int | None) -> tuple[int, ...]:
    """Pids of all present descendants of a process, found while it still lives."""
    import psutil  # noqa: PLC0415 - the same

    if pid is None:
        return ()
    try:
        return tuple(child.pid for child in psutil.Process(pid).children(recursive=True))
    except psutil.Error:
        return ()


def end(token: str, also: Iterable[int] = ()) -> int:
    """End every marked process and those of `also` that still are there; returns how many there were.

    `also` must hold pids seen a moment ago: a pid is only taken if the process is no younger than this call.
    """
    import psutil  # noqa: PLC0415 - the same

    found: dict[int, psutil.Process] = {}
    for pid in {*marked(token), *also}:
        try:
            process = psutil.Process(pid)
            if process.status() != psutil.STATUS_ZOMBIE:
                found[pid] = process
        except psutil.Error:
            continue
    for process in found.values():
        _send(process, signal.SIGTERM)
    _, stubborn = psutil.wait_procs(list(found.values()), timeout=GRACE)
    for process in stubborn:
        _send(process, getattr(signal, "SIGKILL", signal.SIGTERM))
    psutil.wait_procs(stubborn, timeout=GRACE)
    return len(found)


def _send(process: object, number: int) -> None:
    import psutil  # noqa: PLC0415 - the same

    try:
        process.send_signal(number)  # type: ignore[attr-defined]
    except psutil.Error:
        return
