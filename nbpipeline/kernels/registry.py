"""Kernels that outlive their run, for `debug`: who they belong to, where they answer, when they end.

Each has a file in `.nbpipeline/kernels/` and a warden of its own (`nbpipeline.kernels.warden`), a small
process that ends it after an idle hour. Sockets stand in a private folder with a short path.
"""

import json
import os
import signal
import sys
import time
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import asdict
from pathlib import Path
from typing import Any

from nbpipeline import liveness
from nbpipeline.location import STATE_FOLDER
from nbpipeline.model import slug_of
from nbpipeline.replacing import replace_text
from nbpipeline.values import dataclass

IDLE_SECONDS = 3600.0
"""How long a kept kernel may be idle before it is ended."""
_WARDEN = "nbpipeline.kernels.warden"
_CHANNELS = ("shell_port", "iopub_port", "stdin_port", "control_port", "hb_port")


@dataclass(frozen=True, slots=True, kw_only=True)
class KeptKernel:
    """A kernel that waits for `debug`."""

    stage: str
    """The instance's id."""
    connection: str
    """Path of its connection file: `jupyter console --existing CONNECTION`."""
    pid: int | None = None
    """The kernel's process, None where the kernel's provisioner did not tell."""
    started: float | None = None
    """When that process began, as `liveness` says: tells it from a later one with the same pid."""
    run: str = ""
    since: float = 0.0
    """Unix time at which it was kept."""
    warden: int | None = None
    """The process that ends it after an idle hour."""


def keep(
    root: Path,
    instance_id: str,
    *,
    run: str,
    connection: str,
    pid: int | None,
    idle: float = IDLE_SECONDS,
) -> KeptKernel:
    """Take over a running kernel, so that it stays after its run; one that the stage had before is ended.

    Raises OSError where the sockets cannot be moved or the entry cannot be written.
    """
    before = find(root, instance_id)
    if before is not None:
        end(root, before)
    place = _moved(Path(connection))
    kept = KeptKernel(
        stage=instance_id,
        connection=str(place),
        pid=pid,
        started=None if pid is None else liveness.process_started(pid),
        run=run,
        since=time.time(),
    )
    warden = _warden(root, kept, idle)
    kept = KeptKernel(**{**asdict(kept), "warden": warden})
    _write(root, kept)
    return kept


def find(root: Path, instance_id: str) -> KeptKernel | None:
    """Find the instance's living kernel; the entry of a dead one is cleared away."""
    kept = _read(_entry(root, instance_id))
    if kept is None:
        return None
    if is_alive(kept):
        return kept
    forget(root, kept)
    return None


def kept_kernels(root: Path) -> tuple[KeptKernel, ...]:
    """List all living kept kernels of the project, oldest first."""
    found = [_read(path) for path in sorted(_folder(root).glob("*.json"))]
    alive = [one for one in found if one is not None and find(root, one.stage) is not None]
    return tuple(sorted(alive, key=lambda one: one.since))


def find_by_name(root: Path, name: str) -> tuple[KeptKernel, ...]:
    """Find by an instance's id, else all kept kernels of the stage of that name."""
    exact = find(root, name)
    if exact is not None:
        return (exact,)
    return tuple(one for one in kept_kernels(root) if one.stage.partition("[")[0] == name)


def is_alive(kept: KeptKernel) -> bool:
    """Whether the kernel's process is still there, and its connection file."""
    if not Path(kept.connection).exists():
        return False
    return kept.pid is None or (kept.started is not None and liveness.is_alive(kept.pid, kept.started))


def end(root: Path, kept: KeptKernel) -> None:
    """End the kernel and its warden, and forget both."""
    if kept.warden is not None and _is_warden(kept.warden):
        _end_process(kept.warden)
    if kept.pid is not None and is_alive(kept):
        _end_process(kept.pid)
    forget(root, kept)


