"""The example pipeline of this repository, by nbpipeline: a fresh clone, cold and again."""

import json
import shutil
import subprocess
from pathlib import Path

from benchmarks import environments, measure
from benchmarks.environments import ROOT, Environment
from benchmarks.peers import judge, tell, tidy
from benchmarks.results_file import Results, Sample, figures

RUNNER = "example"
PHASES = ("cold", "no-op")


def clone(folder: Path) -> None:
    """Clone the checkout's last commit into a new folder."""
    shutil.rmtree(folder, ignore_errors=True)
    folder.parent.mkdir(parents=True, exist_ok=True)
    subprocess.run(["git", "clone", "--quiet", str(ROOT), str(folder)], check=True)


def stale(folder: Path, environment: Environment) -> list[str]:
    """Name the stages that a plan calls stale after a run."""
    command = [str(environment.bin / "nbpipeline"), "plan", "--format", "json"]
    done = subprocess.run(
        command, cwd=folder, env=environment.variables(), capture_output=True, text=True, check=True
    )
    return [one["stage"] for one in json.loads(done.stdout)["stages"] if not one["fresh"]]


def measured(folder: Path, environment: Environment, phase: str, number: int) -> Sample:
    """Run the example once."""
    log = folder.parent / f"example-{phase}.log"
    command = [str(environment.bin / "nbpipeline"), "run"]
    took = measure.run(command, cwd=folder, env=environment.variables(), log=log)
    status, complaint = judge(took.code, log, stale(folder, environment) if took.code == 0 else ())
    return Sample(
        runner=RUNNER,
        phase=phase,
        number=number,
        status=status,
        **figures(took),
        complaint=tidy(complaint, (folder, "PROJECT"), (environment.folder, "ENVIRONMENT")),
    )


def time_example(results: Results, scratch: Path, cache: Path, repeat: int) -> None:
    """Measure what is not there yet."""
    environment = environments.prepare_ours(RUNNER, cache, ROOT / "requirements.lock")
    results.versions[RUNNER] = environment.versions().get("nbpipeline", "unknown")
    folder = scratch / "example"
    for number in range(1, repeat + 1):
        if all(results.has(RUNNER, phase, number) for phase in PHASES):
            continue
        clone(folder)
        for phase in PHASES:
            sample = measured(folder, environment, phase, number)
            results.add(sample)
            tell(sample, "nothing stale after it" if sample.status == "right" else "")
