"""Warm kernels: forked from a process that has imported what the stages need, some before they are asked for.

One server serves an interpreter, with the variables that Python and the system's loader read when a process
starts. It is started by `expect`, so that imports go on while the first stage is prepared. Where nothing can
be forked, a kernel is a plain one, and its manager's `fallback` says why.
"""

import asyncio
import os
import re
import sys
import threading
from collections import Counter
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from string import Template
from types import TracebackType
from typing import Any, Self

from nbpipeline.fingerprint.kernels import find_kernel
from nbpipeline.kernels.forking import LAUNCHER, ForkServer, NoForkError, Refusal, forkable
from nbpipeline.kernels.marks import MARK, process_name
from nbpipeline.kernels.plain import ARGUMENTS, PlainKernels
from nbpipeline.kernels.refusals import Refusals
from nbpipeline.model import ExpectedKernel, Imported
from nbpipeline.ports import Cache

THREADS = "OMP_NUM_THREADS"
"""The variable that says how many threads a stage's libraries may use (`stage.environment` sets them all)."""
_THREADS = re.compile(r"(BLIS|MKL|NUMEXPR|OMP|OPENBLAS|VECLIB_MAXIMUM)_NUM_THREADS$")
"""What libraries read when they are loaded: a server loads them for one thread, a kernel sets its number."""
_STARTING = re.compile(r"PYTHON|LD_|DYLD_|MALLOC_|GLIBC_TUNABLES")
"""Variables that a process reads when it starts: kernels that differ in them have servers of their own."""
_LATE = re.compile(r"NBPIPELINE_|JPY_SESSION_NAME$|MLFLOW_|WANDB_|OTEL_")
"""Variables that a kernel may get after its start, since nothing reads them before the first cell."""
_READ_AT_IMPORT = ("matplotlibrc",)
"""Files that a library reads from the working folder when it is imported."""
_SERVER = {
    "JE_ARROW_MALLOC_CONF": "background_thread:false",  # pyarrow's allocator starts a thread otherwise
    "PYDEVD_DISABLE_FILE_VALIDATION": "1",  # debugpy, which ipykernel loads, writes a warning otherwise
}

_LATE_CODE = """
def _nbpipeline_late(changes, name, session):
    import os, sys
    for key, value in changes.items():
        if value is None:
            os.environ.pop(key, None)
        else:
            os.environ[key] = value
    if session:
        get_ipython().user_ns['__session__'] = session
    if sys.platform.startswith('linux'):
        import ctypes
        ctypes.CDLL(None).prctl(15, name.encode(), 0, 0, 0)
_nbpipeline_late({changes!r}, {name!r}, {session!r})
del _nbpipeline_late
"""

_Variables = tuple[tuple[str, str], ...]


@dataclass(frozen=True, slots=True)
class _Kind:
    """What kernels of one server have in common."""

    command: tuple[str, ...]
    """The interpreter and its flags."""
    starting: _Variables
    own: _Variables
    """Variables that the kernelspec sets."""
    folder: str
    """Where the server imports."""


@dataclass(frozen=True, slots=True)
class _Berth:
    """Kernels that are the same before their first cell."""

    kernel: str
    folder: str
    variables: _Variables


@dataclass(slots=True, kw_only=True)
class _Nursery:
    """A server and the kernels that wait in it."""

    server: ForkServer
    shared: tuple[str, ...]
    """Modules that several of the expected kernels import: worth waiting for."""
    coming: Counter[_Berth] = field(default_factory=Counter)
    spares: dict[_Berth, list[Any]] = field(default_factory=dict)
    """Managers of kernels that were started before they were asked for."""

    def bury(self) -> None:
        """Forget the kernels that died while they waited."""
        for berth, waiting in self.spares.items():
            dead = [one for one in waiting if one.provisioner.is_dead]
            self.spares[berth] = [one for one in waiting if one not in dead]
            for one in dead:
                os.close(one.echo)


