"""The fingerprint of an instance: everything that its result depends on, in parts."""
# Paths are texts here: plans look at thousands.
# ruff: noqa: PTH118

import json
import os
from collections.abc import Mapping
from dataclasses import field, replace
from pathlib import Path

from nbpipeline.content import digest_text
from nbpipeline.fingerprint.code import (
    counted_cells,
    declarations,
    notebook_facts,
    parameters,
    sealed,
    with_checks,
)
from nbpipeline.fingerprint.differences import CELL, MISSING
from nbpipeline.fingerprint.environment import (
    Supply,
    further_roots,
    given_roots,
    import_roots,
    missing,
    packages,
    variables,
)
from nbpipeline.fingerprint.facts import SCHEME, Facts, FactsCache
from nbpipeline.fingerprint.interpreter import Interpreters
from nbpipeline.fingerprint.kernels import KernelSpec, find_kernel
from nbpipeline.fingerprint.modules import Folders, Look, ModuleFinder, Modules
from nbpipeline.fingerprint.texts import module_texts
from nbpipeline.location import is_url
from nbpipeline.model import Fingerprint, Imported, ProjectSpec, StageInstance, StageSpec
from nbpipeline.ports import Cache, Digests
from nbpipeline.values import dataclass

_encode = json.JSONEncoder(separators=(",", ":")).encode

UNPINNED = "unpinned"
"""Stands for the content of a URL that nobody has looked at."""


def state_digest(fingerprint: Fingerprint) -> str:
    """Digest of a state: equal where a run would give the same. Cells count by order, not by number."""
    cells = [digest for name, digest in fingerprint.code.items() if name.startswith(CELL)]
    declared = sorted(one for one in fingerprint.code.items() if not one[0].startswith(CELL))
    parts = [
        fingerprint.scheme,
        cells,
        declared,
        sorted(fingerprint.modules.items()),
        sorted(fingerprint.parameters.items()),
        sorted(fingerprint.inputs.items()),
        sorted(fingerprint.upstream.items()),
        sorted(fingerprint.environment.items()),
        fingerprint.kernel,
    ]
    return digest_text(_encode(parts))[:40]


@dataclass(slots=True)
class Glance:
    """One look at the project: what was found on disk while it lasts is not looked up twice."""

    look: Look = field(default_factory=Look)
    kernels: dict[tuple[str | None, str], KernelSpec] = field(default_factory=dict)
    roots: dict[tuple[str, ...], tuple[str, ...]] = field(default_factory=dict)
    packages: dict[tuple[tuple[str, ...], frozenset[str]], dict[str, str]] = field(default_factory=dict)
    cells: dict[tuple[int, tuple[str, ...]], "CellsOf"] = field(default_factory=dict)
    """By identity of the spec, which the caller keeps alive, and the files followed beside it."""


@dataclass(frozen=True, slots=True)
class CellsOf:
    """What the cells of a stage come to, the same for all its instances."""

    code: dict[str, str]
    modules: Modules
    environment: dict[str, str]
    kernel: str


