"""The project's own modules that a notebook imports, transitively, found without importing them."""
# Paths are texts here: plans look at thousands.
# ruff: noqa: PTH116, PTH118

import os
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import field
from pathlib import Path

from nbpipeline.content import is_settled, version_of
from nbpipeline.fingerprint.facts import Facts, FactsCache
from nbpipeline.model import BY_BYTES, Imported
from nbpipeline.ports import Digests
from nbpipeline.reading.syntax import ImportedModule
from nbpipeline.values import dataclass

_EXTENSIONS = (".so", ".pyd")
_OURS = "nbpipeline"
"""Never counts: a new nbpipeline by itself makes nothing stale, also where it is the project."""


Names = dict[str, bool]
"""The names in a folder, and whether each is a folder."""


class Folders:
    """Listings of folders, made again only where a folder has changed. Safe from several threads.

    A folder's time tells of names that came or went; not what a link in it leads to, so one with links is
    listed each time, as is one that changed in the last two seconds.
    """

    def __init__(self, now: Callable[[], float] = time.time) -> None:
        """Know none yet."""
        self._now = now
        self._known: dict[str, tuple[str, Names]] = {}

    def names(self, folder: str) -> Names:
        """List a folder; empty where there is none."""
        try:
            found = os.stat(folder)
            version = version_of(found)
            known = self._known.get(folder)
            if known is not None and known[0] == version:
                return known[1]
            with os.scandir(folder) as entries:
                listed = list(entries)
            names = {one.name: one.is_dir() for one in listed}
        except OSError:
            return {}
        if is_settled(found, self._now()) and not any(one.is_symlink() for one in listed):
            self._known[folder] = (version, names)
        return names


@dataclass(slots=True)
class Look:
    """What was seen on disk; kept for as long as one look at the project lasts."""

    folders: dict[str, Names] = field(default_factory=dict)
    found: dict[tuple[tuple[str, ...], str], str | None] = field(default_factory=dict)
    needs: dict[tuple[tuple[str, ...], str], tuple[tuple["_File", ...], frozenset[Imported]]] = field(
        default_factory=dict
    )


@dataclass(frozen=True, slots=True)
class Modules:
    """What a piece of code imports."""

    local: dict[str, str]
    """Project path -> digest, with those of the top-level names behind it."""
    foreign: frozenset[Imported]
    """Everything that is not the project's."""

    @property
    def others(self) -> frozenset[str]:
        """Top-level names of what is not the project's."""
        return frozenset(one.module.partition(".")[0] for one in self.foreign)


@dataclass(frozen=True, slots=True)
class _File:
    """A file of code on the way, and where its imports are looked for."""

    path: str
    roots: tuple[str, ...]
    is_seen: bool = False
    """Only a run was seen to read it: nobody knows whether as code or as data."""


