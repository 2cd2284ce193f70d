"""Warm kernels: forked from a process that has imported what the stages need, some before they are asked for.

One server serves an interpreter, with the variables that Python and the system's loader read when a process
starts. It is started by `expect`, so that imports go on while the first stage is prepared. Where nothing can
be forked, a kernel is a plain one, and its manager's `fallback` says why.
"""

import asyncio
import os
import threading
from collections import Counter
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from types import TracebackType
from typing import Any, Self

from nbpipeline.kernels.fork_service import ForkServer, NoForkError, Refusal
from nbpipeline.kernels.late import late_code
from nbpipeline.kernels.marks import MARK, process_name
from nbpipeline.kernels.nursery import Kind, Nursery, berth_of, kind_of, server_variables
from nbpipeline.kernels.plain import ARGUMENTS, PlainKernels
from nbpipeline.kernels.refusals import Refusals
from nbpipeline.model import Imported, KernelNeed
from nbpipeline.ports import Cache

THREADS = "OMP_NUM_THREADS"
"""The variable that says how many threads a stage's libraries may use (`stage.environment` sets them all)."""


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
        self._nurseries: dict[Kind, Nursery | str] = {}

    def __enter__(self) -> Self:
        """Make the private folder; start no server yet."""
        self._plain.__enter__()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """End the servers and their kernels, and remove the folder."""
        with self._lock:
            nurseries = [one for one in self._nurseries.values() if isinstance(one, Nursery)]
            self._nurseries.clear()
        self._filler.shutdown(cancel_futures=True)
        for one in nurseries:
            one.server.close()
            for manager in (spare for waiting in one.spares.values() for spare in waiting):
                os.close(manager.echo)
        self._plain.__exit__(kind, error, trace)

    def expect(self, coming: Sequence[KernelNeed]) -> None:
        """Start the servers that pay, and the first kernels in them."""
        groups: dict[Kind, list[KernelNeed]] = {}
        for one in coming:
            kind = kind_of(one)
            if kind is not None:
                groups.setdefault(kind, []).append(one)
        opened = [
            self._open(kind, members) for kind, members in groups.items() if len(members) >= self._least
        ]
        for nursery in opened:  # all servers are at work before jupyter_client is imported
            if isinstance(nursery, Nursery):
                self._filler.submit(self._fill, nursery).result()

    def manager(self, need: KernelNeed, *, stays: bool = False) -> Any:
        """Give the manager of a kernel that waits, or of one to be forked; else of a plain one.

        Raises `UsageError` where no such kernel is installed.
        """
        kind = kind_of(need)
        with self._lock:
            nursery = self._nurseries.get(kind) if kind else None
        if not isinstance(nursery, Nursery):
            manager = self._plain.manager(need)
            manager.fallback = nursery or ""
            return manager
        berth = berth_of(need)
        wanted = [one.module for one in need.imports if one.module in nursery.shared]
        with self._lock:
            nursery.coming[berth] -= 1
            waiting = nursery.spares.get(berth, [])
            fitting = (one for one in waiting if not stays and one.provisioner.serves(wanted))
            spare = next(fitting, None)  # what waits ends with the run
            if spare is not None:
                waiting.remove(spare)
        if spare is not None:
            manager = spare
            before, own = manager.provisioner.asked_with, manager.kernel_spec.env
            manager.late = late_code(need.environment, before, own)
        else:
            manager = self._forked(nursery, need, wanted)
        self._filler.submit(self._fill, nursery)
        return manager

    # --- servers -------------------------------------------------------------------------------

    def _open(self, kind: Kind, members: Sequence[KernelNeed]) -> Nursery | str:
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

        nursery: Nursery | str
        try:
            server = ForkServer(
                kind.command,
                server_variables(members[0].environment, kind.own),
                modules,
                folder=kind.folder,
                refused=refused,
                on_refusal=remember,
            )
            nursery = Nursery(server=server, shared=tuple(one for one in order if users[one] > 1))
            nursery.coming.update(berth_of(one) for one in members)
        except OSError as error:
            nursery = f"the fork server does not start: {error}"
        with self._lock:
            self._nurseries[kind] = nursery
        return nursery

    # --- kernels -------------------------------------------------------------------------------

    def _fill(self, nursery: Nursery) -> None:
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
            manager = self._forked(nursery, berth.need, nursery.shared)
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

    def _forked(self, nursery: Nursery, need: KernelNeed, wanted: Sequence[str]) -> Any:
        """Make the manager of a kernel that the server shall fork, after the `wanted` imports."""
        from nbpipeline.kernels.provisioner import ForkProvisioner  # noqa: PLC0415 - it imports jupyter_client

        manager = self._plain.manager(need)
        provisioner = ForkProvisioner(kernel_id="", kernel_spec=manager.kernel_spec, parent=manager)
        provisioner.server, provisioner.needs = nursery.server, wanted
        provisioner.threads = int(need.environment.get(THREADS) or 1)
        provisioner.process_name = process_name(need.environment.get(MARK, "spare"))
        manager.provisioner = provisioner
        return manager


def open_kernels(cache: Cache, *, insist: bool) -> ForkKernels:
    """Fill the entry point. Where nobody insists, a single kernel is not worth a server."""
    return ForkKernels(Refusals(cache), least=1 if insist else 2)
