"""The switch that Ctrl-C turns: level 0 go on, 1 interrupt and restore, 2 kill."""

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from nbpipeline.executors.local import Level

CancelSwitch = Level
"""Fills `ports.Cancel`; `raise_to` may be called from a signal handler."""


@contextmanager
def turned_by_ctrl_c() -> Iterator[Level]:
    """Give a switch for callers that bring none: a Python session, a notebook.

    Ctrl-C turns it while the block lasts, in the main thread, where nobody else has taken SIGINT over.
    """
    switch = Level()

    def turn(_number: int, _frame: Any) -> None:
        switch.raise_to(switch.turned())

    ours = (
        threading.current_thread() is threading.main_thread()
        and signal.getsignal(signal.SIGINT) is signal.default_int_handler
    )
    if ours:
        signal.signal(signal.SIGINT, turn)
    try:
        yield switch
    finally:
        if ours:
            signal.signal(signal.SIGINT, signal.default_int_handler)
