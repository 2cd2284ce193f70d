"""Wall time, CPU time and peak memory of a command with everything that it starts. Linux.

A process of its own runs the command, so that nothing else is counted, and adopts what the command leaves
behind (`PR_SET_CHILD_SUBREAPER`): a helper that daemonises itself stays in the tree and is counted until it
ends, or until it is ended a moment after the command.

- wall: from the start of the command to its end, without what it leaves behind.
- CPU: user and system time of all that was waited for, by the kernel's own account. Where that is less than
  what the samples saw (a parent that ignores its children's end), the samples count.
- memory: every 50 ms the resident sizes (RSS) of the tree are summed; at each new peak (5 % more than the
  last) the proportional ones (PSS: a page that n processes share counts 1/n in each) as well, since those are
  dear to read.
- memory of the command's own process alone: the highest that it ever was (`VmHWM`), read with each sample; of
  a process that started no other, as it was at its end.
- bytes written: those handed to `write` by all that was waited for (`wchar` of proc(5)), pipes included.
"""

import ctypes
import json
import os
import resource
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path

INTERVAL = 0.05
NEW_PEAK = 1.05
GRACE = 2.0  # seconds in which what is left behind may end by itself
PR_SET_CHILD_SUBREAPER = 36
PAGE = os.sysconf("SC_PAGE_SIZE")
TICK = os.sysconf("SC_CLK_TCK")
KERNEL_THREADS = b"2"  # their parent
KILOBYTE = 1024


@dataclass(frozen=True, slots=True, kw_only=True)
class Measurement:
    """What one command took: seconds, and bytes at the peak."""

    code: int
    wall: float
    cpu: float
    rss: int
    pss: int
    processes: int  # most at one time
    left: int  # had to be ended after the command
    alone: int  # of the command's own process
    written: int


@dataclass(frozen=True, slots=True)
class Entry:
    """A line of the process table."""

    pid: int
    parent: int
    started: int
    cpu: float

    @property
    def key(self) -> tuple[int, int]:
        """Tell a process from a later one with the same number."""
        return self.pid, self.started


def read(path: str) -> bytes:
    """Read a small file of /proc, as cheaply as can be; nothing when the process has ended."""
    try:
        descriptor = os.open(path, os.O_RDONLY)
    except OSError:
        return b""
    try:
        return os.read(descriptor, 1 << 16)
    except OSError:
        return b""
    finally:
        os.close(descriptor)


def table() -> Iterator[Entry]:
    """Read the process table, without the kernel's own threads."""
    for name in filter(str.isdigit, os.listdir("/proc")):  # noqa: PTH208  (called twenty times a second)
        # The program's name stands in brackets and may hold anything; field 3 of proc(5) follows them.
        fields = read(f"/proc/{name}/stat").rpartition(b")")[2].split()
        if fields and fields[1] != KERNEL_THREADS:
            ticks = int(fields[11]) + int(fields[12])
            yield Entry(pid=int(name), parent=int(fields[1]), started=int(fields[19]), cpu=ticks / TICK)


def tree(root: int) -> list[Entry]:
    """Give all descendants of a process, not the process itself."""
    children: dict[int, list[Entry]] = {}
    for entry in table():
        children.setdefault(entry.parent, []).append(entry)
    found = list(children.get(root, ()))
    for entry in found:  # grows while it is walked
        found += children.get(entry.pid, ())
    return found


def named(path: str, name: bytes) -> int:
    """Read the number behind `name:` in a file of /proc; 0 where there is none."""
    lines = read(path).splitlines()
    return next((int(line.split()[1]) for line in lines if line.startswith(name + b":")), 0)


def resident(entry: Entry) -> int:
    """Read the RSS of a process, in bytes; 0 when it has ended."""
    fields = read(f"/proc/{entry.pid}/statm").split()
    return int(fields[1]) * PAGE if fields else 0


def proportional(entry: Entry) -> int:
    """Read the PSS of a process, in bytes; 0 when it has ended."""
    return named(f"/proc/{entry.pid}/smaps_rollup", b"Pss") * KILOBYTE


