"""Finds and ends what a kernel leaves behind, whatever session or parent it moved to."""

import os
import signal
import time
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from nbpipeline.kernels.marks import MARK, RUN, process_name
from nbpipeline.liveness import is_alive
from nbpipeline.location import STATE_FOLDER
from nbpipeline.stage.environment import CONTEXT
from nbpipeline.stage.places import is_another

if TYPE_CHECKING:
    import psutil

GRACE = 2.0
"""Seconds between SIGTERM and SIGKILL."""
POLL = 0.02
_HELPERS = ("multiprocessing", "resource_tracker", "loky")


def marked(token: str, variable: str = MARK) -> Iterator[int]:
    """Pids of the living processes that inherited the token, this one left out.

    What was started anew has it in its environment; what a forked kernel has forked, in its name.
    """
    wanted, name = f"{variable}={token}", process_name(token)
    return (pid for pid, called, inherited in _others() if called == name or wanted in inherited)


def quiet(tokens: Iterable[str]) -> frozenset[str]:
    """Say which of the tokens no living process has: one look at all processes for however many."""
    names: set[str] = set()
    marks: set[str] = set()
    for _, called, inherited in _others():
        names.add(called)
        marks.update(one for one in inherited if one.startswith(f"{MARK}="))
    return frozenset(one for one in tokens if process_name(one) not in names and f"{MARK}={one}" not in marks)


def _others() -> Iterator[tuple[int, str, Sequence[str]]]:
    """Give pid, name and environment of each process but this one, as far as they may be read."""
    proc = Path("/proc")
    if not (proc / "self" / "environ").exists():
        yield from _others_by_psutil()
        return
    for folder in proc.iterdir():
        if not folder.name.isdigit() or int(folder.name) == os.getpid():
            continue
        try:
            inherited = (folder / "environ").read_bytes()
            called = (folder / "comm").read_bytes()
        except OSError:  # ended meanwhile, or another user's
            continue
        yield int(folder.name), os.fsdecode(called).rstrip("\n"), os.fsdecode(inherited).split("\0")


def _others_by_psutil() -> Iterator[tuple[int, str, Sequence[str]]]:
    import psutil  # noqa: PLC0415 - start-up is counted, and Linux does without it

    for process in psutil.process_iter():
        try:
            if process.pid != os.getpid():
                yield process.pid, "", [f"{name}={value}" for name, value in process.environ().items()]
        except (psutil.Error, OSError):
            continue


def end_run(run: str, root: Path) -> None:
    """End what a dead run of the project left running: its tokens stood in a journal that is gone."""
    end("", [pid for pid in marked(run, RUN) if not _is_of_another(pid, root)])


def _is_of_another(pid: int, root: Path) -> bool:
    """Whether a process is of the project that this one was copied from."""
    import psutil  # noqa: PLC0415 - the same

    try:
        context = psutil.Process(pid).environ().get(CONTEXT, "")
    except (psutil.Error, OSError):
        return True  # ended meanwhile, or another user's
    first, found, _ = context.partition(f"{os.sep}{STATE_FOLDER}{os.sep}")
    return bool(found) and is_another(Path(first), root)


def family(pid: int | None) -> tuple[int, ...]:
    """Pids of all present descendants of a process, found while it still lives."""
    import psutil  # noqa: PLC0415 - the same

    if pid is None:
        return ()
    try:
        return tuple(child.pid for child in psutil.Process(pid).children(recursive=True))
    except psutil.Error:
        return ()


def end(token: str, also: Iterable[int] = (), *, trackers: bool = True) -> int:
    """End every marked process and those of `also` (seen a moment ago) that still are there.

    Without `trackers`, multiprocessing's resource trackers are left: they ignore signals, tidy up and end
    when the last process that uses them has ended. Returns how many there were, not counting helpers of
    multiprocessing: they belong to their kernel.
    """
    import psutil  # noqa: PLC0415 - the same

    found: list[psutil.Process] = []
    for pid in {*(marked(token) if token else ()), *also}:
        try:
            process = psutil.Process(pid)
            if is_alive(pid, None) and (trackers or not _is_tracker(process)):
                found.append(process)
        except psutil.Error:
            continue
    counted = sum(not _is_helper(process) for process in found)
    for number in (signal.SIGTERM, getattr(signal, "SIGKILL", signal.SIGTERM)):
        for process in found:
            _send(process, number)
        found = _still_there(found)
        if not found:
            break
    return counted


def _still_there(processes: "list[psutil.Process]") -> "list[psutil.Process]":
    """Wait until all have ended, at most for the grace; an unreaped one has ended."""
    until = time.monotonic() + GRACE
    while processes and time.monotonic() < until:
        processes = [one for one in processes if is_alive(one.pid, None)]
        if processes:
            time.sleep(POLL)
    return processes


def _is_helper(process: "psutil.Process") -> bool:
    return any(word in _command(process) for word in _HELPERS)


def _is_tracker(process: "psutil.Process") -> bool:
    return "resource_tracker" in _command(process)


def _command(process: "psutil.Process") -> str:
    import psutil  # noqa: PLC0415 - the same

    try:
        return " ".join(process.cmdline())
    except psutil.Error:
        return ""


def _send(process: "psutil.Process", number: int) -> None:
    import psutil  # noqa: PLC0415 - the same

    try:
        process.send_signal(number)
    except psutil.Error:
        return
