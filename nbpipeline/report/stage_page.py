"""`show STAGE`: how the present outputs of its instances were made, and what was tried since."""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from nbpipeline.encoding import plain
from nbpipeline.model import StageRecord, StageResult
from nbpipeline.ports import State
from nbpipeline.report.results import failure_lines, reasons_of, result_data
from nbpipeline.report.wording import VERSION, Page, change, duration, figure, moment, size, table
from nbpipeline.run.folder import runs_folder

LOOKED_AT = 200
"""So many past runs are searched for a stage's history."""
SHOWN_ATTEMPTS = 10
_BY_HAND = "recorded"
_WIDEST = 100
"""Characters of a parameter's value; the JSON has all."""


def show_stage(state: State, root: Path, instances: Sequence[str]) -> Page:
    """Show how instances' outputs were made: metrics with their change, cells, notebooks, attempts before.

    Where the last attempt was another than the one that made them, it is shown by itself, as what it is.
    """
    past = _past(state, set(instances))
    found = [_instance_data(state, root, name, past.get(name, [])) for name in instances]
    text = "\n\n".join(_instance_text(one) for one in found)
    return Page(data={"version": VERSION, "stages": found}, text=text)


def _past(state: State, instances: set[str]) -> dict[str, list[tuple[str, StageResult]]]:
    """Find the results of instances that were executed, newest first."""
    found: dict[str, list[tuple[str, StageResult]]] = {}
    for row in state.runs(LOOKED_AT):
        for result in state.results(row["run"]):
            if result.instance in instances and result.attempts:
                found.setdefault(result.instance, []).append((row["run"], result))
    return found


def _instance_data(
    state: State, root: Path, name: str, past: Sequence[tuple[str, StageResult]]
) -> dict[str, Any]:
    record = state.last_record(name)
    last = _attempt_data(root, *past[0]) if past else None
    good = [one.record for _, one in past if one.record]
    before = next((one for one in good if record and one.finished < record.finished), None)
    return {
        "stage": name,
        "record": _record_data(record) if record else None,
        "metrics": _metrics(record, before),
        "made": _made(state, root, record) if record else None,
        "last": last,
        "attempts": [
            {
                "run": one,
                "status": str(result.status),
                "seconds": round(result.seconds, 3),
                "attempts": result.attempts,
                "metrics": plain(result.record.metrics) if result.record else {},
            }
            for one, result in past[:SHOWN_ATTEMPTS]
        ],
    }


def _made(state: State, root: Path, record: StageRecord) -> dict[str, Any] | None:
    """Find the execution that a record is of; None for one by hand, or where it is no longer known."""
    if record.origin == _BY_HAND or not record.run:
        return None
    found = (one for one in state.results(record.run) if one.instance == record.instance and one.attempts)
    return next((_attempt_data(root, record.run, one) for one in found), None)


def _attempt_data(root: Path, run: str, result: StageResult) -> dict[str, Any]:
    folder = runs_folder(root) / run
    return {"run": run, **result_data(result, folder, reasons_of(folder).get(result.instance, ()))}


def _record_data(record: StageRecord) -> dict[str, Any]:
    return {
        "run": record.run,
        "finished": record.finished,
        "seconds": round(record.seconds, 3),
        "origin": record.origin,
        "state": record.state,
        "parameters": plain(record.fingerprint.parameters),
        "outputs": [{"path": one.path, "digest": one.digest, "size": one.size} for one in record.outputs],
    }


def _metrics(record: StageRecord | None, before: StageRecord | None) -> list[dict[str, Any]]:
    """Metrics of the last success beside those of the one before."""
    if record is None:
        return []
    earlier = before.metrics if before else {}
    return [
        {"name": name, "before": plain(earlier.get(name)), "value": plain(value)}
        for name, value in record.metrics.items()
    ]


def _instance_text(one: Mapping[str, Any]) -> str:
    record, made, last = one["record"], one["made"], one["last"]
    parts = [one["stage"], _head(record, made)]
    parameters = [(name, _cut(text)) for name, text in record["parameters"].items()] if record else []
    parts += ["", table(("parameter", "value"), parameters)] if parameters else []
    outputs = [(output["path"], size(output["size"])) for output in record["outputs"]] if record else []
    parts += ["", table(("output", "size"), outputs)] if outputs else []
    metrics = [(m["name"], figure(m["value"]), change(m["before"], m["value"])) for m in one["metrics"]]
    parts += ["", table(("metric", "value", "change"), metrics)] if metrics else []
    if made:
        parts += _attempt_lines(made)
    if last and (made is None or last["run"] != made["run"]):
        parts += ["", _last_head(last), *_attempt_lines(last)]
    if len(one["attempts"]) > 1:
        past_rows = [
            (
                past["run"],
                past["status"].replace("_", " "),
                duration(past["seconds"]),
                _figures(past["metrics"]),
            )
            for past in one["attempts"]
        ]
        parts += ["", table(("run", "status", "took", "metrics"), past_rows)]
    return "\n".join(parts)


def _cut(text: str) -> str:
    return text if len(text) <= _WIDEST else f"{text[: _WIDEST - 1]}\u2026"


def _head(record: Mapping[str, Any] | None, made: Mapping[str, Any] | None) -> str:
    """Say which success the present outputs are of."""
    if record is None:
        return "no success on record"
    said = f"last success {moment(record['finished'])}"
    if record["origin"] == _BY_HAND:
        return f"{said}, recorded by hand"
    return f"{said}, took {duration((made or record)['seconds'])}, run {record['run']}"


def _last_head(last: Mapping[str, Any]) -> str:
    """Head what is shown of an attempt that is not the success above it."""
    status, took = last["status"].replace("_", " "), duration(last["seconds"])
    return f"last attempt (not that success): run {last['run']}, {status}, took {took}"


def _figures(metrics: Mapping[str, Any]) -> str:
    return ", ".join(f"{name} {figure(value)}" for name, value in metrics.items())


def _attempt_lines(one: Mapping[str, Any]) -> Iterator[str]:
    """Say what each cell cost, where the notebooks of all attempts are, and why it failed."""
    rows = [
        (str(cell["cell"] or "injected"), duration(cell["seconds"]), size(cell["peak_memory"]))
        for cell in one["cells"]
    ]
    if rows:
        yield ""
        yield table(("cell", "took", "memory"), rows)
    notebooks = one["notebooks"]
    if notebooks:
        yield ""
    for number, path in enumerate(notebooks, start=1):
        yield (
            f"notebook of attempt {number} of {len(notebooks)}: {path}"
            if notebooks[1:]
            else f"notebook: {path}"
        )
    yield from failure_lines(one)
