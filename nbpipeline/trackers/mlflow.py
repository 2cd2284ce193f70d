"""MLflow: a run is a parent run there, each of its stage instances a child run.

All that is sent may be sent again: runs are found by their tags, and what a run holds already stays single
(parameters and tags by name, metrics by name, time, step and value, artifacts by path).
Written against MLflow 3.17, https://mlflow.org/docs/latest/api_reference/python_api/mlflow.client.html.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from importlib.util import find_spec
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Self

from nbpipeline.location import is_url
from nbpipeline.model import Value, slug_of
from nbpipeline.model.told import RunLog, StageLog
from nbpipeline.patterns import regex
from nbpipeline.plugins import missing_library
from nbpipeline.trackers.mlflow_client import (
    absolute,
    connected,
    copy_run,
    experiment_id,
    file_of,
    log,
    made_again,
    variables,
)
from nbpipeline.trackers.mlflow_models import ALIAS, Models
from nbpipeline.trackers.mlflow_values import (
    LONGEST_VALUE,
    cell_metrics,
    end_metrics,
    inputs,
    metric_name,
    metrics,
    milliseconds,
    outputs,
    revision,
    tags,
)
from nbpipeline.trackers.settings import wrong

if TYPE_CHECKING:
    from mlflow.entities import Metric
    from mlflow.tracking import MlflowClient

JOINED_BY = frozenset({"mlflow"})
"""Modules whose calls in a notebook land in its stage's own run."""
CHOOSES: Mapping[str, tuple[str, ...]] = {
    "set_experiment": ("MLFLOW_RUN_ID", "MLFLOW_EXPERIMENT_ID"),
    "set_tracking_uri": ("MLFLOW_RUN_ID", "MLFLOW_EXPERIMENT_ID", "MLFLOW_TRACKING_URI"),
}
"""Calls by which a notebook says where it logs, and the variables with which MLflow would refuse them."""
KEYS = ("uri", "experiment", "artifacts", "models", "alias")
DEFAULT_URI = "sqlite:///mlflow.db"
PARENT, RUN, STAGE, SLUG = "mlflow.parentRunId", "nbpipeline.run", "nbpipeline.stage", "nbpipeline.slug"
WHOLE = "-"
"""Stands in the slug's tag of a parent run."""
SPOOL = "mlflow-spool.db"
_ALIAS = r"(?!latest$|[vV]\d+$)[\w-]+"
_BY_NAME = ("databricks", "databricks-uc")
"""Servers that MLflow knows without an address."""

_ENDED = {"succeeded": "FINISHED", "restored": "FINISHED", "fresh": "FINISHED", "interrupted": "KILLED"}
_ENDED |= {"cancelled": "KILLED"}
_SETTINGS = {
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "GIT_PYTHON_REFRESH": "quiet",
    "MLFLOW_LOGGING_LEVEL": "WARNING",
    "MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT": "true",
    "MLFLOW_HTTP_REQUEST_TIMEOUT": "5",
    "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "0",
}
"""Of MLflow's client, in the tracker's own process: a server that does not answer is asked again later."""


def require() -> None:
    """Raise MissingPluginError where MLflow is not installed."""
    if find_spec("mlflow") is None:
        raise missing_library("mlflow", "tracker 'mlflow'")


def complaints(settings: Mapping[str, Value]) -> Iterator[tuple[str, str]]:
    """Give what is wrong with `tracking: {mlflow: ...}`, and the mend."""
    yield from wrong({key: one for key, one in settings.items() if key != "models"}, KEYS)
    if "models" in settings:
        yield from _model_complaints(settings["models"])
    alias = settings.get("alias", ALIAS)
    if isinstance(alias, str) and alias.strip() and not regex(_ALIAS).fullmatch(alias):
        yield (
            f"alias: MLflow takes no {alias!r}.",
            f"take a word other than 'latest' and 'v1', such as '{ALIAS}'",
        )
    uri = settings.get("uri", DEFAULT_URI)
    if isinstance(uri, str) and uri.strip() and "://" not in uri and uri not in _BY_NAME:
        yield (
            f"uri: MLflow takes no folder such as {uri!r}.",
            f"name a database (`{DEFAULT_URI}`) or a server (`http://127.0.0.1:5000`)",
        )


def _model_complaints(names: Value) -> Iterator[tuple[str, str]]:
    mend = "map outputs to names: `models: {train.model: delays}`"
    if not isinstance(names, Mapping):
        yield f"models: {names!r} is no mapping.", mend
        return
    for output, name in names.items():
        if output.count(".") != 1 or not isinstance(name, str) or not name.strip():
            yield f"models: {output}: {name!r} names no STAGE.OUTPUT and its model.", mend


