"""Looks at a worker before anything runs there: its interpreters and packages, secrets, the store.

Pure questions and answers: `Survey.asked` is called in the worker, and what it finds are complaints. One that
joins later looks at itself before its first job (`Survey.first_time`).
"""

import os
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import field
from pathlib import Path

from nbpipeline import plugins
from nbpipeline.apart.roots import holder
from nbpipeline.apart.supply import Supply
from nbpipeline.errors import Complaint, ExecutorError, ExitCode, MissingPluginError, NbpipelineError
from nbpipeline.fingerprint.environment import given_roots
from nbpipeline.fingerprint.interpreter import Interpreters
from nbpipeline.fingerprint.kernels import find_kernel
from nbpipeline.model import StageInstance, StageSpec, Step, StoredOutput
from nbpipeline.state.memory import MemoryState
from nbpipeline.values import dataclass

_NO_PACKAGES = ("env ", "lock ")
"""How parts of an environment begin that go along with the job."""

_interpreters = Interpreters(MemoryState())
"""What is installed here, read again only when a folder has changed: each job asks for it."""
_looked: set[tuple[str, str]] = set()
"""The runs whose survey found nothing wrong here, with the folder in which they work."""
_turn = threading.Lock()


Outside = Callable[[StageInstance], Mapping[str, str]]


