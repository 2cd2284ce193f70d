"""Measure everything and write docs/benchmarks.md: `python -m benchmarks --help`."""

import argparse
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

from benchmarks import environments, example, large, long, machine, peers, report, scale, watched, work
from benchmarks.environments import ROOT
from benchmarks.options import parse
from benchmarks.results_file import Results
from benchmarks.runners import matches, select

LEAN = "nbpipeline"  # the environment of what is measured of nbpipeline alone


def opened(options: argparse.Namespace, part: str, settings: dict[str, object]) -> Results:
    """Give the results file to add to."""
    path = options.results / f"{part}.json"
    if options.resume and path.exists():
        return Results.load(path)
    return Results(path, machine.describe(), settings)


def compare(options: argparse.Namespace, scratch: Path) -> None:
    """Measure the runners."""
    dag = work.generate(options.layers, options.width)
    phases = {
        phase: getattr(options, f"repeat_{phase.replace('-', '_')}") or options.repeat
        for phase in peers.PHASES
    }
    settings = {
        "stages": len(dag),
        "stale": len(work.downstream(dag, work.middle(dag))),
        "changed": work.middle(dag),
        "jobs": options.jobs,
        "repeat": phases,
        "repeat_slow": options.repeat_slow,
    }
    results = opened(options, "peers", settings)
    repeats = peers.Repeats(phases=phases, slow=options.repeat_slow)
    comparison = peers.Comparison(results, repeats, dag, scratch)
    peers.compare(select(options.only, options.jobs, options.variant), comparison, options.cache)


def time_example(options: argparse.Namespace, scratch: Path) -> None:
    """Measure the example pipeline."""
    settings = {"repeat": options.repeat_example}
    results = opened(options, "example", settings)
    example.time_example(results, scratch, options.cache, options.repeat_example)


def grow(options: argparse.Namespace, scratch: Path) -> None:
    """Measure the quick commands by the size of the project."""
    results = opened(options, "scale", {"stages": options.stages, "repeat": options.repeat_scale})
    environment = environments.prepare_ours(LEAN, options.cache)
    scale.time_scale(results, scratch, environment, options.stages, options.repeat_scale)


def run_many(options: argparse.Namespace, scratch: Path) -> None:
    """Measure runs of many stages."""
    settings = {"stages": options.run_stages, "repeat": options.repeat_long, "jobs": options.jobs}
    results = opened(options, "long", settings)
    environment = environments.prepare_ours(LEAN, options.cache)
    sizes, repeat = options.run_stages, options.repeat_long
    long.time_runs(results, scratch, environment, sizes=sizes, repeat=repeat, jobs=options.jobs)


def run_large(options: argparse.Namespace, scratch: Path) -> None:
    """Measure the large notebook by the runners that are wanted."""
    settings = {"cells": options.cells, "output": options.output, "repeat": options.repeat_large}
    results = opened(options, "large", settings)
    wanted = [one.strip().lower() for one in options.only.split(",") if one.strip()]
    makers = {large.OURS: environments.prepare_ours, large.PEER: environments.prepare}
    made = {
        name: make(name, options.cache)
        for name, make in makers.items()
        if not wanted or any(matches(name, one) or matches(one, name) for one in wanted)
    }
    sizes = [large.Size(cells=cells, output=options.output) for cells in options.cells]
    most, repeat = options.most_cells, options.repeat_large
    large.time_notebooks(results, scratch, made, sizes=sizes, most=most, repeat=repeat)


def watch(options: argparse.Namespace, scratch: Path) -> None:
    """Measure what watching files costs."""
    results = opened(options, "audit", {"files": options.files, "repeat": options.repeat_audit})
    environment = environments.prepare_ours(LEAN, options.cache)
    repeat = options.repeat_audit
    watched.time_watching(results, scratch, environment, files=options.files, repeat=repeat)


def kill(options: argparse.Namespace, scratch: Path) -> None:
    """Kill the runners, in a process of its own: it becomes the parent of what they leave behind."""
    words = ["--only", options.only, "--scratch", str(scratch), "--cache", str(options.cache)]
    results = str(options.results / "killed.json")
    command = [sys.executable, "-m", "benchmarks.killed", *words, "--results", results]
    subprocess.run(command, cwd=ROOT, check=False)


MEASUREMENTS = {
    "peers": compare,
    "example": time_example,
    "scale": grow,
    "long": run_many,
    "large": run_large,
    "killed": kill,
    "audit": watch,
}


def main(arguments: Sequence[str]) -> int:
    """Measure, then write; exit code 1 when a runner failed or left wrong outputs."""
    options = parse(arguments)
    began = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="nbpipeline-benchmarks-") as temporary:
        scratch = Path(options.scratch or temporary).resolve()
        for name, measure in MEASUREMENTS.items():
            if name in options.parts:
                print(f"== {name}", flush=True)
                measure(options, scratch)
    print(f"took {(time.monotonic() - began) / 60:.1f} minutes", flush=True)
    if "report" in options.parts and options.docs:
        report.write(options.results, options.docs)
    elif "report" in options.parts:
        print("\n".join(report.sections(options.results)))
    return int(bool(report.failures(options.results, options.parts)))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
