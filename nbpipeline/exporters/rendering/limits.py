"""How long a task may take by what its stage says, and when a target ends one that did not end by itself."""

import math

from nbpipeline.model.exported import Task

GRACE = 3600.0
"""Seconds for what no `timeout` holds: an image to be pulled, inputs to be fetched, results to be pushed."""
PODS = 2**31 - 1
"""Kubernetes refuses more seconds."""
TIMERS = 100_000_000.0
"""Seconds, three years: what the timers of all systems take."""


def wait(task: Task, number: int) -> float:
    """Give the seconds before a further try, the first of which is 0; endless beyond all numbers."""
    if not task.retry_delay:
        return 0.0
    try:
        return task.retry_delay * task.retry_backoff**number
    except OverflowError:
        return math.inf


def longest(task: Task, tries: int) -> float | None:
    """Give the seconds that so many tries take at most, with the waits between; None: no end is known."""
    if task.timeout is None:
        return None
    return task.timeout * tries + _waits(task, tries - 1)


def behind(task: Task, *, tries: int, most: float) -> float | None:
    """Give the seconds after which a target ends a task that should have ended by itself; None: never.

    The checks on inputs have as long as a try, before the first. A target takes at most `most`.
    """
    found = longest(task, tries)
    return None if found is None else min(found + (task.timeout or 0.0) + GRACE, most)


def whole(task: Task, *, tries: int, most: int) -> int | None:
    """Give `behind` in whole seconds."""
    found = behind(task, tries=tries, most=most)
    return None if found is None else math.ceil(found)


def _waits(task: Task, count: int) -> float:
    """Add up the first waits, however many there are."""
    factor = task.retry_backoff
    if factor == 1 or not task.retry_delay:
        return task.retry_delay * count
    grown = wait(task, count)
    return (grown - task.retry_delay) / (factor - 1)
