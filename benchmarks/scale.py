"""How the quick commands grow: `python benchmarks/scale.py` measures and prints a table (Markdown or JSON).

Each project is written by `projects.py` and put on record by the product itself, so that everything in it is
fresh. Then each command runs in a process of its own, several times in turn; the table has the medians, and
beside them the least, which a busy machine disturbs less.

    python benchmarks/scale.py                               # 100, 1,000 and 10,000 stages: some 15 minutes
    python benchmarks/scale.py --stages 100 1000 --repeat 9 --json scale.json
"""

import argparse
import json
import os
import platform
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import projects

SMALL, MEDIUM, LARGE = 100, 1000, 10_000
"""Stages for which there are goals."""
SETTLING = 2.5
"""Seconds after which the state of a file is relied on."""
GOALS = {
    ("--help", SMALL): 0.2,
    ("plan", SMALL): 0.25,
    ("plan", MEDIUM): 0.6,
    ("plan", LARGE): 4.0,
    ("run", SMALL): 0.25,
    ("run", MEDIUM): 0.6,
    ("run", LARGE): 4.0,
    ("first plan", MEDIUM): 10.0,
}
"""Seconds that a command should take at most, on a machine at rest."""


@dataclass(frozen=True, slots=True)
class Run:
    """One command, once."""

    wall: float
    cpu: float
    """Seconds of this process and of those that it waited for."""
    memory: int
    """Bytes resident at its highest."""


@dataclass(frozen=True, slots=True)
class Row:
    """One command on one project."""

    command: str
    stages: int
    runs: tuple[Run, ...]

    @property
    def goal(self) -> float | None:
        """Seconds at most, where there is a goal."""
        return GOALS.get((self.command, self.stages))

    def cells(self) -> list[str]:
        """Write the row of a table."""
        walls, cpus = [one.wall for one in self.runs], [one.cpu for one in self.runs]
        memory = max(one.memory for one in self.runs) / 1e6
        return [
            f"`{self.command}`",
            f"{self.stages:,}",
            f"{statistics.median(walls):.2f} ({min(walls):.2f})",
            f"{statistics.median(cpus):.2f} ({min(cpus):.2f})",
            f"{memory:.0f}",
            f"{self.goal:g}" if self.goal else "",
        ]


def timed(folder: Path, *arguments: str) -> Run:
    """Run `nbpipeline ARGUMENTS` once. Raises RuntimeError where it fails."""
    started = time.perf_counter()
    process = subprocess.Popen(
        [sys.executable, "-m", "nbpipeline", *arguments],
        cwd=folder,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    _, status, used = os.wait4(process.pid, 0)
    wall = time.perf_counter() - started
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise RuntimeError(f"nbpipeline {' '.join(arguments)} ended with {process.returncode}")
    unit = 1 if sys.platform == "darwin" else 1024
    return Run(wall=wall, cpu=used.ru_utime + used.ru_stime, memory=used.ru_maxrss * unit)


def first_plans(folder: Path, repeat: int) -> Iterator[Run]:
    """Plan a project that was never read, each time anew."""
    for _ in range(repeat):
        shutil.rmtree(folder / ".nbpipeline", ignore_errors=True)
        yield timed(folder, "plan")


def measure(folder: Path, stages: int, repeat: int) -> Iterator[Row]:
    """Measure all commands on a project of so many stages."""
    shape = projects.Shape(stages=stages, width=20 if stages <= MEDIUM else 100)
    projects.write(folder, shape, outputs=True)
    time.sleep(SETTLING)  # no entry is kept for a file that changed just now
    yield Row("first plan", stages, tuple(first_plans(folder, repeat if stages <= MEDIUM else 1)))
    timed(folder, "record", f"tag:{projects.TAG}")
    time.sleep(SETTLING)
    for _ in range(2):  # what is read and hashed is remembered from here on
        timed(folder, "plan")
    commands = {"plan": ("plan",), "run": ("run",), **({"--help": ("--help",)} if stages <= SMALL else {})}
    turns = [{name: timed(folder, *words) for name, words in commands.items()} for _ in range(repeat)]
    for name in commands:
        yield Row(name, stages, tuple(turn[name] for turn in turns))


def machine() -> str:
    """Describe the machine in a line."""
    load = os.getloadavg()[0]
    return (
        f"{platform.system()} {platform.machine()}, {os.cpu_count()} cores, "
        f"Python {platform.python_version()}, load {load:.1f} at the start"
    )


HEAD = ["command", "stages", "wall s (least)", "CPU s (least)", "memory MB", "goal s"]


def table(rows: Sequence[Row], described: str) -> str:
    """Write the rows as Markdown."""
    lines = [HEAD, ["---"] * len(HEAD), *(row.cells() for row in rows)]
    return "\n".join([described, "", *(f"| {' | '.join(line)} |" for line in lines)])


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure as the command line says."""
    parser = argparse.ArgumentParser(description="Measure how nbpipeline's quick commands grow.")
    parser.add_argument("--stages", type=int, nargs="+", default=[SMALL, MEDIUM, LARGE])
    parser.add_argument("--repeat", type=int, default=5, help="runs of each command")
    parser.add_argument("--json", type=Path, metavar="FILE", help="also write every run there")
    given = parser.parse_args(arguments)
    described = machine()
    rows: list[Row] = []
    for stages in given.stages:
        with tempfile.TemporaryDirectory() as folder:
            for row in measure(Path(folder), stages, given.repeat):
                rows.append(row)
                print(" ".join(row.cells()), file=sys.stderr)
    print(table(rows, described))
    if given.json:
        data = {"machine": described, "rows": [asdict(row) for row in rows]}
        given.json.write_text(json.dumps(data, indent=1) + "\n", encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
