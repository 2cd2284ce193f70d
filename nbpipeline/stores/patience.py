"""How long is waited for what is far away, and how several such things are done side by side.

A library's own time limits add up with its retries, so each request is made in a thread that may be left.
"""

import queue
import threading
import time
from collections.abc import Callable, Iterable
from typing import Any, TypeVar

Result = TypeVar("Result")
Item = TypeVar("Item")

AT_ONCE = 8


class Pulse:
    """When something was last seen to move; counts bytes on the way."""

    def __init__(self, told: Callable[[int], None] | None = None) -> None:
        """Tell `told` how many bytes each movement was."""
        self.last = time.monotonic()
        self.count = 0
        self._told = told

    def moved(self, count: int) -> None:
        """Note that bytes moved."""
        self.last = time.monotonic()
        self.count += max(count, 0)
        if self._told is not None and count > 0:
            self._told(count)


def within(seconds: float, work: Callable[[], Result], pulse: Pulse | None = None) -> Result:
    """Give the work's result; raises TimeoutError when that long nothing came of it, and what it raises.

    With a `pulse` the time counts from the last movement. What is given up goes on unheard, and does not
    keep the process.
    """
    answers: queue.SimpleQueue[tuple[bool, Any]] = queue.SimpleQueue()
    pulse = pulse or Pulse()

    def answer() -> None:
        try:
            answers.put((True, work()))
        except BaseException as error:  # noqa: BLE001 - it is raised where the result is waited for
            answers.put((False, error))

    threading.Thread(target=answer, daemon=True, name="nbpipeline-far").start()
    while (left := pulse.last + seconds - time.monotonic()) > 0:
        try:
            good, value = answers.get(timeout=left)
        except queue.Empty:
            continue
        if good:
            return value  # type: ignore[no-any-return]
        raise value
    raise TimeoutError(f"no answer in {seconds:g} s")


def side_by_side(work: Callable[[Item], object], items: Iterable[Item], threads: int = AT_ONCE) -> None:
    """Do the work for every item, some at once; raises the first error, after which nothing more is begun."""
    waiting: queue.SimpleQueue[Item] = queue.SimpleQueue()
    count = 0
    for count, item in enumerate(items, start=1):  # noqa: B007 - how many there are
        waiting.put(item)
    errors: list[BaseException] = []

    def take() -> None:
        while not errors:
            try:
                work(waiting.get_nowait())
            except queue.Empty:
                return
            except BaseException as error:  # noqa: BLE001 - it is raised by the one who waits
                errors.append(error)

    hands = [threading.Thread(target=take, daemon=True) for _ in range(min(threads, count))]
    for one in hands:
        one.start()
    for one in hands:
        one.join()
    if errors:
        raise errors[0]
