"""One instance's result as JSON, and the words that every report has for it."""

import contextlib
import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from nbpipeline.encoding import failure_data, plain
from nbpipeline.model import Reason, ReasonKind, StageResult, Status, slug_of
from nbpipeline.plan.explain import words
from nbpipeline.run.folder import read_plan
from nbpipeline.stage.check_files import PAGE as CHECKS_PAGE
from nbpipeline.stage.check_files import warnings_of


def reasons_of(folder: Path) -> Mapping[str, Sequence[Mapping[str, Any]]]:
    """Read from plan.json why each instance was to run."""
    plan = read_plan(folder) or {}
    return {one["stage"]: one.get("reasons", ()) for one in plan.get("stages", ())}


def begun_in(folder: Path) -> Mapping[str, int]:
    """Read from events.jsonl which instances a run began and did not end, with their attempts."""
    begun: dict[str, int] = {}
    for kind, stage, attempt in _events(folder):
        if kind == "stage_started":
            begun[stage] = 0
        elif kind == "attempt_started" and stage in begun:
            begun[stage] = attempt
        elif kind == "stage_finished":
            begun.pop(stage, None)
    return begun


def _events(folder: Path) -> Iterator[tuple[str, str, int]]:
    """Give kind, instance and attempt of each event; a run that was killed may have cut the last line."""
    try:
        lines = (folder / "events.jsonl").read_text(encoding="utf-8", errors="replace").split("\n")
    except OSError:
        return
    for line in lines:
        with contextlib.suppress(ValueError, KeyError, TypeError, AttributeError, RecursionError):
            event = json.loads(line)
            attempt = event["data"].get("attempt")
            if isinstance(event["stage"], str):
                yield event["kind"], event["stage"], attempt if isinstance(attempt, int) else 0


def begun_data(
    name: str, attempts: int, status: str, folder: Path, reasons: Sequence[Mapping[str, Any]]
) -> dict[str, Any]:
    """Write an instance that has not ended as `result_data` does one that has; nobody knows what it took."""
    result = StageResult(instance=name, status=Status.CANCELLED, attempts=attempts)
    return {**result_data(result, folder, reasons), "status": status, "seconds": None}


def result_data(
    result: StageResult, folder: Path, reasons: Sequence[Mapping[str, Any]] = ()
) -> dict[str, Any]:
    """Write how an instance ended: timings, metrics, cells, where the notebooks are."""
    own = folder / slug_of(result.instance)
    peaks = [cell.peak_memory for cell in result.cells if cell.peak_memory is not None]
    return {
        "stage": result.instance,
        "status": str(result.status),
        "seconds": round(result.seconds, 3),
        "attempts": result.attempts,
        "reasons": list(reasons),
        "metrics": plain(result.record.metrics) if result.record else {},
        "peak_memory": max(peaks, default=None),
        "cells": [
            {"cell": cell.cell, "seconds": round(cell.seconds, 3), "peak_memory": cell.peak_memory}
            for cell in result.cells
        ],
        "failure": failure_data(result.failure) if result.failure else None,
        "notices": list(result.notices),
        "notebooks": [str(path) for path in _notebooks(own)],
        "warnings": warnings_of(own) if result.attempts else [],
        "checks_page": str(own / CHECKS_PAGE) if (own / CHECKS_PAGE).exists() else None,
    }


def _notebooks(own: Path) -> list[Path]:
    return sorted(own.glob("attempt-*.ipynb"), key=lambda path: (len(path.name), path.name))


def reason_words(data: Mapping[str, Any]) -> str:
    """Say a reason that was kept as JSON; one of a later version by its bare words."""
    try:
        kind = ReasonKind(data["kind"])
    except ValueError:
        return f"{data['kind']} {data.get('subject', '')}".strip()
    rest = {key: data.get(key) for key in ("before", "after")}
    return words(Reason(kind=kind, subject=data.get("subject", ""), detail=data.get("detail", ""), **rest))


def failure_lines(one: Mapping[str, Any]) -> Iterator[str]:
    """Say in three parts why an instance failed, then what else it has to tell."""
    failure = one["failure"]
    if failure:
        yield ""
        place = f"{failure['where']}: " if failure["where"] else ""
        yield f"{one['stage']}: {place}{failure['what']}"
        yield from (f"  {line}" for line in str(failure["known"]).splitlines())
        if one.get("checks_page"):
            yield f"  all checks, with the rows: {one['checks_page']}"
        yield f"  mend: {failure['mend']}"
    yield from (f"{one['stage']}: {text}" for text in one.get("warnings", ()))
    for notice in one["notices"]:
        yield f"{one['stage']}: {notice}"
