"""The sections of docs/benchmarks.md on nbpipeline by itself: its growth, large notebooks, watched files."""

from collections.abc import Callable, Sequence
from statistics import median as middle

from benchmarks import audit, curves, large, long, scale
from benchmarks.bars import figure
from benchmarks.results_file import Results, Sample, median, right
from benchmarks.tables import MEGABYTE, MISSING, machine_line, seconds, spread, table, troubles

LONG_LINE = "run of all"  # in the plot
NOTICEABLE = 0.02  # of a cell's time, from which watching files is said to cost something

SCALE = """\
## How the quick commands grow

Synthetic projects: layers of small notebooks of ten cells, each reading two files of the layer above
(`benchmarks/projects.py` writes them). *First plan*: nothing was ever read of the project. *Plan* and *run*:
everything is on record, and nothing has to run. Each command is a process of its own; the commands take
turns. Memory is the highest of the process. Beside the median stand the smallest and the largest, and the
goal where there is one.

{machine}

![Time over stages, both axes logarithmic](benchmarks-growth.svg)

*Run of all*, where it is drawn, is a run in which every stage has to run; see the next section.
"""

LONG = """\
## Many stages in one run

The same notebooks, nothing run before: `nbpipeline run -j{jobs}` with forked kernels. *Runner alone* is the
highest that the runner's own process ever was (goal: under {goal} MB at 1,000 stages); *whole tree* the
proportional size of everything together, the fork server and the kernels included.

{machine}
"""

LARGE = """\
## One large notebook

Each cell prints {output:,.0f} kB of lines. papermill writes the whole file again before and after each cell,
so what it writes grows with the square of the cells: the largest is left to nbpipeline alone. *Written* is
what all processes handed to `write`. *Own process* is the memory of the command itself, *whole tree* with the
kernel. Output past 10 MB a cell is cut by nbpipeline; here no cell comes near that, and a sample counts only
if every line stands in the executed notebook.

{machine}
"""

WATCHING = """\
## What watching files costs

CPU time that a cell takes longer while nbpipeline [watches what it opens](reference/watching.md), for work
that does little else: {files:,} files of half a kilobyte, {modules} modules. *Empty hook*: an audit hook in
Python that does nothing. *Hook*: nbpipeline's. *Hook and system*: Linux is asked as well, as from the first
import of a library that opens files past Python. The files are in memory, where the work itself takes least
and the shares are largest. Of each round the fastest turn counts; shown is the median of the rounds, in
brackets the smallest and the largest, then what that is for one file, module or size.

{machine}
"""

WORDS = {
    "opens": "open, read, close, each file once",
    "again": "the same file again and again",
    "parses": "read and parse JSON",
    "tables": "read a table of 20 rows with pandas",
    "writes": "write a file over",
    "stats": "ask for a size",
    "imports": "import a module",
}


Column = Callable[[Sequence[Sample]], str]


def duration(what: str, parts: int = 1) -> Column:
    """Make a column of median seconds, of one of so many parts."""
    return lambda samples: seconds((median(samples, what) or 0.0) / parts)


def size(what: str) -> Column:
    """Make a column of median bytes."""
    return lambda samples: f"{(median(samples, what) or 0) / MEGABYTE:,.0f} MB"


def counted(samples: Sequence[Sample]) -> str:
    """Write how many samples count, and how many do not."""
    good = len(right(samples))
    return f"{good}" + (f", {len(samples) - good} failed" if good < len(samples) else "")


def failed(samples: Sequence[Sample], columns: int) -> list[str]:
    """Write what stands instead of figures where no sample counts."""
    return [f"**{samples[0].status}**", *[MISSING] * (columns - 1)]


def cells(samples: Sequence[Sample], *columns: Column) -> list[str]:
    """Write the figures of the samples that count, and how many these are."""
    good = right(samples)
    if not good:
        return failed(samples, len(columns) + 1)
    return [*(column(good) for column in columns), counted(samples)]


def phases(results: Results) -> list[str]:
    """Give the sizes that were measured, the smallest first."""
    return sorted({one.phase for one in results.samples}, key=scale.stages_of)


def scale_rows(results: Results) -> list[list[str]]:
    """Write a line for each command on each project."""
    rows = []
    for command in (scale.HELP, scale.FIRST, scale.PLAN, scale.RUN):
        for phase in phases(results):
            samples = results.of(command, phase)
            if not samples:
                continue
            stages = scale.stages_of(phase)
            limit = scale.GOALS.get((command, stages))
            goal = f"{limit:g} s" if limit else MISSING
            row = cells(samples, spread, duration("cpu"), size("alone"), lambda _, goal=goal: goal)
            rows.append([f"`{command}`", f"{stages:,}", *row])
    return rows


