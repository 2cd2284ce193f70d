"""Outputs of `kind: model`: each is handed to a process that logs it, waited for at the run's end.

One that was brought back and is registered already needs no process: nothing is loaded to name it again.
"""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

from nbpipeline.model import Status, Value, slug_of
from nbpipeline.model.told import ModelLog, RunLog, StageLog
from nbpipeline.trackers.mlflow_model import Order, named_again

if TYPE_CHECKING:
    from mlflow.tracking import MlflowClient

ALIAS = "candidate"
AT_ONCE = 2
"""Processes that wait, and that log: each holds MLflow and the model's library."""
PATIENCE = 180.0
"""Seconds that one model may take."""
_LOG = "mlflow-models.log"


class Models:
    """The models of one run that are being logged."""

    def __init__(self, settings: Mapping[str, Value], project: str, root: Path, spool: Path) -> None:
        """Start nothing yet; `spool` is the tracker's folder in the run's."""
        names = settings.get("models")
        self._names: Mapping[str, Value] = names if isinstance(names, Mapping) else {}
        self._alias = str(settings.get("alias", ALIAS))
        self._project = project
        self._root = root
        self._spool = spool
        self._expected: dict[tuple[str, str], subprocess.Popen[str]] = {}
        """By stage and path: they have their libraries loaded by the time that the stage has ended."""
        self._running: dict[tuple[str, str], subprocess.Popen[str]] = {}

    def expect(self, run: RunLog, stage: str, uri: str) -> None:
        """Start what will log the models of a stage that has begun. Raises OSError."""
        for model in run.models:
            key = (model.stage, model.path)
            known = key in self._expected or key in self._running
            if model.stage == stage and not known and len(self._expected) < AT_ONCE:
                self._expected[key] = self._started(uri, model)

    def log(
        self,
        client: MlflowClient,
        run: RunLog,
        one: StageLog,
        *,
        uri: str,
        run_id: str,
        ended: str,
        end_time: int,
    ) -> None:
        """Have the models that an ended stage left logged, in the background. Raises OSError."""
        left = list(self._left(run, one))
        self._dismiss(one.stage, {model.path for model, _ in left})
        for model, digest in left:
            key = (model.stage, model.path)
            if key in self._running:
                continue
            order: dict[str, Any] = {
                "uri": uri,
                "run_id": run_id,
                "ended": ended,
                "end_time": end_time,
                "run": run.run,
                "output": model.output,
                "path": str(self._root / model.path),
                "digest": digest,
                **self.names(run, model),
                "store": run.store,
                "spool": str(self._spool),
                "alias": self._alias,
                "inputs": [
                    str(self._root / path) for path in (one.fingerprint.inputs if one.fingerprint else ())
                ],
                "parameters": dict(one.parameters),
                "import_roots": [str(self._root / path) for path in model.import_roots],
                "folder": str(self._root / model.folder),
            }
            if one.status == Status.RESTORED and named_again(client, Order(**order)):
                continue
            self._make_room()
            lock = str(self._spool / f"model-{slug_of(one.stage)}.lock")
            self._running[key] = (
                self._expected.pop(key) if key in self._expected else self._started(uri, model)
            )
            _say(self._running[key], json.dumps({**order, "lock": lock}))

    def _dismiss(self, stage: str, left: set[str]) -> None:
        """End what waits for models that the stage did not leave."""
        for key in [one for one in self._expected if one[0] == stage and one[1] not in left]:
            _end(self._expected.pop(key))

    def _make_room(self) -> None:
        """Wait until fewer than AT_ONCE log at the same time."""
        busy = [one for one in self._running.values() if one.poll() is None]
        for process in busy[: max(0, len(busy) - AT_ONCE + 1)]:
            _ended_well(process)

    def _left(self, run: RunLog, one: StageLog) -> Iterator[tuple[ModelLog, str]]:
        digests = {output.path: output.digest for output in one.outputs}
        for model in run.models:
            if model.stage == one.stage and model.path in digests:
                yield model, digests[model.path]

    def names(self, run: RunLog, model: ModelLog) -> Mapping[str, Value]:
        """Say what a model is registered as: as settings say; else as the pipeline if it has one alone.

        A model keeps the name that it has in the registry, so that a second one does not rename it: `names`
        are those that it may have there.
        """
        stage, bracket, axes = model.stage.partition("[")
        source = f"{stage}.{model.output}"
        instance = f"-{axes.removesuffix(']')}" if bracket else ""
        given = self._names.get(source)
        both = [
            _fit(f"{one}{instance}") for one in (self._project, f"{self._project}-{stage}-{model.output}")
        ]
        only = len({(one.stage.partition("[")[0], one.output) for one in run.models}) == 1
        name = _fit(f"{given}{instance}") if given else both[0] if only else both[1]
        return {"name": name, "names": [] if given else both, "source": f"{model.stage}.{model.output}"}

    def _started(self, uri: str, model: ModelLog) -> subprocess.Popen[str]:
        self._spool.mkdir(parents=True, exist_ok=True)
        command = [sys.executable, "-P", "-m", "nbpipeline.trackers.mlflow_model", uri]
        command.append(str(self._root / model.notebook))
        with (self._spool / _LOG).open("ab") as log:
            return subprocess.Popen(  # noqa: S603 - this Python, and our own words
                command, stdin=subprocess.PIPE, stdout=log, stderr=log, text=True
            )

    def wait(self) -> None:
        """Wait until all are logged. Raises RuntimeError where one could not be: it is tried again later."""
        for process in self._expected.values():  # of stages that left no model
            _end(process)
        self._expected.clear()
        failed = [f"{path} ({stage})" for (stage, path), one in self._running.items() if not _ended_well(one)]
        self._running.clear()
        if failed:
            log = self._spool / _LOG
            raise RuntimeError(f"models not logged: {', '.join(failed)}: {_last_line(log)} (see {log})")


def _fit(name: str) -> str:
    """Leave out what MLflow does not take in a name, and what would end it in a query."""
    return "".join("-" if one in "/:'`" else one for one in name)


def _say(process: subprocess.Popen[str], text: str) -> None:
    if process.stdin is not None:
        with suppress(OSError), process.stdin:  # one that has ended said why in its log
            process.stdin.write(text)


def _ended_well(process: subprocess.Popen[str]) -> bool:
    try:
        return process.wait(PATIENCE) == 0
    except subprocess.TimeoutExpired:
        _end(process)
        return False


def _end(process: subprocess.Popen[str]) -> None:
    """End one that has nothing to do, or hangs; the database was made before it began."""
    process.kill()
    process.wait()
    if process.stdin is not None:
        process.stdin.close()


def _last_line(log: Path) -> str:
    with suppress(OSError):
        lines = log.read_text(encoding="utf-8", errors="replace").strip().splitlines()
        return lines[-1][:300] if lines else ""
    return ""
