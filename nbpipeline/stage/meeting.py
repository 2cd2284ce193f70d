"""Connects to a kernel that was started, without the pauses of jupyter_client's own way.

That one listens for a fifth of a second whether more comes, before the first cell; here both channels
are known to work as soon as the kernel has answered on each.
"""

import time
from collections.abc import Callable, Mapping
from queue import Empty
from typing import Any

import zmq
from nbclient.util import ensure_async

PATIENCE = 120.0
"""Seconds that a kernel has for its start."""
ROOM = 100_000
"""Messages that wait for us; past it ZeroMQ drops them, and by itself it keeps a thousand."""
_ANSWER = 1.0
_ECHO = 0.2


async def meet(manager: Any, keep: Callable[[Any], None]) -> Mapping[str, Any]:
    """Give `keep` a client of the started kernel, and return what the kernel says of itself.

    Raises RuntimeError where it ends before, or does not answer in time.
    """
    until = time.monotonic() + PATIENCE
    client = _roomy(manager.client)
    keep(client)
    client.start_channels(stdin=False, hb=False, control=False)
    while time.monotonic() < until:
        asked = client.kernel_info()
        answer = await _heard(client.shell_channel, asked, _ANSWER, _is_reply)
        if answer is not None and await _heard(client.iopub_channel, asked, _ECHO, _is_idle) is not None:
            content: Mapping[str, Any] = answer["content"]
            return content
        if not await ensure_async(manager.is_alive()):
            raise RuntimeError("the kernel ended before it answered")
    raise RuntimeError(f"the kernel did not answer in {PATIENCE:g} seconds")


async def _heard(
    channel: Any, asked: str, pause: float, wanted: Callable[[Mapping[str, Any]], bool]
) -> Mapping[str, Any] | None:
    """Wait for a message about the request; others are of no interest before the first cell."""
    while True:
        try:
            message: Mapping[str, Any] = await ensure_async(channel.get_msg(timeout=pause))
        except Empty:
            return None
        if message["parent_header"].get("msg_id") == asked and wanted(message):
            return message


def _is_reply(message: Mapping[str, Any]) -> bool:
    return bool(message["msg_type"] == "kernel_info_reply")


def _is_idle(message: Mapping[str, Any]) -> bool:
    return bool(message["msg_type"] == "status" and message["content"]["execution_state"] == "idle")


def _roomy(make: Callable[..., Any]) -> Any:
    """Have a client's sockets made with room for a burst of output."""
    client = make()
    client.context.setsockopt(zmq.RCVHWM, ROOM)
    return client
