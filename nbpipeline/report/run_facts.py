"""All that a report says of a run, gathered from its folder and the history, whichever of these is whole."""

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import field, replace
from pathlib import Path
from typing import Any

from nbpipeline.encoding import value_from
from nbpipeline.liveness import told_time
from nbpipeline.model import StoredOutput, Value
from nbpipeline.model.told import CheckLog, Commit, RunLog, StageLog
from nbpipeline.ports import State, Store
from nbpipeline.report.comparison import snapshot
from nbpipeline.report.critical_path import Link, Span, critical_path
from nbpipeline.report.history import show_run
from nbpipeline.report.results import reason_words
from nbpipeline.report.stage_page import LOOKED_AT
from nbpipeline.run.folder import RunFolder, read_plan, runs_folder
from nbpipeline.tracking.log import RunReader
from nbpipeline.values import dataclass

TRAIL = 12
"""So many values of a metric are drawn, the last of them this run's."""
ENOUGH = 40
"""So many earlier runs are searched for what metrics were, and more where one has not been found."""
ENDED_BADLY = ("failed", "check_failed", "cut_off")
NOT_BEGUN = ("blocked", "cancelled", "waiting", "not_started")
DONE = ("succeeded", "restored")


@dataclass(frozen=True, slots=True, kw_only=True)
class CellFact:
    """What a cell cost, and when."""

    cell: int
    seconds: float
    finished: float | None = None
    peak_memory: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class MetricFact:
    """A metric, and what it was."""

    name: str
    value: Value
    before: Value = None
    before_run: str = ""
    """The last run that had it; empty where none had."""
    trail: tuple[float, ...] = ()
    """The numbers that it was, oldest first, this run's last."""


@dataclass(frozen=True, slots=True, kw_only=True)
class StageFacts:
    """What became of one instance."""

    stage: str
    status: str
    """A `Status`, or `running`, `cut_off` (a killed run's), `waiting`, `not_started`."""
    notebook: str = ""
    description: str = ""
    reasons: tuple[str, ...] = ()
    parameters: Mapping[str, Value] = field(default_factory=dict)
    span: Span | None = None
    """None for what was not handed out, or where nobody knows when."""
    seconds: float | None = None
    attempts: int = 0
    peak_memory: int | None = None
    cells: tuple[CellFact, ...] = ()
    metrics: tuple[MetricFact, ...] = ()
    checks: tuple[CheckLog, ...] = ()
    outputs: tuple[StoredOutput, ...] = ()
    failure: Mapping[str, Any] | None = None
    notices: tuple[str, ...] = ()
    notebooks: tuple[Path, ...] = ()
    """Executed, one an attempt."""
    log: Path | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class RunFacts:
    """What became of a run."""

    run: str
    project: str
    status: str
    """`running`, `succeeded`, `failed`, `interrupted` or `killed`."""
    now: float
    """When this was gathered: Unix time."""
    started: float
    finished: float | None
    """None while it goes on."""
    command: str
    profile: str
    commit: Commit | None
    stages: tuple[StageFacts, ...]
    """All of the plan, in run order."""
    edges: Mapping[tuple[str, str], tuple[str, ...]]
    """The paths between two instances; none where order alone was meant."""
    path: tuple[Link, ...]
    folder: Path
    notices: tuple[str, ...] = ()
    trouble: tuple[str, ...] = ()
    """What is not whole in the run's folder, and what is missing here therefore."""

    @property
    def end(self) -> float:
        """The last moment that the report knows of."""
        return self.now if self.finished is None else self.finished