def nothing(instance: StageInstance) -> Mapping[str, str]:
    """Say of an instance that it imports nothing from outside the project."""
    del instance
    return {}


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """A kernel, and what the plan counts of its environment."""

    kernel: str
    """As the header names it; empty: the notebook's own, or one of its language."""
    saved: str
    language: str
    counted: Mapping[str, str]
    """`python` -> its minor version, distribution -> version."""
    outside: Mapping[str, str] = field(default_factory=dict)
    """Module that is imported -> the folder outside the project where it is on the machine of the plan."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Survey:
    """What workers are asked; picklable."""

    supply: Supply
    probe: StoredOutput
    """What the near side has put into the store."""
    kernels: tuple[Wanted, ...] = ()
    secrets: tuple[str, ...] = ()
    validators: tuple[str, ...] = ()

    def first_time(self, run: str, home: str) -> tuple[Complaint, ...]:
        """Ask once for a run in this process: a worker that joined late was asked by nobody."""
        with _turn:
            if (run, home) in _looked:
                return ()
            found = self.asked(home)
            if not found:
                _looked.add((run, home))
            return found

    def asked(self, home: str) -> tuple[Complaint, ...]:
        """Find what is not as it should be, in the worker whose folder is `home`."""
        return (
            *_kernels(self.kernels),
            *(_secret(name) for name in self.secrets if name not in os.environ),
            *_validators(self.validators),
            *self._store(Path(home)),
        )

    def _store(self, home: Path) -> Iterator[Complaint]:
        try:
            store = self.supply.opened(home)
            found = store.has(self.probe)
        except NbpipelineError as error:
            yield from error.complaints
            return
        if not found:
            told = "; ".join(store.notices)
            yield Complaint(
                where=None,
                what=f"the store at {self.supply.name} cannot be reached"
                if told
                else f"the store at {self.supply.name} is another one there: it lacks what was just put in",
                known=told,
                mend="give the pipeline a store that this machine and the workers share: a folder by its "
                "absolute path, or `store: {path: s3://bucket/prefix}`, with the keys in the workers' "
                f"environment{self.supply.told_withheld}",
            )


def refusal(complaints: Sequence[Complaint]) -> NbpipelineError:
    """Make an error of what workers lack, by what is worst."""
    missing = any(one.exit_code == ExitCode.MISSING_PLUGIN for one in complaints)
    return (MissingPluginError if missing else ExecutorError)(complaints)


def wanted(steps: Iterable[Step], outside: Outside = nothing) -> tuple[Wanted, ...]:
    """Name the kernels of steps, each once, with all that is counted of it.

    `outside` gives the modules that an instance imports from outside the project.
    """
    found: dict[tuple[str, str, str], dict[str, str]] = {}
    strange: dict[tuple[str, str, str], dict[str, str]] = {}
    for step in steps:
        spec = step.instance.spec
        key = (spec.kernel or "", spec.notebook.kernel or "", spec.notebook.language)
        strange.setdefault(key, {}).update(outside(step.instance))
        counted = {
            name: version
            for name, version in step.fingerprint.environment.items()
            if not name.startswith(_NO_PACKAGES)
        }
        found.setdefault(key, {}).update(counted)
    return tuple(
        Wanted(kernel=key[0], saved=key[1], language=key[2], counted=counted, outside=strange[key])
        for key, counted in found.items()
    )


def refuse_other(instance: StageInstance, counted: Mapping[str, str]) -> tuple[Complaint, ...]:
    """Say what is not here as the plan counted it: packages may have changed since the survey."""
    spec: StageSpec = instance.spec
    packages = {name: one for name, one in counted.items() if not name.startswith(_NO_PACKAGES)}
    one = Wanted(
        kernel=spec.kernel or "",
        saved=spec.notebook.kernel or "",
        language=spec.notebook.language,
        counted=packages,
    )
    return tuple(_kernels((one,)))


def _kernels(kernels: tuple[Wanted, ...]) -> Iterator[Complaint]:
    for one in kernels:
        found = find_kernel(one.kernel or one.saved, one.language)
        if not found.argv or (one.kernel and found.fallback):
            yield _complaint(
                f"kernel '{one.kernel or one.saved or one.language}' is not installed",
                "install it there",
                ExitCode.MISSING_PLUGIN,
            )
        else:
            if one.counted:
                yield from _packages(one, found.argv[0])
            yield from _outside(one, found.argv[0])


def _packages(one: Wanted, executable: str) -> Iterator[Complaint]:
    python = _interpreters.of(executable)
    counted = dict(one.counted)
    expected = counted.pop("python", python.version)
    if python.version != expected:
        yield _complaint(
            f"its kernel runs Python {python.version}, and the plan counts {expected}",
            f"start it from an environment with Python {expected}",
        )
        return
    versions: dict[str, str] = {}
    for site in python.sites:
        for entries in _interpreters.installed(site).names.values():
            for entry in entries:
                name, _, version = entry.rpartition(" ")
                versions.setdefault(name, version)
    wrong = {name: version for name, version in counted.items() if versions.get(name) != version}
    if wrong:
        has = ", ".join(
            f"{name} {versions[name]} instead of {version}" if name in versions else f"no {name}"
            for name, version in sorted(wrong.items())
        )
        install = " ".join(f"'{name}=={version}'" for name, version in sorted(wrong.items()))
        yield _complaint(f"it has {has}", f"pip install {install}", ExitCode.MISSING_PLUGIN)


def _outside(one: Wanted, executable: str) -> Iterator[Complaint]:
    """Miss modules that the plan's machine has in folders which are not the project's."""
    if not one.outside:
        return
    installed = [_interpreters.installed(site) for site in _interpreters.of(executable).sites]
    folders = [*given_roots(os.environ), *(root for site in installed for root in site.roots)]
    for name, folder in sorted(one.outside.items()):
        if not any(name in site.names for site in installed) and not holder(name, folders):
            yield _complaint(
                f"it has no module '{name}', which comes from {folder} and so from outside the project",
                "install it there; or move it into the project, and its folder under `pythonpath:`",
                ExitCode.MISSING_PLUGIN,
            )


def _validators(names: tuple[str, ...]) -> Iterator[Complaint]:
    for name in names:
        try:
            plugins.require("validators", name)
        except NbpipelineError as error:
            yield from error.complaints


def _secret(name: str) -> Complaint:
    return _complaint(
        f"secret {name} is not in its environment",
        "start the worker with it: secrets do not travel with jobs",
    )


def _complaint(what: str, mend: str, code: ExitCode = ExitCode.USAGE) -> Complaint:
    return Complaint(where=None, what=what, mend=mend, exit_code=code)
