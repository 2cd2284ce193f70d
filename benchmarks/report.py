"""From results to docs/benchmarks.md and its plots. Every number there is computed here from kept samples."""

from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

from benchmarks import alone, bars, example, killed
from benchmarks.peers import PHASES
from benchmarks.results_file import Results, Sample, median, right
from benchmarks.runners import BARE, OURS
from benchmarks.tables import MEGABYTE, MISSING, machine_line, seconds, spread, table, troubles

INTRODUCTION = """\
# Benchmarks

What a runner costs beside the notebooks' own code, how that grows, and what a crash costs. Everything here is
measured by one command, from an environment for development (README, second command), on Linux:

```sh
.venv/bin/python -m benchmarks
```

It installs each peer from its pins ([benchmarks/requirements](../benchmarks/requirements)) into an
environment of its own outside of the checkout, with compiled bytecode, and writes this page from what it
keeps in [benchmarks/results](../benchmarks/results). `--parts`, `--only`, the sizes and the repeats restrict
it (`--help` names them), `--resume` goes on where it was stopped.
"""

METHOD = """\
## The same notebooks, by every runner

{stages} notebooks: one source, then layers of four, each reading the files of two stages of the layer above.
Each imports pandas, scikit-learn and matplotlib, sums what it reads and writes twenty numbers: nearly all of
the time is the runner's. The working cell is the same for all, the cells that name the files are in each
runner's own form.

- **papermill loop**: a shell script, one `papermill` a stage. **DVC** and **Snakemake** call the same
  `papermill` a stage.
- **Ploomber**: `ploomber build`, with its serial and its parallel executor. **nbpipeline**: `nbpipeline run`.
- **one script**: no runner; all stages in one Python process that imports once. What the work itself costs.

Runners that can work on several stages at once were given {jobs}. *Cold*: a new copy of the project, nothing
run before. *Again*: the same command once more. *One change*: one line of `{changed}`, in the middle layer,
is another; {stale} of {stages} stages are stale by it.

Wall time is that of the command. CPU is user and system time of everything that it started, helpers that
daemonise themselves included. Memory is the peak of the whole process tree: proportional set size (PSS, a
page that processes share counts once), looked at every 50 ms. Figures are medians; in brackets the smallest
and largest. Each round runs all runners, beginning with another one each time, so that a drift of the machine
hits all alike. What takes more than a minute is repeated {slow} times, and once where it is the same work as
the cold run by a runner that never skips. Before that each runner runs a DAG of three stages, not counted. A
sample counts only if every output has the bytes that it must have, which are computed without a notebook;
stages say themselves that they ran.

*Overhead a stage* is the wall time beyond the one script's, divided by {stages}; *a stage that ran* is the
wall time beyond that of a run with nothing to do, divided by {stale}.

{machine}

![Wall time of each runner: cold, again, after one change](benchmarks-time.svg)
![CPU time and memory of each runner, cold](benchmarks-cost.svg)
"""

EXTRA = {"cold": "overhead a stage", "no-op": "", "change": "a stage that ran"}
TITLES = {"cold": "Cold", "no-op": "Again, nothing changed", "change": "After one change in the middle"}

KILLED = """\
## Killed in mid-write

A stage has run, its output is good. Its code is changed, and while it is half-way through writing the file
again, the runner and all that it started are killed (`SIGKILL`). What stands in the file then? *Edit kept*:
the next run has to finish the new version. *Edit taken back*: the last good file is the right one again, and
a half one that passes for it is silently wrong.
"""

EXAMPLE = """\
## The example pipeline

The eight stages of this repository in a fresh clone, `nbpipeline run` and once more:
"""

