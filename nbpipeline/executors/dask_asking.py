"""Questions to a Dask cluster that may never be answered: with a limit, and given up when the run is."""

import queue
import threading
from collections.abc import Callable, Mapping
from concurrent.futures import Future, wait
from functools import partial
from typing import Any, NoReturn, TypeVar

from nbpipeline.errors import ExecutorError
from nbpipeline.executors.local import Level

T = TypeVar("T")


def awaited(work: Callable[[], T], seconds: float, level: Level) -> T:
    """Do something in a thread of its own, which is left alone when the time is over.

    Raises TimeoutError then, and ExecutorError when the cancel level rises.
    """
    news: queue.SimpleQueue[Callable[[], T]] = queue.SimpleQueue()

    def act() -> None:
        try:
            found = work()
        except BaseException as error:  # noqa: BLE001 - it belongs to whoever waits
            news.put(partial(_raised, error))
        else:
            news.put(lambda: found)

    cancelled = ExecutorError.of("the run was cancelled.", mend="run it again")
    unsubscribe = level.on_raise(lambda _level: news.put(partial(_raised, cancelled)))
    try:
        threading.Thread(target=act, daemon=True, name="nbpipeline-await").start()
        return news.get(timeout=seconds)()
    except queue.Empty:
        raise TimeoutError(f"not within {seconds:g} s") from None
    finally:
        unsubscribe()


def _raised(error: BaseException) -> NoReturn:
    raise error


class Rounds:
    """Puts questions to each worker by itself: one that hangs keeps nobody from hearing the others."""

    def __init__(self, client: Any) -> None:
        """Ask nothing yet."""
        self._client = client
        self._open: dict[str, Future[Any]] = {}
        """Workers that have not answered yet: they are not asked on."""

    def ask(self, function: Callable[..., Any], *arguments: Any, seconds: float) -> Mapping[str, Any]:
        """Give the answers by the workers' names; an exception is one, as is TimeoutError."""
        names = tuple(self._client.scheduler_info(n_workers=-1)["workers"])
        self._open = {name: one for name, one in self._open.items() if name in names and not one.done()}
        late = dict(self._open)
        asked = {name: self._asked(name, function, arguments) for name in names if name not in late}
        wait(asked.values(), timeout=seconds)
        self._open |= {name: one for name, one in asked.items() if not one.done()}
        silent = TimeoutError(f"not within {seconds:g} s")
        return {name: _outcome(one, silent) for name, one in (late | asked).items()}

    def _asked(self, name: str, function: Callable[..., Any], arguments: tuple[Any, ...]) -> "Future[Any]":
        future: Future[Any] = Future()

        def act() -> None:
            try:
                found = self._client.run(function, *arguments, workers=[name], on_error="return")
                future.set_result(found[name])
            except BaseException as error:  # noqa: BLE001 - it is the answer
                future.set_exception(error)

        threading.Thread(target=act, daemon=True, name="nbpipeline-ask").start()
        return future


def _outcome(one: "Future[Any]", silent: TimeoutError) -> Any:
    if not one.done():
        return silent
    error = one.exception()
    return one.result() if error is None else error


def silent_of(answers: Mapping[str, Any]) -> tuple[str, ...]:
    """Name the workers that did not answer in time."""
    return tuple(sorted(name for name, one in answers.items() if isinstance(one, TimeoutError)))
