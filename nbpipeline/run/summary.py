"""A plan and a run's results as the JSON that other programs read."""

import dataclasses
from collections import Counter
from collections.abc import Iterable, Mapping
from typing import Any

from nbpipeline.errors import ExitCode
from nbpipeline.model import (
    Action,
    Failure,
    PathValue,
    Plan,
    Reason,
    RunResult,
    StageResult,
    Status,
    Step,
    Value,
)

VERSION = 1
_EXIT_CODES = {Status.FAILED: ExitCode.STAGE_FAILED, Status.CHECK_FAILED: ExitCode.CHECK_FAILED}


def plain(value: Value) -> Value:
    """Write a value with JSON's types alone; paths become text."""
    if isinstance(value, PathValue):
        return value.text
    if isinstance(value, Mapping):
        return {str(key): plain(one) for key, one in value.items()}
    if isinstance(value, (list, tuple)):
        return [plain(one) for one in value]
    if value is None or isinstance(value, (bool, int, float, str)):
        return value
    return str(value)


def reason_to_json(reason: Reason) -> dict[str, Any]:
    """Write a reason as `plan --format json` shows it."""
    data = {
        "kind": str(reason.kind),
        "subject": reason.subject,
        "before": plain(reason.before),
        "after": plain(reason.after),
    }
    return {**data, "detail": reason.detail} if reason.detail else data


def step_to_json(step: Step) -> dict[str, Any]:
    """Write a step as `plan --format json` shows it."""
    return {
        "stage": step.instance.id,
        "fresh": step.fresh,
        "action": str(step.action),
        "reasons": [reason_to_json(reason) for reason in step.reasons],
    }


def plan_to_json(plan: Plan) -> dict[str, Any]:
    """Write a plan as `plan --format json` shows it, in run order."""
    data: dict[str, Any] = {"version": VERSION, "stages": [step_to_json(step) for step in plan.steps]}
    return {**data, "notices": list(plan.notices)} if plan.notices else data


def plan_to_keep(plan: Plan) -> dict[str, Any]:
    """Write plan.json: the plan, and for what was fresh the state that made it so (to compare runs later)."""
    data = plan_to_json(plan)
    for step, written in zip(plan.steps, data["stages"], strict=True):
        if step.record is not None and step.action is Action.SKIP:
            written["state"] = step.record.state
    return data


def failure_to_json(failure: Failure) -> dict[str, Any]:
    """Write why an attempt failed; the traceback stays in the log."""
    where = dataclasses.asdict(failure.where) if failure.where else None
    return {
        "kind": failure.kind,
        "what": failure.what,
        "known": failure.known,
        "mend": failure.mend,
        "where": where,
    }


def result_to_json(result: StageResult) -> dict[str, Any]:
    """Write how an instance ended, as `stage_finished` carries it."""
    data: dict[str, Any] = {
        "status": str(result.status),
        "seconds": round(result.seconds, 3),
        "attempts": result.attempts,
    }
    if result.failure:
        data["failure"] = failure_to_json(result.failure)
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