class ModuleFinder:
    """Finds local modules under import roots; one for each look at the project."""

    def __init__(
        self, root: str, digests: Digests, facts: FactsCache, look: Look, folders: Folders | None = None
    ) -> None:
        """Search below the absolute path `root` alone."""
        self._root = root.rstrip("/")
        self._digests = digests
        self._facts = facts
        self._look = look
        self._folders = folders or Folders()

    def of(self, code: Facts, folder: str, roots: tuple[str, ...], followed: Sequence[str] = ()) -> Modules:
        """Follow the imports of code that runs in `folder`, with the import roots (absolute paths).

        `followed` are further files that a run was seen to take code or settings from, as
        `StageRecord.followed` has them.
        """
        direct, foreign = self._needs_of(code, folder, roots)
        files, others = [*direct], {*foreign}
        local: dict[str, str] = {}
        self._follow(files, local, others)
        seen = [f"{self._root}/{path.removeprefix(BY_BYTES)}" for path in followed]
        beside = [_File(path, (*roots, path.rpartition("/")[0]), is_seen=True) for path in seen]
        self._follow(beside, local, others)
        for path in (one.removeprefix(BY_BYTES) for one in followed if one.startswith(BY_BYTES)):
            local[path] = (self._digests.of_file(Path(self._root, path)) or "missing")[:32]
        return Modules(dict(sorted(local.items())), frozenset(others))

    def _follow(self, files: list["_File"], local: dict[str, str], others: set[Imported]) -> None:
        while files:
            file = files.pop()
            shown = file.path[len(self._root) + 1 :]
            if shown in local:
                continue
            digest, further, foreign = self._module(file)
            local[shown] = digest
            files += further
            others |= foreign

    def _module(self, file: "_File") -> tuple[str, tuple["_File", ...], frozenset[Imported]]:
        content = self._digests.of_file(file.path)
        if content is None:
            return "missing", (), frozenset()
        facts = self._facts_of(file, content)
        if facts is None:
            return content[:32], (), frozenset()
        key = (file.roots, f"{file.path} {content}")
        if key not in self._look.needs:
            self._look.needs[key] = self._needs_of(facts, file.path.rpartition("/")[0], file.roots)
        digest = f"{facts.digest} {facts.names}" if facts.names else facts.digest
        return (digest, *self._look.needs[key])

    def _facts_of(self, file: "_File", content: str) -> Facts | None:
        """Read a file as code; None for one that counts by its bytes."""
        if file.path.endswith(".py"):
            return self._facts.of_module(file.path, content)
        if file.path.endswith(".ipynb") and not file.is_seen:
            return self._facts.of_notebook(file.path, content)
        return None

    def _needs_of(
        self, facts: Facts, folder: str, roots: tuple[str, ...]
    ) -> tuple[tuple["_File", ...], frozenset[Imported]]:
        files: list[_File] = []
        others: set[Imported] = set()
        for one in facts.imports:
            local = [_File(path, roots) for path in self._imported(one, folder, roots)]
            files += local
            if not local and not one.level and one.module.partition(".")[0] != _OURS:
                others.add(Imported(one.module, tuple(sorted(set(one.names) - {"*"}))))
        for name in facts.runs:
            path = os.path.normpath(os.path.join(folder, name))
            if self._inside(path):
                # A program finds its neighbours, wherever it is run from.
                own = path.rpartition("/")[0]
                files.append(_File(path, roots if own in roots else (own, *roots)))
        return tuple(files), frozenset(others)

    def _imported(self, one: ImportedModule, folder: str, roots: tuple[str, ...]) -> Iterator[str]:
        """Give the files that one import reads: packages on the way, the module, submodules taken from it."""
        parts = one.module.split(".") if one.module else []
        if one.level:
            for _ in range(one.level - 1):
                folder = folder.rpartition("/")[0]
            start: str | None = folder
        elif parts[0] == _OURS:
            return
        else:
            start = self._root_of(parts[0], roots)
        if start is None or not self._inside(f"{start}/x"):
            return
        package = start
        for part in parts:
            path, is_package = self._member(package, part)
            if path:
                yield path
            if not is_package:
                return
            package = f"{package}/{part}"
        for name in one.names:
            path, _ = self._member(package, name)
            if path:
                yield path

    def _root_of(self, name: str, roots: tuple[str, ...]) -> str | None:
        """Name the first root that has the top-level module; a folder without `__init__.py` comes last."""
        key = (roots, name)
        if key not in self._look.found:
            candidates = [(root, *self._member(root, name)) for root in roots]
            real = [root for root, path, _ in candidates if path]
            spaces = [root for root, path, package in candidates if package and not path]
            self._look.found[key] = next(iter(real + spaces), None)
        return self._look.found[key]

    def _names(self, folder: str) -> Names:
        known = self._look.folders.get(folder)
        if known is None:
            known = self._look.folders[folder] = self._folders.names(folder)
        return known

    def _member(self, folder: str, name: str) -> tuple[str | None, bool]:
        """Find `name` in a folder: (its file, whether it is a package); a namespace package has no file."""
        names = self._names(folder)
        is_folder = names.get(name, False)
        if is_folder and "__init__.py" in self._names(f"{folder}/{name}"):
            return f"{folder}/{name}/__init__.py", True
        if f"{name}.py" in names:
            return f"{folder}/{name}.py", False
        if not is_folder and name not in names:
            for one in names:
                if one.startswith(f"{name}.") and one.endswith(_EXTENSIONS):
                    return f"{folder}/{one}", False
        return None, is_folder

    def _inside(self, path: str) -> bool:
        return path.startswith(f"{self._root}/")
