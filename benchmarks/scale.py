"""How the quick commands grow with a project: planned, read for the first time, run with nothing to do.

Each project is written by `projects.py` and put on record by the product itself, so that everything in it is
fresh. Then each command runs in a process of its own, by turns.
"""

import shutil
import subprocess
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from benchmarks import measure, projects
from benchmarks.environments import Environment
from benchmarks.example import stale
from benchmarks.peers import TAIL, judge, tell, tidy
from benchmarks.results_file import Results, Sample, figures

SMALL, MEDIUM, LARGE = 100, 1000, 10_000
"""Stages for which there are goals."""
SETTLING = 2.5
"""Seconds after which the state of a file is relied on."""
HELP, FIRST, PLAN, RUN = "--help", "first plan", "plan", "run"
GOALS = {
    (HELP, SMALL): 0.2,
    (PLAN, SMALL): 0.25,
    (PLAN, MEDIUM): 0.6,
    (PLAN, LARGE): 4.0,
    (RUN, SMALL): 0.25,
    (RUN, MEDIUM): 0.6,
    (RUN, LARGE): 4.0,
    (FIRST, MEDIUM): 10.0,
}
"""Seconds that a command should take at most, on a machine at rest."""
NOTHING = "nothing to run"  # what `run` says then


def phase_of(stages: int) -> str:
    """Name the project of so many stages in a sample."""
    return f"{stages} stages"


def stages_of(phase: str) -> int:
    """Read what `phase_of` wrote."""
    return int(phase.split(maxsplit=1)[0])


@dataclass(frozen=True, slots=True, kw_only=True)
class Project:
    """A project of so many stages, and what is measured there."""

    folder: Path
    environment: Environment
    stages: int
    results: Results

    def missing(self, command: str, repeat: int) -> list[int]:
        """Give the numbers of the samples that are not there yet."""
        return [
            one for one in range(1, repeat + 1) if not self.results.has(command, phase_of(self.stages), one)
        ]

    def measured(self, command: str, number: int, wrong: Sequence[str] = ()) -> None:
        """Run a command once; `wrong` are the stages that a plan calls stale though nothing changed."""
        log = self.folder.with_suffix(".log")
        words = [str(self.environment.bin / "nbpipeline"), command.rsplit(maxsplit=1)[-1]]
        took = measure.run(words, cwd=self.folder, env=self.environment.variables(), log=log)
        if command == RUN and took.code == 0 and NOTHING not in log.read_text(encoding="utf-8"):
            wrong = (*wrong, "some stage ran")
        status, complaint = judge(took.code, log, wrong)
        sample = Sample(
            runner=command,
            phase=phase_of(self.stages),
            number=number,
            status=status,
            complaint=tidy(complaint, (self.folder, "PROJECT"), (self.environment.folder, "ENVIRONMENT")),
            **figures(took),
        )
        self.results.add(sample)
        tell(sample, f"{self.stages:,} stages")

    def record(self) -> list[str]:
        """Put all on record and let the tool remember what it read; gives what is stale nevertheless."""
        words = [str(self.environment.bin / "nbpipeline"), "record", f"tag:{projects.TAG}"]
        log = self.folder.with_suffix(".log")
        took = measure.run(words, cwd=self.folder, env=self.environment.variables(), log=log)
        if took.code:
            return [judge(took.code, log, ())[1]]
        time.sleep(SETTLING)
        try:
            stale(self.folder, self.environment)
            return stale(self.folder, self.environment)
        except subprocess.CalledProcessError as error:
            return [f"a plan fails: {error.stderr[-TAIL:]}"]


def commands(stages: int) -> list[str]:
    """Name the commands that are measured on what is on record."""
    return [PLAN, RUN, *([HELP] if stages <= SMALL else [])]


def grow(project: Project, repeat: int) -> None:
    """Measure all commands on a project, as far as they are not measured yet."""
    firsts = project.missing(FIRST, repeat if project.stages <= MEDIUM else 1)
    turns = {name: project.missing(name, repeat) for name in commands(project.stages)}
    if not firsts and not any(turns.values()):
        return
    shutil.rmtree(project.folder, ignore_errors=True)
    shape = projects.Shape(stages=project.stages, width=20 if project.stages <= MEDIUM else 100)
    projects.write(project.folder, shape, outputs=True)
    time.sleep(SETTLING)  # no entry is kept for a file that changed just now
    for number in firsts:
        shutil.rmtree(project.folder / ".nbpipeline", ignore_errors=True)
        project.measured(FIRST, number)
    if any(turns.values()):
        wrong = project.record()
        for number, name in by_turns(turns):
            project.measured(name, number, () if name == HELP else wrong)
    shutil.rmtree(project.folder)


def by_turns(turns: dict[str, list[int]]) -> Iterator[tuple[int, str]]:
    """Give every number of every command, a round after the other."""
    last = max((number for numbers in turns.values() for number in numbers), default=0)
    for number in range(1, last + 1):
        yield from ((number, name) for name, numbers in turns.items() if number in numbers)


def time_scale(
    results: Results, scratch: Path, environment: Environment, sizes: Sequence[int], repeat: int
) -> None:
    """Measure projects of these sizes."""
    results.versions["nbpipeline"] = environment.versions().get("nbpipeline", "unknown")
    for stages in sizes:
        folder = scratch / "scale" / str(stages)
        grow(Project(folder=folder, environment=environment, stages=stages, results=results), repeat)