def files(settings: Mapping[str, Value], root: Path) -> tuple[str, ...]:
    """Give how the paths begin of what a kernel's MLflow writes: a database, its journal, artifacts."""
    file = file_of(absolute(str(settings.get("uri", DEFAULT_URI)), root))
    artifacts = str(settings.get("artifacts", "mlruns"))
    found = [str(file), str(file.with_name(f".{file.name}"))] if file else []
    return (*found, *([] if is_url(artifacts) else [f"{root / artifacts}/"]))


def untracked(folder: Path) -> Mapping[str, str]:
    """Give the variables by which a kernel of a run that nobody is told of writes there.

    Plain files: a database would take some seconds to be made in each kernel.
    """
    return {"MLFLOW_TRACKING_URI": (folder / "mlflow").as_uri(), "MLFLOW_ALLOW_FILE_STORE": "true"}


class MlflowTracker:
    """One tracking database or server, for the runs of one project."""

    def __init__(self, settings: Mapping[str, Value], root: Path, project: str, spool: Path) -> None:
        """Open nothing yet; `spool` is a folder for what a server that is down cannot take."""
        self._uri = absolute(str(settings.get("uri", DEFAULT_URI)), root)
        self._experiment = str(settings.get("experiment", project))
        self._artifacts = settings.get("artifacts")
        self._root = root
        self._spool = spool
        self._client: MlflowClient | None = None
        self._experiment_id = ""
        self._runs: dict[str, str] = {}
        """MLflow's ids, by the slugs of stages; of the parent by WHOLE."""
        self._without_commit: set[str] = set()
        """Slugs of those that were made when git had not answered yet."""
        self._sent: dict[str, StageLog] = {}
        self._models = Models(settings, project, root, spool)

    def __enter__(self) -> Self:
        """Keep MLflow quiet, and its waits short."""
        for name, value in _SETTINGS.items():
            os.environ.setdefault(name, value)
        import mlflow.tracking  # noqa: F401, PLC0415 - it costs seconds: for the tracker's process alone

        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Nothing is held open."""

    def environment(self, run: RunLog, stage: str) -> Mapping[str, str]:
        """Give the variables by which a kernel's MLflow joins the stage's own run.

        Where the server does not answer, it is one in a database beside; `send` brings over what it holds.
        """
        try:
            run_id = self._run_of(run, stage)
            self._connected().get_run(run_id)  # whoever answered before may be down by now
            return variables(self._uri, self._experiment_id, run_id)
        except Exception:  # noqa: BLE001 - whatever MLflow and its libraries raise: the notebook shall run
            client, uri, experiment = self._open_spool()
            made = client.create_run(experiment, tags={SLUG: slug_of(stage), STAGE: stage}, run_name=stage)
            return variables(uri, experiment, made.info.run_id)

    def send(self, run: RunLog) -> None:
        """Bring MLflow up to date with the run. Raises what its client does; it may then be sent again."""
        parent = self._run_of(run, "")
        for one in run.stages:
            before = self._sent.get(one.stage)
            if before != one:
                self._send_stage(run, one, before)
                self._sent[one.stage] = one
        if run.finished is not None:
            self._bring_over(run)
            for one in (one for one in run.stages if one.finished is None):  # the run was killed
                stopped = milliseconds(run.finished)
                self._connected().set_terminated(self._run_of(run, one.stage), "KILLED", end_time=stopped)
            self._end(parent, run)
            try:
                self._models.wait()
            except RuntimeError:
                self._sent.clear()  # so that they are tried once more
                raise

    # --- where -----------------------------------------------------------------------------------

    def _connected(self) -> MlflowClient:
        if self._client is None:
            client = connected(self._uri)
            self._experiment_id = experiment_id(client, self._experiment, self._location())
            self._client = client
        return self._client

    def _location(self) -> str | None:
        """Say where artifacts go; MLflow would take a folder where its database happens to be opened from."""
        if self._artifacts is not None:
            given = str(self._artifacts)
            return given if is_url(given) else (self._root / given).as_uri()
        return None if self._uri.startswith("http") else (self._root / "mlruns").as_uri()

    def _open_spool(self) -> tuple[MlflowClient, str, str]:
        self._spool.mkdir(parents=True, exist_ok=True)
        uri = f"sqlite:///{self._spool / SPOOL}"
        client = connected(uri)
        return client, uri, experiment_id(client, "spool", (self._spool / "mlflow-artifacts").as_uri())

    def _run_of(self, run: RunLog, stage: str) -> str:
        """Give the id of the run that stands for a stage ("": for all), made where there is none."""
        slug = slug_of(stage) if stage else WHOLE
        if slug not in self._runs:
            client = self._connected()
            query = f"tags.`{RUN}` = '{run.run}' AND tags.`{SLUG}` = '{slug}'"
            found = client.search_runs([self._experiment_id], query, max_results=1)
            self._runs[slug] = found[0].info.run_id if found else self._created(client, run, stage, slug)
        return self._runs[slug]

    def _created(self, client: MlflowClient, run: RunLog, stage: str, slug: str) -> str:
        tags = {
            RUN: run.run,
            SLUG: slug,
            "mlflow.source.type": "JOB",
            "mlflow.source.name": run.command or run.project,
        }
        tags |= revision(run)
        if run.commit is None:
            self._without_commit.add(slug)
        if stage:
            tags |= {PARENT: self._run_of(run, ""), STAGE: stage}
        started = next((one.started for one in run.stages if one.stage == stage and one.started), run.started)
        name = f"{stage} {run.run}" if stage else run.run
        made = client.create_run(
            self._experiment_id, start_time=milliseconds(started), tags=tags, run_name=name
        )
        return str(made.info.run_id)

    # --- what ------------------------------------------------------------------------------------

    def _send_stage(self, run: RunLog, one: StageLog, before: StageLog | None) -> None:
        client, run_id = self._connected(), self._run_of(run, one.stage)
        known = before.cells if before and before.attempts == one.attempts else ()
        new = cell_metrics(one.cells[len(known) :])
        parameters = {} if before else one.parameters
        if one.finished is None:
            if one.action == "run":
                self._models.expect(run, one.stage, self._uri)
            log(client, run_id, new, parameters)
            return
        ended, end_time = _ENDED.get(one.status, "FAILED"), milliseconds(one.finished)
        # First, since it takes longest; it sets the status again when it has logged the model.
        self._models.log(client, run, one, uri=self._uri, run_id=run_id, ended=ended, end_time=end_time)
        log(client, run_id, [*new, *end_metrics(one, one.finished)], parameters)
        for key, value in {**tags(one), **self._late_commit(run, slug_of(one.stage))}.items():
            client.set_tag(run_id, key, value[:LONGEST_VALUE])
        datasets = [*inputs(one, self._root), *outputs(one, self._root)]
        if datasets:
            client.log_inputs(run_id, datasets=datasets)
        for path in one.files.values():
            client.log_artifact(run_id, path)
        client.set_terminated(run_id, ended, end_time=end_time)

    def _late_commit(self, run: RunLog, slug: str) -> Mapping[str, str]:
        """Give the commit of a run that was made there before git had answered."""
        return revision(run) if slug in self._without_commit else {}

    def _end(self, parent: str, run: RunLog) -> None:
        client = self._connected()
        numbers = {"nbpipeline.seconds": run.seconds, "nbpipeline.fresh": run.fresh}
        numbers |= {f"nbpipeline.{status}": count for status, count in run.counts.items()}
        log(client, parent, [*metrics(numbers, run.finished or run.started), *_of_stages(run)], {})
        for key, value in {"nbpipeline.status": run.status, **self._late_commit(run, WHOLE)}.items():
            client.set_tag(parent, key, value)
        if Path(run.plan).is_file():
            client.log_artifact(parent, run.plan)
        ended = _ENDED.get(run.status, "FAILED")
        client.set_terminated(parent, ended, end_time=milliseconds(run.finished or run.started))

    def _bring_over(self, run: RunLog) -> None:
        """Take over what notebooks logged while the server was down, into runs that they began, too."""
        if not (self._spool / SPOOL).exists():
            return
        spool, _, experiment = self._open_spool()
        client = self._connected()
        known = {slug_of(one.stage): one for one in run.stages}
        brought: dict[str, str] = {}
        held = spool.search_runs([experiment], max_results=50_000, order_by=["attributes.start_time ASC"])
        for one in held:
            stage = known.get(one.data.tags.get(SLUG, ""))
            if stage is not None:
                brought[one.info.run_id] = self._run_of(run, stage.stage)
            elif SLUG not in one.data.tags:
                tags = {RUN: run.run}
                if PARENT in one.data.tags:  # which is older, so it was brought over before
                    tags[PARENT] = brought.get(one.data.tags[PARENT], one.data.tags[PARENT])
                brought[one.info.run_id] = made_again(client, one, self._experiment_id, tags)
        for one in held:
            if one.info.run_id in brought:
                copy_run(spool, one.info.run_id, client, brought[one.info.run_id], self._spool)
                if SLUG not in one.data.tags:
                    ended = one.info.status if one.info.status != "RUNNING" else "KILLED"
                    client.set_terminated(brought[one.info.run_id], ended, end_time=one.info.end_time)


def _of_stages(run: RunLog) -> Iterator[Metric]:
    """Give the stages' own metrics as `STAGE.METRIC`, by which whole runs are compared."""
    for one in run.stages:
        named = {f"{metric_name(one.stage)}.{name}": value for name, value in one.metrics.items()}
        yield from metrics(named, one.finished or run.finished or run.started)


def open_tracker(settings: Mapping[str, Value], root: Path, project: str, spool: Path) -> MlflowTracker:
    """Make the tracker of a project; it opens nothing before it is asked."""
    return MlflowTracker(settings, root, project, spool)
