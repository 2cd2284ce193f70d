"""Processes that a test waits for."""

import time
from collections.abc import Iterable

import psutil

_LOOK = 0.02


def outlasting(processes: Iterable[psutil.Process], seconds: float) -> list[psutil.Process]:
    """Wait until all have ended; gives those that still run then. One that nobody has reaped has ended."""
    until = time.monotonic() + seconds
    left = list(processes)
    while (left := [one for one in left if _runs(one)]) and time.monotonic() < until:
        time.sleep(_LOOK)
    return left


def _runs(one: psutil.Process) -> bool:
    try:
        return one.is_running() and one.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False
