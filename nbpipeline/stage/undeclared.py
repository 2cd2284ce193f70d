"""What the files mean that a kernel was seen to open: declared, code to follow from now on, or undeclared."""

import os
from collections import Counter
from collections.abc import Collection, Container, Iterable, Iterator
from dataclasses import field
from functools import cached_property
from pathlib import Path, PurePosixPath

from nbpipeline.location import STATE_FOLDER, is_url
from nbpipeline.model import BY_BYTES, Job, Usage
from nbpipeline.stage.audit_hook import CODE, split_line
from nbpipeline.stage.audit_native import ENVIRONMENT_MARKS
from nbpipeline.stage.places import absolute, relative, staged_of
from nbpipeline.stage.watching import Sight
from nbpipeline.values import dataclass

_INSTALLED = ("site-packages", "dist-packages", "node_modules")
_COMPILED = "__pycache__"
_OURS = str(Path(__file__).resolve().parents[1]) + os.sep
_SHELL_CELLS = ("%%bash", "%%sh")
_NEVER_RUN = frozenset({"skip", "test"})
_MOST_OF_A_FOLDER = 50
"""Undeclared files of one folder, past which the folder stands for them."""


@dataclass(frozen=True, slots=True)
class Seen:
    """Project paths, sorted."""

    undeclared: tuple[str, ...]
    """Read or written without being declared; a folder, with `/` at its end, for very many files in it."""
    followed: tuple[str, ...]
    """Code that was loaded and that the code by itself does not name; behind `=`, what cells read as text."""
    written: tuple[str, ...] = ()
    """Of `undeclared`, what was opened for writing."""
    usage: Usage = field(default_factory=Usage)


def files(job: Job, sight: Sight, named: Container[str], started: float) -> Seen:
    """Sort the project's files that were opened and are still there, less what is declared.

    `named` are the modules that the code names. What changed since `started` (Unix time) was written by the
    run, or by somebody meanwhile; it cannot be followed.
    """
    project = _Project(job)
    read: set[str] = set()
    written: set[str] = set()
    followed: set[str] = set()
    for name, done in {**_named_by_shell_cells(job), **sight.files}.items():
        path = project.path_of(name)
        if path is not None:
            how = "load" if _is_compiled(name) else done
            changed = _changed_since(project.folder / path, started)
            writes = how == "write" or (how == "open" and changed)
            if _is_followed(path):
                kept = _kept_code(path, how, path in named, writes=writes, changed=changed)
                followed.update([kept] if kept else ())
            if _is_undeclared(path, path in named, writes=writes, changed=changed):
                (written if writes else read).add(path)
    wrote = set(_gathered(written))
    return Seen(
        undeclared=tuple(sorted(wrote.union(_gathered(read)))),
        followed=tuple(sorted(followed)),
        written=tuple(sorted(wrote)),
        usage=project.usage(sight),
    )


def _named_by_shell_cells(job: Job) -> dict[str, str]:
    """Take every word of `%%bash` cells as the path of a file: those that are none fall away."""
    spec = job.instance.spec
    folder = absolute(Path(job.root), spec.working_folder)
    sources = (one.source for one in spec.notebook.cells if one.kind == "code" and not one.tags & _NEVER_RUN)
    lines = (
        line for one in sources if one.lstrip().startswith(_SHELL_CELLS) for line in one.splitlines()[1:]
    )
    return {str(absolute(folder, word)): "open" for line in lines for word in split_line(line)}


def _is_undeclared(path: str, named: bool, *, writes: bool, changed: bool) -> bool:  # noqa: FBT001
    """Whether it has to be declared: data, and code that the run wrote.

    A name in `named` is compared anyway; hidden files that a run writes are marks and locks.
    """
    if not _is_followed(path):
        return True
    return (writes or (changed and not named)) and not _is_hidden(path)


def _kept_code(path: str, how: str, named: bool, *, writes: bool, changed: bool) -> str:  # noqa: FBT001
    """Write code as it is followed from now on; empty where its imports or nobody can follow it."""
    if writes or changed or (named and (how == "load" or path.endswith(".ipynb"))):  # `%run` reads a notebook
        return ""
    return path if how == "load" else f"{BY_BYTES}{path}"


