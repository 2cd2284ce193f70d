"""Processes that a test waits for."""

from collections.abc import Iterable

import psutil

from nbpipeline import liveness


def outlasting(processes: Iterable[psutil.Process], seconds: float) -> list[psutil.Process]:
    """Wait until all have ended; gives those that still run then. One that nobody has reaped has ended."""
    known = {one.pid: one for one in processes if one.is_running()}
    begun = {pid: liveness.process_started(pid) for pid in known}
    running = [(pid, since) for pid, since in begun.items() if since is not None]
    return [known[pid] for pid, _ in liveness.outlasting(running, seconds)]
