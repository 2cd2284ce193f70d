"""What may run side by side: cores, memory, devices."""

import os
from collections.abc import Callable
from pathlib import Path

from nbpipeline.model import Resources
from nbpipeline.values import dataclass

FLOOR = 256 * 1024 * 1024
"""Bytes that must be free for anything to start beside others; a bare kernel takes a third of it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Capacity:
    """What a run may fill at once."""

    slots: int
    """How many instances, and how many cores, at most."""
    memory: int | None = None
    """Bytes; None: not known."""
    gpus: int = 0


class Room:
    """Books what running instances hold.

    One that asks for more than there is still runs: alone. Free memory is asked of the system at the moment
    of admission, since others use it too.
    """

    def __init__(self, capacity: Capacity, free_memory: Callable[[], int | None]) -> None:
        """Start empty."""
        self._capacity = capacity
        self._free_memory = free_memory
        self._held: dict[str, Resources] = {}

    @property
    def full(self) -> bool:
        """Whether nothing more may start, whatever it needs."""
        return bool(self._held) and len(self._held) >= self._capacity.slots

    def admits(self, wanted: Resources) -> bool:
        """Whether an instance that needs `wanted` may start now."""
        if not self._held:
            return True
        held = self._held.values()
        if self.full:
            return False
        if sum(one.cpus for one in held) + wanted.cpus > self._capacity.slots:
            return False
        gpus = sum(one.gpus for one in held)
        if wanted.gpus and gpus + wanted.gpus > max(self._capacity.gpus, 1):
            return False
        return self._memory_admits(wanted.memory or 0)

    def _memory_admits(self, wanted: int) -> bool:
        held = sum(one.memory or 0 for one in self._held.values())
        if self._capacity.memory is not None and wanted and held + wanted > self._capacity.memory:
            return False
        free = self._free_memory()
        return free is None or max(wanted, FLOOR) <= free

    def take(self, name: str, wanted: Resources) -> None:
        """Book what an instance holds while it runs."""
        self._held[name] = wanted

    def give_back(self, name: str) -> None:
        """Free what an instance held."""
        self._held.pop(name, None)


def free_memory() -> int | None:
    """Count the bytes to be had without swapping, within the container's limit; None: it cannot be told."""
    import psutil  # noqa: PLC0415 - start-up is counted, and a run with nothing to do never asks

    free = int(psutil.virtual_memory().available)
    limit = _container_free(Path("/sys/fs/cgroup"))
    return free if limit is None else min(free, limit)


def _container_free(folder: Path) -> int | None:
    """Count the bytes left under the control group's limit (version 2), file cache aside; None: no limit."""
    try:
        limit = int((folder / "memory.max").read_text(encoding="ascii"))
        used = int((folder / "memory.current").read_text(encoding="ascii"))
        rows = (line.split() for line in (folder / "memory.stat").read_text(encoding="ascii").splitlines())
        cache = sum(int(row[1]) for row in rows if row[0] in ("inactive_file", "active_file"))
    except (OSError, ValueError, IndexError):
        return None
    return max(0, limit - used + cache)


def visible_gpus() -> int:
    """Count the devices to share out: those in CUDA_VISIBLE_DEVICES, else the machine's NVIDIA ones."""
    named = os.environ.get("CUDA_VISIBLE_DEVICES")
    if named is not None:
        return len([one for one in named.split(",") if one.strip() and one.strip() != "-1"])
    return len([one for one in Path("/dev").glob("nvidia[0-9]*") if one.name[6:].isdigit()])