COMMANDS = """\
## Single figures

| figure | command |
|---|---|
| one runner beside nbpipeline | `.venv/bin/python -m benchmarks --parts peers,report --only nbpipeline,snakemake --repeat 3` |
| the killed runs | `.venv/bin/python -m benchmarks --parts killed,report` |
| the example | `.venv/bin/python -m benchmarks --parts example,report` |
| Airflow parsing an exported DAG of 1,000 stages | `.venv/bin/python -m benchmarks.exports` (0.5 s of the processor, in November 2026) |
| `plan`, `run`, first read and `--help` by size | `.venv/bin/python -m benchmarks --parts scale,report --stages 100,1000,10000` |
| a run of many stages | `.venv/bin/python -m benchmarks --parts long,report --run-stages 100,1000` |
| a large notebook | `.venv/bin/python -m benchmarks --parts large,report --cells 100,500,2000` |
| what watching files costs | `.venv/bin/python -m benchmarks --parts audit,report` |
| this page from kept results | `.venv/bin/python -m benchmarks --parts report` |

With `--only`, results stay out of the checkout, and the tables are printed instead of written here.
"""  # noqa: E501  (a table)


def times(value: float | None, ours: float | None) -> str:
    """Write how many times as long as ours."""
    return f"{value / ours:.1f}" if value and ours else MISSING


def ran(samples: Sequence[Sample], stages: int) -> str:
    """Write how many stages ran, and whether they were the stale ones."""
    counts = sorted({len(one.ran) for one in samples})
    words = " or ".join(map(str, counts))
    exact = all(one.exact for one in samples)
    return f"{words} of {stages}" + ("" if exact else ", not just the stale")


def extra(results: Results, runner: str, phase: str) -> str:
    """Write what a stage costs beyond the work itself (cold), or beyond a run with nothing to do (change)."""
    base = results.of(BARE, "cold") if phase == "cold" else results.of(runner, "no-op")
    spent, floor = median(results.of(runner, phase), "wall"), median(base, "wall")
    count = results.settings["stages" if phase == "cold" else "stale"]
    if phase == "no-op" or runner == BARE or spent is None or floor is None:
        return MISSING
    if phase == "change" and not all(one.exact for one in results.of(runner, phase)):
        return MISSING
    return seconds((spent - floor) / count)


def row(results: Results, runner: str, phase: str) -> list[str]:
    """Write one runner's line; one that failed says so."""
    samples = results.of(runner, phase)
    good = right(samples)
    if not good:
        what = samples[0].status if samples else "not reached"
        return [runner, f"**{what}**", *[MISSING] * 6]
    count = f"{len(good)}" + (f", {len(samples) - len(good)} failed" if len(good) < len(samples) else "")
    return [
        runner,
        spread(good),
        times(median(good, "wall"), median(results.of(OURS, phase), "wall")),
        seconds(median(good, "cpu") or 0.0),
        f"{(median(good, 'pss') or 0) / MEGABYTE:.0f} MB",
        extra(results, runner, phase),
        ran(good, results.settings["stages"]),
        count,
    ]


def names(results: Results) -> list[str]:
    """Give the runners, in the order in which they were entered."""
    return list(dict.fromkeys((*results.versions, *(one.runner for one in results.samples))))


def phase_table(results: Results, phase: str) -> str:
    """Write the table of a phase."""
    heads = ("runner", "wall", f"times {OURS}", "CPU", "memory", EXTRA[phase], "stages run", "samples")
    return table(heads, (row(results, name, phase) for name in names(results)))


def peers_section(results: Results) -> str:
    """Write the comparison."""
    settings = results.settings
    text = METHOD.format(
        stages=settings["stages"],
        stale=settings["stale"],
        changed=settings["changed"],
        jobs=settings["jobs"],
        slow=settings["repeat_slow"],
        machine=machine_line(results),
    )
    for phase in PHASES:
        text += f"\n### {TITLES[phase]}\n\n{phase_table(results, phase)}"
    return text + troubles(results.samples)


def killed_row(trial: killed.Trial) -> list[str]:
    """Write what became of the file in one trial."""
    looked = f"{trial.status} (`{trial.status_command}`)" if trial.status_command else MISSING
    ends = "" if trial.code == 0 else f", exit code {trial.code}"
    how = "ran it" if trial.ran else "did not run it"
    return [trial.runner, trial.edit, trial.killed, looked, f"{trial.after}: {how}{ends}"]


