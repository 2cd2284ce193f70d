"""Where each instance of a run stands: pure book-keeping, no clock and no disk."""

import heapq
from collections.abc import Callable, Iterable, Iterator

from nbpipeline.model import Action, Plan, StageResult, Status, Step

GOOD = frozenset({Status.FRESH, Status.RESTORED, Status.SUCCEEDED})


class Board:
    """Knows what is ready, what has ended, and what a failure blocks.

    Only edges between planned instances count: what was not selected is taken as it lies on disk.
    """

    def __init__(self, plan: Plan) -> None:
        """Lay out all steps of the plan as not yet begun."""
        self.steps = {step.instance.id: step for step in plan.steps}
        self._order = {name: number for number, name in enumerate(self.steps)}
        self._upstream: dict[str, set[str]] = {name: set() for name in self.steps}
        self._downstream: dict[str, set[str]] = {name: set() for name in self.steps}
        self._content: dict[str, set[str]] = {name: set() for name in self.steps}
        for edge in plan.pipeline.edges:
            if edge.upstream in self.steps and edge.downstream in self.steps:
                self._upstream[edge.downstream].add(edge.upstream)
                self._downstream[edge.upstream].add(edge.downstream)
                if edge.kind != "after":
                    self._content[edge.downstream].add(edge.upstream)
        self._left = {name: len(found) for name, found in self._upstream.items()}
        self._ready = [number for name, number in self._order.items() if not self._left[name]]
        heapq.heapify(self._ready)
        self._held: list[int] = []
        self._names = list(self.steps)
        self._changed: set[str] = set()
        self.results: dict[str, StageResult] = {}

    def upstream(self, name: str) -> frozenset[str]:
        """Planned instances that `name` waits for."""
        return frozenset(self._upstream[name])

    def take_ready(self, room: Callable[[], bool] = lambda: True) -> Iterator[str]:
        """Hand out, in run order, what may start; what ends meanwhile may add to it.

        What was put back is handed out again only while there is `room`: else all that waits would be
        looked at whenever something ends.
        """
        while heap := self._next(room):
            name = self._names[heapq.heappop(heap)]
            if name not in self.results:
                yield name

    def _next(self, room: Callable[[], bool]) -> list[int]:
        """Find the heap that holds the first in run order; an empty one where nothing may start."""
        if self._held and room() and (not self._ready or self._held[0] < self._ready[0]):
            return self._held
        return self._ready

    def put_back(self, names: Iterable[str]) -> None:
        """Take back what was handed out and found no room."""
        for name in names:
            heapq.heappush(self._held, self._order[name])

    def must_decide(self, name: str) -> bool:
        """Whether the plan could not know, or what it knew may no longer hold."""
        step = self.steps[name]
        if step.action is Action.MAYBE or not step.fingerprint.complete:
            return True
        return not self._changed.isdisjoint(self._content[name])

    def end(self, result: StageResult, *, as_planned: bool) -> tuple[str, ...]:
        """Note how an instance ended; gives what its failure blocks, in run order.

        `as_planned`: what it left is what the plan reckoned with, so that decisions downstream still hold.
        """
        name = result.instance
        self.results[name] = result
        if not as_planned:
            self._changed.add(name)
        if result.status in GOOD:
            for below in self._downstream[name]:
                self._left[below] -= 1
                if not self._left[below]:
                    heapq.heappush(self._ready, self._order[below])
            return ()
        return self._descendants(name)

    def _descendants(self, name: str) -> tuple[str, ...]:
        """Find what waits for `name`, near and far, and has not ended."""
        found: set[str] = set()
        front = [name]
        while front:
            for below in self._downstream[front.pop()]:
                if below not in found and below not in self.results:
                    found.add(below)
                    front.append(below)
        return tuple(sorted(found, key=self._order.__getitem__))

    def unfinished(self) -> tuple[str, ...]:
        """Name what has not ended, in run order."""
        return tuple(name for name in self.steps if name not in self.results)

    def ended(self) -> tuple[StageResult, ...]:
        """All results, in run order."""
        return tuple(self.results[name] for name in self.steps if name in self.results)


def blocked(step: Step, by: str) -> StageResult:
    """Say that an instance was not started because another one failed."""
    return StageResult(
        instance=step.instance.id, status=Status.BLOCKED, notices=(f"not started: '{by}' failed",)
    )
