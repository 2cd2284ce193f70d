"""The model as JSON and back: what state, store, events and `--format json` write.

Fields at their default are left out, unknown fields are passed over, so that files of an older or newer
nbpipeline can be read. A `PathValue` is written as `{"$path": TEXT}`, a float that JSON lacks as
`{"$float": "nan"}`.
"""

import json
import math
from collections.abc import Mapping
from dataclasses import MISSING, fields, is_dataclass
from enum import Enum
from typing import Any

from nbpipeline.location import Location
from nbpipeline.model import (
    CellProfile,
    Failure,
    Fingerprint,
    PathValue,
    Plan,
    Reason,
    StageRecord,
    StageResult,
    Status,
    Step,
    StoredOutput,
    Usage,
    Value,
    Verdict,
)

_LINE = json.JSONEncoder(ensure_ascii=False, separators=(",", ":")).encode
_CANONICAL = json.JSONEncoder(ensure_ascii=False, separators=(",", ":"), sort_keys=True).encode


def plain(value: Any) -> Any:
    """Turn a value of the model into what `json` can write."""
    if value is None or isinstance(value, str | bool | int):
        return value.value if isinstance(value, Enum) else value
    if isinstance(value, Mapping):
        return {str(key): plain(one) for key, one in value.items()}
    if isinstance(value, list | tuple):
        return [plain(one) for one in value]
    if isinstance(value, set | frozenset):
        return sorted(plain(one) for one in value)
    return _plain_single(value)


def _plain_single(value: Any) -> Any:
    if isinstance(value, float):
        return value if math.isfinite(value) else {"$float": str(value)}
    if isinstance(value, PathValue):
        return {"$path": value.text}
    if is_dataclass(value) and not isinstance(value, type):
        return _plain_fields(value)
    return str(value)


def _plain_fields(value: Any) -> dict[str, Any]:
    found = {}
    for one in fields(value):
        held = getattr(value, one.name)
        default = one.default_factory() if one.default_factory is not MISSING else one.default
        if default is MISSING or held != default:
            found[one.name] = plain(held)
    return found


def value_from(data: Any) -> Value:
    """Bring back a parameter's or metric's value."""
    if isinstance(data, list):
        return [value_from(one) for one in data]
    if not isinstance(data, dict):
        return data
    if len(data) == 1:
        if "$path" in data:
            return PathValue(data["$path"])
        if "$float" in data:
            return float(data["$float"])
    return {key: value_from(one) for key, one in data.items()}


def dumps(value: Any) -> str:
    """Write a value of the model on one line."""
    return _LINE(plain(value))


def canonical(value: Value) -> str:
    """Write a value so that equal values give equal text, whatever the order of their keys."""
    return repr(value) if type(value) is int else _CANONICAL(plain(value))


_NO_SUCH = (ValueError, KeyError, TypeError, AttributeError, RecursionError)
"""What a text that is damaged raises; a line of a database may be, and SQLite not see it."""

# --- records ---------------------------------------------------------------------------------


def fingerprint_from(data: Mapping[str, Any]) -> Fingerprint:
    """Read a fingerprint."""
    return Fingerprint(
        scheme=data.get("scheme", 1),
        code=data.get("code", {}),
        modules=data.get("modules", {}),
        parameters=data.get("parameters", {}),
        inputs=data.get("inputs", {}),
        upstream=data.get("upstream", {}),
        environment=data.get("environment", {}),
        kernel=data.get("kernel", ""),
    )


def output_from(data: Mapping[str, Any]) -> StoredOutput:
    """Read a stored output."""
    return StoredOutput(
        path=data["path"],
        digest=data["digest"],
        kind=data.get("kind", "file"),
        size=data.get("size", 0),
        stored=data.get("stored", True),
    )


def usage_from(data: Mapping[str, Any]) -> Usage:
    """Read what a run was seen to do with files; a record older than that knows nothing."""
    return Usage(
        watched=data.get("watched", False),
        used=tuple(data.get("used", ())),
        listed=tuple(data.get("listed", ())),
        unseen=tuple(data.get("unseen", ())),
    )