class _Project:
    """The folder of a job, and what is declared in it."""

    def __init__(self, job: Job) -> None:
        self.folder = Path(job.root)
        self._run = job.run
        self._unwatched = job.unwatched
        self._declared = {
            path.rstrip("/")
            for artifact in (*job.instance.inputs, *job.instance.outputs)
            for path in artifact.paths
            if not is_url(path)
        }
        self._passed_over: dict[str, bool] = {}
        self._covered: dict[str, bool] = {}
        self._real: dict[Path, Path] = {}

    def path_of(self, name: str) -> str | None:
        """Write an opened file as a project path; None where it is declared, gone, installed or ours."""
        path = relative(self.folder, _source_of(name) if _is_compiled(name) else Path(name))
        folder = path.rpartition("/")[0]
        if path in self._declared or self._is_covered(folder) or self._is_passed_over(folder):
            return None
        file = self.folder / path
        if self._unwatched and str(file).startswith(self._unwatched):
            return None
        if f"{STATE_FOLDER}-" in file.name or str(file).startswith(_OURS) or not file.is_file():
            return None
        return None if self._is_declared_elsewhere(file) else path

    def usage(self, sight: Sight) -> Usage:
        """Say which declared paths were opened, and what else is worth telling of."""
        opened = {relative(self.folder, Path(one)) for one in (*sight.files, *sight.listed)}
        reached = {str(above) for one in opened for above in (one, *PurePosixPath(one).parents)} | opened
        real = {os.path.realpath(self.folder / one) for one in opened} if self._links else set()
        listed = (relative(self.folder, Path(one)) for one in sight.listed)
        return Usage(
            watched=sight.watched,
            used=tuple(sorted(one for one in self._declared if self._is_used(one, reached, real))),
            listed=tuple(
                sorted(
                    f"{one}/" for one in listed if not self._is_covered(one) and not self._is_passed_over(one)
                )
            ),
            unseen=sight.unseen,
        )

    def _is_used(self, path: str, reached: Container[str], real: Collection[str]) -> bool:
        target = absolute(self.folder, path)
        names = (path, relative(self.folder, staged_of(target, self._run)))
        if any(one in reached for one in names):
            return True
        there = os.path.realpath(target)
        return any(one == there or one.startswith(f"{there}{os.sep}") for one in real)

    @cached_property
    def _links(self) -> dict[str, str]:
        """Declared paths that lead elsewhere by links: where to -> the path."""
        found = {os.path.realpath(self.folder / one): one for one in self._declared}
        base = os.path.realpath(self.folder)
        return {there: one for there, one in found.items() if there != os.path.normpath(f"{base}/{one}")}

    def _is_declared_elsewhere(self, file: Path) -> bool:
        """Whether links make it one that is declared by another path."""
        there = self._real_folder(file.parent) / file.name
        there = Path(os.path.realpath(there)) if there.is_symlink() else there
        inside = relative(self._real_folder(self.folder), there)
        if inside in self._declared or self._is_covered(inside.rpartition("/")[0]):
            return True
        return any(str(there) == one or str(there).startswith(f"{one}{os.sep}") for one in self._links)

    def _real_folder(self, folder: Path) -> Path:
        known = self._real.get(folder)
        if known is None:
            known = self._real[folder] = Path(os.path.realpath(folder))
        return known

    def _is_covered(self, folder: str) -> bool:
        """Whether it is a declared folder, or stands in one."""
        found = self._covered.get(folder)
        if found is None:
            above, slash, _ = folder.rpartition("/")
            found = folder in self._declared or (bool(slash) and self._is_covered(above))
            self._covered[folder] = found
        return found

    def _is_passed_over(self, folder: str) -> bool:
        """Whether it is hidden or installed, or stands in such a folder."""
        found = self._passed_over.get(folder)
        if found is None:
            above, _, name = folder.rpartition("/")
            found = bool(folder) and (
                (name.startswith(".") and name != ".")
                or name in {*_INSTALLED, _COMPILED}
                or any((self.folder / folder / mark).exists() for mark in ENVIRONMENT_MARKS)
                or self._is_passed_over(above)
            )
            self._passed_over[folder] = found
        return found


def _gathered(paths: Iterable[str]) -> Iterator[str]:
    """Have a folder stand for very many files in it: a record and its reasons stay readable."""
    found = tuple(paths)
    many = Counter(path.rpartition("/")[0] for path in found)
    for path in found:
        folder = path.rpartition("/")[0]
        yield f"{folder or '.'}/" if many[folder] > _MOST_OF_A_FOLDER else path


def _is_compiled(name: str) -> bool:
    return name.endswith(".pyc") and Path(name).parent.name == _COMPILED


def _source_of(compiled: str) -> Path:
    """Find the module behind `__pycache__/x.cpython-311.pyc`."""
    file = Path(compiled)
    return file.parent.parent / f"{file.name.partition('.')[0]}.py"


def _is_followed(path: str) -> bool:
    """Whether it is code or settings, whose every change makes stale, rather than data to declare."""
    return path.endswith(CODE) or path == "pipeline.yaml" or _is_hidden(path)


def _is_hidden(path: str) -> bool:
    return path.rpartition("/")[2].startswith(".")


def _changed_since(file: Path, started: float) -> bool:
    found = file.stat()
    return max(found.st_mtime, found.st_ctime) >= started
