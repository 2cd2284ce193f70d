"""Servers of tests: started, waited for by what they say, ended with all their processes."""

import os
import subprocess
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

import psutil
import pytest


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
        family = [*psutil.Process(server.pid).children(recursive=True), psutil.Process(server.pid)]
        for one in family:  # asked to end, it would wait for its clients' open connections
            one.kill()
        psutil.wait_procs(family, timeout=10)
        server.wait()
