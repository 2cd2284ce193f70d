"""Ctrl-C: the first interrupts and restores, the second kills."""

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

import click

from nbpipeline.run.cancel import CancelSwitch

_SIGNALS = ("SIGINT", "SIGTERM", "SIGHUP")


@contextmanager
def cancelling() -> Iterator[CancelSwitch]:
    """Give the switch that signals turn, as long as the block lasts.

    SIGTERM and SIGHUP (a pod that is ended, a terminal that is closed) count as Ctrl-C does.
    """
    switch = CancelSwitch()
    if threading.current_thread() is not threading.main_thread():
        yield switch
        return

    def turn(number: int, frame: FrameType | None) -> None:
        del number, frame
        level = min(switch.level + 1, 2)
        _say("interrupting; once more kills" if level == 1 else "killing")
        switch.raise_to(level)

    known = [getattr(signal, name) for name in _SIGNALS if hasattr(signal, name)]
    before = {one: signal.getsignal(one) for one in known}
    for one in known:
        if before[one] is not signal.SIG_IGN:  # nohup keeps its promise
            signal.signal(one, turn)
    try:
        yield switch
    finally:
        for one, handler in before.items():
            signal.signal(one, handler)


def _say(text: str) -> None:
    try:
        click.echo(f"\n{text}", err=True)
    except OSError:  # the terminal is gone, which is why we are told
        return
