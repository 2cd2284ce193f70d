"""Measure everything and write docs/benchmarks.md: `python -m benchmarks --help`."""

import argparse
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

from benchmarks import example, machine, peers, report, work
from benchmarks.environments import ROOT, default_cache
from benchmarks.results_file import FOLDER, Results
from benchmarks.runners import JOBS, select

PARTS = ("peers", "example", "killed", "report")


def parse(arguments: Sequence[str]) -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__.splitlines()[0])
    add = parser.add_argument
    add("--parts", default=",".join(PARTS), help="which of %(default)s")
    add(
        "--only",
        default="",
        help="runners, separated by commas; a part of a name will do, `nbpipeline` is exact",
    )
    add("--repeat", type=int, default=5, help="rounds [%(default)s]")
    for phase in peers.PHASES:
        add(f"--repeat-{phase}", type=int, help=f"rounds in which `{phase}` is measured [as --repeat]")
    add("--repeat-slow", type=int, default=3, help="rounds of what takes more than a minute [%(default)s]")
    add("--repeat-example", type=int, default=3, help="rounds of the example pipeline [%(default)s]")
    add("--jobs", type=int, default=JOBS, help="stages side by side, where a runner can [%(default)s]")
    add("--layers", type=int, default=5, help="layers below the source [%(default)s]")
    add("--width", type=int, default=4, help="stages in a layer [%(default)s]")
    add(
        "--variant",
        action="append",
        default=[],
        metavar="NAME=ARGUMENTS",
        help="nbpipeline run with more arguments",
    )
    add(
        "--resume", action="store_true", help="keep the samples of the results file, take those that it lacks"
    )
    add("--cache", type=Path, default=default_cache(), help="where environments are kept [%(default)s]")
    add("--scratch", type=Path, help="a folder for projects, not in the checkout [a temporary one]")
    add(
        "--results",
        type=Path,
        help="where results are kept [benchmarks/results; with --only, beside the environments]",
    )
    add(
        "--docs", type=Path, help="where the page and the plots go [docs; with --only the tables are printed]"
    )
    options = parser.parse_args(arguments)
    options.cache = options.cache.resolve()
    options.results = (options.results or (options.cache / "partial" if options.only else FOLDER)).resolve()
    if options.docs is None and not options.only:
        options.docs = ROOT / "docs"
    return options


def opened(path: Path, *, resume: bool, settings: dict[str, object]) -> Results:
    """Give the results file to add to."""
    if resume and path.exists():
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
    results = opened(options.results / "peers.json", resume=options.resume, settings=settings)
    repeats = peers.Repeats(phases=phases, slow=options.repeat_slow)
    comparison = peers.Comparison(results, repeats, dag, scratch)
    peers.compare(select(options.only, options.jobs, options.variant), comparison, options.cache)


def time_example(options: argparse.Namespace, scratch: Path) -> None:
    """Measure the example pipeline."""
    settings = {"repeat": options.repeat_example}
    results = opened(options.results / "example.json", resume=options.resume, settings=settings)
    example.time_example(results, scratch, options.cache, options.repeat_example)


def kill(options: argparse.Namespace, scratch: Path) -> None:
    """Kill the runners, in a process of its own: it becomes the parent of what they leave behind."""
    words = ["--only", options.only, "--scratch", str(scratch), "--cache", str(options.cache)]
    results = str(options.results / "killed.json")
    command = [sys.executable, "-m", "benchmarks.killed", *words, "--results", results]
    subprocess.run(command, cwd=ROOT, check=False)


def main(arguments: Sequence[str]) -> int:
    """Measure, then write; exit code 1 when a runner failed or left wrong outputs."""
    options = parse(arguments)
    parts = options.parts.split(",")
    if unknown := set(parts) - set(PARTS):
        sys.exit(f"--parts: no part is called {', '.join(sorted(unknown))}; there are {', '.join(PARTS)}")
    began = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="nbpipeline-benchmarks-") as temporary:
        scratch = Path(options.scratch or temporary).resolve()
        measurements = {"peers": compare, "example": time_example, "killed": kill}
        for name in (one for one in PARTS if one in parts and one in measurements):
            print(f"== {name}", flush=True)
            measurements[name](options, scratch)
    print(f"took {(time.monotonic() - began) / 60:.1f} minutes", flush=True)
    if "report" in parts and options.docs:
        report.write(options.results, options.docs)
    elif "report" in parts:
        print("\n".join(report.sections(options.results)))
    return int(bool(report.failures(options.results, parts)))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
