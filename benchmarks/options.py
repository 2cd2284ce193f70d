"""The command line of the benchmarks."""

import argparse
from collections.abc import Sequence
from pathlib import Path

from benchmarks import large, peers, scale
from benchmarks.environments import ROOT, default_cache
from benchmarks.results_file import FOLDER
from benchmarks.runners import JOBS

PARTS = {
    "peers": "the same DAG by nbpipeline, papermill, Ploomber, DVC, Snakemake: cold, again, after a change",
    "example": "the example pipeline of this repository",
    "scale": "plan, run with nothing to do, first read, --help: by the size of the project",
    "long": "one run of many trivial stages: time a stage, memory of the runner",
    "large": "one notebook of many cells and large outputs, by nbpipeline and by papermill",
    "killed": "every runner killed in mid-write: what is left of an output",
    "audit": "what watching the files that a cell opens adds to it",
    "report": "docs/benchmarks.md with its plots, from all results that are kept",
}
EXAMPLES = """\
examples:
  python -m benchmarks                                     all of it; some two hours on a machine at rest
  python -m benchmarks --resume                            go on where that was stopped
  python -m benchmarks --parts report                      the page from kept results
  python -m benchmarks --parts peers,report --only nbpipeline,snakemake --repeat 3
  python -m benchmarks --parts scale,long,audit,report
  python -m benchmarks --parts scale,report --stages 100,1000 --only nbpipeline
  python -m benchmarks --parts long,report --run-stages 100 --repeat-long 1 --only nbpipeline
  python -m benchmarks --parts large,report --cells 100,500 --repeat-large 1 --only nbpipeline,papermill

With --only, results stay out of the checkout, and the tables are printed instead of written into docs.
"""


def numbers(text: str) -> list[int]:
    """Read numbers with commas between them."""
    found = [int(one) for one in text.split(",")]
    if min(found) < 1:
        raise argparse.ArgumentTypeError("each has to be 1 at least")
    return found


def names(text: str) -> list[str]:
    """Read names of parts with commas between them."""
    found = [one.strip() for one in text.split(",")]
    if unknown := set(found) - set(PARTS):
        listed = ", ".join(sorted(unknown))
        raise argparse.ArgumentTypeError(f"no part is called {listed}; there are {', '.join(PARTS)}")
    return found


def add_repeats(parser: argparse.ArgumentParser) -> None:
    """Add how often each thing is measured."""
    add = parser.add_argument_group("how often").add_argument
    add("--repeat", type=int, default=5, help="rounds of peers [%(default)s]")
    for phase in peers.PHASES:
        add(f"--repeat-{phase}", type=int, help=f"rounds in which `{phase}` is measured [as --repeat]")
    add("--repeat-slow", type=int, default=3, help="rounds of what takes more than a minute [%(default)s]")
    add("--repeat-example", type=int, default=3, help="rounds of the example pipeline [%(default)s]")
    add("--repeat-scale", type=int, default=5, help="rounds of the quick commands [%(default)s]")
    add("--repeat-long", type=int, default=3, help="runs of many stages [%(default)s]")
    add("--repeat-large", type=int, default=3, help="runs of the large notebook [%(default)s]")
    add("--repeat-audit", type=int, default=5, help="rounds of watched files, of 5 turns [%(default)s]")


def add_sizes(parser: argparse.ArgumentParser) -> None:
    """Add how large what is measured is."""
    add = parser.add_argument_group("how large").add_argument
    add("--jobs", type=int, default=JOBS, help="stages side by side, where a runner can [%(default)s]")
    add("--layers", type=int, default=5, help="peers: layers below the source [%(default)s]")
    add("--width", type=int, default=4, help="peers: stages in a layer [%(default)s]")
    sizes = [scale.SMALL, scale.MEDIUM, scale.LARGE]
    add("--stages", type=numbers, default=sizes, metavar="N,N", help="scale: stages [100,1000,10000]")
    add(
        "--run-stages",
        type=numbers,
        default=sizes[:2],
        metavar="N,N",
        help="long: stages of a run [100,1000]",
    )
    add(
        "--cells",
        type=numbers,
        default=[100, 500, 2000],
        metavar="N,N",
        help="large: cells of the notebook [100,500,2000]",
    )
    add("--output", type=int, default=100_000, metavar="BYTES", help="large: output of a cell [%(default)s]")
    add(
        "--most-cells",
        type=int,
        default=500,
        help=f"large: {large.PEER} is given notebooks up to this size [%(default)s]",
    )
    add("--files", type=int, default=20_000, help="audit: files that are opened [%(default)s]")


def add_places(parser: argparse.ArgumentParser) -> None:
    """Add where things are kept."""
    add = parser.add_argument_group("where").add_argument
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


def parse(arguments: Sequence[str]) -> argparse.Namespace:
    """Read the command line."""
    listed = "\n".join(f"  {name:9}{words}" for name, words in PARTS.items())
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks",
        usage="python -m benchmarks [OPTION ...]",
        description=f"Measure everything and write docs/benchmarks.md.\n\nparts:\n{listed}",
        epilog=EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add = parser.add_argument
    add("--parts", type=names, default=list(PARTS), metavar="PART,PART", help="only these [all]")
    add(
        "--only",
        default="",
        help="runners of peers, large and killed, with commas between; "
        "a part of a name will do, `nbpipeline` is exact",
    )
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
    add_repeats(parser)
    add_sizes(parser)
    add_places(parser)
    options = parser.parse_args(arguments)
    options.cache = options.cache.resolve()
    options.results = (options.results or (options.cache / "partial" if options.only else FOLDER)).resolve()
    if options.docs is None and not options.only:
        options.docs = ROOT / "docs"
    return options