def scale_section(results: Results) -> str:
    """Write how the quick commands grow."""
    heads = ("command", "stages", "wall", "CPU", "memory", "goal", "samples")
    text = SCALE.format(machine=machine_line(results))
    return f"{text}\n{table(heads, scale_rows(results))}{troubles(results.samples)}"


def points(results: Results, runner: str) -> dict[int, float]:
    """Give the median wall time of each size."""
    found = {scale.stages_of(one): median(results.of(runner, one), "wall") for one in phases(results)}
    return {stages: wall for stages, wall in found.items() if wall}


def growth(results: Results, runs: Results | None = None) -> str:
    """Draw the medians of all commands but `--help`, which knows of no project, and of long runs."""
    series = {command: points(results, command) for command in (scale.FIRST, scale.PLAN, scale.RUN)}
    if runs:
        series[LONG_LINE] = points(runs, long.RUNNER)
    goals: dict[str, dict[int, float]] = {}
    for (command, stages), goal in scale.GOALS.items():
        if stages in series.get(command, ()):
            goals.setdefault(command, {})[stages] = goal
    return curves.growth("Time over stages, seconds", series, goals, "stages")


def long_row(results: Results, phase: str) -> list[str]:
    """Write the line of a run of so many stages."""
    samples, stages = results.of(long.RUNNER, phase), scale.stages_of(phase)
    each = duration("wall", stages), duration("cpu", stages)
    return [f"{stages:,}", *cells(samples, spread, *each, size("alone"), size("pss"))]


def long_section(results: Results) -> str:
    """Write what many stages in one run take."""
    heads = ("stages", "wall", "wall a stage", "CPU a stage", "runner alone", "whole tree", "samples")
    text = LONG.format(jobs=results.settings["jobs"], goal=long.MEMORY_GOAL, machine=machine_line(results))
    rows = (long_row(results, phase) for phase in phases(results))
    return f"{text}\n{table(heads, rows)}{troubles(results.samples)}"


def large_rows(results: Results) -> list[list[str]]:
    """Write a line for each size by each runner."""
    columns = spread, duration("cpu"), size("written"), size("alone"), size("pss")
    rows = []
    for phase in phases(results):
        count = scale.stages_of(phase)
        whole = f"{count:,}, {count * results.settings['output'] / 1e6:,.0f} MB"
        taken = {runner: results.of(runner, phase) for runner in large.RUNNERS}
        rows += [[whole, runner, *cells(found, *columns)] for runner, found in taken.items() if found]
    return rows


def large_section(results: Results) -> str:
    """Write what a large notebook takes."""
    heads = ("cells, outputs", "runner", "wall", "CPU", "written", "own process", "whole tree", "samples")
    text = LARGE.format(output=results.settings["output"] / 1e3, machine=machine_line(results))
    return f"{text}\n{table(heads, large_rows(results))}{troubles(results.samples)}"


def added(results: Results, work: str, way: str) -> list[float]:
    """Give the share by which the work takes longer this way, a round after the other."""
    bare = {one.number: one.cpu for one in right(results.of(work, audit.BARE))}
    return [one.cpu / bare[one.number] - 1 for one in right(results.of(work, way)) if bare.get(one.number)]


def percent(shares: Sequence[float], each: float) -> str:
    """Write shares as their median and range, and what that is of one operation's seconds."""
    text = f"{middle(shares) * 100:+.1f} %"
    if len(shares) > 1:
        text += f" ({min(shares) * 100:.1f} to {max(shares) * 100:.1f})"
    return f"{text}, {middle(shares) * each * 1e6:.1f} µs"


def watching_row(results: Results, work: str) -> list[str]:
    """Write what watching adds to one piece of work."""
    samples = results.of(work, audit.BARE)
    bare = median(samples, "cpu")
    if bare is None:
        return [WORDS[work], *failed(samples, len(audit.WAYS))]
    each = bare / audit.operations(work, results.settings["files"])
    shares = (added(results, work, way) for way in audit.WAYS[1:])
    return [WORDS[work], f"{figure(each * 1e6)} µs", *(percent(one, each) for one in shares)]


def verdict(results: Results) -> str:
    """Say what is above the mark."""
    over = [
        WORDS[work]
        for work in WORDS
        if (shares := added(results, work, "hook")) and middle(shares) > NOTICEABLE
    ]
    named = "; ".join(over) or "nothing"
    return f"\nWith the hook alone, more than {NOTICEABLE * 100:.0f} % are added to: {named}.\n"


def watching_section(results: Results) -> str:
    """Write what watching files costs."""
    heads = ("work", "one takes", *audit.WAYS[1:])
    text = WATCHING.format(
        files=results.settings["files"], modules=audit.MODULES, machine=machine_line(results)
    )
    rows = [watching_row(results, work) for work in WORDS if results.of(work, audit.BARE)]
    return f"{text}\n{table(heads, rows)}{verdict(results)}{troubles(results.samples)}"
