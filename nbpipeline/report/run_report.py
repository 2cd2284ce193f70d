"""Writes the report of a run to a file."""

import os
import time
from pathlib import Path

from nbpipeline.errors import StorageError, UsageError
from nbpipeline.ports import State, Store
from nbpipeline.replacing import replace_text
from nbpipeline.report.history import known_run
from nbpipeline.report.markdown import summary
from nbpipeline.report.run_facts import gather
from nbpipeline.report.run_page import run_page
from nbpipeline.run.folder import kept_runs, runs_folder

NAME = "report.html"


def write_report(
    state: State, store: Store, root: Path, run: str | None, project: str, output: Path | None = None
) -> Path:
    """Write the page of a run (None: the last) to `output`, by default into the run's folder; gives its path.

    Raises UsageError for an unknown run, and without `output` for one whose folder is gone; StorageError.
    """
    chosen = known_run(state, root, run)
    folder = runs_folder(root) / chosen
    if output is None and not folder.is_dir():
        kept = [one.run for one in kept_runs(root)]
        raise UsageError.of(
            f"the folder of run '{chosen}' is no longer kept.",
            known=f"runs with one: {', '.join(kept[:5]) or 'none'}",
            mend="name a file for what the history still knows: --output FILE",
        )
    target = absolute(output) if output else folder / NAME
    page = run_page(gather(state, store, root, chosen, project, time.time()), target.parent)
    return written(target, page)


def markdown(state: State, store: Store, root: Path, run: str | None, project: str) -> str:
    """Give a run in short as Markdown. Raises UsageError for an unknown run."""
    chosen = known_run(state, root, run)
    return summary(gather(state, store, root, chosen, project, time.time()))


def absolute(path: Path) -> Path:
    """Give a path as it is typed, from the root of the file system; links are left as they are."""
    return Path(os.path.abspath(path))  # noqa: PTH100 - `resolve` would follow them


def written(target: Path, page: str) -> Path:
    """Write a page in the place of what stands there. Raises StorageError."""
    try:
        replace_text(target, page)
    except OSError as error:
        raise StorageError.of(
            f"{target} cannot be written: {error.strerror or error}.", mend="choose another place for it"
        ) from error
    return target
