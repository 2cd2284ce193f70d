"""What an orchestrator's task hands over: the executed notebook, and a JSON file of what became of it.

`{"version": 1, "stage", "status", "exit_code", "run", "seconds", "attempts", "parameters", "metrics",
"outputs": [{"path", "digest", "bytes"}], "checks": [{"side", "artifact", "check", "passed", "severity",
"message"}], "reasons": [...], "failure": {...} | null, "notebook": PATH | null}`
"""

import json
import os
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from nbpipeline.encoding import plain, reason_data
from nbpipeline.errors import StorageError, UsageError
from nbpipeline.location import STATE_FOLDER, is_url
from nbpipeline.model import EXECUTED, Event, Plan, RunResult, StageRecord, StageResult, slug_of
from nbpipeline.replacing import replaced
from nbpipeline.run.claim import masker_of
from nbpipeline.run.summary import exit_code, result_to_json
from nbpipeline.values import dataclass

VERSION = 1
_OF_CHECK = ("side", "artifact", "check", "passed", "severity", "message")


@dataclass(frozen=True, slots=True, kw_only=True)
class Places:
    """Where a task's caller wants files; None: not wanted."""

    executed: Path | None = None
    result: Path | None = None
    mark: Path | None = None

    def refuse(self, plan: Plan) -> None:
        """Find before anything runs what cannot be written, or must not be.

        Raises UsageError for a file of the project or one that two things are written to, StorageError for
        a folder that takes none.
        """
        taken = dict(_project_files(plan))
        for option, place in self._named():
            real = Path(os.path.realpath(place))
            owner = next((taken[one] for one in (real, *real.parents) if one in taken), None)
            if owner is not None:
                raise UsageError.of(f"{option} {place} is {owner}.", mend="name a file of its own")
            taken[real] = f"what {option} names, too"
            try:
                place.parent.mkdir(parents=True, exist_ok=True)
            except OSError as error:
                raise _refused(place, error) from error
            if not os.access(place.parent, os.W_OK | os.X_OK):
                raise _refused(place, PermissionError("its folder takes no files"))

    def _named(self) -> Iterator[tuple[str, Path]]:
        named = (("--executed", self.executed), ("--result", self.result), ("--mark", self.mark))
        return ((option, place) for option, place in named if place is not None)


def _project_files(plan: Plan) -> Iterator[tuple[Path, str]]:
    """Give the files that a run reads and writes by itself, and what they are; a maker after who reads it."""
    pipeline = plan.pipeline
    root = Path(os.path.realpath(pipeline.project.root))
    for what in ("input", "output"):
        for instance in pipeline:
            artifacts = instance.inputs if what == "input" else instance.outputs
            for path in (path for one in artifacts for path in one.paths if not is_url(path)):
                yield root / path, f"an {what} of '{instance.id}'"
    for instance in pipeline:
        yield root / instance.spec.notebook.path, f"the notebook of '{instance.spec.name}'"
    if pipeline.project.file:
        yield root / pipeline.project.file, "the pipeline's own file"


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

    def leave(self, result: RunResult, plan: Plan, places: Places) -> None:
        """Write what was asked for, all that can be. Raises StorageError where the disk refuses one."""
        root = Path(plan.pipeline.project.root)
        one = result.results[0]
        record = one.record or plan.steps[0].record
        notebook = _notebook(root, result, one, record)
        refused: list[StorageError] = []
        if places.executed is not None and notebook is not None:
            with _put_off(refused):
                _copy(notebook, places.executed)
                notebook = places.executed
        if places.result is not None:
            data = masker_of(plan).anything(self._data(result, plan, record, notebook))
            with _put_off(refused):
                _write(places.result, json.dumps(data, ensure_ascii=False) + "\n")
        if places.mark is not None and record is not None and not one.failure and not result.interrupted:
            with _put_off(refused):
                _write(places.mark, record.state + "\n")
        if refused:
            raise refused[0]

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


@contextmanager
def _put_off(refused: list[StorageError]) -> Iterator[None]:
    """Go on after a refusal: one file that cannot be written is no reason to lose the others."""
    try:
        yield
    except StorageError as error:
        refused.append(error)


def _write(target: Path, text: str) -> None:
    with _filled(target) as beside:
        beside.write_text(text, encoding="utf-8", newline="\n")


def _copy(source: Path, target: Path) -> None:
    with _filled(target) as beside:
        shutil.copyfile(source, beside)


@contextmanager
def _filled(target: Path) -> Iterator[Path]:
    """Give a hidden file to fill, of this process: tasks may name the same target, and run side by side."""
    beside = target.with_name(f".{target.name}.{os.getpid()}.new")
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        with replaced(target, by=beside):
            yield beside
    except OSError as error:
        raise _refused(target, error) from error


def _refused(target: Path, error: OSError) -> StorageError:
    return StorageError.of(
        f"{target} cannot be written: {error.strerror or error}.", mend="name a place that is writable"
    )
