"""What every tracker must do, whichever system it tells."""

import math
from dataclasses import replace
from typing import Any

import pytest

from nbpipeline import plugins
from nbpipeline.model import Fingerprint, StoredOutput
from nbpipeline.model.told import CellLog, Commit, RunLog, StageLog

pytest.importorskip("mlflow")
from mlflow.tracking import MlflowClient


class Mlflow:
    """Looks into MLflow's database with its own client."""

    name = "mlflow"

    def __init__(self, root) -> None:
        self.wrong = {"url": "sqlite:///mlflow.db"}
        self.settings = {"uri": "sqlite:///mlflow.db"}
        self.broken = {"uri": "http://127.0.0.1:9"}
        self._uri = f"sqlite:///{root}/mlflow.db"

    def runs(self) -> dict[str, dict[str, Any]]:
        client = MlflowClient(self._uri)
        experiments = [one.experiment_id for one in client.search_experiments() if one.name == "flights"]
        return {
            one.data.tags.get("nbpipeline.stage", ""): {
                "status": one.info.status,
                "params": one.data.params,
                "metrics": one.data.metrics,
                "tags": one.data.tags,
                "cells": [
                    (found.step, found.value)
                    for found in client.get_metric_history(one.info.run_id, "nbpipeline.cell_seconds")
                ],
                "data": sorted(
                    (used.dataset.name, used.dataset.digest, used.tags[0].value)
                    for used in one.inputs.dataset_inputs
                ),
                "files": sorted(found.path for found in client.list_artifacts(one.info.run_id)),
            }
            for one in client.search_runs(experiments)
        }


TRACKERS = {"mlflow": Mlflow}


@pytest.fixture(params=TRACKERS)
def system(request, tmp_path):
    return TRACKERS[request.param](tmp_path)


@pytest.fixture
def opened(system, tmp_path):
    """Opens the tracker anew, as another process would."""

    def opening(settings=None):
        module = plugins.load("trackers", system.name)
        return module.open_tracker(settings or system.settings, tmp_path, "flights", tmp_path / "spool")

    return opening


def stage(name="train", **given) -> StageLog:
    return StageLog(**{"stage": name, "started": 1001.0, "attempts": 1, **given})


@pytest.fixture
def ended(tmp_path) -> RunLog:
    """A run of three stages, one of which failed."""
    for name in ("attempt-1.ipynb", "log", "plan.json"):
        (tmp_path / name).write_text("{}")
    good = stage(
        'train[region=it\'s "x"]',
        finished=1010.0,
        status="succeeded",
        seconds=9.0,
        parameters={"C": 0.5, "names": ["a", "b"], "long": "x" * 10_000, "none": None},
        metrics={"auc": 0.75, "loss": math.nan, "label": "good", "curve": [1, 2], "epochs": 3, "ok": True},
        reasons=({"kind": "never_run", "subject": ""},),
        cells=(
            CellLog(cell=2, finished=1002.0, seconds=0.5, peak_memory=10**8),
            CellLog(cell=4, finished=1003.0, seconds=1.5),
        ),
        fingerprint=Fingerprint(code={"cell 2": "ab"}, inputs={"data/in.csv": "f" * 64, "s3://b/x": "etag"}),
        outputs=(StoredOutput(path="models/m.bin", digest="e" * 64, size=5),),
        files={"notebook": str(tmp_path / "attempt-1.ipynb"), "log": str(tmp_path / "log")},
    )
    bad = stage(
        "score",
        finished=1011.0,
        status="failed",
        failure={"kind": "cell", "what": "ZeroDivisionError: no", "mend": "debug"},
    )
    stopped = stage("late", finished=1012.0, status="cancelled")
    return RunLog(
        run="20260101-000000-abcd",
        root=str(tmp_path),
        project="flights",
        started=1000.0,
        finished=1013.0,
        status="failed",
        seconds=13.0,
        command="nbpipeline run",
        fresh=2,
        counts={"succeeded": 1, "failed": 1},
        stages=(good, bad, stopped),
        commit=Commit(id="c0ffee", dirty=False),
        plan=str(tmp_path / "plan.json"),
    )


