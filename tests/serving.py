"""Servers of tests: started, waited for by what they say, ended with all their processes."""

import os
import select
import subprocess
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import psutil
import pytest
from processes import outlasting


@contextmanager
def serving(
    words: Sequence[str | Path], *, ready: str, variables: Mapping[str, str], cwd: Path | None = None
) -> Iterator[str]:
    """Run a server while the block lasts; gives the line by which it says that it is `ready`."""
    server = subprocess.Popen(
        words,
        cwd=cwd,
        env={**os.environ, **variables},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    try:
        assert server.stdout is not None
        said = []
        for line in server.stdout:  # it ends where the server does
            said.append(line)
            if ready in line:
                break
        else:
            pytest.fail("".join(said))
        threading.Thread(target=server.stdout.read).start()  # a full pipe would stop it
        yield said[-1]
    finally:
        kill(server)  # asked to end, it would wait for its clients' open connections


def kill(process: subprocess.Popen[Any]) -> None:
    """End a process with all that it started; nothing where it has ended."""
    if process.poll() is None:
        family = [*psutil.Process(process.pid).children(recursive=True), psutil.Process(process.pid)]
        for one in family:
            with suppress(psutil.NoSuchProcess):
                one.kill()
        outlasting(family, 10)
        process.wait()


@contextmanager
def ended(process: subprocess.Popen[Any]) -> Iterator[subprocess.Popen[Any]]:
    """Kill a process and all that it started when the block is left, be it by a failed assertion."""
    try:
        yield process
    finally:
        kill(process)


def heard(pipe: Path, process: subprocess.Popen[Any], seconds: float = 120) -> str:
    """Wait for what is written into a FIFO; fails where the process ends without, and when the time is up."""
    end = time.monotonic() + seconds
    reader = os.open(pipe, os.O_RDONLY | os.O_NONBLOCK)
    try:
        while not select.select([reader], [], [], 0.5)[0]:
            assert process.poll() is None, "it has ended, and wrote nothing"
            assert time.monotonic() < end, "nothing was written in time"
        return os.read(reader, 1000).decode()
    finally:
        os.close(reader)