class ForkKernels:
    """Fills `ports.Kernels`. Safe from several threads."""

    def __init__(self, refusals: Refusals | None = None, *, spares: int = 2, least: int = 2) -> None:
        """Keep up to `spares` kernels waiting; a server is worth its start for `least` expected kernels."""
        self._plain = PlainKernels()
        self._refusals = refusals or Refusals()
        self._depth = spares
        self._least = least
        self._lock = threading.Lock()
        self._filler = ThreadPoolExecutor(1, thread_name_prefix="nbpipeline-spares")
        self._nurseries: dict[_Kind, _Nursery | str] = {}

    def __enter__(self) -> Self:
        """Make the private folder; start no server yet."""
        self._plain.__enter__()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """End the servers and their kernels, and remove the folder."""
        with self._lock:
            nurseries = [one for one in self._nurseries.values() if isinstance(one, _Nursery)]
            self._nurseries.clear()
        self._filler.shutdown(cancel_futures=True)
        for one in nurseries:
            one.server.close()
            for manager in (spare for waiting in one.spares.values() for spare in waiting):
                os.close(manager.echo)
        self._plain.__exit__(kind, error, trace)

    def expect(self, coming: Sequence[ExpectedKernel]) -> None:
        """Start the servers that pay, and the first kernels in them."""
        groups: dict[_Kind, list[ExpectedKernel]] = {}
        for one in coming:
            kind = self._kind(one.kernel, one.folder, one.environment)
            if kind is not None:
                groups.setdefault(kind, []).append(one)
        opened = [
            self._open(kind, members) for kind, members in groups.items() if len(members) >= self._least
        ]
        for nursery in opened:  # all servers are at work before jupyter_client is imported
            if isinstance(nursery, _Nursery):
                self._filler.submit(self._fill, nursery).result()

    def manager(
        self,
        *,
        kernel: str,
        folder: Path,
        environment: Mapping[str, str],
        imports: Sequence[Imported],
        stays: bool = False,
    ) -> Any:
        """Give the manager of a kernel that waits, or of one to be forked; else of a plain one.

        Raises `UsageError` where no such kernel is installed.
        """
        kind = self._kind(kernel, str(folder), environment)
        with self._lock:
            nursery = self._nurseries.get(kind) if kind else None
        if not isinstance(nursery, _Nursery):
            manager = self._plain.manager(
                kernel=kernel, folder=folder, environment=environment, imports=imports
            )
            manager.fallback = nursery or ""
            return manager
        berth = _Berth(kernel, str(folder), _stable(environment))
        needs = [one.module for one in imports if one.module in nursery.shared]
        with self._lock:
            nursery.coming[berth] -= 1
            waiting = nursery.spares.get(berth, [])
            fitting = (one for one in waiting if not stays and one.provisioner.serves(needs))
            spare = next(fitting, None)  # what waits ends with the run
            if spare is not None:
                waiting.remove(spare)
        manager = _adopted(spare, environment) if spare else self._forked(nursery, berth, environment, needs)
        self._filler.submit(self._fill, nursery)
        return manager

    def waiting(self) -> tuple[Any, ...]:
        """Give the managers of the kernels that wait to be asked for."""
        with self._lock:
            found = [one for one in self._nurseries.values() if isinstance(one, _Nursery)]
            return tuple(spare for one in found for waiting in one.spares.values() for spare in waiting)

    # --- servers -------------------------------------------------------------------------------

    def _kind(self, kernel: str, folder: str, environment: Mapping[str, str]) -> _Kind | None:
        """Say which server a kernel may come from; None for one that cannot be forked."""
        spec = find_kernel(kernel) if kernel else None
        argv = spec.argv if spec else (sys.executable, *LAUNCHER)
        place = forkable(argv)
        if place is None:
            return None
        own = spec.env if spec else ()
        special = any(Path(folder, one).exists() for one in _READ_AT_IMPORT)
        starting = _starting({**environment, **_resolved(own, environment)})
        return _Kind(tuple(argv[: place - 2]), starting, own, folder if special else "/")

    def _open(self, kind: _Kind, members: Sequence[ExpectedKernel]) -> _Nursery | str:
        names: dict[str, dict[str, None]] = {}
        users: Counter[str] = Counter()
        for one in members:
            users.update({each.module for each in one.imports})
            for each in one.imports:
                names.setdefault(each.module, {}).update(dict.fromkeys(each.names))
        order = sorted(names, key=lambda module: -users[module])  # stable: else as the run comes to them
        modules = [Imported(module, tuple(names[module])) for module in order]
        refused = {one.module for one in self._refusals.of(kind.command[0])}

        def remember(refusal: Refusal) -> None:
            self._refusals.add(kind.command[0], refusal)

        nursery: _Nursery | str
        try:
            server = ForkServer(
                kind.command,
                _servers(members[0].environment, kind.own),
                modules,
                folder=kind.folder,
                refused=refused,
                on_refusal=remember,
            )
            nursery = _Nursery(server=server, shared=tuple(one for one in order if users[one] > 1))
            nursery.coming.update(_Berth(one.kernel, one.folder, _stable(one.environment)) for one in members)
        except OSError as error:
            nursery = f"the fork server does not start: {error}"
        with self._lock:
            self._nurseries[kind] = nursery
        return nursery

    # --- kernels -------------------------------------------------------------------------------

    def _fill(self, nursery: _Nursery) -> None:
        """Start kernels for those that are still to come, as many as may wait; in the filler's thread."""
        while True:
            with self._lock:
                nursery.bury()
                waiting = sum(len(one) for one in nursery.spares.values())
                berth = next(
                    (one for one, n in nursery.coming.items() if n > len(nursery.spares.get(one, ()))), None
                )
                if berth is None or waiting >= self._depth or nursery.server.gone:
                    return
                nursery.spares.setdefault(berth, [])
            manager = self._forked(nursery, berth, dict(berth.variables), nursery.shared)
            reader, writer = os.pipe()
            manager.echo = reader
            try:
                asked = manager.provisioner.begin(
                    cwd=berth.folder,
                    env=dict(berth.variables),
                    extra_arguments=list(ARGUMENTS),
                    stdout=writer,
                    stderr=writer,
                )
                asyncio.run(asked)
            except NoForkError:
                os.close(reader)
                return
            finally:
                os.close(writer)
            with self._lock:
                nursery.spares[berth].append(manager)

    def _forked(
        self, nursery: _Nursery, berth: _Berth, environment: Mapping[str, str], needs: Sequence[str]
    ) -> Any:
        """Make the manager of a kernel that the server shall fork."""
        from nbpipeline.kernels.provisioner import ForkProvisioner  # noqa: PLC0415 - it imports jupyter_client

        manager = self._plain.manager(
            kernel=berth.kernel, folder=Path(berth.folder), environment=environment, imports=()
        )
        provisioner = ForkProvisioner(kernel_id="", kernel_spec=manager.kernel_spec, parent=manager)
        provisioner.server, provisioner.needs = nursery.server, needs
        provisioner.threads = int(environment.get(THREADS) or 1)
        provisioner.process_name = process_name(environment.get(MARK, "spare"))
        manager.provisioner = provisioner
        return manager


