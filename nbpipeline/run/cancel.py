"""The switch that Ctrl-C turns."""

import threading
from collections.abc import Callable


class CancelSwitch:
    """A cancel level that only rises: 0 go on, 1 interrupt and restore, 2 kill. Fills `ports.Cancel`.

    `raise_to` may be called from a signal handler in the main thread: the lock is re-entrant.
    """

    def __init__(self) -> None:
        """Start at level 0."""
        self._lock = threading.RLock()
        self._level = 0
        self._callbacks: list[Callable[[int], None]] = []

    @property
    def level(self) -> int:
        """The present level."""
        return self._level

    def on_raise(self, callback: Callable[[int], None]) -> Callable[[], None]:
        """Call back when the level rises, and at once where it has already; returns how to unsubscribe."""
        with self._lock:
            self._callbacks.append(callback)
            level = self._level
        if level:
            callback(level)

        def unsubscribe() -> None:
            with self._lock:
                if callback in self._callbacks:
                    self._callbacks.remove(callback)

        return unsubscribe

    def raise_to(self, level: int) -> None:
        """Raise the level; one that is not higher changes nothing."""
        with self._lock:
            if level <= self._level:
                return
            self._level = level
            callbacks = tuple(self._callbacks)
        for callback in callbacks:
            callback(level)
