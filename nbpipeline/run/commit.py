"""The state of the project's repository when a run began; the run does not wait for git."""

import os
import threading
from pathlib import Path

from nbpipeline.model.told import Commit
from nbpipeline.run.events import EventWriter

LONGEST = 10.0
"""Seconds after which git is not waited for: a status of a very large repository on a slow disk."""
PATIENCE = 1.0
"""Seconds that a run waits at its end for git's answer."""
SOURCES = (
    "*.ipynb",
    "*.py",
    "*.R",
    "*.Rmd",
    "notebooks/*.md",
    "expectations/*.yml",
    "expectations/*.yaml",
    "pipeline.yaml",
    "nbpipeline.accept.yaml",
)
"""What runs are made from, as git's patterns, from the project's root."""
_OTHERS = ("--others", "--exclude-standard")
_OBJECT = "# branch.oid "


def commit_of(root: Path) -> Commit | None:
    """Ask git for the commit that the project is at; None where there is none, or no git.

    It is dirty where a file under version control differs, or a source of the project is not under it.
    """
    told = _git(root, "status", "--porcelain=v2", "--branch", "--untracked-files=no")
    if told is None:
        return None
    lines = told.splitlines()
    found = next((one.removeprefix(_OBJECT) for one in lines if one.startswith(_OBJECT)), "")
    if not found or found.startswith("("):  # a repository without a commit
        return None
    dirty = any(not one.startswith("#") for one in lines)
    return Commit(id=found, dirty=dirty or bool(_git(root, "ls-files", *_OTHERS, "--", *SOURCES)))


def _git(root: Path, *words: str) -> str | None:
    import subprocess  # noqa: PLC0415 - a run with nothing to do asks nothing; start-up is counted

    asked = ["git", "-C", os.fspath(root), *words]
    quiet = {**os.environ, "GIT_OPTIONAL_LOCKS": "0"}  # a run takes no lock that a `git commit` may want
    try:
        done = subprocess.run(  # noqa: S603 - our words
            asked, capture_output=True, text=True, errors="replace", timeout=LONGEST, check=True, env=quiet
        )
    except (OSError, subprocess.SubprocessError):
        return None
    return done.stdout


class CommitTeller:
    """Tells a run's events of the commit as soon as git has answered."""

    def __init__(self, root: Path, events: EventWriter) -> None:
        """Begin to ask."""
        self._events = events
        self._lock = threading.Lock()
        self._over = False
        self._thread = threading.Thread(target=self._tell, args=(root,), daemon=True, name="nbpipeline-git")
        self._thread.start()

    def _tell(self, root: Path) -> None:
        found = commit_of(root)
        with self._lock:
            if found is not None and not self._over:
                self._events.emit("commit", id=found.id, dirty=found.dirty)

    def close(self) -> None:
        """Wait a little for an answer that is not there yet; later it is not told."""
        self._thread.join(PATIENCE)
        with self._lock:
            self._over = True
