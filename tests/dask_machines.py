"""A Dask scheduler and workers as processes of their own, for tests: on the loopback, each in a folder of its own."""

import contextlib
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Self

import psutil
from distributed import Client


class Machines:
    """A scheduler and its workers; leaving ends all of them, with what they started."""

    def __init__(self, folder: Path, environment: Mapping[str, str] | None = None) -> None:
        self.folder = folder
        self.address = ""
        self.scheduler: subprocess.Popen[bytes] | None = None
        self.workers: dict[str, subprocess.Popen[bytes]] = {}
        self._environment = {**os.environ, **(environment or {})}

    def __enter__(self) -> Self:
        self.start_scheduler()
        return self

    def __exit__(self, *_: object) -> None:
        for name in tuple(self.workers):
            self.kill(name)
        if self.scheduler is not None:
            end(self.scheduler)

    def start_scheduler(self) -> None:
        self.folder.mkdir(parents=True, exist_ok=True)
        options = (
            "--host",
            "127.0.0.1",
            "--port",
            "0",
            "--dashboard-address",
            "127.0.0.1:0",
            "--dashboard-address",
            "127.0.0.1:0",
        )
        self.scheduler = self._started("scheduler", sys.executable, ["scheduler", *options], {})
        self.address = _said(self.scheduler, "Scheduler at:")

    def start(
        self,
        *names: str,
        python: str = sys.executable,
        options: Sequence[str] = (),
        environment: Mapping[str, str] | None = None,
    ) -> None:
        """Start workers, each with one thread, and wait until the scheduler knows them."""
        for name in names:
            own = [
                "--name",
                name,
                "--nthreads",
                "1",
                "--no-nanny",
                "--dashboard-address",
                "127.0.0.1:0",
                "--local-directory",
                "own",
            ]
            command = ["worker", self.address, "--host", "127.0.0.1", *own, *options]
            self.workers[name] = self._started(name, python, command, environment or {})
        with Client(self.address, set_as_default=False) as client:
            client.wait_for_workers(len(self.workers), timeout=120)

    def _started(
        self, name: str, python: str, command: Sequence[str], environment: Mapping[str, str]
    ) -> "subprocess.Popen[bytes]":
        folder = self.folder / name
        folder.mkdir(parents=True, exist_ok=True)
        log = (folder / "log").open("wb")
        return subprocess.Popen(
            [str(Path(python).parent / "dask"), *command],
            cwd=folder,
            env={**self._environment, **environment},
            stdout=log,
            stderr=subprocess.PIPE if name == "scheduler" else log,
            start_new_session=True,
        )

    def kill(self, name: str) -> None:
        """Kill a worker as a machine dies: at once, and its children with it or after it."""
        end(self.workers.pop(name))

    def kill_scheduler(self) -> None:
        assert self.scheduler is not None
        end(self.scheduler)
        self.scheduler = None

    def holder(self, folder: str) -> str:
        """Name the worker whose folder that is in."""
        inside = Path(folder).resolve()
        return next(name for name in self.workers if (self.folder / name).resolve() in inside.parents)


def end(process: "subprocess.Popen[Any]") -> None:
    """Kill a process and what it started."""
    with contextlib.suppress(psutil.NoSuchProcess):
        children = psutil.Process(process.pid).children(recursive=True)
        for one in children:
            with contextlib.suppress(psutil.NoSuchProcess):
                one.kill()
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait(60)
    if process.stderr is not None:
        process.stderr.close()


def _said(process: "subprocess.Popen[bytes]", words: str) -> str:
    """Read what a process says until it tells its address; what it says later is read and dropped."""
    import threading

    assert process.stderr is not None
    stream = process.stderr
    for line in stream:
        text = line.decode()
        if words in text:
            threading.Thread(target=_drain, args=(stream,), daemon=True).start()
            return text.rpartition(words)[2].strip()
    raise AssertionError("the scheduler did not start")


def _drain(stream: Any) -> None:
    with contextlib.suppress(ValueError, OSError):
        for _ in stream:
            pass


def copied(source: Path, target: Path, text: str) -> Path:
    """Copy a project that has not run, with a further text in its pipeline.yaml."""
    shutil.copytree(source, target)
    file = target / "pipeline.yaml"
    file.write_text(file.read_text() + text)
    return target
