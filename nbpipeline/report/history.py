"""What past runs did: the answers of `runs`, `show` and `log`, as JSON and as text."""

import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from nbpipeline.errors import UsageError, did_you_mean
from nbpipeline.model import Status, canonical_id, shell_name, slug_of
from nbpipeline.ports import State
from nbpipeline.report.results import (
    begun_data,
    begun_in,
    failure_lines,
    reason_words,
    reasons_of,
    result_data,
)
from nbpipeline.report.stage_page import LOOKED_AT, show_stage
from nbpipeline.report.wording import VERSION, Page, duration, figure, moment, size, table
from nbpipeline.run.folder import is_running, kept_runs, read_control, runs_folder
from nbpipeline.run.summary import counts

LAST = "last"
"""Stands for the newest run wherever a run is named."""
_FRESH = str(Status.FRESH)
_BEGUN = {"killed": "cut_off", "running": "running"}
"""What is said of the stages that a run has begun and not ended, by the run's status."""


def runs(state: State, root: Path, limit: int = 20) -> Page:
    """List past runs, newest first."""
    found = [_run_data(one, state, root) for one in state.runs(limit)]
    rows = [
        (one["run"], moment(one["started"]), duration(one["seconds"]), one["status"], _of(one))
        for one in found
    ]
    text = table(("run", "started", "took", "status", "stages"), rows) if rows else "no runs yet"
    return Page(data={"version": VERSION, "runs": found}, text=text)


def _run_data(row: Mapping[str, Any], state: State, root: Path) -> dict[str, Any]:
    folder = runs_folder(root) / str(row["run"])
    finished = row.get("finished")
    told = dict(row.get("data") or {})
    results = state.results(row["run"])
    by_status = counts(results)
    status = row.get("status") or _unended(folder)
    ended = {one.instance for one in results}
    begun = begun_in(folder).keys() - ended if status in _BEGUN else set()
    names = ended | begun
    if begun:
        by_status = {**by_status, _BEGUN[status]: len(begun)}
    if told.get("fresh"):
        by_status = {_FRESH: by_status.pop(_FRESH, 0) + told["fresh"], **by_status}
    return {
        "run": row["run"],
        "started": row["started"],
        "finished": finished,
        "seconds": None if finished is None else round(finished - row["started"], 3),
        "status": status,
        "command": told.get("command", ""),
        "counts": by_status,
        "stage": next(iter(names)) if len(names) == 1 and not told.get("fresh") else None,
        "folder": str(folder) if folder.is_dir() else None,
    }


def _unended(folder: Path) -> str:
    """Tell a run that goes on from one that was killed; neither has an end."""
    return "running" if is_running(read_control(folder), time.time()) else "killed"


def _of(run: Mapping[str, Any]) -> str:
    """Count a run's stages; an orchestrator's task has one, which tells it from the others."""
    counted = _counted(run["counts"])
    return f"{counted}: {run['stage']}" if run["stage"] else counted


def _counted(by_status: Mapping[str, int]) -> str:
    return ", ".join(f"{number} {status.replace('_', ' ')}" for status, number in by_status.items())


def known_runs(state: State, root: Path) -> tuple[str, ...]:
    """Name every run on record or with a folder, newest first."""
    names = {str(one["run"]) for one in state.runs(LOOKED_AT)} | {one.run for one in kept_runs(root)}
    return tuple(sorted(names, reverse=True))


def known_run(state: State, root: Path, run: str | None) -> str:
    """Find the run that is meant by its id, the beginning of one, `last` or None. Raises UsageError."""
    known = known_runs(state, root)
    if not known:
        pulled = "the results that are here were pulled: runs stay where they ran"
        raise UsageError.of(
            "there are no runs yet.",
            known=pulled if state.last_records() else "",
            mend="run the pipeline: `nbpipeline run`",
        )
    if run in (None, LAST):
        return known[0]
    found = [one for one in known if one == run] or [one for one in known if one.startswith(run or LAST)]
    if len(found) == 1 and run:
        return found[0]
    if found:
        raise UsageError.of(
            f"'{run}' is the beginning of {len(found)} runs.",
            known=f"the last of them: {', '.join(found[:5])}",
            mend="name one by more of its id",
        )
    near = did_you_mean(str(run), known)
    raise UsageError.of(
        f"no run is called '{run}'.",
        known=f"last runs: {', '.join(known[:5])}",
        mend=f"did you mean '{near}'?" if near else "list the runs: `nbpipeline runs`",
    )


def show(state: State, root: Path, what: str | None, stages: Sequence[str]) -> Page:
    """Show a run (None: the last), a stage, or one of its instances; `stages` are the pipeline's instances.

    Raises UsageError where nothing is called `what`.
    """
    known = known_runs(state, root)
    if what is None or _means_run(what, known, stages):
        return show_run(state, root, known_run(state, root, what))
    return show_stage(state, root, resolve(state, what, stages, known))


