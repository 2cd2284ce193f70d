"""What a forked child does to be a kernel, and to end as one; loaded by the fork server from beside it.

As the server, it uses the standard library alone, and no syntax newer than Python 3.9's.
"""

from __future__ import annotations

import atexit
import ctypes
import gc
import importlib
import importlib.util
import os
import signal
import sys
import threading
import time
from typing import Any

_DEATH_SIGNAL, _NAME, _LONGEST_NAME = 1, 15, 15  # numbers of prctl(2), and what a process's name may have
_THREAD_POOLS = ("openblas", "libgomp", "libiomp", "libomp", "mkl", "blis")


def become(message: dict[str, Any], files: list[int], server: int) -> None:
    """Turn the forked child into what a started kernel is: own session, files, folder, variables."""
    os.setsid()
    _name(message["name"])
    if not message["independent"]:
        _die_with(server)
    nothing = os.open(os.devnull, os.O_RDONLY)
    for number, file in enumerate((nothing, *files)):
        os.dup2(file, number)
    for file in {one for one in (nothing, *files) if one > 2}:
        os.close(file)
    os.chdir(message["cwd"])
    _renew_multiprocessing()
    os.environ.clear()
    os.environ.update(
        {"PYDEVD_USE_FRAME_EVAL": "NO", **message["environment"]}
    )  # debugpy sets it at its import
    if not message["independent"]:
        os.environ["JPY_PARENT_PID"] = str(server)
    time.tzset()
    importlib.invalidate_caches()
    if "numpy.random" in sys.modules:
        sys.modules["numpy.random"].seed()
    _use_threads(message["threads"])
    launcher = importlib.util.find_spec("ipykernel_launcher")
    sys.argv = [(launcher and launcher.origin) or "ipykernel_launcher.py", *message["arguments"]]
    gc.enable()


def _renew_multiprocessing() -> None:
    """Have its workers start in the kernel's folder, and trust this kernel alone."""
    process: Any = sys.modules.get("multiprocessing.process")
    if process is not None:
        process.ORIGINAL_DIR = os.getcwd()
        process.current_process().authkey = os.urandom(32)


def _prctl() -> Any:
    if not sys.platform.startswith("linux"):
        return None
    return ctypes.CDLL(None).prctl


def _name(name: str) -> None:
    """Name the process, so that its forks are known by it whatever session or parent they move to."""
    prctl = _prctl()
    if prctl is not None:
        prctl(_NAME, name.encode()[:_LONGEST_NAME], 0, 0, 0)


def _die_with(server: int) -> None:
    """Have Linux kill this process when the server dies; elsewhere ipykernel looks for itself."""
    prctl = _prctl()
    if prctl is not None:
        prctl(_DEATH_SIGNAL, signal.SIGKILL, 0, 0, 0)
    if os.getppid() != server:
        os._exit(1)


def _use_threads(count: int) -> None:
    """Give the numeric libraries that were loaded for one thread the number that the stage may use."""
    if count == 1 or not has_thread_pools():
        return
    from threadpoolctl import threadpool_limits

    threadpool_limits(limits=count)


def has_thread_pools() -> bool:
    """Whether a library is loaded that read its number of threads when it was."""
    try:
        with open("/proc/self/maps") as file:
            text = file.read()
    except OSError:
        return "numpy" in sys.modules
    return any(one in text for one in _THREAD_POOLS)


def leave(loaded: frozenset[str]) -> None:
    """End the process as Python does, but for taking the modules apart that the server loaded.

    That would touch, and so copy, most of the memory that kernels share: half of what a short one costs.
    Exit handlers run, what cells and the project's modules made is let go, and the C library's `exit` ends
    what native libraries hold. Python's order: threads, exit handlers, `__main__`, modules.
    """
    threading._shutdown()  # type: ignore[attr-defined]
    atexit._run_exitfuncs()
    for stream in (sys.__stdout__, sys.__stderr__):
        if stream is not None:
            stream.flush()
    for name in ["__main__", *(one for one in list(sys.modules) if one not in loaded)]:
        module = sys.modules.get(name)
        if module is not None and hasattr(module, "__dict__"):
            vars(module).clear()
    gc.collect()
    ctypes.PyDLL(None).exit(0)  # with the interpreter's lock held: other threads stay where they are
