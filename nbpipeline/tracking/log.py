"""A run's folder -> `RunLog`: events, fingerprints, records, read on as they are written."""

import json
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

from nbpipeline.encoding import value_from
from nbpipeline.model import EXECUTED, StageRecord, Status, StoredOutput, slug_of
from nbpipeline.model.told import CellLog, CheckLog, Commit, ModelLog, RunLog, StageLog
from nbpipeline.ports import State
from nbpipeline.run.folder import RunFolder, began, is_running, read_control

EARLIER = 20
"""Runs that are looked at for how an instance ended before."""
_TRIED = frozenset({Status.SUCCEEDED, Status.RESTORED, Status.FRESH, Status.FAILED, Status.CHECK_FAILED})


class RunReader:
    """Reads a run's folder again and again, each time only what is new."""

    def __init__(self, root: Path, folder: RunFolder, project: str, state: State, store: str = "") -> None:
        """Read nothing yet; `state` is asked for the records of what has ended."""
        self._folder = folder
        self._state = state
        self._place = 0
        self._log = RunLog(
            run=folder.run, root=str(root), project=project, store=store, plan=str(folder.plan)
        )
        self._stages: dict[str, StageLog] = {}
        self._records: dict[str, StageRecord | None] = {}
        self._known = 0
        """Results of the run that were taken from the history."""
        self._before: dict[str, str] | None = None

    def read(self, now: float) -> RunLog:
        """Give the run as far as it is written. Raises OSError."""
        control = read_control(self._folder.path) or {}
        gone = not is_running(control, now)  # asked first: what is written by then is all there will be
        events = self._new_events()
        if any(event.get("kind") == "stage_finished" for event in events):
            new = self._state.results(self._folder.run, self._known)
            self._known += len(new)
            self._records |= {one.instance: one.record for one in new}
        for event in events:
            with suppress(TypeError, ValueError, KeyError, AttributeError):  # of another shape than ours
                self._take(event)
        if self._log.finished is None and gone:
            last = max((one.finished or one.started or 0.0 for one in self._stages.values()), default=0.0)
            self._log = replace(self._log, finished=max(last, began(control)), status="interrupted")
        started = self._log.started or began(control)
        self._log = replace(self._log, started=started, stages=tuple(self._stages.values()))
        return self._log

    def _new_events(self) -> list[Mapping[str, Any]]:
        """Read the whole lines that were written since; a damaged one is passed over."""
        try:
            with self._folder.events.open("rb") as file:
                file.seek(self._place)
                text = file.read()
        except FileNotFoundError:  # the run has not begun to tell, or was killed before
            return []
        end = text.rfind(b"\n") + 1
        self._place += end
        found: list[Mapping[str, Any]] = []
        for line in text[:end].splitlines():
            try:
                event = json.loads(line)
            except (ValueError, RecursionError):
                continue
            if isinstance(event, dict) and isinstance(event.get("data"), dict):
                found.append(event)
        return found

    def _take(self, event: Mapping[str, Any]) -> None:
        kind, name, time, data = (
            event.get("kind"),
            event.get("stage", ""),
            event.get("time", 0.0),
            event["data"],
        )
        known = self._stages.get(name, StageLog(stage=name))
        if kind == "run_started":
            self._log = replace(
                self._log,
                started=time,
                command=data.get("command", ""),
                profile=data.get("profile", ""),
                fresh=data.get("fresh", 0),
                models=tuple(ModelLog(**value_from(one)) for one in data.get("models", ())),
            )
        elif kind == "run_finished":
            ended = {"status": data.get("status", ""), "seconds": data.get("seconds", 0.0)}
            self._log = replace(self._log, finished=time, counts=data.get("counts", {}), **ended)
        elif kind == "commit":
            told = Commit(id=str(data["id"]), dirty=data["dirty"] is True)
            self._log = replace(self._log, commit=told)
        elif kind == "stage_started":
            self._stages[name] = replace(
                known,
                started=time,
                action=data.get("action", "run"),
                reasons=tuple(data.get("reasons", ())),
                parameters=value_from(data.get("parameters", {})),
                fingerprint=self._folder.fingerprint(slug_of(name)),
                notebook=data.get("notebook", ""),
                reads=_paths(data.get("inputs", {})),
                writes=_paths(data.get("outputs", {})),
            )
        elif kind == "attempt_started":
            self._stages[name] = replace(
                known,
                attempts=data.get("attempt", 1),
                cells=(),
                checks=tuple(one for one in known.checks if one.side == "input"),
            )
        elif kind == "cell_finished":
            cell = CellLog(
                cell=data.get("cell", 0),
                finished=time,
                seconds=data.get("seconds", 0.0),
                peak_memory=data.get("peak_memory"),
            )
            self._stages[name] = replace(known, cells=(*known.cells, cell))
        elif kind == "check_finished":
            self._stages[name] = replace(known, checks=(*known.checks, _check(data)))
        elif kind == "stage_finished":
            self._stages[name] = self._ended(known, time, data)

    def _ended(self, known: StageLog, time: float, data: Mapping[str, Any]) -> StageLog:
        attempts = data.get("attempts", known.attempts)
        return replace(
            known,
            finished=time,
            started=known.started or time,
            status=data.get("status", ""),
            seconds=data.get("seconds", 0.0),
            attempts=attempts,
            failure=data.get("failure"),
            metrics=value_from(data.get("metrics", {})),
            outputs=self._outputs(known.stage) if data.get("status") in {"succeeded", "restored"} else (),
            files=self._files(known.stage, attempts),
            before=self._ended_before().get(known.stage, ""),
        )

    def _ended_before(self) -> Mapping[str, str]:
        """Give how instances last ended in the runs before this one; ids of runs sort by time."""
        if self._before is None:
            self._before = {}
            for run in self._state.runs(EARLIER):
                if run["run"] < self._folder.run:
                    for one in self._state.results(run["run"]):
                        if one.status in _TRIED:
                            self._before.setdefault(one.instance, str(one.status))
        return self._before

    def _outputs(self, stage: str) -> tuple[StoredOutput, ...]:
        record = self._records.get(stage)
        return tuple(one for one in (record.outputs if record else ()) if one.kind != EXECUTED)

    def _files(self, stage: str, attempt: int) -> Mapping[str, str]:
        folder = self._folder.instance(slug_of(stage))
        names = {"notebook": folder / f"attempt-{attempt}.ipynb", "log": folder / "log"}
        return {name: str(path) for name, path in names.items() if path.is_file()}


def _paths(data: Mapping[str, Any]) -> Mapping[str, tuple[str, ...]]:
    return {str(name): tuple(paths) for name, paths in data.items()}


def _check(data: Mapping[str, Any]) -> CheckLog:
    return CheckLog(
        side=data["side"],
        artifact=data["artifact"],
        check=data["check"],
        arguments=value_from(data.get("arguments")),
        passed=data["passed"],
        severity=data.get("severity", "fail"),
        message=data.get("message", ""),
        validator=data.get("validator", ""),
        details=value_from(data.get("details", {})),
    )
