"""Looks at a worker before anything runs there: its interpreters and packages, secrets, the store.

Pure questions and answers: `Survey.asked` is called in the worker, and what it finds are complaints.
"""

import os
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path

from nbpipeline import plugins
from nbpipeline.apart.supply import Supply
from nbpipeline.errors import Complaint, ExitCode, NbpipelineError
from nbpipeline.fingerprint.interpreter import Interpreters
from nbpipeline.fingerprint.kernels import find_kernel
from nbpipeline.model import StageInstance, StageSpec, Step, StoredOutput
from nbpipeline.state.memory import MemoryState
from nbpipeline.values import dataclass

_NO_PACKAGES = ("env ", "lock ")
"""How parts of an environment begin that go along with the job."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """A kernel, and what the plan counts of its environment."""

    kernel: str
    """As the header names it; empty: the notebook's own, or one of its language."""
    saved: str
    language: str
    counted: Mapping[str, str]
    """`python` -> its minor version, distribution -> version."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Survey:
    """What workers are asked; picklable."""

    supply: Supply
    probe: StoredOutput
    """What the near side has put into the store."""
    kernels: tuple[Wanted, ...] = ()
    secrets: tuple[str, ...] = ()
    validators: tuple[str, ...] = ()

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
                "environment",
            )


def wanted(steps: Iterable[Step]) -> tuple[Wanted, ...]:
    """Name the kernels of steps, each once, with all that is counted of it."""
    found: dict[tuple[str, str, str], dict[str, str]] = {}
    for step in steps:
        spec = step.instance.spec
        key = (spec.kernel or "", spec.notebook.kernel or "", spec.notebook.language)
        counted = {
            name: version
            for name, version in step.fingerprint.environment.items()
            if not name.startswith(_NO_PACKAGES)
        }
        found.setdefault(key, {}).update(counted)
    return tuple(
        Wanted(kernel=kernel, saved=saved, language=language, counted=counted)
        for (kernel, saved, language), counted in found.items()
    )


def refuse_other(instance: StageInstance, counted: Mapping[str, str]) -> tuple[Complaint, ...]:
    """Say what is not here as the plan counted it: for workers that joined after the survey."""
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
    interpreters = Interpreters(MemoryState())
    for one in kernels:
        found = find_kernel(one.kernel or one.saved, one.language)
        if not found.argv or (one.kernel and found.fallback):
            yield _complaint(
                f"kernel '{one.kernel or one.saved or one.language}' is not installed",
                "install it there",
                ExitCode.MISSING_PLUGIN,
            )
        elif one.counted:
            yield from _packages(one, interpreters, found.argv[0])


def _packages(one: Wanted, interpreters: Interpreters, executable: str) -> Iterator[Complaint]:
    python = interpreters.of(executable)
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
        for entries in interpreters.installed(site).names.values():
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


def _validators(names: tuple[str, ...]) -> Iterator[Complaint]:
    for name in names:
        try:
            plugins.load("validators", name).require()
        except NbpipelineError as error:
            yield from error.complaints


def _secret(name: str) -> Complaint:
    return _complaint(
        f"secret {name} is not in its environment",
        "start the worker with it: secrets do not travel with jobs",
    )


def _complaint(what: str, mend: str, code: ExitCode = ExitCode.USAGE) -> Complaint:
    return Complaint(where=None, what=what, mend=mend, exit_code=code)
