"""Notebooks that say themselves where they log to MLflow: they run as by hand, and what they log is there."""

from pathlib import Path

import pytest
from builders import code, command, header, write_files, write_notebook
from mlflow.tracking import MlflowClient


def stage(root: Path, name: str, source: str) -> None:
    write_notebook(
        root / f"notebooks/{name}.ipynb",
        header(f"outputs: {{o: ../{name}.txt}}"),
        code(source),
        code("open(o, 'w').write('x')"),
    )


@pytest.mark.nightly
def test_a_notebook_may_say_where_it_logs(root: Path) -> None:
    write_files(root, {"pipeline.yaml": "name: flights\ntracking: {mlflow: {}}\n"})
    begin = "with mlflow.start_run():\n    mlflow.log_metric('x', 1)\n"
    stage(root, "named", f"import mlflow\nmlflow.set_experiment('of my own')\n{begin}")
    stage(root, "elsewhere", f"import mlflow\nmlflow.set_tracking_uri('sqlite:///../other.db')\n{begin}")
    stage(root, "joined", f"import mlflow\n# mlflow.set_experiment('not this')\n{begin}")
    done = command("run", "--keep-going", cwd=root)
    assert done.returncode == 0, done.stderr
    assert "named: the notebook says where it logs (set_experiment)" in done.stderr
    assert "elsewhere: the notebook says where it logs (set_tracking_uri)" in done.stderr
    assert "joined: the notebook says" not in done.stderr
    assert command("runs", "--sync", cwd=root).returncode == 0
    ours = MlflowClient(f"sqlite:///{root}/mlflow.db")
    named = ours.get_experiment_by_name("of my own")
    assert [one.data.metrics for one in ours.search_runs([named.experiment_id])] == [{"x": 1.0}]
    flights = ours.get_experiment_by_name("flights")
    runs = {
        one.data.tags.get("nbpipeline.stage"): one.data.metrics
        for one in ours.search_runs([flights.experiment_id])
    }
    assert (runs["joined"]["x"], "x" in runs["named"], "x" in runs["elsewhere"]) == (1.0, False, False)
    other = MlflowClient(f"sqlite:///{root}/other.db")
    assert [one.data.metrics for one in other.search_runs(["0"])] == [{"x": 1.0}]