class Fingerprinter:
    """Makes fingerprints; reads files through the digests that it is given. Safe from several threads."""

    def __init__(
        self,
        project: ProjectSpec,
        digests: Digests,
        cache: Cache | None = None,
        environ: Mapping[str, str] = os.environ,
    ) -> None:
        """Remember facts of sources in `cache`; without one, for as long as this object lives."""
        kept = cache if cache is not None else _Forgetful()
        self._project = project
        self._root = Path(project.root)
        self._home = os.fspath(self._root)
        self._digests = digests
        self._facts = FactsCache(kept)
        self._folders = Folders()
        self._interpreters = Interpreters(kept)
        self._environ = environ

    def of(
        self,
        instance: StageInstance,
        *,
        inputs: Mapping[str, str | None] | None = None,
        upstream: Mapping[str, str | None] | None = None,
        followed: tuple[str, ...] = (),
        glance: Glance | None = None,
    ) -> Fingerprint:
        """Take the instance's fingerprint.

        `inputs` gives digests that are known already (None: not known yet) by path; every other input is
        digested from disk. `upstream` gives the states of the instances under `dependencies`, `followed`
        files that count as modules beside those that the code names (`StageRecord.followed`). A `glance`
        shared by several calls saves looking twice; without one the disk is looked at as it is now.
        """
        cells = self._cells(instance.spec, followed, glance or Glance())
        return Fingerprint(
            scheme=SCHEME,
            code={**cells.code, **declarations(instance)},
            modules=_without_outputs(cells.modules.local, instance),
            parameters=sealed(parameters(instance), instance.spec.secrets, self._environ),
            inputs=self._inputs(instance, inputs or {}),
            upstream=dict(upstream or {}),
            environment=cells.environment,
            kernel=cells.kernel,
        )

    def following(
        self, fingerprint: Fingerprint, instance: StageInstance, followed: tuple[str, ...]
    ) -> Fingerprint:
        """Give the state with just these files followed beside what the code names; all else stays."""
        cells = self._cells(instance.spec, followed, Glance())
        environment = {
            name: fingerprint.environment.get(name, value) for name, value in cells.environment.items()
        }
        modules = _without_outputs(cells.modules.local, instance)
        return replace(fingerprint, modules=modules, environment=environment)

    def sources(self, instance: StageInstance, fingerprint: Fingerprint) -> Mapping[str, str]:
        """Give the texts of cells and modules that count, by their digests in the fingerprint."""
        cells = {facts.digest: cell.source for cell, facts in counted_cells(instance.spec, self._facts)}
        return {**module_texts(self._root, fingerprint.modules), **cells}

    def imports(self, instance: StageInstance, glance: Glance | None = None) -> frozenset[Imported]:
        """Name the third-party modules that the stage imports."""
        return self._cells(instance.spec, (), glance or Glance()).modules.foreign

    def modules(self, instance: StageInstance, glance: Glance) -> tuple[str, ...]:
        """Name the project's own modules that the stage's code imports, by project path, sorted."""
        local = self._cells(instance.spec, (), glance).modules.local
        return tuple(sorted(_without_outputs(local, instance)))

    def installed(self, instance: StageInstance, glance: Glance) -> Supply:
        """Say where the kernel's Python looks, and which distributions of there the stage's code imports.

        Whatever `environment` counts; nothing for a kernel that is no Python.
        """
        spec = instance.spec
        kernel = self._kernel(spec, glance)
        imports = self._cells(spec, (), glance).modules.others
        found = packages(
            "imported", root=self._root, kernel=kernel, imports=imports, interpreters=self._interpreters
        )
        if "python" not in found:
            return Supply((), {}, ())
        sites = self._interpreters.of(kernel.argv[0]).sites
        return Supply(sites, found, missing(imports, sites, self._interpreters))

    def roots(self, instance: StageInstance) -> tuple[str, ...]:
        """Name the folders that this machine's environment adds to the import path, wherever they are."""
        kernel = self._kernel(instance.spec, Glance())
        return (*given_roots(self._environ), *further_roots(kernel, self._interpreters))

    # --- parts -------------------------------------------------------------------------------

    def _inputs(self, instance: StageInstance, known: Mapping[str, str | None]) -> dict[str, str | None]:
        # A place that several stages write in turn is known though it is no declared input.
        found: dict[str, str | None] = dict(known)
        for artifact in instance.inputs:
            for path in artifact.paths:
                if path in known:
                    continue
                if is_url(path):
                    found[path] = artifact.spec.digest or self._of_url(path)
                else:
                    found[path] = self._digests.of(os.path.join(self._home, path)) or MISSING
        return found

    def _of_url(self, url: str) -> str:
        if url.startswith("file://"):
            from urllib.parse import unquote, urlsplit  # noqa: PLC0415 - only where there is one

            return self._digests.of(Path(unquote(urlsplit(url).path))) or MISSING
        return UNPINNED

    def _cells(self, spec: StageSpec, followed: tuple[str, ...], glance: Glance) -> CellsOf:
        key = (id(spec), followed)
        known = glance.cells.get(key)
        if known is None:
            known = glance.cells[key] = self._look_at(spec, followed, glance)
        return known

    def _look_at(self, spec: StageSpec, followed: tuple[str, ...], glance: Glance) -> CellsOf:
        counted = notebook_facts(spec, self._facts)
        kernel = self._kernel(spec, glance)
        needs = with_checks(counted.needs, spec)
        modules = self._modules(spec, needs, followed, kernel, glance)
        environment = {
            **self._packages(kernel, modules.others, glance),
            **variables(spec.env, self._environ),
        }
        code = {f"{CELL}{index}": digest for index, digest in counted.digests.items()}
        return CellsOf(code, modules, environment, kernel.kind)

    def _kernel(self, spec: StageSpec, glance: Glance) -> KernelSpec:
        key = (spec.kernel or spec.notebook.kernel, spec.notebook.language)
        if key not in glance.kernels:
            glance.kernels[key] = find_kernel(*key, self._environ)
        return glance.kernels[key]

    def _packages(self, kernel: KernelSpec, imports: frozenset[str], glance: Glance) -> dict[str, str]:
        key = (kernel.argv, imports)
        if key not in glance.packages:
            glance.packages[key] = packages(
                self._project.environment,
                root=self._root,
                kernel=kernel,
                imports=imports,
                interpreters=self._interpreters,
            )
        return glance.packages[key]

    def _modules(
        self,
        spec: StageSpec,
        needs: Facts,
        followed: tuple[str, ...],
        kernel: KernelSpec,
        glance: Glance,
    ) -> Modules:
        if not followed and not (needs.imports or needs.runs):
            return Modules({}, frozenset())
        folder = os.path.normpath(self._root / spec.working_folder)
        added = [os.path.normpath(os.path.join(folder, path)) for path in needs.paths]
        roots = dict.fromkeys([folder, *self._roots(spec, kernel, glance), *added])
        finder = ModuleFinder(self._home, self._digests, self._facts, glance.look, self._folders)
        return finder.of(needs, folder, tuple(roots), followed)

    def _roots(self, spec: StageSpec, kernel: KernelSpec, glance: Glance) -> list[str]:
        if kernel.argv not in glance.roots:
            glance.roots[kernel.argv] = (
                *given_roots(self._environ),
                *import_roots(kernel, self._root, self._interpreters),
            )
        own = [os.path.normpath(self._root / one) for one in spec.pythonpath]
        return [*own, *glance.roots[kernel.argv]]


def _without_outputs(modules: Mapping[str, str], instance: StageInstance) -> Mapping[str, str]:
    """Leave out modules that the instance itself writes: they follow from its state."""
    own = {path for output in instance.outputs for path in output.paths} if modules else set()
    return {path: digest for path, digest in modules.items() if path not in own} if own else modules


class _Forgetful:
    """A cache that keeps nothing: what is found stays with the one who found it."""

    def load(self, kind: str) -> dict[str, str]:
        del kind
        return {}

    def save(self, kind: str, entries: Mapping[str, str]) -> None:
        del kind, entries
