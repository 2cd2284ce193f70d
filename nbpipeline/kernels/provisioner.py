"""Starts kernels by forking: a kernel provisioner of jupyter_client, entry point `nbpipeline-fork`.

A kernelspec may name it by itself, with the modules to import before the fork:
`"kernel_provisioner": {"provisioner_name": "nbpipeline-fork", "config": {"preload": ["pandas"]}}` in its
`metadata`.
"""

import asyncio
import contextlib
import os
import signal
from collections.abc import Collection, Mapping, Sequence
from concurrent.futures import Future
from typing import Any

from jupyter_client.provisioning.local_provisioner import LocalProvisioner
from traitlets import List, Unicode

from nbpipeline.kernels.fork_link import Child
from nbpipeline.kernels.fork_service import ForkServer, NoForkError, forkable


class _Process:
    """A forked kernel with the manners of `subprocess.Popen`, as far as jupyter_client knows them."""

    stdin = stdout = stderr = None

    def __init__(self, child: Child) -> None:
        self.child = child
        self.pid = child.pid

    def poll(self) -> int | None:
        return self.child.poll()

    def wait(self, timeout: float | None = None) -> int:
        return self.child.ended.result(timeout)

    def send_signal(self, number: int) -> None:
        if self.poll() is None:
            os.kill(self.pid, number)

    def kill(self) -> None:
        self.send_signal(signal.SIGKILL)

    def terminate(self) -> None:
        self.send_signal(signal.SIGTERM)


class ForkProvisioner(LocalProvisioner):  # type: ignore[misc]
    """Asks a fork server for the kernel's process; one that it cannot have is started as usual."""

    preload = List(Unicode(), help="Modules to import before the fork, with a server of its own.").tag(
        config=True
    )
    server: ForkServer | None = None
    """The server to ask; without one it starts its own."""
    needs: Sequence[str] = ()
    """Modules that the server shall have tried to import before it forks."""
    threads = 1
    """How many threads numeric libraries may use."""
    process_name = "nb-"
    """What the kernel's process is called, at most 15 characters."""
    asked_with: Mapping[str, str] = {}
    """The variables that the kernel was asked with, but for those that its kernelspec sets."""
    child_asked: "Future[Child] | None" = None
    _own: ForkServer | None = None
    process: Any = None

    async def launch_kernel(self, cmd: list[str], **kwargs: Any) -> Any:
        """Have the kernel forked; start it plainly where that cannot be."""
        try:
            child = await _answer(self.child_asked or self.asked(cmd, **kwargs))
            if self.child_asked and child.is_lost:  # it died while it waited
                child = await _answer(self.asked(cmd, **kwargs))
        except NoForkError as error:
            self.parent.fallback = str(error)
            return await super().launch_kernel(cmd, **kwargs)
        return self.take(child, kwargs.get("cwd"))

    def serves(self, needs: Collection[str]) -> bool:
        """Whether the kernel that was asked for beforehand is there, or waits for no more than `needs`."""
        asked = self.child_asked
        if asked is None or self.is_dead:
            return False
        return asked.done() or set(self.needs) <= set(needs)

    @property
    def is_dead(self) -> bool:
        """Whether the kernel that was asked for beforehand cannot be had any more."""
        asked = self.child_asked
        if asked is None or not asked.done():
            return False
        return asked.cancelled() or asked.exception() is not None or asked.result().is_lost

    async def begin(self, **kwargs: Any) -> None:
        """Ask for a kernel that waits until its manager is started. Raises NoForkError."""
        self.asked_with = dict(kwargs["env"])
        command, more = await self.parent._async_pre_start_kernel(**kwargs)  # noqa: SLF001 - the part before the launch
        self.child_asked = self.asked(command, **more)

    def take(self, child: Child, cwd: Any) -> Any:
        """Take over a forked kernel: it leads a session and a group of its own."""
        self.process = _Process(child)
        self.pid = self.pgid = child.pid
        self.cwd = cwd or os.getcwd()  # noqa: PTH109 - as jupyter_client has it
        return self.connection_info

    def asked(self, cmd: Sequence[str], **kwargs: Any) -> "Future[Child]":
        """Ask for the fork and do not wait. Raises NoForkError, and so does the future."""
        place = forkable(cmd)
        if place is None:
            raise NoForkError("its kernelspec starts no ipykernel")
        environment = dict(kwargs.get("env") or os.environ)
        output, error = (
            number if kwargs.get(name) is None else kwargs[name]
            for name, number in (("stdout", 1), ("stderr", 2))
        )
        request = {
            "arguments": list(cmd[place:]),
            "cwd": str(kwargs.get("cwd") or os.getcwd()),  # noqa: PTH109 - the same
            "environment": environment,
            "needs": list(self.needs or self.preload),
            "name": self.process_name,
            "threads": self.threads,
            "independent": bool(kwargs.get("independent")),
        }
        server = self.server or self._own_server(cmd[: place - 2], environment)
        return server.fork(request, output, error)

    def _own_server(self, command: Sequence[str], environment: Mapping[str, str]) -> ForkServer:
        if self._own is None:
            try:
                self._own = ForkServer(command, environment, [(one, ()) for one in self.preload])
            except OSError as error:
                raise NoForkError(f"the fork server does not start: {error}") from error
        return self._own

    async def wait(self) -> int | None:
        """Wait for the kernel's end: told by the server, not polled for."""
        if not isinstance(self.process, _Process):
            code: int | None = await super().wait()
            return code
        ended = asyncio.wrap_future(self.process.child.ended)
        code = int(await asyncio.shield(ended))  # somebody who gives up waiting does not undo the end
        self.process = None
        return code

    async def cleanup(self, restart: bool = False) -> None:  # noqa: FBT001, FBT002 - as jupyter_client has it
        """End the server that was started for this kernel alone."""
        if self._own is not None and not restart:
            self._own.close()
            self._own = None
        await super().cleanup(restart)


async def _answer(asked: "Future[Child]") -> Child:
    """Wait for a kernel; one that nobody waits for any more is ended when it comes."""
    try:
        return await asyncio.shield(asyncio.wrap_future(asked))
    except asyncio.CancelledError:
        asked.add_done_callback(_unwanted)
        raise


def _unwanted(asked: "Future[Child]") -> None:
    if not asked.cancelled() and asked.exception() is None:
        child = asked.result()
        with contextlib.suppress(ProcessLookupError):
            if not child.is_lost:
                os.kill(child.pid, signal.SIGKILL)
