"""`wandb sync` as a process of its own, which can be ended where it hangs."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import subprocess

ANSWER = 5.0
"""Seconds that a server has to take a connection."""
PATIENCE = 300.0
"""Seconds that a sync may take."""


def sync(folders: Sequence[Path], server: str, root: Path, patience: float = PATIENCE) -> None:
    """Send W&B's folders. Raises OSError, with ConnectionError and TimeoutError."""
    if not folders:
        return
    import subprocess  # noqa: PLC0415 - start-up is counted

    _ask(server)
    command = [sys.executable, "-m", "wandb", "sync", "--yes", *map(os.fspath, sorted(folders))]
    environment = {**os.environ, "WANDB_BASE_URL": server}
    process = subprocess.Popen(  # noqa: S603 - this Python, and our own words
        command,
        cwd=root,
        env=environment,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        errors="replace",
        start_new_session=True,
    )
    try:
        said, _ = process.communicate(timeout=patience)
    except subprocess.TimeoutExpired as error:
        text = f"`wandb sync` did not end in {patience:g} s"
        raise TimeoutError(text) from error
    finally:
        _end(process)
    unsent = [one.name for one in folders if not any(one.glob("*.wandb.synced"))]
    if process.returncode or unsent:
        raise ConnectionError(f"{server}: {_last_words(said) or 'it took nothing'}")


def _ask(server: str) -> None:
    """Raise ConnectionError where no server answers: W&B's own client would try for long."""
    import socket  # noqa: PLC0415 - as above
    from urllib.parse import urlsplit  # noqa: PLC0415 - as above

    place = urlsplit(server)
    port = place.port or (443 if place.scheme == "https" else 80)
    try:
        socket.create_connection((place.hostname or "", port), timeout=ANSWER).close()
    except OSError as error:
        raise ConnectionError(f"{server}: {error.strerror or error}") from error


def _last_words(said: str) -> str:
    lines = [line.removeprefix("wandb: ").strip() for line in said.splitlines() if line.strip()]
    telling = [line for line in lines if "error" in line.lower() or "fail" in line.lower()]
    return (telling or lines or [""])[-1]


def _end(process: subprocess.Popen[str]) -> None:
    """End it with what it has started."""
    from signal import SIGKILL  # noqa: PLC0415 - as above

    with suppress(OSError):
        os.killpg(process.pid, SIGKILL)
    process.wait()
