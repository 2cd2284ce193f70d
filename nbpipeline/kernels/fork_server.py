"""The fork server: a program that imports what stages need and forks a kernel for each of them.

`python FLAGS .../fork_server.py FD` is run by the interpreter of a kernelspec, where nbpipeline need not be
installed: only the standard library and ipykernel are used here, and no syntax newer than Python 3.9's.
FD is a Unix stream socket to the runner (`nbpipeline.kernels.fork_link`). Both sides send frames: four
bytes of length, then JSON.

From the runner:
  {"do": "load", "modules": [[NAME, [TAKEN...]]...]}   import these, those that a waiting fork needs first
  {"do": "fork", "id": N, "arguments": [...], "cwd": F, "environment": {...}, "needs": [NAME...],
   "name": TEXT, "threads": N, "independent": BOOL}   with the files for standard output and error beside it
To the runner:
  {"ready": PID}, {"loading": NAME}, {"imported": NAME}, {"refused": NAME, "why": TEXT, "origin": PATH},
  {"loaded": true}, {"forked": N, "pid": PID}, {"unforkable": N, "why": TEXT}, {"ended": PID, "code": N}

A module is refused that starts threads or processes, opens a device or a socket, writes anything or asks for
the notebook while it is imported: its forks would share what cannot be shared, a notebook would miss what it
says, or it would take itself to be in none. The process is then spoilt: the runner starts another one without
that module.
"""

from __future__ import annotations

import gc
import importlib
import importlib.util
import json
import os
import select
import signal
import socket
import struct
import sys
from collections.abc import Callable
from typing import Any, NoReturn

_LENGTH = struct.Struct("!I")
_INSTALLED = ("site-packages", "dist-packages")
_NEEDED = ("ipykernel.kernelapp",)
_OF_A_KERNEL = (
    *_NEEDED,
    "ipykernel.debugger",
    "IPython.core.completerlib",
    "IPython.core.debugger",
    "IPython.extensions.storemagic",
    "tornado.platform.asyncio",
)
"""What a kernel loads while it starts."""
_HARMLESS = ("/dev/null", "/dev/zero", "/dev/random", "/dev/urandom", "/dev/tty", "/dev/pts", "/dev/shm")
_SHARED = ("socket:", "pipe:", "anon_inode:")


Request = tuple[dict[str, Any], list[int]]
"""A message and the files beside it."""
Traces = tuple[set[str], set[str], set[tuple[str, str]], int, int]
"""Threads, children, open files, bytes on standard output, on standard error."""


