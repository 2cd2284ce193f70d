"""A fork server to rely on: started anew without a module that cannot be forked, or if it is killed."""

import os
import threading
from collections.abc import Callable, Collection, Mapping, Sequence
from concurrent.futures import Future
from dataclasses import field
from functools import partial
from typing import Any

from nbpipeline.kernels.fork_link import Child, ServerProcess
from nbpipeline.values import dataclass

DEATHS = 2
"""So many times a server may be killed in a run before the rest gets plain kernels."""

Modules = Sequence[tuple[str, tuple[str, ...]]]
"""What to import, and what is taken from each: `("sklearn", ("ensemble",))`."""


LAUNCHER = ("-m", "ipykernel_launcher")
"""Words of a kernelspec's command that tell a kernel which a fork server can make."""


def forkable(argv: Sequence[str]) -> int | None:
    """Give where the launcher's own words begin in a kernelspec's command; None for another kernel."""
    for place in range(1, len(argv) - 1):
        if tuple(argv[place : place + 2]) == LAUNCHER:
            return place + 2
    return None


class NoForkError(Exception):
    """Says why this kernel, or none at all, can be forked."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Refusal:
    """A module that is left to its stages, since a process cannot be forked after its import."""

    module: str
    why: str
    origin: str = ""
    """The file of its top-level package: when that changes, the module is tried again."""


@dataclass(slots=True, kw_only=True)
class _Asked:
    request: Mapping[str, Any]
    files: tuple[int, int]
    """Copies of our own, so that a second server can be asked too."""
    answer: "Future[Child]" = field(default_factory=Future)


class ForkServer:
    """Forks kernels of one interpreter. A server that a module has spoilt is replaced by one without it."""

    def __init__(
        self,
        command: Sequence[str],
        environment: Mapping[str, str],
        modules: Modules,
        *,
        folder: str = "/",
        refused: Collection[str] = (),
        on_refusal: Callable[[Refusal], None] = lambda _refusal: None,
    ) -> None:
        """Start it in the folder; it loads `modules` but the `refused` ones. Raises OSError."""
        self._start = partial(ServerProcess, command, environment, folder, self._hear)
        self._modules = list(modules)
        self._refused = set(refused)
        self._on_refusal = on_refusal
        self._lock = threading.RLock()
        self._asked: dict[int, _Asked] = {}
        self._count = 0
        self._deaths = 0
        self.ready: Future[int] = Future()
        """The process that serves, once it can fork; raises NoForkError where it never can."""
        self._closed = False
        self._gone = ""
        self._former: list[ServerProcess] = []
        self._process = self._start()
        self._load()

    @property
    def pid(self) -> int:
        """The process that forks at present."""
        return self._process.pid

    @property
    def gone(self) -> str:
        """Why nothing can be forked any more; empty while it can."""
        return self._gone

    def fork(self, request: Mapping[str, Any], output: int, error: int) -> "Future[Child]":
        """Ask for a kernel with these files as its output. Raises NoForkError, and the future does."""
        with self._lock:
            if self._gone:
                raise NoForkError(self._gone)
            self._count += 1
            number = self._count
            asked = _Asked(
                request={"do": "fork", "id": number, **request}, files=(os.dup(output), os.dup(error))
            )
            self._asked[number] = asked
            self._send(asked)
        return asked.answer

    def close(self) -> None:
        """End all processes, and with them the kernels but those that are to stay."""
        with self._lock:
            self._closed = True
            processes = [*self._former, self._process]
            self._give_up("the run has ended")
        for one in processes:
            one.close()

    # --- asking --------------------------------------------------------------------------------

    def _load(self) -> None:
        wanted = [[name, taken] for name, taken in self._modules if name not in self._refused]
        try:
            self._process.send({"do": "load", "modules": wanted})
        except OSError:  # its reader hears that it is gone
            return

    def _send(self, asked: _Asked) -> None:
        needs = [one for one in asked.request["needs"] if one not in self._refused]
        try:
            self._process.send({**asked.request, "needs": needs}, asked.files)
        except OSError:  # the same
            return

    def _answered(self, number: int) -> _Asked | None:
        asked = self._asked.pop(number, None)
        if asked is not None:
            for one in asked.files:
                os.close(one)
        return asked

    # --- hearing, in the threads of the processes ----------------------------------------------

    def _hear(self, process: ServerProcess, message: Mapping[str, Any]) -> None:
        with self._lock:
            if "ready" in message:
                if not self.ready.done():
                    self.ready.set_result(process.pid)
            elif "forked" in message:
                self._forked(process, message)
            elif "unforkable" in message:
                asked = self._answered(message["unforkable"])
                if asked is not None:
                    asked.answer.set_exception(NoForkError(message["why"]))
            elif "refused" in message:
                self._refuse(process, message)
            elif "gone" in message and process is self._process and not self._closed:
                self._lost(str(message["gone"]))

    def _forked(self, process: ServerProcess, message: Mapping[str, Any]) -> None:
        asked = self._answered(message["forked"])
        child = process.adopt(message["pid"], stays=bool(asked and asked.request["independent"]))
        if asked is not None:
            asked.answer.set_result(child)

    def _refuse(self, process: ServerProcess, message: Mapping[str, Any]) -> None:
        """Go on without a module; kernels that the spoilt server has forked already live on under it."""
        name = str(message["refused"])
        if process is not self._process or self._closed:
            return
        if process.is_childless:
            process.hang_up()
        self._refused.add(name)
        self._on_refusal(Refusal(module=name, why=str(message["why"]), origin=str(message["origin"])))
        self._replace()

    def _lost(self, why: str) -> None:
        self._deaths += 1
        if not self.ready.done():
            self._give_up(f"the fork server does not start: {why}")
        elif self._deaths >= DEATHS:
            self._give_up(f"the fork server was ended {self._deaths} times")
        else:
            self._replace()

    def _replace(self) -> None:
        self._former.append(self._process)
        try:
            self._process = self._start()
        except OSError as error:
            self._give_up(f"the fork server does not start: {error}")
            return
        self._load()
        for asked in list(self._asked.values()):
            self._send(asked)

    def _give_up(self, why: str) -> None:
        self._gone = why
        if not self.ready.done():
            self.ready.set_exception(NoForkError(why))
        for number in list(self._asked):
            asked = self._answered(number)
            if asked is not None:
                asked.answer.set_exception(NoForkError(why))
