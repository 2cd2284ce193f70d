"""What an orchestrator's task hands over: the executed notebook, and a JSON file of what became of it.

`{"version": 1, "stage", "status", "exit_code", "run", "seconds", "attempts", "parameters", "metrics",
"outputs": [{"path", "digest", "bytes"}], "checks": [{"side", "artifact", "check", "passed", "severity",
"message"}], "reasons": [...], "failure": {...} | null, "notebook": PATH | null}`
"""

import json
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from nbpipeline.encoding import plain, reason_data
from nbpipeline.errors import StorageError
from nbpipeline.location import STATE_FOLDER
from nbpipeline.model import EXECUTED, Event, Plan, RunResult, StageRecord, StageResult, slug_of
from nbpipeline.replacing import replace_text
from nbpipeline.run.claim import masker_of
from nbpipeline.run.summary import exit_code, result_to_json

VERSION = 1
_OF_CHECK = ("side", "artifact", "check", "passed", "severity", "message")


class TaskResult:
    """Gathers what is told of one instance while it runs, masked as events are."""

    def __init__(self) -> None:
        """Know nothing yet."""
        self._checks: list[Mapping[str, Any]] = []

    def hear(self, event: Event) -> None:
        """Take an event; the checks of the last attempt are the ones that count."""
        if event.kind == "attempt_started":
            self._checks = [one for one in self._checks if one["side"] == "input"]
        elif event.kind == "check_finished":
            self._checks.append({name: event.data.get(name) for name in _OF_CHECK})

    def leave(
        self,
        result: RunResult,
        plan: Plan,
        *,
        executed: Path | None,
        target: Path | None,
        mark: Path | None = None,
    ) -> None:
        """Write what was asked for. Raises StorageError where the disk refuses."""
        root = Path(plan.pipeline.project.root)
        one = result.results[0]
        record = one.record or plan.steps[0].record
        notebook = _notebook(root, result, one, record)
        if executed is not None and notebook is not None:
            _copy(notebook, executed)
        if target is not None:
            kept = executed if executed is not None else notebook
            data = masker_of(plan).anything(self._data(result, plan, record, kept if notebook else None))
            text = json.dumps(data, ensure_ascii=False)
            _write(target, text + "\n")
        if mark is not None and record is not None and not one.failure and not result.interrupted:
            _write(mark, record.state + "\n")

    def _data(
        self, result: RunResult, plan: Plan, record: StageRecord | None, notebook: Path | None
    ) -> dict[str, Any]:
        one, step = result.results[0], plan.steps[0]
        good = one.failure is None and record is not None
        return {
            "version": VERSION,
            "stage": one.instance,
            "exit_code": int(exit_code(result)),
            "run": result.run,
            "failure": None,
            **result_to_json(one),
            "parameters": plain(step.instance.parameters),
            "metrics": plain(record.metrics) if record is not None and good else {},
            "outputs": [
                {"path": output.path, "digest": output.digest, "bytes": output.size}
                for output in (record.outputs if record is not None and good else ())
                if output.kind != EXECUTED
            ],
            "checks": self._checks,
            "reasons": [reason_data(reason) for reason in step.reasons],
            "notebook": str(notebook) if notebook is not None else None,
        }


def _notebook(root: Path, result: RunResult, one: StageResult, record: StageRecord | None) -> Path | None:
    """Find the executed notebook: of this run's last attempt, else of the run whose result stands."""
    found = sorted(
        (Path(result.folder) / slug_of(one.instance)).glob("attempt-*.ipynb"),
        key=lambda path: (len(path.name), path.name),
    )
    if found:
        return found[-1]
    if record is None:
        return None
    earlier = (
        root / STATE_FOLDER / "runs" / record.run / slug_of(one.instance) / f"attempt-{record.attempt}.ipynb"
    )
    return earlier if earlier.is_file() else None


def _write(target: Path, text: str) -> None:
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        replace_text(target, text)
    except OSError as error:
        raise _refused(target, error) from error


def _copy(source: Path, target: Path) -> None:
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(source, target)
    except OSError as error:
        raise _refused(target, error) from error


def _refused(target: Path, error: OSError) -> StorageError:
    return StorageError.of(
        f"{target} cannot be written: {error.strerror or error}.", mend="name a place that is writable"
    )
