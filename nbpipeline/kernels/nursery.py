"""Which kernels may come from one server, and which of them are the same until their first cell."""

import os
import re
import sys
from collections import Counter
from collections.abc import Mapping
from dataclasses import field
from pathlib import Path
from string import Template
from typing import Any

from nbpipeline.fingerprint.kernels import find_kernel
from nbpipeline.kernels.fork_service import LAUNCHER, ForkServer, forkable
from nbpipeline.kernels.late import stable
from nbpipeline.model import KernelNeed
from nbpipeline.values import dataclass

_THREADS = re.compile(r"(BLIS|MKL|NUMEXPR|OMP|OPENBLAS|VECLIB_MAXIMUM)_NUM_THREADS$")
"""What libraries read when they are loaded: a server loads them for one thread, a kernel sets its number."""
_STARTING = re.compile(r"PYTHON|LD_|DYLD_|MALLOC_|GLIBC_TUNABLES")
"""Variables that a process reads when it starts: kernels that differ in them have servers of their own."""
_READ_AT_IMPORT = ("matplotlibrc",)
"""Files that a library reads from the working folder when it is imported."""
_SERVER = {
    "JE_ARROW_MALLOC_CONF": "background_thread:false",  # pyarrow's allocator starts a thread otherwise
    "PYDEVD_DISABLE_FILE_VALIDATION": "1",  # debugpy, which ipykernel loads, writes a warning otherwise
}

Variables = tuple[tuple[str, str], ...]


@dataclass(frozen=True, slots=True)
class Kind:
    """What kernels of one server have in common."""

    command: tuple[str, ...]
    """The interpreter and its flags."""
    starting: Variables
    own: Variables
    """Variables that the kernelspec sets."""
    folder: str
    """Where the server imports."""


@dataclass(frozen=True, slots=True)
class Berth:
    """Kernels that are the same before their first cell."""

    kernel: str
    folder: str
    variables: Variables

    @property
    def need(self) -> KernelNeed:
        """What such a kernel is started with."""
        return KernelNeed(kernel=self.kernel, folder=self.folder, environment=dict(self.variables))


@dataclass(slots=True, kw_only=True)
class Nursery:
    """A server and the kernels that wait in it."""

    server: ForkServer
    shared: tuple[str, ...]
    """Modules that several of the expected kernels import: worth waiting for."""
    coming: Counter[Berth] = field(default_factory=Counter)
    spares: dict[Berth, list[Any]] = field(default_factory=dict)
    """Managers of kernels that were started before they were asked for."""

    def bury(self) -> None:
        """Forget the kernels that died while they waited."""
        for berth, waiting in self.spares.items():
            dead = [one for one in waiting if one.provisioner.is_dead]
            self.spares[berth] = [one for one in waiting if one not in dead]
            for one in dead:
                os.close(one.echo)


def kind_of(need: KernelNeed) -> Kind | None:
    """Say which server a kernel may come from; None for one that cannot be forked."""
    spec = find_kernel(need.kernel) if need.kernel else None
    argv = spec.argv if spec else (sys.executable, *LAUNCHER)
    place = forkable(argv)
    if place is None:
        return None
    own = spec.env if spec else ()
    special = any(Path(need.folder, one).exists() for one in _READ_AT_IMPORT)
    starting = _starting({**need.environment, **_resolved(own, need.environment)})
    return Kind(tuple(argv[: place - 2]), starting, own, need.folder if special else "/")


def berth_of(need: KernelNeed) -> Berth:
    """Say which waiting kernels would do."""
    return Berth(need.kernel, need.folder, stable(need.environment))


def _starting(environment: Mapping[str, str]) -> Variables:
    return tuple(sorted(one for one in environment.items() if _STARTING.match(one[0])))


def _resolved(own: Variables, environment: Mapping[str, str]) -> dict[str, str]:
    """Give a kernelspec's variables with others put in where it names them, as jupyter_client does."""
    return {name: Template(text).safe_substitute(environment) for name, text in own}


def server_variables(environment: Mapping[str, str], own: Variables) -> dict[str, str]:
    """Give the server's variables: those of its kernels, for one thread."""
    found = {**dict(stable(environment)), **_resolved(own, environment)}
    threads = {name: "1" for name in found if _THREADS.match(name)}
    return {**found, **threads, **_SERVER}
