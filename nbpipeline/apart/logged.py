"""What a notebook on another machine logs to a tracker by files: written with its papers, and brought over.

The folders that trackers name are this machine's: on their way they stand for folders of the job's own.
"""

import os
from collections.abc import Iterable, Mapping
from dataclasses import replace
from pathlib import Path

from nbpipeline import tracking
from nbpipeline.errors import StorageError
from nbpipeline.model import Job

_PAPERS = "/nbpipeline-papers-of-this-job"
"""Stands for the job's folder until it is known where that is."""
_LOGGED = "logged"
_HERE = ("sqlite:", "file:")


def sent(job: Job, root: Path, trackers: Iterable[str]) -> tuple[Job, tuple[str, ...]]:
    """Give the job with variables that mean something on a worker, and what is to be said of them.

    A database on this machine is none there: what is logged to it stays with the papers.
    """
    variables = dict(job.environment)
    texts: list[str] = []
    for name in trackers:
        apart = tracking.link.apart((name,), job.imports, Path(_PAPERS) / "untracked")
        if any(variables.get(one, "").startswith(_HERE) for one in apart):
            own = f"{name.upper()}_"
            variables = {key: value for key, value in variables.items() if not key.startswith(own)} | apart
            texts.append(f"{name} is a file of this machine: what the notebook logs comes back in untracked/")
    return replace(job, environment={key: _moved(one, root) for key, one in variables.items()}), tuple(texts)


def _moved(value: str, root: Path) -> str:
    path = Path(value)
    if not (path.is_absolute() and path.is_relative_to(root)):
        return value
    return str(Path(_PAPERS) / _LOGGED / path.relative_to(root))


def placed(variables: Mapping[str, str], folder: Path) -> dict[str, str]:
    """Put the job's folder in, on the worker; folders that are named are made. Raises OSError."""
    found = {name: value.replace(_PAPERS, str(folder)) for name, value in variables.items()}
    for name, value in variables.items():
        if value.startswith(_PAPERS):
            Path(found[name]).mkdir(parents=True, exist_ok=True)
    return found


def brought(folder: Path, root: Path, begins: tuple[str, ...]) -> None:
    """Move what was logged to where the trackers have it, by how their paths begin. Raises StorageError.

    What is there stays.
    """
    try:
        for one in sorted((folder / _LOGGED).rglob("*")):
            target = root / one.relative_to(folder / _LOGGED)
            if one.is_file() and str(target).startswith(begins) and not target.exists():
                target.parent.mkdir(parents=True, exist_ok=True)
                os.replace(one, target)  # noqa: PTH105 - the project is one disk
    except OSError as error:
        raise StorageError.of(
            f"what the notebook logged could not be written: {error}",
            known=f"it is in {folder / _LOGGED}",
            mend="make room or the folder writable",
        ) from error
