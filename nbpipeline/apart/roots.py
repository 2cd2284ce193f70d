"""Folders that only this machine's Python knows for imports: PYTHONPATH, editable installs, .pth files.

Those in the project go along with a job; of those outside, workers are asked whether they have the like.
"""

import itertools
import os
from collections.abc import Callable, Iterable
from dataclasses import replace
from pathlib import Path, PurePosixPath

from nbpipeline.model import Imported, Job, StageInstance, StageSpec

_CODE = (".py", ".so", ".pyd")


def holder(name: str, folders: Iterable[str]) -> str:
    """Name the first folder that has a top-level module; empty where none has.

    A folder of the name without `__init__.py` comes last, as for Python.
    """
    given = tuple(folders)
    real = (one for one in given if _has(Path(one), name))
    spaces = (one for one in given if next((Path(one) / name).rglob("*.py"), None))
    return next(itertools.chain(real, spaces), "")


def _has(folder: Path, name: str) -> bool:
    if (folder / f"{name}.py").is_file() or (folder / name / "__init__.py").is_file():
        return True
    return any(one.suffix in _CODE for one in folder.glob(f"{name}.*"))


def outside(imports: Iterable[Imported], folders: Iterable[str], root: str) -> dict[str, str]:
    """Find the top-level modules that come from folders outside the project: name -> folder."""
    foreign = [one for one in folders if not _is_in(one, root)]
    names = {one.module.partition(".")[0] for one in imports} if foreign else set()
    found = {name: holder(name, foreign) for name in sorted(names)}
    return {name: folder for name, folder in found.items() if folder}


def inside(folders: Iterable[str], root: str) -> tuple[str, ...]:
    """Give those in the project, as project paths."""
    return tuple(dict.fromkeys(os.path.relpath(one, root) for one in folders if _is_in(one, root)))


class Around:
    """What the environment of this machine adds to import paths, of one project."""

    def __init__(
        self,
        root: str,
        folders: Callable[[StageInstance], tuple[str, ...]],
        imports: Callable[[StageInstance], tuple[Imported, ...]],
    ) -> None:
        """Look at nothing yet. `folders` are absolute, `imports` what is not the project's own."""
        self._root = root
        self._folders = folders
        self._imports = imports
        self._known: dict[tuple[str, str], tuple[str, ...]] = {}

    def inside(self, instance: StageInstance) -> tuple[str, ...]:
        """Give the project's folders in which the instance's kernel finds modules, as project paths."""
        return inside(self._of(instance), self._root)

    def outside(self, instance: StageInstance) -> dict[str, str]:
        """Find the modules that the instance imports from outside the project: name -> folder."""
        return outside(self._imports(instance), self._of(instance), self._root)

    def _of(self, instance: StageInstance) -> tuple[str, ...]:
        key = (instance.spec.kernel or instance.spec.notebook.kernel or "", instance.spec.notebook.language)
        if key not in self._known:
            self._known[key] = self._folders(instance)
        return self._known[key]


def _is_in(folder: str, root: str) -> bool:
    return folder == root or folder.startswith(f"{root}/")


def taught(spec: StageSpec, folders: Iterable[str], modules: Iterable[str]) -> StageSpec:
    """Let a stage find its modules in the folders (project paths) that hold some of them."""
    holding = {str(one) for path in modules for one in PurePosixPath(path).parents}
    own = {*spec.pythonpath, spec.working_folder}
    further = tuple(one for one in folders if one in holding and one not in own)
    return replace(spec, pythonpath=(*spec.pythonpath, *further)) if further else spec


def taught_job(job: Job, folders: Iterable[str]) -> Job:
    """`taught` of a job's stage, which leaves its executed notebook's copy to be made here."""
    spec = taught(job.instance.spec, folders, job.fingerprint.modules)
    return replace(job, instance=replace(job.instance, spec=spec, executed=None))
