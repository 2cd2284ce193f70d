"""What differs between two runs: parameters, inputs, outputs, code, metrics, environment, timings."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from nbpipeline.encoding import plain, reason_data
from nbpipeline.errors import UsageError
from nbpipeline.fingerprint import differences
from nbpipeline.model import Fingerprint, StageRecord, StageResult, Status, slug_of
from nbpipeline.ports import State, Store
from nbpipeline.report.history import known_run, known_runs
from nbpipeline.report.results import reason_words
from nbpipeline.report.wording import VERSION, Page, change, duration, figure
from nbpipeline.run.folder import RunFolder, read_plan, runs_folder
from nbpipeline.values import dataclass

_TWO = 2
_SHORT = 12


@dataclass(frozen=True, slots=True, kw_only=True)
class Snapshot:
    """An instance as a run left it."""

    status: str
    seconds: float | None = None
    """None where nothing was executed."""
    fingerprint: Fingerprint | None = None
    """None where it is no longer known."""
    record: StageRecord | None = None
    state: str = ""
    """Digest of the fingerprint, of what was fresh; empty where it is frozen and was never run."""


def diff(state: State, store: Store, root: Path, before: str | None, after: str | None) -> Page:
    """Compare two runs; None: the last (`after`), the one before that (`before`). Raises UsageError."""
    first, second = _chosen(state, root, before, after)
    old, new = (snapshot(state, store, root, run) for run in (first, second))
    stages = [_stage_data(name, old[name], new[name]) for name in new if name in old]
    changed = [one for one in stages if any(one[key] for key in ("changes", "outputs", "metrics", "status"))]
    unknown = [one["stage"] for one in stages if not one["known"] and one not in changed]
    data = {
        "version": VERSION,
        "before": first,
        "after": second,
        "stages": changed,
        "unknown": unknown,
        "same": len(stages) - len(changed) - len(unknown),
        "only_before": [name for name in old if name not in new],
        "only_after": [name for name in new if name not in old],
    }
    return Page(data=data, text=_text(data))


def _chosen(state: State, root: Path, before: str | None, after: str | None) -> tuple[str, str]:
    """Find the two runs."""
    known = known_runs(state, root)
    before, after = (one and known_run(state, root, one) for one in (before, after))
    if len(known) < _TWO:
        raise UsageError.of(
            "there are no two runs to compare yet.", mend="run the pipeline again: `nbpipeline run`"
        )
    second = after or (known[0] if before != known[0] else known[1])
    if before is not None:
        return before, second
    earlier = [one for one in known if one < second]
    if not earlier:
        raise UsageError.of(f"there is no run before '{second}'.", mend="name two runs")
    return earlier[0], second


def snapshot(state: State, store: Store, root: Path, run: str) -> dict[str, Snapshot]:
    """Gather every instance of a run's plan, in run order: what ran by its result, the rest by its record."""
    folder = RunFolder(run=run, path=runs_folder(root) / run)
    results = {one.instance: one for one in state.results(run)}
    plan = read_plan(folder.path) or {}
    steps: dict[str, Mapping[str, Any]] = {one["stage"]: one for one in plan.get("stages", ())}
    names = dict.fromkeys([*steps, *results])
    found = {}
    for name in names:
        result = results.get(name)
        if result is None:
            found[name] = _of_fresh(name, steps[name].get("state", ""), state, store)
        elif result.status is Status.FRESH:
            found[name] = _of_fresh(name, result.state, state, store)
        else:
            found[name] = _of_result(result, folder)
    return found


def records_after(state: State, store: Store, root: Path, run: str) -> Callable[[str], StageRecord | None]:
    """Give the record that each instance had when a run had ended. Raises UsageError for an unknown run."""
    found = snapshot(state, store, root, known_run(state, root, run))
    return lambda name: found[name].record if name in found else None


def _of_result(result: StageResult, folder: RunFolder) -> Snapshot:
    kept = result.record.fingerprint if result.record else folder.fingerprint(slug_of(result.instance))
    return Snapshot(
        status=str(result.status),
        seconds=result.seconds if result.attempts else None,
        fingerprint=kept,
        record=result.record,
    )


