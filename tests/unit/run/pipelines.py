"""Plans made by hand, and an executor's work that needs no kernel."""

import json
import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from nbpipeline.encoding import value_from
from nbpipeline.executors.local import LocalExecutor
from nbpipeline.location import Location
from nbpipeline.model import (
    Action,
    Edge,
    Event,
    Fingerprint,
    Notebook,
    Pipeline,
    Plan,
    ProjectSpec,
    Resources,
    RunResult,
    StageInstance,
    StageRecord,
    StageResult,
    StageSpec,
    Status,
    Step,
)
from nbpipeline.run import RunOptions, run
from nbpipeline.run.claim import open_for
from nbpipeline.state.memory import MemoryState


def read_events(path: Path) -> list[Event]:
    """The events of a run, as another program reads them from events.jsonl."""
    lines = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
    return [Event(**{**line, "data": value_from(line["data"])}) for line in lines]


RUN, SKIP, RESTORE, MAYBE = Action.RUN, Action.SKIP, Action.RESTORE, Action.MAYBE


def instance(name: str, **resources) -> StageInstance:
    path = f"notebooks/{name}.ipynb"
    spec = StageSpec(
        name=name,
        notebook=Notebook(path=path, cells=(), kernel=None, language="python"),
        where=Location(path=path),
        resources=Resources(**resources),
    )
    return StageInstance(spec=spec)


def record(name: str) -> StageRecord:
    return StageRecord(instance=name, state=f"state of {name}", fingerprint=Fingerprint())


def plan_of(
    stages: Mapping[str, Action],
    edges: Sequence[str] = (),
    *,
    kind: str = "data",
    resources: Mapping[str, Mapping[str, float]] | None = None,
    waiting: Sequence[str] = (),
) -> Plan:
    """`edges` as `a>b`; steps in `waiting` have an input that is not known yet."""
    instances = {name: instance(name, **(resources or {}).get(name, {})) for name in stages}
    pairs = [edge.split(">") for edge in edges]
    pipeline = Pipeline(
        project=ProjectSpec(root="/nowhere", name="p", file=None, stages=()),
        instances=instances,
        edges=tuple(Edge(upstream=a, downstream=b, kind=kind, path=f"data/{a}") for a, b in pairs),
    )
    steps = tuple(
        Step(
            instance=instances[name],
            fingerprint=Fingerprint(inputs={"data/x": None} if name in waiting or action is MAYBE else {}),
            action=action,
            record=record(name) if action in (SKIP, RESTORE) else None,
        )
        for name, action in stages.items()
    )
    return Plan(pipeline=pipeline, steps=steps)


class Decisions:
    """What the planner would find when asked: the plan's own step, or another action."""

    def __init__(self, plan: Plan, found: Mapping[str, Action] | None = None) -> None:
        self.steps = {step.instance.id: step for step in plan.steps}
        self.found = dict(found or {})
        self.asked: list[str] = []

    def decide(self, name: str) -> Step:
        self.asked.append(name)
        action = self.found.get(name, self.steps[name].action)
        action = RUN if action is MAYBE else action
        kept = record(name) if action in (SKIP, RESTORE) else None
        return replace(self.steps[name], action=action, record=kept, fingerprint=Fingerprint())

    def imports(self, _instance) -> tuple[str, ...]:
        return ("pandas",)


class Worker:
    """Notes what ran and how many at once; fails where told to; `during` is called while a stage runs."""

    def __init__(self, during: Callable[[str], None] = lambda _name: None, fail: Sequence[str] = ()) -> None:
        self.during = during
        self.fail = frozenset(fail)
        self.ran: list[str] = []
        self.ended: list[str] = []
        self.at_once = 0
        self.most_at_once = 0
        self.restored: list[str] = []
        self._lock = threading.Lock()

    def __call__(self, job, _emit, cancel) -> StageResult:
        name = job.instance.id
        with self._lock:
            self.ran.append(name)
            self.at_once += 1
            self.most_at_once = max(self.most_at_once, self.at_once)
        try:
            self.during(name)
        finally:
            with self._lock:
                self.at_once -= 1
                self.ended.append(name)
        if name in self.fail:
            return StageResult(instance=name, status=Status.FAILED, attempts=1)
        if cancel.level:
            return StageResult(instance=name, status=Status.CANCELLED, attempts=1)
        return StageResult(instance=name, status=Status.SUCCEEDED, attempts=1, record=record(name))

    def restore(self, job, _kept, _cancel) -> StageResult:
        self.restored.append(job.instance.id)
        status = Status.FAILED if job.instance.id in self.fail else Status.RESTORED
        return StageResult(instance=job.instance.id, status=status)


def do(
    plan: Plan,
    worker: Worker,
    root: Path,
    *,
    found=None,
    planner=None,
    emit=None,
    cancel=None,
    state=None,
    **options,
) -> RunResult:
    """Run a plan by a real executor with threads."""
    given = RunOptions(**{"jobs": 4, **options})
    return run(
        plan,
        planner or Decisions(plan, found),
        LocalExecutor(worker, slots=given.slots),
        open_for(plan, root),
        state=state or MemoryState(),
        root=root,
        restore=worker.restore,
        options=given,
        emit=emit,
        cancel=cancel,
    )


def statuses(result: RunResult) -> dict[str, str]:
    return {one.instance: str(one.status) for one in result.results}
