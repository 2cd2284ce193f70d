"""Bytes on their way, told on one line of a terminal."""

import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import click

from nbpipeline.report.wording import size

_REDRAWN = 0.2


@contextmanager
def carrying(verb: str) -> Iterator[Callable[[int], None]]:
    """Give what hears of bytes from any thread; says how many, where stderr is a terminal."""
    if not sys.stderr.isatty():
        yield lambda _: None
        return
    lock = threading.Lock()
    count, drawn = 0, 0.0

    def moved(more: int) -> None:
        nonlocal count, drawn
        with lock:
            count += more
            if time.monotonic() - drawn > _REDRAWN:
                drawn = time.monotonic()
                click.echo(f"\r{verb} {size(count)} ...  ", err=True, nl=False)

    try:
        yield moved
    finally:
        if count:
            click.echo("\r\033[K", err=True, nl=False)
