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

OURS = "nbpipeline"
"""Stands in the names of folders that were written here, not by a notebook itself."""
ANSWER = 5.0
"""Seconds that a server has to take a connection."""
PATIENCE = 300.0
"""Seconds that a sync may take."""
_BLOCK, _HEADER, _ENDS = 32_768, 7, (1, 4)
"""Of LevelDB's log format, which a run's file is in, behind W&B's own header of the same length."""


def sync(folders: Sequence[Path], server: str, root: Path, patience: float = PATIENCE) -> None:
    """Send W&B's folders. Raises OSError, with ConnectionError and TimeoutError."""
    whole = [one for one in folders if _is_whole(one)]
    for one in sorted({*folders} - {*whole}):
        if f"-{OURS}-" in one.name:  # not a killed notebook's: it must not be taken for sent
            raise ConnectionError(f"{one.name} is not written to its end yet")
        sys.stdout.write(f"{one} is left: it is cut short, since its process was killed\n")  # to sender.log
    if not whole:
        return
    import subprocess  # noqa: PLC0415 - start-up is counted

    _ask(server)
    command = [sys.executable, "-m", "wandb", "sync", "--yes", *map(os.fspath, sorted(whole))]
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
    unsent = [one.name for one in whole if not any(one.glob("*.wandb.synced"))]
    if process.returncode or unsent:
        raise ConnectionError(f"{server}: {_last_words(said) or 'it took nothing'}")


def _is_whole(folder: Path) -> bool:
    """Whether a file was written to the end of a record; another would hold up all of its run."""
    from struct import unpack_from  # noqa: PLC0415 - start-up is counted

    (path,) = folder.glob("*.wandb")
    size, place, ended = path.stat().st_size, _HEADER, False
    with path.open("rb") as file:
        while place + _HEADER <= size:
            left = _BLOCK - place % _BLOCK
            if left < _HEADER:
                place += left
                continue
            file.seek(place)
            length, kind = unpack_from("<HB", file.read(_HEADER), 4)
            place += _HEADER + length
            ended = kind in _ENDS
    return ended and place == size


def _ask(server: str) -> None:
    """Raise ConnectionError where no server answers: W&B's own client would try for long."""
    import socket  # noqa: PLC0415 - as above
    from urllib.parse import urlsplit  # noqa: PLC0415 - as above
    from urllib.request import getproxies  # noqa: PLC0415 - as above

    place = urlsplit(server)
    if place.scheme in getproxies():
        return  # W&B's client goes that way
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
