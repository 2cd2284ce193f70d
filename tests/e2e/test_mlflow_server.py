"""Runs that are told to a real MLflow server, also after it was down for one of them."""

from typing import Any

import pytest
from builders import code, command, header, write_notebook

pytest.importorskip("mlflow")
from mlflow.tracking import MlflowClient
from mlflow_database import put_database
from mlflow_serving import free_port, mlflow_serving

pytestmark = [pytest.mark.nightly, pytest.mark.timeout(900)]


@pytest.fixture
def root(tmp_path):
    root = tmp_path / "project"
    write_notebook(
        root / "notebooks/train.ipynb",
        header("outputs: {model: {path: ../models/m.joblib, kind: model}}"),
        code("slope = 2.0", "parameters"),
        code("model = '../models/m.joblib'", "outputs"),
        code(
            "import joblib, mlflow\n"
            "from sklearn.linear_model import LinearRegression\n"
            "fitted = LinearRegression().fit([[0.0], [1.0]], [0.0, slope])\n"
            "joblib.dump(fitted, model)\n"
            "mlflow.log_metric('own', slope)"
        ),
        code("coefficient = round(float(fitted.coef_[0]), 6)", "metrics"),
    )
    return root


def stages(address: str) -> dict[str, dict[str, Any]]:
    """What the server holds of the stage in each run: metrics, artifacts, what became of the model."""
    client = MlflowClient(address)
    experiment = client.get_experiment_by_name("flights").experiment_id
    return {
        one.data.tags["nbpipeline.run"]: {
            "status": one.info.status,
            "metrics": {name: one.data.metrics.get(name) for name in ("own", "coefficient")},
            "files": {found.path for found in client.list_artifacts(one.info.run_id)},
            "model": one.data.tags.get("nbpipeline.model.model"),
        }
        for one in client.search_runs([experiment], "tags.`nbpipeline.stage` = 'train'")
    }


def test_a_server_is_told_of_runs_also_of_those_that_it_missed(root, tmp_path):
    port, place = free_port(), tmp_path / "server"
    put_database(place / "mlflow.db")
    options = ("--backend-store-uri", f"sqlite:///{place}/mlflow.db", "--artifacts-destination", str(place))
    (root / "pipeline.yaml").write_text(
        f'name: flights\ntracking: {{mlflow: {{uri: "http://127.0.0.1:{port}"}}}}\n'
    )
    with mlflow_serving("server", *options, cwd=place, port=port) as address:
        done = command("run", cwd=root)
        assert done.returncode == 0, done.stdout + done.stderr
        command("runs", "--sync", cwd=root)
        (first,) = stages(address).values()
    assert first == {
        "status": "FINISHED",
        "metrics": {"own": 2.0, "coefficient": 2.0},
        "files": {"attempt-1.ipynb", "attempt-1.html", "log"},
        "model": "flights version 1",
    }

    done = command("run", "-p", "slope=3", cwd=root)  # nobody listens there now
    assert done.returncode == 0, done.stdout + done.stderr
    assert "mlflow: not sent yet" in done.stdout + done.stderr
    with mlflow_serving("server", *options, cwd=place, port=port) as address:
        synced = command("runs", "--sync", cwd=root)
        assert "sent to mlflow" in synced.stdout + synced.stderr
        told = stages(address)
    assert len(told) == 2
    (second,) = (one for one in told.values() if one != first)
    assert second == {**first, "metrics": {"own": 3.0, "coefficient": 3.0}, "model": "flights version 2"}
