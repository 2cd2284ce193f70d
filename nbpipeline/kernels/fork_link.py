"""One process of the fork server, as the runner sees it: frames out, frames in, its children."""

import contextlib
import json
import os
import select
import signal
import socket
import struct
import subprocess
import tempfile
import threading
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future
from dataclasses import field
from pathlib import Path
from typing import Any

from nbpipeline.liveness import process_started
from nbpipeline.values import dataclass

PROGRAM = Path(__file__).with_name("fork_server.py")
PATIENCE = 120.0
"""Seconds that one import may take before its module is taken for one that hangs."""
_GRACE = 5.0
_SEND_SECONDS = 10.0
"""How long a frame may take; a server that imports reads none, and what waits fits into the socket."""
_LENGTH = struct.Struct("!I")
_CHUNK = 1 << 16


@dataclass(slots=True, kw_only=True)
class Child:
    """A kernel's process. It is the server's child, which tells of its end."""

    pid: int
    stays: bool = False
    """Whether it outlives its server."""
    started: float | None = None
    """Tells the process from a later one with its number (`liveness.process_started`)."""
    orphaned: bool = False
    """Its server is gone, so that it is ending."""
    ended: "Future[int]" = field(default_factory=Future)
    """Its exit code, or minus the number of the signal that ended it."""

    @property
    def is_lost(self) -> bool:
        """Whether it has ended, or is about to."""
        return self.orphaned or self.poll() is not None

    def poll(self) -> int | None:
        """Give the exit code, None while it runs."""
        return self.ended.result() if self.ended.done() else None


Hear = Callable[["ServerProcess", Mapping[str, Any]], None]
"""Takes a frame, in the process's own thread; `{"gone": WHY}` is the last."""


class ServerProcess:
    """A started server. `hear` gets what it says; ends of children reach their futures."""

    def __init__(
        self, command: Sequence[str], environment: Mapping[str, str], folder: str, hear: Hear
    ) -> None:
        """Start it with the interpreter and flags in `command`, in a folder. Raises OSError."""
        self._hear = hear
        self._children: dict[int, Child] = {}
        self._lock = threading.Lock()
        self._loading = ""
        self._broken = False
        self._said = tempfile.TemporaryFile()  # noqa: SIM115 - closed by `close`
        self._socket, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_STREAM)
        try:
            with theirs:
                self._process = subprocess.Popen(  # noqa: S603 - the kernelspec's own interpreter
                    [*command, str(PROGRAM), str(theirs.fileno())],
                    pass_fds=[theirs.fileno()],
                    stdin=subprocess.DEVNULL,
                    stdout=self._said,
                    stderr=self._said,
                    env=dict(environment),
                    cwd=folder,
                    start_new_session=True,  # Ctrl-C at the terminal is the runner's business
                )
        except OSError:
            self._socket.close()
            self._said.close()
            raise
        self._socket.settimeout(_SEND_SECONDS)
        self._thread = threading.Thread(target=self._listen, name="nbpipeline-fork-server", daemon=True)
        self._thread.start()

    @property
    def pid(self) -> int:
        """The server's process id."""
        return self._process.pid

    def send(self, message: Mapping[str, Any], files: Sequence[int] = ()) -> None:
        """Send a frame, with open files beside it. Raises OSError where nobody listens."""
        body = json.dumps(message).encode()
        frame = memoryview(_LENGTH.pack(len(body)) + body)
        with self._lock:
            if self._broken:
                raise BrokenPipeError
            self._broken = True  # until the whole frame is through: a hung server reads none
            sent = socket.send_fds(self._socket, [frame], files) if files else 0
            self._socket.sendall(frame[sent:])
            self._broken = False

    def adopt(self, pid: int, *, stays: bool) -> Child:
        """Give the child of that number. Called as its frame is heard, so before its end is."""
        child = Child(pid=pid, stays=stays, started=process_started(pid))
        return self._children.setdefault(pid, child)

    @property
    def is_childless(self) -> bool:
        """Whether no kernel of it runs."""
        return not self._children

    def close(self) -> None:
        """End the server, and with it all its kernels but those that are to stay."""
        self.hang_up()
        try:
            self._process.wait(_GRACE)
        except subprocess.TimeoutExpired:  # it hangs in an import
            self._process.kill()
            self._process.wait()
        self._thread.join()
        self._socket.close()
        self._said.close()

    def hang_up(self) -> None:
        """Let the server see that nobody asks any more: it ends."""
        try:
            self._socket.shutdown(socket.SHUT_RDWR)
        except OSError:  # it is gone already
            return

    def _listen(self) -> None:
        """Hear frames until the server is gone; in a thread of its own."""
        received = b""
        while True:
            patience = PATIENCE if self._loading else None
            if not select.select([self._socket], [], [], patience)[0]:
                self._refuse(f"it is not imported in {PATIENCE:g} s")  # its kernels live on
                continue
            try:
                data = self._socket.recv(_CHUNK)
            except OSError:
                data = b""
            if not data:
                break
            received += data
            while len(received) >= _LENGTH.size:
                end = _LENGTH.size + _LENGTH.unpack_from(received)[0]
                if len(received) < end:
                    break
                message, received = json.loads(received[_LENGTH.size : end]), received[end:]
                self._note(message)
        self._mourn()

    def _note(self, message: Mapping[str, Any]) -> None:
        if "ended" in message:
            child = self._children.pop(message["ended"], None)
            if child is not None:
                child.ended.set_result(int(message["code"]))
            return
        self._loading = message.get("loading", "")
        self._hear(self, message)

    def _refuse(self, why: str) -> None:
        """Tell of the module that is being imported that it cannot be."""
        module, self._loading = self._loading, ""
        self._hear(self, {"refused": module, "why": why, "origin": ""})

    def _mourn(self) -> None:
        """Tell that the server is gone, and see its kernels off."""
        said = self._last_words()
        if self._loading:
            self._refuse("it ends the process while it is imported")
        self._hear(self, {"gone": said or "the fork server ended"})
        for child in self._children.values():
            child.orphaned = not child.stays
        for child in self._children.values():
            name = f"nbpipeline-orphan-{child.pid}"
            threading.Thread(target=_see_off, args=(child,), name=name, daemon=True).start()
        self._children.clear()

    def _last_words(self) -> str:
        """Give the last line that the server wrote: an ImportError, mostly."""
        size = os.fstat(self._said.fileno()).st_size
        text = os.pread(self._said.fileno(), 4096, max(0, size - 4096)).decode("utf-8", "replace")
        return next((line.strip() for line in reversed(text.splitlines()) if line.strip()), "")


def _see_off(child: Child) -> None:
    """Wait for the end of a kernel whose server is gone; one that is not to stay is ended."""
    import psutil  # noqa: PLC0415 - start-up is counted, and servers seldom die

    with contextlib.suppress(psutil.NoSuchProcess):
        process = psutil.Process(child.pid)
        if process_started(child.pid) != child.started:
            raise psutil.NoSuchProcess(child.pid)
        if not child.stays:
            process.kill()
        process.wait()
    child.ended.set_result(-signal.SIGKILL)