def written() -> int:
    """Say how many bytes this process, and those that it waited for, have written so far."""
    return named("/proc/self/io", b"wchar")


@dataclass(slots=True)
class Sampler:
    """Follows a process tree and remembers its peaks."""

    root: int
    command: int = 0
    alone: int = 0
    rss: int = 0
    pss: int = 0
    processes: int = 0
    cpu: dict[tuple[int, int], float] = field(default_factory=dict)
    looked: int = 0  # RSS at which the PSS was read last

    def look(self) -> list[Entry]:
        """Take one sample; give what is there."""
        entries = tree(self.root)
        self.cpu |= {entry.key: entry.cpu for entry in entries}
        self.processes = max(self.processes, len(entries))
        self.alone = max(self.alone, named(f"/proc/{self.command}/status", b"VmHWM") * KILOBYTE)
        rss = sum(map(resident, entries))
        if rss > self.looked * NEW_PEAK:
            self.looked = rss
            self.pss = max(self.pss, sum(map(proportional, entries)))
        self.rss = max(self.rss, rss)
        return entries

    def follow(self, ended: threading.Event) -> None:
        """Sample until told that the command has ended."""
        while not ended.wait(INTERVAL):
            self.look()


def reap() -> None:
    """Wait for every child that has ended, without waiting for the others."""
    while True:
        try:
            pid, _ = os.waitpid(-1, os.WNOHANG)
        except ChildProcessError:
            return
        if pid == 0:
            return


def settle(sampler: Sampler) -> int:
    """Let what is left behind end by itself, then end it; say how many had to be."""
    deadline = time.monotonic() + GRACE
    asked: set[tuple[int, int]] = set()
    reap()
    while entries := sampler.look():
        if time.monotonic() > deadline:
            for entry in entries:
                asked.add(entry.key)
                os.kill(entry.pid, signal.SIGKILL)
        time.sleep(INTERVAL)
        reap()
    return len(asked)


def adopt_orphans() -> None:
    """Become the parent of what our descendants leave behind."""
    if ctypes.CDLL(None, use_errno=True).prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0) != 0:
        raise OSError(ctypes.get_errno(), "prctl(PR_SET_CHILD_SUBREAPER)")


def measure(command: Sequence[str]) -> Measurement:
    """Run a command in this process's folder and environment; for a process that has no other children."""
    adopt_orphans()
    sampler = Sampler(os.getpid())
    ended = threading.Event()
    wrote = written()
    began = time.perf_counter()
    child = subprocess.Popen(command, stdin=subprocess.DEVNULL)
    sampler.command = child.pid
    follower = threading.Thread(target=sampler.follow, args=(ended,))
    follower.start()
    os.waitid(os.P_PID, child.pid, os.WEXITED | os.WNOWAIT)
    wall = time.perf_counter() - began
    ended.set()
    follower.join()
    code = child.wait()
    sampler.command = 0
    if sampler.processes <= 1:
        sampler.alone = max(sampler.alone, resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss * KILOBYTE)
    left = settle(sampler)
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    cpu = max(used.ru_utime + used.ru_stime, sum(sampler.cpu.values()))
    return Measurement(
        code=code,
        wall=wall,
        cpu=cpu,
        rss=sampler.rss,
        pss=sampler.pss,
        processes=sampler.processes,
        left=left,
        alone=sampler.alone,
        written=written() - wrote,
    )


def run(command: Sequence[str], *, cwd: Path, env: Mapping[str, str], log: Path) -> Measurement:
    """Measure a command from a process of its own; what it prints goes to the log."""
    result = log.with_suffix(".json")
    with log.open("wb") as stream:
        subprocess.run(
            [sys.executable, str(Path(__file__).resolve()), str(result), *command],
            cwd=cwd,
            env=dict(env),
            stdout=stream,
            stderr=subprocess.STDOUT,
            check=True,
        )
    return Measurement(**json.loads(result.read_text(encoding="utf-8")))


if __name__ == "__main__":
    Path(sys.argv[1]).write_text(json.dumps(asdict(measure(sys.argv[2:]))), encoding="utf-8")
