"""MLflow's client, opened so that it neither blocks nor spoils a database."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from nbpipeline.trackers.locks import lock_of
from nbpipeline.trackers.mlflow_values import text

if TYPE_CHECKING:
    from alembic.script import ScriptDirectory
    from mlflow.entities import Metric, Param, Run
    from mlflow.tracking import MlflowClient

    from nbpipeline.model import Value

_BATCH_METRICS, _BATCH_PARAMS = 1000, 100
"""What one request may hold at most, by MLflow's own limits."""
HELD = "nbpipeline.held_as"
"""Tag of a run that was made again: its id in the database that held it."""
_OWN_TAGS = frozenset({"mlflow.user", "mlflow.source.name", "mlflow.source.type", "mlflow.note.content"})
BUSY = 5.0
"""Seconds that a database may be locked by another process before it is told of the run later."""


def absolute(uri: str, root: Path) -> str:
    """Give a database's URI with a path from the root; MLflow would take it from where it is called."""
    scheme, found, path = uri.partition(":///")
    if not found or not scheme.startswith("sqlite") or path.startswith("/"):
        return uri
    return f"{scheme}:///{root / path}"


def file_of(uri: str) -> Path | None:
    """Give the file of an SQLite database; None of anything else."""
    scheme, _, path = uri.partition(":///")
    return Path(path.partition("?")[0]) if scheme.startswith("sqlite") else None


def _refuse_unusable(file: Path, uri: str) -> None:
    """Raise OSError or sqlite3.Error for what is no database; MLflow would try it for half a minute.

    Also for one that an older MLflow made: it might be changed by being opened, with nobody having a copy.
    """
    with closing(sqlite3.connect(file, timeout=BUSY)) as opened:
        tables = {name for (name,) in opened.execute("SELECT name FROM sqlite_master WHERE type = 'table'")}
        held = (
            opened.execute("SELECT version_num FROM alembic_version") if "alembic_version" in tables else ()
        )
        revisions = {str(one) for (one,) in held}
    if not revisions:
        return
    scripts = _migrations()
    if revisions <= set(scripts.get_heads()):
        return
    if revisions <= {one.revision for one in scripts.walk_revisions()}:
        text = f"{file} was made by an older MLflow; keep a copy of it, then run `mlflow db upgrade {uri}`"
    else:
        text = f"{file} was made by a newer MLflow than is installed; run `pip install --upgrade mlflow`"
    raise OSError(text)


def _migrations() -> ScriptDirectory:
    from alembic.script import ScriptDirectory  # noqa: PLC0415 - as in `connected`
    from mlflow.store import db_migrations  # noqa: PLC0415 - as above

    return ScriptDirectory(str(Path(db_migrations.__file__).parent))


def connected(uri: str) -> MlflowClient:
    """Open a client; of a database, one process at a time makes or migrates the tables."""
    from mlflow.tracking import MlflowClient  # noqa: PLC0415 - it costs seconds: for the tracker's process alone

    with _alone(uri):
        client = MlflowClient(uri)
        client.search_experiments(max_results=1)  # a server is asked here; a database was made by now
    return client


@contextmanager
def _alone(uri: str) -> Iterator[None]:
    """Hold a lock for a database's file: several that make its tables at once spoil it."""
    file = file_of(uri)
    if file is None:
        yield
        return
    from filelock import FileLock  # noqa: PLC0415 - as above

    file.parent.mkdir(parents=True, exist_ok=True)
    with FileLock(lock_of(file), timeout=60):
        _refuse_unusable(file, uri)
        yield


def experiment_id(client: MlflowClient, name: str, location: str | None) -> str:
    """Give the id of the experiment; it is made, or restored where somebody has deleted it."""
    from mlflow.exceptions import MlflowException  # noqa: PLC0415 - as in `connected`

    known = client.get_experiment_by_name(name)
    if known is None:
        try:
            return str(client.create_experiment(name, artifact_location=location))
        except MlflowException:  # another run has made it meanwhile, or it cannot be made
            known = client.get_experiment_by_name(name)
            if known is None:
                raise
    if known.lifecycle_stage == "deleted":
        client.restore_experiment(known.experiment_id)
    return str(known.experiment_id)


def variables(uri: str, experiment: str, run_id: str) -> Mapping[str, str]:
    """Give what MLflow in another process needs to join a run."""
    return {"MLFLOW_TRACKING_URI": uri, "MLFLOW_EXPERIMENT_ID": experiment, "MLFLOW_RUN_ID": run_id}


def made_again(target: MlflowClient, held: Run, experiment: str, tags: Mapping[str, str]) -> str:
    """Make an empty run for one that another database holds, with further tags, once; gives its id."""
    found = target.search_runs([experiment], f"tags.`{HELD}` = '{held.info.run_id}'", max_results=1)
    if found:
        return str(found[0].info.run_id)
    own = {key: value for key, value in held.data.tags.items() if key in _OWN_TAGS}
    made = target.create_run(
        experiment,
        start_time=held.info.start_time,
        tags={**own, **tags, HELD: held.info.run_id},
        run_name=held.info.run_name,
    )
    return str(made.info.run_id)


def copy_run(source: MlflowClient, held: str, target: MlflowClient, run_id: str, scratch: Path) -> None:
    """Copy metrics with their history, parameters, tags, datasets and artifacts from one run to another."""
    run = source.get_run(held)
    data = run.data
    metrics = [one for key in data.metrics for one in source.get_metric_history(held, key)]
    log(target, run_id, metrics, data.params)
    for key, value in data.tags.items():
        if not key.startswith(("mlflow.", "nbpipeline.")):
            target.set_tag(run_id, key, value)
    if run.inputs is not None and run.inputs.dataset_inputs:
        target.log_inputs(run_id, datasets=run.inputs.dataset_inputs)
    if source.list_artifacts(held):
        own = scratch / held
        own.mkdir(exist_ok=True)
        target.log_artifacts(run_id, source.download_artifacts(held, "", str(own)))


def log(
    client: MlflowClient, run_id: str, metrics: Sequence[Metric], parameters: Mapping[str, Value]
) -> None:
    """Send in as few requests as MLflow takes."""
    from mlflow.entities import Param  # noqa: PLC0415 - as in `connected`
    from mlflow.exceptions import MlflowException  # noqa: PLC0415 - as above

    params = [Param(name, text(value)) for name, value in parameters.items()]
    for start in range(0, len(metrics), _BATCH_METRICS):
        client.log_batch(run_id, metrics=metrics[start : start + _BATCH_METRICS])
    for start in range(0, len(params), _BATCH_PARAMS):
        some = params[start : start + _BATCH_PARAMS]
        try:
            client.log_batch(run_id, params=some)
        except MlflowException as error:
            if error.error_code != "INVALID_PARAMETER_VALUE":
                raise
            _log_apart(client, run_id, some)


def _log_apart(client: MlflowClient, run_id: str, params: Sequence[Param]) -> None:
    """Log parameters one by one; a tag for each of which the notebook has logged another value by itself."""
    from mlflow.exceptions import MlflowException  # noqa: PLC0415 - as above

    for one in params:
        try:
            client.log_batch(run_id, params=[one])
        except MlflowException as error:
            if error.error_code != "INVALID_PARAMETER_VALUE":
                raise
            client.set_tag(run_id, f"nbpipeline.parameter.{one.key}", one.value)
