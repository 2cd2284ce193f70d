"""Many stages in one run: kernels forked for a hundred and a thousand trivial notebooks, nothing run before.

Time should grow with the stages and no faster; the memory of the runner's own process hardly at all.
"""

import shutil
from collections.abc import Sequence
from pathlib import Path

from benchmarks import measure, projects
from benchmarks.environments import Environment
from benchmarks.peers import judge, tell, tidy
from benchmarks.results_file import Results, Sample, figures
from benchmarks.scale import phase_of

RUNNER = "run"
MEMORY_GOAL = 250  # megabytes of the runner's own process, at a thousand stages


def wrong(folder: Path, made: Sequence[projects.Stage]) -> list[str]:
    """Name the stages whose file does not hold what it must."""
    values: dict[int, int] = {}
    found = []
    for one in made:
        values[one.number] = projects.result(one, [values[number] for number in one.reads])
        path = folder / "data" / f"{one.name}.txt"
        if not path.is_file() or path.read_text(encoding="utf-8") != str(values[one.number]):
            found.append(one.name)
    return found


def measured(folder: Path, environment: Environment, *, stages: int, jobs: int, number: int) -> Sample:
    """Write a project and run it."""
    shutil.rmtree(folder, ignore_errors=True)
    (folder / "data").mkdir(parents=True)
    made = projects.write(folder, projects.Shape(stages=stages))
    log = folder.with_suffix(".log")
    command = [str(environment.bin / "nbpipeline"), "run", f"-j{jobs}", "--kernels", "fork"]
    took = measure.run(command, cwd=folder, env=environment.variables(), log=log)
    status, complaint = judge(took.code, log, wrong(folder, made))
    shutil.rmtree(folder)
    return Sample(
        runner=RUNNER,
        phase=phase_of(stages),
        number=number,
        status=status,
        complaint=tidy(complaint, (folder, "PROJECT"), (environment.folder, "ENVIRONMENT")),
        **figures(took),
    )


def time_runs(
    results: Results,
    scratch: Path,
    environment: Environment,
    *,
    sizes: Sequence[int],
    repeat: int,
    jobs: int,
) -> None:
    """Measure what is not there yet, by turns."""
    results.versions["nbpipeline"] = environment.versions().get("nbpipeline", "unknown")
    for number in range(1, repeat + 1):
        for stages in sizes:
            if results.has(RUNNER, phase_of(stages), number):
                continue
            folder = scratch / "long" / str(stages)
            sample = measured(folder, environment, stages=stages, jobs=jobs, number=number)
            results.add(sample)
            tell(sample, f"{stages:,} stages, runner alone {sample.alone / 2**20:.0f} MB")