def forget(root: Path, kept: KeptKernel) -> None:
    """Clear away the entry and the sockets of a kernel that is no more."""
    entry = _entry(root, kept.stage)
    present = _read(entry)
    if present is not None and present.connection == kept.connection:
        entry.unlink(missing_ok=True)
    import shutil  # noqa: PLC0415 - start-up is counted, and only kept kernels need it

    folder = Path(kept.connection).parent
    if folder.name.startswith(_prefix()):
        shutil.rmtree(folder, ignore_errors=True)


# --- entries -----------------------------------------------------------------------------------


def _folder(root: Path) -> Path:
    return root / STATE_FOLDER / "kernels"


def _entry(root: Path, instance_id: str) -> Path:
    return _folder(root) / f"{slug_of(instance_id)}.json"


def _write(root: Path, kept: KeptKernel) -> None:
    entry = _entry(root, kept.stage)
    entry.parent.mkdir(parents=True, exist_ok=True)
    replace_text(entry, json.dumps(asdict(kept)) + "\n")


def _read(entry: Path) -> KeptKernel | None:
    try:
        data = json.loads(entry.read_text(encoding="utf-8"))
        return KeptKernel(**data)
    except (OSError, ValueError, TypeError, RecursionError):
        return None


# --- sockets -----------------------------------------------------------------------------------


def _prefix() -> str:
    return f"nbpipeline-kept-{os.getuid() if hasattr(os, 'getuid') else 0}-"


def _moved(connection: Path) -> Path:
    """Move the connection file, and Unix sockets beside it, out of the folder that ends with the run.

    A bound socket answers under its new name, as long as it stays on its file system: so the new folder
    stands beside the old one's parent.
    """
    import tempfile  # noqa: PLC0415 - the same

    info = json.loads(connection.read_text(encoding="utf-8"))
    place = connection.parent
    of_run = next((one for one in place.parents if one.name.startswith("nbpipeline-")), place)
    folder = Path(tempfile.mkdtemp(prefix=_prefix(), dir=of_run.parent))
    if info.get("transport") == "ipc":
        info = _move_sockets(info, folder)
    place = folder / "kernel.json"
    place.touch(mode=0o600)
    place.write_text(json.dumps(info), encoding="utf-8")
    return place


def _move_sockets(info: Mapping[str, Any], folder: Path) -> dict[str, Any]:
    for channel in _CHANNELS:
        old = Path(f"{info['ip']}-{info[channel]}")
        if old.exists():
            old.rename(folder / f"s-{info[channel]}")
    return {**info, "ip": str(folder / "s")}


# --- processes ---------------------------------------------------------------------------------


def _warden(root: Path, kept: KeptKernel, idle: float) -> int:
    """Start the process that ends the kernel after an idle hour; it outlives this one."""
    import subprocess  # noqa: PLC0415 - the same

    command = [
        sys.executable,
        "-P",
        "-m",
        _WARDEN,
        str(root),
        json.dumps(asdict(kept)),
        str(idle),
    ]
    process = subprocess.Popen(  # noqa: S603 - our own module
        command,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    process.returncode = 0  # it is meant to outlive us: no warning that it still runs
    return process.pid


def _is_warden(pid: int) -> bool:
    """Whether the number still belongs to a warden, and not to a later process."""
    import psutil  # noqa: PLC0415 - the same

    try:
        return _WARDEN in psutil.Process(pid).cmdline()
    except psutil.Error:
        return False


def _end_process(pid: int) -> None:
    """Ask a process and its children to end, then kill them."""
    import psutil  # noqa: PLC0415 - the same

    try:
        process = psutil.Process(pid)
        pids = [*(one.pid for one in process.children(recursive=True)), pid]
    except psutil.Error:
        return
    started = {one: liveness.process_started(one) for one in pids}
    family = [(one, since) for one, since in started.items() if since is not None]
    for number in (signal.SIGTERM, getattr(signal, "SIGKILL", signal.SIGTERM)):
        for one, since in family:
            if liveness.is_alive(one, since):
                with suppress(OSError):
                    os.kill(one, number)
        family = liveness.outlasting(family, 2)
        # One of ours is reaped (nobody waits for a warden); Windows has no such thing.
        with suppress(ChildProcessError, AttributeError):
            os.waitpid(pid, os.WNOHANG)
        if not family:
            return
