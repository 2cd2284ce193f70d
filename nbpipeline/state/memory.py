"""State that is forgotten with the process: for tests, and for trying things out."""

import threading
from collections.abc import Mapping
from dataclasses import field
from typing import Any, Self

from nbpipeline.model import StageRecord, StageResult, Status
from nbpipeline.values import dataclass

EARLIER_KEPT = 8
"""States of an instance whose records are remembered, the last included."""

FAILURES = frozenset({Status.FAILED, Status.CHECK_FAILED})


def last_failure_data(run: str, result: StageResult, finished: float) -> dict[str, Any]:
    """Say what `last_failure` tells of a failed result."""
    failure = result.failure
    return {
        "run": run,
        "kind": failure.kind if failure else "",
        "what": failure.what if failure else "",
        "state": result.state,
        "finished": finished,
    }


@dataclass(slots=True)
class MemoryState:
    """The State and Cache ports in dictionaries."""

    notices: tuple[str, ...] = ()
    _records: dict[str, StageRecord] = field(default_factory=dict)
    _earlier: dict[str, dict[str, StageRecord]] = field(default_factory=dict)
    _failures: dict[str, Mapping[str, Any]] = field(default_factory=dict)
    _runs: dict[str, dict[str, Any]] = field(default_factory=dict)
    _results: dict[str, list[StageResult]] = field(default_factory=dict)
    _cache: dict[str, dict[str, str]] = field(default_factory=dict)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def __enter__(self) -> Self:
        """Nothing needs to be opened."""
        return self

    def __exit__(self, *_: object) -> None:
        """Nothing needs to be closed."""

    def last_record(self, instance: str) -> StageRecord | None:
        """Give the newest success of the instance."""
        return self._records.get(instance)

    def last_records(self) -> Mapping[str, StageRecord]:
        """Give the newest success of every instance."""
        with self._lock:
            return dict(self._records)

    def earlier_records(self, instance: str) -> tuple[StageRecord, ...]:
        """Give the newest success of some other states, newest first."""
        with self._lock:
            return tuple(reversed(self._earlier.get(instance, {}).values()))[1:]

    def last_failure(self, instance: str) -> Mapping[str, Any] | None:
        """Give the failure that came after the last success."""
        return self._failures.get(instance)

    def last_failures(self) -> Mapping[str, Mapping[str, Any]]:
        """`last_failure` of every instance that has one."""
        with self._lock:
            return dict(self._failures)

    def add_record(self, record: StageRecord) -> None:
        """Remember a success."""
        with self._lock:
            self._records[record.instance] = record
            known = self._earlier.setdefault(record.instance, {})
            known.pop(record.state, None)
            known[record.state] = record
            while len(known) > EARLIER_KEPT:
                known.pop(next(iter(known)))
            self._failures.pop(record.instance, None)

    def add_run(self, run: str, *, started: float, data: Mapping[str, Any]) -> None:
        """Remember that a run began."""
        with self._lock:
            self._runs[run] = {"run": run, "started": started, "finished": None, "status": None, "data": data}

    def add_result(self, run: str, result: StageResult, *, finished: float) -> None:
        """Remember how an instance ended in a run."""
        with self._lock:
            self._results.setdefault(run, []).append(result)
            if result.status in FAILURES:
                self._failures[result.instance] = last_failure_data(run, result, finished)

    def end_run(self, run: str, *, finished: float, status: str) -> None:
        """Remember how a run ended."""
        with self._lock:
            self._runs[run].update(finished=finished, status=status)

    def runs(self, limit: int = 20) -> tuple[Mapping[str, Any], ...]:
        """Give the newest runs first."""
        with self._lock:
            newest = list(reversed(self._runs.values()))
            return tuple(dict(one) for one in newest[:limit])

    def results(self, run: str, known: int = 0) -> tuple[StageResult, ...]:
        """How the instances of a run ended, in order, without the first `known`."""
        with self._lock:
            return tuple(self._results.get(run, ())[known:])

    def durations(self) -> Mapping[str, float]:
        """Seconds that each instance took at its last success."""
        with self._lock:
            return {name: record.seconds for name, record in self._records.items()}

    def load(self, kind: str) -> dict[str, str]:
        """Every cache entry of the kind."""
        with self._lock:
            return dict(self._cache.get(kind, {}))

    def save(self, kind: str, entries: Mapping[str, str]) -> None:
        """Remember cache entries."""
        with self._lock:
            self._cache.setdefault(kind, {}).update(entries)
