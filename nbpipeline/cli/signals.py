"""Ctrl-C: before there is a plan it ends the command; then once interrupts and restores, twice kills."""

import contextlib
import os
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

import click

from nbpipeline.run.cancel import CancelSwitch

_SIGNALS = ("SIGINT", "SIGTERM", "SIGHUP")


class Interrupts(CancelSwitch):
    """The switch that signals turn once it is armed; until then they raise KeyboardInterrupt."""

    def __init__(self) -> None:
        """Start disarmed: nothing runs yet, so there is nothing to end in good order."""
        super().__init__()
        self._armed = False

    def arm(self) -> None:
        """From now on, count signals instead of raising."""
        self._armed = True

    def turn(self, number: int, frame: FrameType | None) -> None:
        """Take a signal."""
        del number, frame
        if not self._armed:
            raise KeyboardInterrupt
        level = self.turned()
        _say("interrupting; once more kills" if level == 1 else "killing")
        self.raise_to(level)


@contextmanager
def cancelling() -> Iterator[Interrupts]:
    """Give the switch that signals turn, as long as the block lasts.

    SIGTERM and SIGHUP (a pod that is ended, a terminal that is closed) count as Ctrl-C does.
    """
    switch = Interrupts()
    if threading.current_thread() is not threading.main_thread():
        yield switch
        return
    known = [getattr(signal, name) for name in _SIGNALS if hasattr(signal, name)]
    before = {one: signal.getsignal(one) for one in known}
    for one in known:
        if before[one] is not signal.SIG_IGN:  # nohup keeps its promise
            signal.signal(one, switch.turn)
    try:
        yield switch
    finally:
        for one, handler in before.items():
            signal.signal(one, handler)


def _say(text: str) -> None:
    try:
        click.echo(f"\n{text}", err=True)
    except RuntimeError:  # the signal came in the midst of a line, and that stream cannot be entered twice
        with contextlib.suppress(OSError):
            os.write(2, f"\n{text}\n".encode())
    except OSError:  # the terminal is gone, which is why we are told
        return