def gather(state: State, store: Store, root: Path, run: str, project: str, now: float) -> RunFacts:
    """Gather a run's facts as far as they are there."""
    folder = RunFolder(run=run, path=runs_folder(root) / run)
    head = show_run(state, root, run).data
    log, trouble = _log(root, folder, project, state, now)
    plan = read_plan(folder.path)
    if plan is None:
        trouble += ("plan.json is gone or damaged: what was fresh, and what needs what, is not known",)
    steps = {one["stage"]: one for one in (plan or {}).get("stages", ())}
    shown = {one["stage"]: one for one in head["stages"]}
    told = {one.stage: one for one in log.stages}
    status = str(head["status"])
    if status == "killed" and log.status in ("succeeded", "failed"):  # it ended, and could not note it
        status = log.status
    finished = None if status == "running" else log.finished or head["finished"]
    started = told_time(log.started, 0.0) or told_time(head["started"], 0.0)
    end = now if status == "running" else told_time(finished, started)
    facts = [
        _stage(name, steps.get(name, {}), shown.get(name), told.get(name), status, end)
        for name in dict.fromkeys([*steps, *shown, *told])
    ]
    stages = _with_metrics(facts, state, store, root, run)
    edges = _edges(plan or {}, {one.stage for one in stages})
    return RunFacts(
        run=run,
        project=project,
        status=status,
        now=now,
        started=started,
        finished=None if finished is None else end,
        command=str(head["command"] or log.command),
        profile=str(log.profile),
        commit=log.commit,
        stages=stages,
        edges=edges,
        path=_path(stages, edges, started),
        folder=folder.path,
        notices=tuple(map(str, (plan or {}).get("notices", ()))),
        trouble=trouble,
    )


def _log(
    root: Path, folder: RunFolder, project: str, state: State, now: float
) -> tuple[RunLog, tuple[str, ...]]:
    empty = RunLog(run=folder.run, root=str(root), project=project)
    if not folder.events.exists():
        return empty, ("events.jsonl is gone: times, parameters and checks are not known",)
    try:
        return RunReader(root, folder, project, state).read(now), ()
    except OSError as error:
        return empty, (f"events.jsonl cannot be read ({error.strerror or error}): times are not known",)


def _path(stages: Sequence[StageFacts], edges: Iterable[tuple[str, str]], started: float) -> tuple[Link, ...]:
    upstream: dict[str, list[str]] = {}
    for above, below in edges:
        upstream.setdefault(below, []).append(above)
    return critical_path({one.stage: one.span for one in stages if one.span}, upstream, started)


def _edges(plan: Mapping[str, Any], names: set[str]) -> dict[tuple[str, str], tuple[str, ...]]:
    """Read the DAG from plan.json; one of an earlier nbpipeline has none."""
    found: dict[tuple[str, str], list[str]] = {}
    edges = plan.get("edges", ())
    for one in edges if isinstance(edges, list) else ():
        ends = (one.get("upstream"), one.get("downstream")) if isinstance(one, dict) else ()
        if len(ends) == 2 and all(isinstance(end, str) and end in names for end in ends):  # noqa: PLR2004
            paths = found.setdefault((str(ends[0]), str(ends[1])), [])
            if one.get("kind") != "after":
                paths.append(str(one.get("path") or "dependencies"))
    return {pair: tuple(dict.fromkeys(paths)) for pair, paths in found.items()}


# --- a stage -------------------------------------------------------------------------------------


def _stage(
    name: str,
    step: Mapping[str, Any],
    shown: Mapping[str, Any] | None,
    log: StageLog | None,
    run_status: str,
    end: float,
) -> StageFacts:
    """Put together what the plan, the history and the events say of an instance."""
    one = shown or {}
    told = log or StageLog(stage=name)
    status = str(one.get("status") or told.status or _unended(log, step, run_status))
    failure = one.get("failure") or told.failure
    cells = _cells(told, one)
    return StageFacts(
        stage=name,
        status=status,
        notebook=str(step.get("notebook", "")),
        description=str(step.get("description", "")),
        reasons=tuple(_reasons(one.get("reasons") or step.get("reasons") or told.reasons)),
        parameters=_mapping(told.parameters),
        span=_span(told, status, end),
        seconds=_number(one.get("seconds")) if shown else _number(told.seconds) if told.status else None,
        attempts=int(_number(one.get("attempts")) or _number(told.attempts) or 0),
        peak_memory=max((cell.peak_memory or 0 for cell in cells), default=0) or None,
        cells=cells,
        metrics=tuple(
            MetricFact(name=str(key), value=value_from(value))
            for key, value in (one.get("metrics") or _mapping(told.metrics)).items()
        ),
        checks=told.checks,
        outputs=told.outputs,
        failure=failure if isinstance(failure, Mapping) else None,
        notices=tuple(map(str, one.get("notices", ()))),
        notebooks=tuple(map(Path, one.get("notebooks") or filter(None, [told.files.get("notebook")]))),
        log=Path(told.files["log"]) if "log" in told.files else None,
    )