def record_from(data: Mapping[str, Any]) -> StageRecord:
    """Read a record; raises KeyError, TypeError or AttributeError for what is none."""
    return StageRecord(
        instance=data["instance"],
        state=data["state"],
        fingerprint=fingerprint_from(data["fingerprint"]),
        outputs=tuple(map(output_from, data.get("outputs", ()))),
        run=data.get("run", ""),
        attempt=data.get("attempt", 1),
        finished=data.get("finished", 0.0),
        seconds=data.get("seconds", 0.0),
        origin=data.get("origin", "run"),
        metrics=value_from(data.get("metrics", {})),
        undeclared=tuple(data.get("undeclared", ())),
        written=tuple(data.get("written", ())),
        followed=tuple(data.get("followed", ())),
        usage=usage_from(data.get("usage", {})),
        planned=data.get("planned", ""),
    )


def record_from_text(text: str) -> StageRecord | None:
    """Read a record from its line; None for text that is none."""
    try:
        return record_from(json.loads(text))
    except _NO_SUCH:
        return None


def object_from_text(text: str) -> dict[str, Any] | None:
    """Read a JSON object from its line; None for text that is none."""
    try:
        found = json.loads(text)
    except _NO_SUCH:
        return None
    return found if isinstance(found, dict) else None


# --- results and events ----------------------------------------------------------------------


def _location_from(data: Mapping[str, Any] | None) -> Location | None:
    if data is None:
        return None
    return Location(path=data["path"], cell=data.get("cell"), line=data.get("line"))


def failure_from(data: Mapping[str, Any]) -> Failure:
    """Read why an attempt failed."""
    return Failure(
        kind=data["kind"],
        what=data["what"],
        mend=data["mend"],
        where=_location_from(data.get("where")),
        known=data.get("known", ""),
        traceback=data.get("traceback", ""),
    )


def result_from(data: Mapping[str, Any]) -> StageResult:
    """Read how an instance ended; raises KeyError, TypeError or ValueError for what is none."""
    failure, record = data.get("failure"), data.get("record")
    return StageResult(
        instance=data["instance"],
        status=Status(data["status"]),
        attempts=data.get("attempts", 0),
        seconds=data.get("seconds", 0.0),
        failure=failure_from(failure) if failure else None,
        record=record_from(record) if record else None,
        cells=tuple(
            CellProfile(cell=one["cell"], seconds=one["seconds"], peak_memory=one.get("peak_memory"))
            for one in data.get("cells", ())
        ),
        notices=tuple(data.get("notices", ())),
        state=data.get("state", ""),
    )


def result_from_text(text: str) -> StageResult | None:
    """Read how an instance ended from its line; None for text that is none."""
    try:
        return result_from(json.loads(text))
    except _NO_SUCH:
        return None


def failure_data(failure: Failure) -> dict[str, Any]:
    """Show why an attempt failed as events and `show` do; the traceback stays in the log."""
    where = failure.where
    return {
        "kind": failure.kind,
        "what": failure.what,
        "known": failure.known,
        "mend": failure.mend,
        "where": str(where) if where else "",
        "cell": where.cell if where else None,
        "line": where.line if where else None,
    }


def verdict_data(verdict: Verdict) -> dict[str, Any]:
    """Show how a check went, as events do."""
    return {
        "check": verdict.check.name,
        "arguments": plain(verdict.check.arguments),
        "passed": verdict.passed,
        "severity": verdict.severity,
        "message": verdict.message,
        "validator": verdict.validator,
        "details": plain(verdict.details),
    }


# --- plans -----------------------------------------------------------------------------------


def reason_data(reason: Reason) -> dict[str, Any]:
    """Show a reason as `plan --format json` shows it."""
    data = {
        "kind": reason.kind.value,
        "subject": reason.subject,
        "before": plain(reason.before),
        "after": plain(reason.after),
    }
    return {**data, "detail": reason.detail} if reason.detail else data


def step_data(step: Step) -> dict[str, Any]:
    """Show a step as `plan --format json` shows it."""
    return {
        "stage": step.instance.id,
        "fresh": step.fresh,
        "action": step.action.value,
        "reasons": [reason_data(one) for one in step.reasons],
    }


def plan_data(plan: Plan) -> dict[str, Any]:
    """Show the plan as `plan --format json` does, in run order; its shape is stable within a version."""
    data: dict[str, Any] = {"version": 1, "stages": [step_data(one) for one in plan.steps]}
    return {**data, "notices": list(plan.notices)} if plan.notices else data
