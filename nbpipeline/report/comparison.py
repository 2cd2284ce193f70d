"""What differs between two runs: parameters, inputs, outputs, code, metrics, environment, timings, plots."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from nbpipeline.encoding import plain, reason_data
from nbpipeline.errors import UsageError
from nbpipeline.fingerprint import differences
from nbpipeline.model import Fingerprint, StageRecord, StageResult, Status, slug_of
from nbpipeline.ports import State, Store
from nbpipeline.report.history import known_run, known_runs
from nbpipeline.report.plot_changes import plot_changes
from nbpipeline.report.results import reason_words
from nbpipeline.report.wording import VERSION, Page, change, duration, figure
from nbpipeline.run.folder import RunFolder, read_plan, runs_folder
from nbpipeline.values import dataclass

_TWO = 2
_SHORT = 12
_DIFFER = ("changes", "outputs", "metrics", "status", "plots")
"""Keys of a stage that are empty where nothing of it differs."""


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
    notebook: Path | None = None
    """Where the executed notebook stands, or stood; None where no run on record executed one."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Comparison:
    """What differs, and between what."""

    data: dict[str, Any]
    """What `diff --format json` prints."""
    old: Mapping[str, Snapshot]
    new: Mapping[str, Snapshot]


def diff(state: State, store: Store, root: Path, before: str | None, after: str | None) -> Page:
    """Say what differs between two runs, as `compare` finds it. Raises UsageError."""
    data = compare(state, store, root, before, after).data
    return Page(data=data, text=_text(data))


def compare(state: State, store: Store, root: Path, before: str | None, after: str | None) -> Comparison:
    """Compare two runs; None: the last (`after`), the one before that (`before`). Raises UsageError."""
    first, second = _chosen(state, root, before, after)
    old, new = (snapshot(state, store, root, run) for run in (first, second))
    stages = [_stage_data(name, old[name], new[name]) for name in new if name in old]
    changed = [one for one in stages if any(one[key] for key in _DIFFER)]
    unknown = [one["stage"] for one in stages if not one["known"] and one not in changed]
    data = {
        "version": VERSION,
        "before": first,
        "after": second,
        "stages": changed,
        "unknown": unknown,
        "plots_unknown": [one["stage"] for one in stages if not one.pop("plots_known")],
        "same": len(stages) - len(changed) - len(unknown),
        "only_before": [name for name in old if name not in new],
        "only_after": [name for name in new if name not in old],
    }
    return Comparison(data=data, old=old, new=new)


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
            found[name] = _of_fresh(name, steps[name].get("state", ""), state, store, root)
        elif result.status is Status.FRESH:
            found[name] = _of_fresh(name, result.state, state, store, root)
        else:
            found[name] = _of_result(result, folder, root)
    return found


def records_after(state: State, store: Store, root: Path, run: str) -> Callable[[str], StageRecord | None]:
    """Give the record that each instance had when a run had ended. Raises UsageError for an unknown run."""
    found = snapshot(state, store, root, known_run(state, root, run))
    return lambda name: found[name].record if name in found else None


def _of_result(result: StageResult, folder: RunFolder, root: Path) -> Snapshot:
    kept = result.record.fingerprint if result.record else folder.fingerprint(slug_of(result.instance))
    return Snapshot(
        status=str(result.status),
        seconds=result.seconds if result.attempts else None,
        fingerprint=kept,
        record=result.record,
        notebook=_notebook(root, folder.run, result.instance, result.attempts)
        if result.attempts
        else _recorded(root, result.record),
    )


def _notebook(root: Path, run: str, instance: str, attempt: int) -> Path:
    return (
        RunFolder(run=run, path=runs_folder(root) / run).instance(slug_of(instance))
        / f"attempt-{attempt}.ipynb"
    )


def _recorded(root: Path, record: StageRecord | None) -> Path | None:
    """Say where the notebook stands that was executed for a success; None for one by hand."""
    if record is None or not record.run or not record.attempt:
        return None
    return _notebook(root, record.run, record.instance, record.attempt)


def _of_fresh(name: str, state_digest: str, state: State, store: Store, root: Path) -> Snapshot:
    last = state.last_record(name)
    record = last if last and last.state == state_digest else store.get_record(name, state_digest)
    fingerprint = record.fingerprint if record else None
    return Snapshot(
        status=str(Status.FRESH),
        fingerprint=fingerprint,
        record=record,
        state=state_digest,
        notebook=_recorded(root, record),
    )


def _stage_data(name: str, old: Snapshot, new: Snapshot) -> dict[str, Any]:
    """Compare one instance; status only where it tells more than that something was already fresh."""
    calm = {str(Status.FRESH), str(Status.SUCCEEDED), str(Status.RESTORED)}
    known = old.fingerprint is not None and new.fingerprint is not None
    untouched = old.status == new.status == str(Status.FRESH) and old.state == new.state
    reasons = differences(old.fingerprint, new.fingerprint) if old.fingerprint and new.fingerprint else ()
    plots = plot_changes(old.notebook, new.notebook)
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
        "plots": [
            {
                "cell": one.place[0],
                "number": one.place[1],
                "before": one.before.digest if one.before else None,
                "after": one.after.digest if one.after else None,
            }
            for one in plots.pairs
        ],
        "plots_known": plots.known,
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
    if data["plots_unknown"]:
        gone = ", ".join(data["plots_unknown"])
        parts += ["", f"plots not compared, an executed notebook is gone or damaged: {gone}"]
    if data["same"] and not data["stages"] and not data["unknown"]:
        last = "metrics" if data["plots_unknown"] else "metrics or plots"
        between = " or " if data["plots_unknown"] else ", "
        parts += ["", f"no difference in code, parameters, inputs, outputs, environment{between}{last}"]
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
    for plot in one["plots"]:
        how = "changed" if plot["before"] and plot["after"] else "gone" if plot["before"] else "new"
        further = f", plot {plot['number']}" if plot["number"] > 1 else ""
        lines.append(f"plot of cell {plot['cell']}{further}: {how}")
    was, now = one["seconds"]
    if was is not None and now is not None:
        lines.append(f"took {duration(was)} -> {duration(now)}")
    return lines