class Server:
    """One process that loads and forks; it never has a second thread."""

    def __init__(self, link: socket.socket, child: Any) -> None:
        """Take the socket to the runner, and what a child has to do."""
        self.link, self.child = link, child
        self.children: dict[int, bool] = {}  # pid -> whether it outlives the server
        self.waiting: list[Request] = []  # requests for forks, with their files
        self.modules: list[list[Any]] = []  # what is still to be imported
        self.tried: set[str] = set()
        self.received = b""
        self.files: list[int] = []
        self.talking = self.missed = False
        self.curious = False  # whether a module asked for the notebook
        self.stop_watching: Callable[[], None] = lambda: None
        self.wake, self.woken = os.pipe()
        for end in (self.wake, self.woken):
            os.set_blocking(end, False)

    # --- talking -------------------------------------------------------------------------------

    def tell(self, **message: Any) -> None:
        """Send a frame; a runner that is gone ends the server at the next look."""
        body = json.dumps(message).encode()
        self.talking = True  # the end of a child must not be told in the middle of this
        try:
            self.link.sendall(_LENGTH.pack(len(body)) + body)
        except OSError:
            self.quit()
        self.talking = False
        if self.missed:
            self.bury()

    def listen(self, pause: float | None) -> None:
        """Take what the runner sent and which children ended; wait `pause` seconds (None: until news)."""
        readable, _, _ = select.select([self.link.fileno(), self.wake], [], [], pause)
        if self.wake in readable:
            os.read(self.wake, 4096)
        if self.link.fileno() not in readable:
            return
        try:
            data, files, _, _ = socket.recv_fds(self.link, 1 << 16, 16)
        except InterruptedError:
            return
        except OSError:
            data, files = b"", []
        if not data and not files:
            self.quit()
        self.received += data
        self.files += files
        while len(self.received) >= _LENGTH.size:
            size = _LENGTH.unpack_from(self.received)[0]
            if len(self.received) < _LENGTH.size + size:
                return
            message = json.loads(self.received[_LENGTH.size : _LENGTH.size + size])
            self.received = self.received[_LENGTH.size + size :]
            self.obey(message)

    def obey(self, message: dict[str, Any]) -> None:
        """Note what the runner wants."""
        if message["do"] == "load":
            self.modules += message["modules"]
        else:
            files, self.files = self.files[:2], self.files[2:]
            self.waiting.append((message, files))

    def bury(self, *_: Any) -> None:
        """Tell of kernels that ended; called by SIGCHLD, so that a long import does not hide it."""
        if self.talking:
            self.missed = True
            return
        self.talking, self.missed = True, False  # one at a time
        ended: list[tuple[int, int]] = []
        for pid in self.children:
            try:
                waited, status = os.waitpid(pid, os.WNOHANG)
            except ChildProcessError:
                waited, status = pid, 0
            if waited:
                ended.append((pid, _exit_code(status)))
        for pid, _code in ended:
            del self.children[pid]
        self.talking = False
        for pid, code in ended:
            self.tell(ended=pid, code=code)
        if self.missed:
            self.bury()

    def quit(self) -> NoReturn:
        """End with all kernels that are not meant to stay."""
        doomed = [pid for pid, stays in self.children.items() if not stays]
        for pid in doomed:
            os.kill(pid, signal.SIGKILL)  # not reaped yet, so the number is still its own
        for pid in doomed:
            os.waitpid(pid, 0)
        os._exit(0)

    # --- loading -------------------------------------------------------------------------------

    def load_next(self) -> None:
        """Import one module of the list, and refuse what cannot be forked."""
        needed = {name for message, _ in self.waiting for name in message["needs"]}
        first = next((one for one in self.modules if one[0] in needed), self.modules[0])
        self.modules.remove(first)
        name, taken = first
        self.tried.add(name)
        if not _is_installed(name):
            return
        self.tell(loading=name)
        before = _traces()
        self.curious = False
        try:
            module = importlib.import_module(name)
            for one in taken:
                if not hasattr(module, one) and importlib.util.find_spec(name + "." + one) is not None:
                    importlib.import_module(name + "." + one)
        except BaseException:  # the stage meets it itself, and says so better
            pass
        self.tell(imported=name)
        why = _spoilt(before, _traces())
        if self.curious:
            why = why or "it asks for the notebook while it is imported"
        if why:
            spec = sys.modules.get(name.partition(".")[0])
            self.tell(refused=name, why=why, origin=getattr(spec, "__file__", None) or "")
            while True:
                self.listen(None)  # the runner ends this process

    def is_curious(self) -> None:
        """Note that a module wanted more of a notebook than can be answered here."""
        self.curious = True

    # --- forking -------------------------------------------------------------------------------

    def serve(self) -> Request:
        """Load and fork for ever. Returns, in a child alone, what the kernel is to be."""
        self.tell(ready=os.getpid())
        told = True
        while True:
            for request in list(self.waiting):
                if self.tried.issuperset(request[0]["needs"]):
                    self.waiting.remove(request)
                    if self.fork(*request):
                        return request
            if self.modules:
                told = False
                self.listen(0)
                self.load_next()
                continue
            if not told:
                told = True
                self.tell(loaded=True)
            for message, _ in self.waiting:  # what nobody asked to be loaded is not waited for
                self.tried.update(message["needs"])
            self.listen(0 if self.waiting else None)

    def fork(self, message: dict[str, Any], files: list[int]) -> bool:
        """Make a child; True in the child."""
        threads = len(os.listdir("/proc/self/task")) if os.path.isdir("/proc/self/task") else 1
        if threads > 1:
            self.tell(unforkable=message["id"], why=f"the server has {threads} threads")
            _close(files)
            return False
        if (
            message["threads"] != 1
            and self.child.has_thread_pools()
            and not importlib.util.find_spec("threadpoolctl")
        ):
            why = f"it may use {message['threads']} threads, and threadpoolctl is not installed"
            self.tell(unforkable=message["id"], why=why)
            _close(files)
            return False
        gc.collect()
        gc.freeze()
        blocked = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGCHLD, signal.SIGTERM, signal.SIGINT})
        try:
            pid = os.fork()
        except OSError as error:
            signal.pthread_sigmask(signal.SIG_SETMASK, blocked)
            self.tell(unforkable=message["id"], why=f"fork failed: {error}")
            _close(files)
            return False
        if pid:
            self.children[pid] = bool(message["independent"])
            self.tell(forked=message["id"], pid=pid)  # before its end can be told
            signal.pthread_sigmask(signal.SIG_SETMASK, blocked)
            _close(files)
            return False
        signal.set_wakeup_fd(-1)
        for number in (signal.SIGCHLD, signal.SIGTERM):
            signal.signal(number, signal.SIG_DFL)
        signal.signal(signal.SIGINT, signal.default_int_handler)
        signal.pthread_sigmask(signal.SIG_SETMASK, blocked)
        self.stop_watching()
        self.link.close()
        _close([self.wake, self.woken, *self.files])
        for _, others in self.waiting:
            _close(others)
        return True