def test_everything_of_a_run_arrives(system, opened, ended):
    with opened() as tracker:
        tracker.send(ended)
    found = system.runs()
    good = found['train[region=it\'s "x"]']
    assert set(found) == {"", 'train[region=it\'s "x"]', "score", "late"}
    assert (found[""]["status"], good["status"], found["score"]["status"], found["late"]["status"]) == (
        "FAILED",
        "FINISHED",
        "FAILED",
        "KILLED",
    )
    assert good["params"]["C"] == "0.5"
    assert good["params"]["names"] == "['a', 'b']"
    assert good["params"]["none"] == "None"
    assert good["metrics"]["auc"] == 0.75
    assert good["metrics"]["epochs"] == 3.0
    assert good["metrics"]["nbpipeline.peak_memory_mb"] == 100.0
    assert not {"loss", "label", "curve"} & set(good["metrics"])
    assert '"label": "good"' in good["tags"]["nbpipeline.other_metrics"]
    assert good["cells"] == [(2, 0.5), (4, 1.5)]
    assert good["data"] == [
        ("data/in.csv", "f" * 36, "input"),
        ("models/m.bin", "e" * 36, "output"),
        ("s3://b/x", "etag", "input"),
    ]
    assert good["files"] == ["attempt-1.ipynb", "log"]
    assert "ZeroDivisionError" in found["score"]["tags"]["nbpipeline.failure"]
    assert found[""]["tags"]["mlflow.source.git.commit"] == "c0ffee"
    assert found[""]["files"] == ["plan.json"]


def test_sent_again_by_the_same_and_by_another_it_is_there_once(system, opened, ended):
    with opened() as tracker:
        tracker.send(ended)
        first = system.runs()
        tracker.send(ended)
    with opened() as tracker:
        tracker.send(ended)
    assert system.runs() == first


def test_a_run_that_grows_is_brought_up_to_date(system, opened, ended):
    good, *others = ended.stages
    begun = replace(good, cells=good.cells[:1], finished=None, status="", metrics={}, outputs=(), files={})
    with opened() as tracker:
        tracker.send(replace(ended, stages=(begun,), finished=None, status=""))
        found = system.runs()
        assert (found[""]["status"], found[good.stage]["status"]) == ("RUNNING", "RUNNING")
        assert found[good.stage]["cells"] == [(2, 0.5)]
        tracker.send(ended)
    after = system.runs()
    assert after[good.stage]["cells"] == [(2, 0.5), (4, 1.5)]
    assert set(after) == {"", good.stage, *(one.stage for one in others)}


def test_a_system_that_does_not_answer_raises(system, opened, ended):
    with opened(system.broken) as tracker, pytest.raises(Exception, match=r"127\.0\.0\.1"):
        tracker.send(ended)


def test_settings_that_it_does_not_know_are_refused(system):
    module = plugins.load("trackers", system.name)
    module.require()
    assert not [*module.complaints(system.settings)]
    assert [*module.complaints(system.wrong)]


def test_what_a_notebook_logs_itself_lands_in_its_stage_s_run(system, opened, ended):
    name = ended.stages[0].stage
    with opened() as tracker:
        tracker.send(replace(ended, stages=(), finished=None, status=""))
        given = tracker.environment(ended, name)
        MlflowClient(given["MLFLOW_TRACKING_URI"]).log_metric(given["MLFLOW_RUN_ID"], "own", 4.0)
        tracker.send(ended)
    assert system.runs()[name]["metrics"]["own"] == 4.0


def test_a_notebook_may_log_its_parameters_itself(system, opened, ended):
    name = ended.stages[0].stage
    with opened() as tracker:
        given = tracker.environment(ended, name)
        client = MlflowClient(given["MLFLOW_TRACKING_URI"])
        client.log_param(given["MLFLOW_RUN_ID"], "names", ["a", "b"])
        client.log_param(given["MLFLOW_RUN_ID"], "C", "another")
        tracker.send(ended)
        client.log_param(given["MLFLOW_RUN_ID"], "none", None)
    found = system.runs()[name]
    assert (found["params"]["C"], found["tags"]["nbpipeline.parameter.C"]) == ("another", "0.5")
    assert found["params"]["long"] == "x" * 6000


def test_what_it_logs_while_the_system_is_down_is_brought_over(system, opened, ended, tmp_path):
    name = ended.stages[0].stage
    with opened(system.broken) as tracker:
        given = tracker.environment(ended, name)
    client = MlflowClient(given["MLFLOW_TRACKING_URI"])
    client.log_metric(given["MLFLOW_RUN_ID"], "own", 4.0, step=1)
    client.log_metric(given["MLFLOW_RUN_ID"], "own", 5.0, step=2)
    client.set_tag(given["MLFLOW_RUN_ID"], "mine", "yes")
    (tmp_path / "plot.txt").write_text("a plot")
    client.log_artifact(given["MLFLOW_RUN_ID"], str(tmp_path / "plot.txt"), artifact_path="plots")
    for _ in range(2):
        with opened() as tracker:
            tracker.send(ended)
    found = system.runs()[name]
    assert (found["metrics"]["own"], found["tags"]["mine"]) == (5.0, "yes")
    assert found["files"] == ["attempt-1.ipynb", "log", "plots"]
    assert found["status"] == "FINISHED"
