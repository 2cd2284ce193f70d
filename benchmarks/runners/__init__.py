"""The runners that are compared, a module for each tool: the DAG in its own form, and the command for it."""

from collections.abc import Sequence

from benchmarks.runners import dvc, nbpipeline, papermill, ploomber, script, snakemake
from benchmarks.runners.runner import Runner

JOBS = 2
OURS = "nbpipeline"  # what all others are compared with
BARE = "one script"  # what the work costs without a runner


def everyone(jobs: int = JOBS, variants: Sequence[str] = ()) -> list[Runner]:
    """Give all runners, in the order of the tables; a variant is `NAME=ARGUMENTS` of `nbpipeline run`."""
    found = nbpipeline.runners(jobs)
    for text in variants:
        name, _, arguments = text.partition("=")
        found.append(nbpipeline.variant(name, tuple(arguments.split()), jobs))
    for maker in (papermill, ploomber, dvc, snakemake, script):
        found += maker.runners(jobs)
    return found


def select(only: str, jobs: int = JOBS, variants: Sequence[str] = ()) -> list[Runner]:
    """Keep the runners that are named, in full or (not "nbpipeline") by a part of it; all without a name."""
    wanted = [name.strip().lower() for name in only.split(",") if name.strip()]
    found = everyone(jobs, variants)
    names = [runner.name.lower() for runner in found]
    for name in wanted:
        if not any(matches(name, one) for one in names):
            raise ValueError(f"no runner is called {name!r}; there are: {', '.join(names)}")
    return [one for one in found if not wanted or any(matches(name, one.name.lower()) for name in wanted)]


def matches(wanted: str, name: str) -> bool:
    """Say whether a runner is meant."""
    return wanted == name or (wanted != OURS and wanted in name)
