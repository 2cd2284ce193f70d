"""A run as OpenTelemetry's spans, whose ids follow from it."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from nbpipeline import __version__
from nbpipeline.encoding import plain
from nbpipeline.fingerprint import state_digest
from nbpipeline.model import Value
from nbpipeline.model.told import CellLog, RunLog, StageLog

if TYPE_CHECKING:
    from opentelemetry.sdk.trace import ReadableSpan

_GOOD = frozenset({"succeeded", "restored", "fresh"})
_LONGEST = 6_000
"""Characters of an attribute."""


def trace_id(run: RunLog) -> int:
    """Give the trace's id, of 128 bits, none of them alone 0."""
    return _number(f"{run.project}/{run.run}", 16)


def span_id(run: RunLog, stage: str, cell: int | None = None) -> int:
    """Give a span's id, of 64 bits: of a cell's, of a stage's, of the whole run's ("")."""
    return _number(json.dumps([run.project, run.run, stage, cell]), 8)


def _number(text: str, size: int) -> int:
    return int.from_bytes(hashlib.blake2b(text.encode(), digest_size=size).digest()) or 1


def spans_of_run(run: RunLog, service: str) -> list[ReadableSpan]:
    """Make the span of a run that has ended."""
    attributes = {
        "nbpipeline.run": run.run,
        "nbpipeline.project": run.project,
        "nbpipeline.command": run.command,
        "nbpipeline.status": run.status,
        "nbpipeline.fresh": run.fresh,
        **{f"nbpipeline.count.{status}": count for status, count in run.counts.items()},
        **_revision(run),
    }
    failed = [one for one in run.stages if one.failure]
    trouble = f"{failed[0].stage}: {_what(failed[0])}" if failed else run.status
    span = _span(
        run,
        service,
        name=run.project,
        own=span_id(run, ""),
        parent=None,
        times=(run.started, run.finished or run.started),
        attributes=attributes,
        trouble="" if run.status == "succeeded" else trouble,
    )
    return [span]


def spans_of_stage(run: RunLog, one: StageLog, service: str) -> list[ReadableSpan]:
    """Make the span of a stage that has ended, also with its run, and those of its last attempt's cells."""
    started = one.started or run.started
    finished = one.finished or run.finished or started
    status = one.status or "interrupted"
    own = _span(
        run,
        service,
        name=one.stage,
        own=span_id(run, one.stage),
        parent=span_id(run, ""),
        times=(started, finished),
        attributes={**_about(one, status), **_revision(run)},
        trouble="" if status in _GOOD else _what(one) or status,
        failure=one.failure,
    )
    return [own, *(_of_cell(run, one, cell, number, service) for number, cell in enumerate(one.cells))]


def _of_cell(run: RunLog, one: StageLog, cell: CellLog, number: int, service: str) -> ReadableSpan:
    attributes: dict[str, Any] = {"nbpipeline.stage": one.stage, "nbpipeline.cell": cell.cell}
    if cell.peak_memory is not None:
        attributes["nbpipeline.peak_memory_bytes"] = cell.peak_memory
    return _span(
        run,
        service,
        name=f"{one.stage} cell {cell.cell}",
        own=span_id(run, one.stage, number),
        parent=span_id(run, one.stage),
        times=(cell.finished - cell.seconds, cell.finished),
        attributes=attributes,
        trouble="",
    )


def _about(one: StageLog, status: str) -> dict[str, Any]:
    found: dict[str, Any] = {
        "nbpipeline.stage": one.stage,
        "nbpipeline.status": status,
        "nbpipeline.action": one.action,
        "nbpipeline.attempts": one.attempts,
        "nbpipeline.seconds": one.seconds,
        "nbpipeline.notebook": one.notebook,
        "nbpipeline.reasons": [_reason(reason) for reason in one.reasons],
        "nbpipeline.checks_failed": sum(not check.passed for check in one.checks),
    }
    if one.fingerprint is not None:
        found["nbpipeline.state"] = state_digest(one.fingerprint)
    if one.peak_memory is not None:
        found["nbpipeline.peak_memory_bytes"] = one.peak_memory
    found |= {f"nbpipeline.parameter.{name}": _attribute(value) for name, value in one.parameters.items()}
    return found | {f"nbpipeline.metric.{name}": _attribute(value) for name, value in one.metrics.items()}


def _reason(reason: Mapping[str, Value]) -> str:
    return " ".join(str(reason[key]) for key in ("kind", "subject") if reason.get(key))


def _attribute(value: Value) -> str | bool | int | float:
    """Give a value as an attribute may be: what is none of these, and a number beyond 64 bits, as JSON."""
    if isinstance(value, bool | float) or (isinstance(value, int) and abs(value) < 1 << 63):
        return value
    text = value if isinstance(value, str) else json.dumps(plain(value), ensure_ascii=False)
    return text[:_LONGEST]


def _revision(run: RunLog) -> dict[str, Any]:
    if run.commit is None:
        return {}
    return {"vcs.ref.head.revision": run.commit.id, "nbpipeline.git_dirty": run.commit.dirty}


def _what(one: StageLog) -> str:
    return str((one.failure or {}).get("what", ""))


def _span(  # noqa: PLR0913 - a span has that much
    run: RunLog,
    service: str,
    *,
    name: str,
    own: int,
    parent: int | None,
    times: tuple[float, float],
    attributes: Mapping[str, Any],
    trouble: str,
    failure: Mapping[str, Value] | None = None,
) -> ReadableSpan:
    from opentelemetry.sdk.resources import Resource  # noqa: PLC0415 - the library, where it is needed
    from opentelemetry.sdk.trace import ReadableSpan  # noqa: PLC0415 - as above
    from opentelemetry.sdk.util.instrumentation import InstrumentationScope  # noqa: PLC0415 - as above
    from opentelemetry.trace import SpanContext, SpanKind, Status, StatusCode, TraceFlags  # noqa: PLC0415 - as above

    def context(span: int) -> SpanContext:
        return SpanContext(trace_id(run), span, is_remote=False, trace_flags=TraceFlags(TraceFlags.SAMPLED))

    return ReadableSpan(
        name=name,
        context=context(own),
        parent=None if parent is None else context(parent),
        resource=Resource({"service.name": service, "service.namespace": "nbpipeline"}),
        attributes=dict(attributes),
        events=_exceptions(failure, times[1]),
        kind=SpanKind.INTERNAL,
        status=Status(StatusCode.ERROR, trouble) if trouble else Status(StatusCode.OK),
        start_time=nanoseconds(times[0]),
        end_time=nanoseconds(max(times)),
        instrumentation_scope=InstrumentationScope("nbpipeline", __version__),
    )


def _exceptions(failure: Mapping[str, Value] | None, time: float) -> Sequence[Any]:
    from opentelemetry.sdk.trace import Event  # noqa: PLC0415 - as above

    if not failure:
        return ()
    about = {
        "exception.type": str(failure.get("kind", "")),
        "exception.message": str(failure.get("what", "")),
        "nbpipeline.where": str(failure.get("where") or ""),
        "nbpipeline.mend": str(failure.get("mend", "")),
    }
    return (Event("exception", about, nanoseconds(time)),)


def nanoseconds(seconds: float) -> int:
    """Give a time as OpenTelemetry counts it, exact to the microsecond that a float of this size holds."""
    return round(seconds * 1_000_000) * 1000
