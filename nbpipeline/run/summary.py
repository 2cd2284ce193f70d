"""What plan.json keeps, what events carry of results, and what a script is told of a run."""

from collections import Counter
from collections.abc import Iterable
from typing import Any

from nbpipeline.encoding import failure_data, plain, plan_data
from nbpipeline.errors import ExitCode
from nbpipeline.model import Action, Plan, RunResult, StageResult, Status

_EXIT_CODES = {Status.FAILED: ExitCode.STAGE_FAILED, Status.CHECK_FAILED: ExitCode.CHECK_FAILED}


def plan_to_keep(plan: Plan) -> dict[str, Any]:
    """Write plan.json: the plan with its DAG, and the state that made fresh what was (to compare runs)."""
    data = plan_data(plan)
    names = {step.instance.id for step in plan.steps}
    data["edges"] = [
        {"upstream": one.upstream, "downstream": one.downstream, "kind": one.kind, "path": one.path}
        for one in plan.pipeline.edges
        if one.upstream in names and one.downstream in names
    ]
    for step, written in zip(plan.steps, data["stages"], strict=True):
        written["notebook"] = step.instance.spec.notebook.path
        if step.instance.spec.description:
            written["description"] = step.instance.spec.description
        if step.record is not None and step.action is Action.SKIP:
            written["state"] = step.record.state
    return data


def result_to_json(result: StageResult) -> dict[str, Any]:
    """Write how an instance ended, as `stage_finished` carries it."""
    data: dict[str, Any] = {
        "status": str(result.status),
        "seconds": round(result.seconds, 3),
        "attempts": result.attempts,
    }
    if result.failure:
        data["failure"] = failure_data(result.failure)
    if result.record and result.record.metrics:
        data["metrics"] = plain(result.record.metrics)
    if result.notices:
        data["notices"] = list(result.notices)
    return data


def counts(results: Iterable[StageResult]) -> dict[str, int]:
    """How many instances ended in which way, in the order of `Status`."""
    found = Counter(result.status for result in results)
    return {str(status): found[status] for status in Status if found[status]}


def run_status(results: Iterable[StageResult], *, interrupted: bool) -> str:
    """Say in one word how a run ended: `succeeded`, `failed`, `interrupted`."""
    if interrupted:
        return "interrupted"
    bad = {Status.FAILED, Status.CHECK_FAILED, Status.BLOCKED, Status.CANCELLED}
    return "failed" if any(result.status in bad for result in results) else "succeeded"


def exit_code(result: RunResult) -> ExitCode:
    """Say what a script is told of a run: interrupted before failed, failed before a failed check."""
    if result.interrupted:
        return ExitCode.INTERRUPTED
    codes = [_EXIT_CODES[one.status] for one in result.results if one.status in _EXIT_CODES]
    return min(codes, default=ExitCode.OK)