def _mapping(value: Any) -> Mapping[str, Any]:
    return value if isinstance(value, Mapping) else {}


def _unended(log: StageLog | None, step: Mapping[str, Any], run_status: str) -> str:
    """Say what an instance is that no end is told of."""
    goes_on = run_status == "running"
    if log is not None and log.started is not None:
        return "running" if goes_on else "cut_off"
    if step.get("action") == "skip":
        return "fresh"
    return "waiting" if goes_on else "not_started"


def _reasons(reasons: Any) -> Iterable[str]:
    for one in reasons if isinstance(reasons, Sequence) else ():
        if isinstance(one, Mapping) and isinstance(one.get("kind"), str):
            yield reason_words(one)


def _span(log: StageLog, status: str, end: float) -> Span | None:
    started, finished = _number(log.started), _number(log.finished)
    if started is None or status == "fresh" or status in NOT_BEGUN:
        return None
    finished = max(end, started) if finished is None else finished
    return Span(started=started, finished=finished) if finished >= started else None


def _cells(log: StageLog, shown: Mapping[str, Any]) -> tuple[CellFact, ...]:
    """Take the cells as the events tell them, with their times, else as the history does."""
    told = [(one.cell, one.seconds, one.finished, one.peak_memory) for one in log.cells]
    kept = [(one["cell"], one["seconds"], None, one["peak_memory"]) for one in shown.get("cells", ())]
    return tuple(
        CellFact(
            cell=cell if isinstance(cell, int) else 0,
            seconds=max(0.0, _number(seconds) or 0.0),
            finished=_number(finished),
            peak_memory=None if (memory := _number(peak)) is None else int(memory),
        )
        for cell, seconds, finished, peak in told or kept
    )


def _number(value: Any) -> float | None:
    """Take a finite number from a file that may be damaged."""
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        return None
    return float(value)


# --- metrics -------------------------------------------------------------------------------------


def _with_metrics(
    facts: Sequence[StageFacts], state: State, store: Store, root: Path, run: str
) -> tuple[StageFacts, ...]:
    """Add what fresh stages' metrics are, and what all metrics were in the runs before."""
    records = {name: one.record for name, one in snapshot(state, store, root, run).items()}
    own: dict[str, tuple[MetricFact, ...]] = {}
    for one in facts:
        record = records.get(one.stage)
        kept = record.metrics if record and one.status in ("fresh", *DONE) else {}
        own[one.stage] = one.metrics or tuple(MetricFact(name=n, value=v) for n, v in kept.items())
    wanted = {(stage, metric.name) for stage, metrics in own.items() for metric in metrics}
    past = _past(state, run, wanted) if wanted else {}
    return tuple(
        replace(
            one,
            metrics=tuple(
                _since(metric, past.get((one.stage, metric.name), ())) for metric in own[one.stage]
            ),
        )
        for one in facts
    )


def _past(
    state: State, run: str, wanted: set[tuple[str, str]]
) -> Mapping[tuple[str, str], Sequence[tuple[str, Value]]]:
    """Find the values that metrics had in earlier runs, newest first, with the runs."""
    found: dict[tuple[str, str], list[tuple[str, Value]]] = {}
    for looked_at, row in enumerate(one for one in state.runs(LOOKED_AT) if str(one["run"]) < run):
        if looked_at >= ENOUGH and len(found) == len(wanted):
            break
        for result in state.results(row["run"]):
            for name, value in (result.record.metrics if result.record else {}).items():
                if (result.instance, name) in wanted:
                    found.setdefault((result.instance, name), []).append((str(row["run"]), value))
    return found


def _since(metric: MetricFact, past: Sequence[tuple[str, Value]]) -> MetricFact:
    numbers = [one for one in (_number(value) for _, value in past[: TRAIL - 1]) if one is not None]
    now = _number(metric.value)
    return MetricFact(
        name=metric.name,
        value=metric.value,
        before=past[0][1] if past else None,
        before_run=past[0][0] if past else "",
        trail=(*reversed(numbers), now) if now is not None and numbers else (),
    )
