"""One tracker, told in a thread of its own: one that hangs holds up neither the others nor the answers."""

import threading
import time
from collections import deque
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from queue import SimpleQueue

from nbpipeline.model.told import RunLog
from nbpipeline.ports import GivenUpError, Tracker

RETRY = 5.0
"""Seconds before a tracker that failed is tried again while the run goes on."""
LOADS = 30.0
"""Seconds for which a tracker that is being opened is waited for by the others."""

Answer = SimpleQueue[Mapping[str, str]]


class _Turns:
    """Trackers load their libraries one after the other: two threads may see halves of modules.

    One that takes too long is waited for no more: it hangs, and the others shall not.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()

    @contextmanager
    def turn(self) -> Iterator[None]:
        """Wait for those before."""
        lock = self._lock
        while not lock.acquire(timeout=LOADS):
            if self._lock is lock:  # two may find so at once; then they load side by side
                self._lock = threading.Lock()
            lock = self._lock
        try:
            yield
        finally:
            lock.release()


_LOADING = _Turns()


class Teller:
    """What a tracker is to be told, and what it is asked, one after the other."""

    def __init__(self, opening: Callable[[], Tracker], on_end: Callable[[], None]) -> None:
        """Begin to open the tracker; `on_end` is called when it was told the last, or could not be opened."""
        self.trouble = ""
        """What went wrong at the last try; empty where nothing did."""
        self.given_up = ""
        """Why the tracker will tell of the run no more; empty where it will, or has."""
        self.ended = False
        self._opening = opening
        self._on_end = on_end
        self._news: RunLog | None = None
        self._last = False
        self._questions: deque[tuple[RunLog, str, Answer]] = deque()
        self._unanswered = False
        self._changed = threading.Condition()
        self._failed_at: float | None = None
        threading.Thread(target=self._live, daemon=True).start()  # daemon: the process may end without it

    def tell(self, log: RunLog, *, last: bool = False) -> None:
        """Have the tracker told how far the run is; what it was not told by then is left out."""
        with self._changed:
            self._news, self._last = log, last
            self._changed.notify()

    def ask(self, log: RunLog, stage: str) -> Answer:
        """Ask for a stage's variables."""
        answer: Answer = SimpleQueue()
        with self._changed:
            if self.ended or self._unanswered:
                answer.put({})
            else:
                self._questions.append((log, stage, answer))
                self._changed.notify()
        return answer

    def give_up_asking(self) -> None:
        """Wait for no answer while the tracker hangs."""
        self._unanswered = True

    def _live(self) -> None:
        try:
            with _LOADING.turn():
                tracker = self._opening().__enter__()
            while not self._last_was_told(tracker):
                pass
            tracker.__exit__(None, None, None)
        except Exception as error:  # noqa: BLE001 - whatever a tracker's libraries raise
            self.trouble = self.trouble or said(error)
        with self._changed:
            self.ended = True
            for _, _, answer in self._questions:
                answer.put({})
        self._on_end()

    def _last_was_told(self, tracker: Tracker) -> bool:
        """Do the next thing that there is to do, questions first."""
        with self._changed:
            self._changed.wait_for(lambda: self._questions or self._news is not None)
            question = self._questions.popleft() if self._questions else None
            news, last = self._news, self._last
            if question is None:
                self._news = None
        if question is not None:
            self._reply(tracker, *question)
            return False
        if news is not None and (last or not self._failed_just_now()):
            self._send(tracker, news)
        return last

    def _failed_just_now(self) -> bool:
        return self._failed_at is not None and time.monotonic() - self._failed_at < RETRY

    def _reply(self, tracker: Tracker, log: RunLog, stage: str, answer: Answer) -> None:
        try:
            answer.put(dict(tracker.environment(log, stage)))
        except Exception as error:  # noqa: BLE001 - as above
            self.trouble = said(error)
            answer.put({})
        self._unanswered = False

    def _send(self, tracker: Tracker, log: RunLog) -> None:
        try:
            tracker.send(log)
        except GivenUpError as error:
            self.trouble, self._failed_at, self.given_up = "", None, str(error)
        except Exception as error:  # noqa: BLE001 - as above
            self.trouble, self._failed_at = said(error), time.monotonic()
        else:
            self.trouble, self._failed_at, self.given_up = "", None, ""


def said(error: Exception) -> str:
    """Write an error in a line."""
    return f"{type(error).__name__}: {error}".splitlines()[0][:500]