# --- what an import left ---------------------------------------------------------------------------


def _is_installed(name: str) -> bool:
    """Whether the module belongs to a distribution or to Python, and to no folder of the project's own."""
    top = name.partition(".")[0]
    if top in sys.builtin_module_names or top in getattr(sys, "stdlib_module_names", ()):
        return True
    try:
        spec = importlib.util.find_spec(top)
    except (ImportError, ValueError):
        return False
    if spec is None:
        return False
    places = [spec.origin] if spec.origin else list(spec.submodule_search_locations or ())
    for place in places:
        parts = os.path.realpath(place).split(os.sep)
        if not any(one in parts for one in _INSTALLED):
            return False
    return bool(places)


def _traces() -> Traces:
    """Threads, children, open files by kind, bytes written: what an import should leave as they were."""
    threads = set(_listed("/proc/self/task"))
    children = set()
    for thread in threads:
        try:
            with open(f"/proc/self/task/{thread}/children") as file:
                children.update(file.read().split())
        except OSError:
            pass
    opened = set()
    for number in _listed("/proc/self/fd"):
        try:
            opened.add((number, os.readlink("/proc/self/fd/" + number)))
        except OSError:
            pass
    for stream in (sys.stdout, sys.stderr):
        stream.flush()
    return threads, children, opened, os.fstat(1).st_size, os.fstat(2).st_size


def _spoilt(before: Traces, after: Traces) -> str:
    """Say why a process with these traces cannot be forked any more; empty where it can."""
    if after[0] - before[0]:
        return "it starts threads while it is imported"
    if after[1] - before[1]:
        return "it starts a process while it is imported"
    for _, target in sorted(after[2] - before[2]):
        if target.startswith(_SHARED):
            return (
                f"it opens a {target.partition(':')[0].replace('anon_inode', 'socket')} while it is imported"
            )
        if target.startswith("/dev/") and not target.startswith(_HARMLESS):
            return f"it opens the device {target}"
    if after[3:] != before[3:]:
        return "it writes text while it is imported"
    return ""


def _listed(folder: str) -> list[str]:
    try:
        return os.listdir(folder)
    except OSError:
        return []


def _close(files: list[int]) -> None:
    for one in files:
        os.close(one)


def _exit_code(status: int) -> int:
    if os.WIFSIGNALED(status):
        return -os.WTERMSIG(status)
    return os.WEXITSTATUS(status)


def _beside(name: str) -> Any:
    """Load another file of this folder under no name."""
    place = os.path.join(os.path.dirname(os.path.abspath(__file__)), name + ".py")
    spec = importlib.util.spec_from_file_location(name, place)
    if spec is None or spec.loader is None:
        raise ImportError(place)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def main(child: Any) -> int:
    """Be a server; returns in a child alone, with the parent that it shall end with (0: none)."""
    link = socket.socket(fileno=int(sys.argv[1]))
    link.set_inheritable(False)
    here = os.path.dirname(os.path.abspath(__file__))
    sys.path[:] = [one for one in sys.path if os.path.abspath(one or ".") != here]
    gc.disable()
    os.environ.setdefault("MPLBACKEND", "module://matplotlib_inline.backend_inline")  # as a kernel does
    os.environ.pop(
        "JPY_PARENT_PID", None
    )  # ipykernel reads it when it is imported; each kernel is told its own
    server = Server(link, child)
    signal.set_wakeup_fd(server.woken, warn_on_full_buffer=False)
    signal.signal(signal.SIGCHLD, server.bury)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    for name in _OF_A_KERNEL:
        try:
            importlib.import_module(name)
        except ImportError:  # another version of ipykernel has it elsewhere
            if name in _NEEDED:
                raise
    server.stop_watching = _beside("fork_notebook").watch(server.is_curious)
    pid = os.getpid()
    message, files = server.serve()
    child.become(message, files, pid)
    return 0 if message["independent"] else pid


def run() -> None:
    """Be a server; in a child, be a kernel."""
    child = _beside("fork_child")
    parent = main(child)
    loaded = frozenset(sys.modules)
    from ipykernel import kernelapp

    kernelapp.launch_new_instance(parent_handle=parent)
    child.leave(loaded)


if __name__ == "__main__":
    run()
