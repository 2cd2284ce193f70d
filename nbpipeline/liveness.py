"""Whether a process that left its number somewhere is still the same one, and alive; and since when."""

import os
import time
from collections.abc import Iterable
from pathlib import Path
from typing import Any

_LOOK = 0.02
"""Seconds between two looks at what is to end."""
_FAR = 1e11
"""Seconds that no clock gives: the year is past 5000."""


def process_started(pid: int) -> float | None:
    """Give a number that tells a process from a later one with the same pid; None where there is none.

    Linux: clock ticks since boot, read without a library; elsewhere Unix time in seconds.
    """
    stat = Path(f"/proc/{pid}/stat")
    try:
        text = stat.read_text(encoding="utf-8", errors="replace")
    except OSError:
        return None if Path("/proc/self/stat").exists() else _started_by_psutil(pid)
    fields = text.rpartition(")")[2].split()  # the name before it may hold blanks and parentheses
    if fields[0] == "Z":
        return None
    return float(fields[19])


def _started_by_psutil(pid: int) -> float | None:
    import psutil  # noqa: PLC0415 - start-up is counted, and Linux does without it

    try:
        process = psutil.Process(pid)
        return None if process.status() == psutil.STATUS_ZOMBIE else process.create_time()
    except psutil.Error:
        return None


def is_alive(pid: int, started: float | None) -> bool:
    """Whether the process `pid` that began at `started` (as `process_started` says) still runs."""
    now = process_started(pid)
    return now is not None and (started is None or now == started)


def outlasting(processes: Iterable[tuple[int, float]], seconds: float) -> list[tuple[int, float]]:
    """Wait until all have ended, each a pid and its start; gives those that still run after so long.

    One that has ended, and that nobody has reaped (a container often has no init), does not count.
    """
    until = time.monotonic() + seconds
    left = list(processes)  # looked at again and again: the system tells only a parent that one has ended
    while (left := [one for one in left if is_alive(*one)]) and time.monotonic() < until:
        time.sleep(_LOOK)
    return left


def own_identity() -> tuple[int, float | None]:
    """Pid and start of this process."""
    pid = os.getpid()
    return pid, process_started(pid)


def told_time(value: Any, otherwise: float) -> float:
    """Take a Unix time that stands in a file that anybody may have written; `otherwise` where it is none."""
    return float(value) if isinstance(value, int | float) and abs(value) < _FAR else otherwise