def open_kernels(cache: Cache, *, insist: bool) -> ForkKernels:
    """Fill the entry point. Where nobody insists, a single kernel is not worth a server."""
    return ForkKernels(Refusals(cache), least=1 if insist else 2)


def _adopted(manager: Any, environment: Mapping[str, str]) -> Any:
    """Let a kernel that waits be the one that was asked for: its last variables are set in it."""
    before = manager.provisioner.asked_with
    changes = {
        name: environment.get(name)
        for name in sorted({*before, *environment} - manager.kernel_spec.env.keys())
        if before.get(name) != environment.get(name)
    }
    manager.late = _LATE_CODE.format(
        changes=changes,
        name=process_name(environment.get(MARK, "")),
        session=environment.get("JPY_SESSION_NAME", ""),
    )
    return manager


def _stable(environment: Mapping[str, str]) -> _Variables:
    """Leave out the variables that a kernel may get late."""
    return tuple(sorted(one for one in environment.items() if not _LATE.match(one[0])))


def _starting(environment: Mapping[str, str]) -> _Variables:
    return tuple(sorted(one for one in environment.items() if _STARTING.match(one[0])))


def _resolved(own: _Variables, environment: Mapping[str, str]) -> dict[str, str]:
    """Give a kernelspec's variables with others put in where it names them, as jupyter_client does."""
    return {name: Template(text).safe_substitute(environment) for name, text in own}


def _servers(environment: Mapping[str, str], own: _Variables) -> dict[str, str]:
    """Give the server's variables: those of its kernels, for one thread."""
    stable = {**dict(_stable(environment)), **_resolved(own, environment)}
    threads = {name: "1" for name in stable if _THREADS.match(name)}
    return {**stable, **threads, **_SERVER}
