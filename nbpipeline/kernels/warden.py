"""The process beside a kept kernel: ends it when nobody has used it for an idle hour.

`python -m nbpipeline.kernels.warden ROOT ENTRY IDLE`, started by `registry.keep`.
"""

import json
import queue
import sys
import time
from pathlib import Path
from typing import Any

from nbpipeline.kernels.registry import KeptKernel, end, forget, is_alive

LOOK = 30.0
"""Seconds between two looks at whether the kernel is still alive."""


def watch(root: Path, kept: KeptKernel, idle: float) -> None:
    """Listen until the kernel was idle for `idle` seconds or is no more; then clear it away."""
    client = _listener(kept)
    last = time.monotonic()
    busy = False
    try:
        while is_alive(kept):
            left = idle - (time.monotonic() - last)
            if left <= 0 and not busy:
                break
            try:
                message = client.get_iopub_msg(timeout=min(LOOK, max(left, 0.05)))
            except queue.Empty:
                continue
            last = time.monotonic()
            if message["msg_type"] == "status":
                busy = message["content"]["execution_state"] == "busy"
    finally:
        client.stop_channels()
    if is_alive(kept):
        end(root, kept)
    else:
        forget(root, kept)


def _listener(kept: KeptKernel) -> Any:
    from jupyter_client.blocking.client import BlockingKernelClient  # noqa: PLC0415 - costs 0.4 s

    client = BlockingKernelClient(connection_file=kept.connection)
    client.load_connection_file()
    client.start_channels(shell=False, stdin=False, hb=False, control=False)
    return client


if __name__ == "__main__":
    watch(Path(sys.argv[1]), KeptKernel(**json.loads(sys.argv[2])), float(sys.argv[3]))