def killed_section(path: Path) -> str:
    """Write the table of killed runs."""
    trials, failed = killed.load(path)
    heads = ("runner", "edit", "after the kill", "after the next look", "after the next run")
    rows = [killed_row(one) for one in trials]
    lines = table(heads, rows).replace("---:", "---")
    return f"{KILLED}\n{lines}" + "".join(f"\n```text\n{one}\n```\n" for one in failed)


def example_section(results: Results) -> str:
    """Write the times of the example."""
    rows = []
    for phase in example.PHASES:
        good = right(results.of(example.RUNNER, phase))
        if good:
            memory = f"{(median(good, 'pss') or 0) / MEGABYTE:.0f} MB"
            rows.append(
                [TITLES[phase], spread(good), seconds(median(good, "cpu") or 0.0), memory, str(len(good))]
            )
    lines = table(("", "wall", "CPU", "memory", "samples"), rows)
    return f"{EXAMPLE}\n{lines}{troubles(results.samples)}"


def sections(folder: Path) -> list[str]:
    """Write all parts that there are results for."""
    makers: dict[str, Callable[[Path], str]] = {
        "peers.json": lambda path: peers_section(Results.load(path)),
        "killed.json": killed_section,
        "example.json": lambda path: example_section(Results.load(path)),
        "scale.json": lambda path: alone.scale_section(Results.load(path)),
        "long.json": lambda path: alone.long_section(Results.load(path)),
        "large.json": lambda path: alone.large_section(Results.load(path)),
        "audit.json": lambda path: alone.watching_section(Results.load(path)),
    }
    return [make(folder / name) for name, make in makers.items() if (folder / name).exists()]


def page(folder: Path) -> str:
    """Write the page."""
    return "\n".join((INTRODUCTION, *sections(folder), COMMANDS))


def plots(results: Results) -> dict[str, str]:
    """Draw the plots, by file name."""
    rows = names(results)

    def values(phase: str, what: str, scale: float = 1.0) -> list[float | None]:
        found = [median(results.of(name, phase), what) for name in rows]
        return [None if one is None else one / scale for one in found]

    wall = {f"{TITLES[phase]}, s": values(phase, "wall") for phase in PHASES}
    cost = {"Cold, CPU s": values("cold", "cpu"), "Cold, memory MB": values("cold", "pss", MEGABYTE)}
    return {
        "benchmarks-time.svg": bars.chart("Wall time of each runner, seconds", rows, wall),
        "benchmarks-cost.svg": bars.chart("CPU time and peak memory of each runner", rows, cost),
    }


def write(folder: Path, docs: Path) -> None:
    """Write the page and its plots."""
    files = {"benchmarks.md": page(folder)}
    if (folder / "peers.json").exists():
        files |= plots(Results.load(folder / "peers.json"))
    if (folder / "scale.json").exists():
        runs = folder / "long.json"
        long = Results.load(runs) if runs.exists() else None
        files["benchmarks-growth.svg"] = alone.growth(Results.load(folder / "scale.json"), long)
    docs.mkdir(parents=True, exist_ok=True)
    for name, text in files.items():
        (docs / name).write_text(text, encoding="utf-8")
        print(f"wrote {docs / name}", flush=True)


def failures(folder: Path, parts: Iterable[str]) -> list[str]:
    """Name what went wrong in the parts that were measured."""
    found = []
    for part in ("peers", "example", "scale", "long", "large", "audit"):
        path = folder / f"{part}.json"
        if part in parts and path.exists():
            bad = (one for one in Results.load(path).samples if one.status != "right")
            found += [f"{one.runner}, {one.phase}: {one.status}" for one in bad]
    if "killed" in parts and (folder / "killed.json").exists():
        found += killed.load(folder / "killed.json")[1]
    return found
