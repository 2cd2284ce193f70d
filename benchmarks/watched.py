"""What watching files costs a cell: `audit.py` by the lean environment's Python, work by work."""

import json
import subprocess
from collections.abc import Mapping
from pathlib import Path

from benchmarks import audit
from benchmarks.environments import Environment
from benchmarks.peers import TAIL, tidy
from benchmarks.results_file import Results, Sample

TURNS = 5  # of each way in a round; the fastest counts
PROGRAM = Path(audit.__file__)


def seconds(environment: Environment, folder: Path, name: str, files: int) -> Mapping[str, float] | str:
    """Measure one piece of work in every way; where that fails, what was said."""
    words = ["--only", name, "--files", str(files), "--repeat", str(TURNS), "--json"]
    done = subprocess.run(
        [str(environment.bin / "python"), str(PROGRAM), *words],
        cwd=folder,
        env=environment.variables(),
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        said = f"exit code {done.returncode}\n{done.stderr[-TAIL:]}"
        return tidy(said, (environment.folder, "ENVIRONMENT"), (folder, "PROJECT"))
    found: Mapping[str, float] = json.loads(done.stdout)["seconds"][name]
    return found


def measure_round(results: Results, environment: Environment, folder: Path, number: int, files: int) -> None:
    """Measure every piece of work once, as far as it is not there yet."""
    for name in (one.__name__ for one in audit.WORKS):
        if results.has(name, audit.BARE, number):
            continue
        found = seconds(environment, folder, name, files)
        results.samples += samples(name, number, found)
        results.save()
        print(f"  {name:10} {found if isinstance(found, str) else told(found)}", flush=True)


def samples(name: str, number: int, found: Mapping[str, float] | str) -> list[Sample]:
    """Keep the CPU seconds of every way."""
    if isinstance(found, str):
        about = {"status": "failed", "complaint": found}
        return [Sample(runner=name, phase=audit.BARE, number=number, **about)]
    return [
        Sample(runner=name, phase=way, number=number, status="right", cpu=found[way]) for way in audit.WAYS
    ]


def told(found: Mapping[str, float]) -> str:
    """Write a line of progress."""
    bare = found[audit.BARE]
    return f"{bare:.3f} s" + "".join(f"  {way} {found[way] / bare - 1:+.1%}" for way in audit.WAYS[1:])


def time_watching(
    results: Results, scratch: Path, environment: Environment, *, files: int, repeat: int
) -> None:
    """Measure so many rounds."""
    results.versions["nbpipeline"] = environment.versions().get("nbpipeline", "unknown")
    folder = scratch / "audit"
    folder.mkdir(parents=True, exist_ok=True)
    for number in range(1, repeat + 1):
        measure_round(results, environment, folder, number, files)
