"""Plain kernels: one process each, started by jupyter_client for its stage and ended after it."""

import contextlib
import functools
import os
import shutil
import sys
import tempfile
import threading
from collections.abc import Iterator, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from nbpipeline.errors import UsageError
from nbpipeline.liveness import is_alive
from nbpipeline.model import KernelNeed
from nbpipeline.ports import Cache

LONGEST_SOCKET_PATH = 100
"""Bytes that the path of a Unix socket may have everywhere."""
ARGUMENTS = ("--HistoryManager.hist_file=:memory:",)
"""What an ipykernel is started with beside its connection file: it keeps no history on disk."""
_PREFIX = "nbpipeline-"


class PlainKernels:
    """Fills `ports.Kernels`. Sockets and connection files stand in a private folder with a short path."""

    def __init__(self) -> None:
        """Make nothing yet."""
        self._folder: Path | None = None
        self._lock = threading.Lock()
        self._specs: dict[str, Any] = {}

    def __enter__(self) -> Self:
        """Make the private folder; those of dead processes are swept."""
        sweep()
        self._folder = Path(tempfile.mkdtemp(prefix=f"{_PREFIX}{os.getpid()}-", dir=_runtime_parent()))
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Remove the folder."""
        if self._folder is not None:
            shutil.rmtree(self._folder, ignore_errors=True)
            self._folder = None

    def expect(self, coming: Sequence[KernelNeed]) -> None:
        """Do nothing: each kernel is started when it is needed."""

    def manager(self, need: KernelNeed, *, stays: bool = False) -> Any:
        """Give a manager that nbclient starts. Raises `UsageError` where no such kernel is installed."""
        del stays  # all of them can
        from jupyter_client.manager import AsyncKernelManager  # noqa: PLC0415 - costs 0.4 s, only to run

        manager = AsyncKernelManager(kernel_name=need.kernel or "python3")
        manager._kernel_spec = self.spec(need.kernel)  # noqa: SLF001 - it has no public way in
        self._place(manager)
        manager.start_kernel = functools.partial(
            manager.start_kernel, cwd=need.folder, env=dict(need.environment)
        )
        manager.fallback, manager.late, manager.echo = "", "", None
        return manager

    def spec(self, kernel: str) -> Any:
        """Give a kernelspec as jupyter_client has it. Raises `UsageError` where it is not installed."""
        with self._lock:
            if kernel not in self._specs:
                self._specs[kernel] = _installed(kernel) if kernel else _own_python()
            return self._specs[kernel]

    def _place(self, manager: Any) -> None:
        """Name the connection file, and Unix sockets beside it where the kernel is known to take them.

        Sockets in a private folder cannot race for a port, as parallel starts over TCP do.
        """
        if self._folder is None:
            raise RuntimeError("PlainKernels is used outside its `with` block")
        folder = Path(tempfile.mkdtemp(prefix="k", dir=self._folder))
        manager.connection_file = str(folder / "kernel.json")
        sockets = str(folder / "s")
        takes_sockets = any("ipykernel" in argument for argument in manager.kernel_spec.argv)
        short = len(os.fsencode(sockets)) + 3 <= LONGEST_SOCKET_PATH
        if os.name == "posix" and takes_sockets and short:
            manager.transport = "ipc"
            manager.ip = sockets


def open_kernels(cache: Cache, *, insist: bool) -> PlainKernels:
    """Fill the entry point: plain kernels need no memory, and are to be had anyway."""
    del cache, insist
    return PlainKernels()


def _own_python() -> Any:
    """Describe the kernel of this very interpreter, whatever kernelspecs are installed."""
    from jupyter_client.kernelspec import KernelSpec  # noqa: PLC0415 - the same

    command = [sys.executable, "-m", "ipykernel_launcher", "-f", "{connection_file}"]
    return KernelSpec(argv=command, display_name="Python 3", language="python", metadata={"debugger": True})


def _installed(kernel: str) -> Any:
    from jupyter_client.kernelspec import KernelSpecManager, NoSuchKernel  # noqa: PLC0415 - the same

    found = KernelSpecManager()
    try:
        return found.get_kernel_spec(kernel)
    except NoSuchKernel:
        known = ", ".join(sorted(found.find_kernel_specs())) or "none"
        raise UsageError.of(
            f"kernel '{kernel}' is not installed.",
            known=f"installed kernels: {known}",
            mend="name one of them under `kernel:` in the header, or install it",
        ) from None


def _runtime_parent() -> Path:
    """Where the private folder stands: the user's runtime folder, else that for temporary files."""
    for candidate in (os.environ.get("XDG_RUNTIME_DIR"), tempfile.gettempdir()):
        if candidate and Path(candidate).is_dir() and os.access(candidate, os.W_OK | os.X_OK):
            return Path(candidate)
    return Path(tempfile.gettempdir())


def left_behind() -> Iterator[Path]:
    """Give the private folders whose process was killed before it could remove them."""
    for folder in _runtime_parent().glob(f"{_PREFIX}[0-9]*-*"):
        pid = folder.name.removeprefix(_PREFIX).partition("-")[0]
        with contextlib.suppress(OSError):
            if pid.isdigit() and not is_alive(int(pid), None) and folder.stat().st_uid == os.getuid():
                yield folder


def sweep() -> int:
    """Remove them; how many there were."""
    found = list(left_behind())
    for folder in found:
        shutil.rmtree(folder, ignore_errors=True)
    return len(found)