def _means_run(what: str, known: Sequence[str], stages: Sequence[str]) -> bool:
    """Whether a name is a run's rather than a stage's: those begin with a letter, runs with a digit."""
    if what == LAST:
        return LAST not in map(_stage, stages)
    return what[:1].isdigit() and any(one.startswith(what) for one in known)


def resolve(
    state: State, name: str, stages: Sequence[str], runs_known: Sequence[str] = ()
) -> tuple[str, ...]:
    """Find the instances that a name means: one by its id, or all of a stage. Raises UsageError."""
    instances = list(dict.fromkeys([*stages, *state.last_records(), *state.last_failures()]))
    wanted = canonical_id(name)
    found = [one for one in instances if one == wanted] or [one for one in instances if _stage(one) == wanted]
    if found:
        return tuple(found)
    names = list(dict.fromkeys([*(_stage(one) for one in stages), *stages]))
    near = did_you_mean(name, [*names, *runs_known])
    raise UsageError.of(
        f"no run and no stage is called '{name}'." if runs_known else f"no stage is called '{name}'.",
        known=f"known stages: {', '.join(names) or 'none'}",
        mend=f"did you mean '{near}'?" if near else "list the runs: `nbpipeline runs`",
    )


def _stage(instance_id: str) -> str:
    return instance_id.partition("[")[0]


# --- a run ---------------------------------------------------------------------------------------


def show_run(state: State, root: Path, run: str) -> Page:
    """Show what a run did to each stage, and why."""
    row = next((one for one in state.runs(LOOKED_AT) if one["run"] == run), None)
    folder = runs_folder(root) / run
    control = read_control(folder) or {}
    said = control.get("status") if control.get("finished") is not None else None
    told = {"started": 0.0, **control, "status": said}
    head = _run_data(row or {**told, "run": run, "data": {}}, state, root)
    why = reasons_of(folder)
    results = state.results(run)
    stages = [result_data(one, folder, why.get(one.instance, ())) for one in results]
    if head["status"] in _BEGUN:
        ended = {one.instance for one in results}
        stages += [
            begun_data(name, attempts, _BEGUN[head["status"]], folder, why.get(name, ()))
            for name, attempts in begun_in(folder).items()
            if name not in ended
        ]
    return Page(data={"version": VERSION, **head, "stages": stages}, text=_run_text(head, stages))


def _run_text(head: Mapping[str, Any], stages: Sequence[Mapping[str, Any]]) -> str:
    parts = [f"run {head['run']}: {head['status']}, {_counted(head['counts']) or 'no stages'}"]
    took = f", took {duration(head['seconds'])}" if head["seconds"] is not None else ""
    parts.append(f"started {moment(head['started'])}{took}{_said(', ', head['command'])}")
    if stages:
        rows = [
            (
                one["stage"],
                one["status"].replace("_", " "),
                duration(one["seconds"]) if one["attempts"] else "",
                size(one["peak_memory"]),
                _why(one["reasons"]),
            )
            for one in stages
        ]
        parts += ["", table(("stage", "status", "took", "memory", "why"), rows)]
    metrics = [
        (one["stage"], name, figure(value)) for one in stages for name, value in one["metrics"].items()
    ]
    if metrics:
        parts += ["", table(("stage", "metric", "value"), metrics)]
    for one in stages:
        parts += failure_lines(one)
    if head["folder"]:
        parts += ["", f"folder: {head['folder']}"]
    return "\n".join(parts)


def _said(before: str, text: str) -> str:
    return f"{before}{text}" if text else ""


def _why(reasons: Sequence[Mapping[str, Any]]) -> str:
    """Say the first reason in words, and how many there are beside it."""
    said = [reason_words(one) for one in reasons]
    if not said:
        return ""
    return said[0] if len(said) == 1 else f"{said[0]}, and {len(said) - 1} more"


# --- a log ---------------------------------------------------------------------------------------


def log(state: State, root: Path, stage: str, run: str | None, stages: Sequence[str]) -> str:
    """Give what a stage's instances wrote in a run (None: the last that executed each). Raises UsageError."""
    instances = resolve(state, stage, stages)
    found = [(name, _log_of(root, name, run)) for name in instances]
    texts = [(name, path.read_text(encoding="utf-8", errors="replace")) for name, path in found if path]
    if not texts:
        known = [
            one.run
            for one in kept_runs(root)
            if any((one.instance(slug_of(n)) / "log").exists() for n in instances)
        ]
        raise UsageError.of(
            f"there is no log of '{stage}'" + (f" in run '{run}'." if run else "."),
            known=f"runs with one: {', '.join(known) or 'none'}",
            mend="name one of those with `--run`"
            if known
            else f"run it: `nbpipeline run {shell_name(stage)}`",
        )
    if len(texts) == 1:
        return texts[0][1]
    return "".join(f"=== {name}\n{text}" + ("" if text.endswith("\n") else "\n") for name, text in texts)


def _log_of(root: Path, name: str, run: str | None) -> Path | None:
    """Find the newest log of an instance."""
    folders = (one for one in kept_runs(root) if run in (None, one.run))
    paths = (one.instance(slug_of(name)) / "log" for one in folders)
    return next((path for path in paths if path.is_file()), None)