def _of_fresh(name: str, state_digest: str, state: State, store: Store) -> Snapshot:
    last = state.last_record(name)
    record = last if last and last.state == state_digest else store.get_record(name, state_digest)
    fingerprint = record.fingerprint if record else None
    return Snapshot(status=str(Status.FRESH), fingerprint=fingerprint, record=record, state=state_digest)


def _stage_data(name: str, old: Snapshot, new: Snapshot) -> dict[str, Any]:
    """Compare one instance; status only where it tells more than that something was already fresh."""
    calm = {str(Status.FRESH), str(Status.SUCCEEDED), str(Status.RESTORED)}
    known = old.fingerprint is not None and new.fingerprint is not None
    untouched = old.status == new.status == str(Status.FRESH) and old.state == new.state
    reasons = differences(old.fingerprint, new.fingerprint) if old.fingerprint and new.fingerprint else ()
    return {
        "stage": name,
        "known": known or untouched,
        "status": []
        if old.status == new.status or {old.status, new.status} <= calm
        else [old.status, new.status],
        "seconds": [old.seconds, new.seconds],
        "changes": [reason_data(one) for one in reasons],
        "outputs": _outputs(old.record, new.record),
        "metrics": _metrics(old.record, new.record),
    }


def _outputs(old: StageRecord | None, new: StageRecord | None) -> list[dict[str, Any]]:
    if old is None or new is None:
        return []
    first = {one.path: one.digest for one in old.outputs}
    second = {one.path: one.digest for one in new.outputs}
    return [
        {"path": path, "before": first.get(path), "after": second.get(path)}
        for path in dict.fromkeys([*first, *second])
        if first.get(path) != second.get(path)
    ]


def _metrics(old: StageRecord | None, new: StageRecord | None) -> list[dict[str, Any]]:
    if old is None or new is None:
        return []
    return [
        {"name": name, "before": plain(old.metrics.get(name)), "after": plain(new.metrics.get(name))}
        for name in dict.fromkeys([*old.metrics, *new.metrics])
        if plain(old.metrics.get(name)) != plain(new.metrics.get(name))
    ]


def _text(data: Mapping[str, Any]) -> str:
    parts = [f"{data['before']} -> {data['after']}"]
    if not any(data[key] for key in ("stages", "same", "unknown")):
        parts += ["", "nothing was compared: the two runs have no stage in common"]
    for one in data["stages"]:
        parts += ["", one["stage"], *(f"  {line}" for line in _stage_lines(one))]
    for key, word in (("only_before", "only before"), ("only_after", "only after")):
        if data[key]:
            parts += ["", f"{word}: {', '.join(data[key])}"]
    if data["unknown"]:
        parts += [
            "",
            f"not compared, what they ran with is not on record: {', '.join(data['unknown'])}",
        ]
    if data["same"] and not data["stages"] and not data["unknown"]:
        parts += ["", "no difference in code, parameters, inputs, outputs, environment or metrics"]
    elif data["same"]:
        parts += ["", f"{data['same']} other {'stage is' if data['same'] == 1 else 'stages are'} the same"]
    return "\n".join(parts)


def _stage_lines(one: Mapping[str, Any]) -> list[str]:
    lines = [f"status: {one['status'][0]} -> {one['status'][1]}"] if one["status"] else []
    lines += [reason_words(reason) for reason in one["changes"]]
    for output in one["outputs"]:
        was, now = (digest and digest[:_SHORT] for digest in (output["before"], output["after"]))
        lines.append(f"output {output['path']}: {was or 'none'} -> {now or 'none'}")
    for metric in one["metrics"]:
        moved = change(metric["before"], metric["after"])
        shown = f" ({moved})" if moved else ""
        lines.append(
            f"metric {metric['name']}: {figure(metric['before'])} -> {figure(metric['after'])}{shown}"
        )
    was, now = one["seconds"]
    if was is not None and now is not None:
        lines.append(f"took {duration(was)} -> {duration(now)}")
    return lines
