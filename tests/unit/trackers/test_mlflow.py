"""What MLflow's tracker does that others do not: live runs, what notebooks log, databases in odd states."""

import sqlite3
import subprocess
import sys
from contextlib import closing
from dataclasses import replace

import pytest

pytest.importorskip("mlflow")
from mlflow.tracking import MlflowClient
from mlflow_database import put_database
from tracked import Mlflow

from nbpipeline.model.told import CellLog, Commit, RunLog, StageLog
from nbpipeline.trackers import mlflow as tracker
from nbpipeline.trackers import mlflow_client
from nbpipeline.trackers.mlflow_client import connected


@pytest.fixture
def opened(tmp_path):
    put_database(tmp_path / "mlflow.db")

    def opening(uri="sqlite:///mlflow.db"):
        return tracker.open_tracker({"uri": uri}, tmp_path, "flights", tmp_path / "spool")

    return opening


@pytest.fixture
def ended(tmp_path) -> RunLog:
    for name in ("attempt-1.ipynb", "log"):
        (tmp_path / name).write_text("{}")
    train = StageLog(
        stage="train",
        started=1001.0,
        finished=1010.0,
        status="succeeded",
        attempts=1,
        parameters={"C": 0.5, "names": ["a", "b"], "none": None},
        cells=(CellLog(cell=2, finished=1002.0, seconds=0.5), CellLog(cell=4, finished=1003.0, seconds=1.5)),
        files={"notebook": str(tmp_path / "attempt-1.ipynb"), "log": str(tmp_path / "log")},
    )
    return RunLog(
        run="r1",
        root=str(tmp_path),
        project="flights",
        started=1000.0,
        finished=1013.0,
        status="succeeded",
        stages=(train,),
    )


def seen(tmp_path):
    return Mlflow(tmp_path).runs()


def test_a_run_is_seen_while_it_goes_on(opened, ended, tmp_path):
    begun = replace(ended.stages[0], cells=ended.stages[0].cells[:1], finished=None, status="")
    with opened() as one:
        one.send(replace(ended, stages=(begun,), finished=None, status=""))
        found = seen(tmp_path)
        assert (found[""]["status"], found["train"]["status"]) == ("running", "running")
        assert found["train"]["cells"] == [(2, 0.5)]
        one.send(ended)
    assert seen(tmp_path)["train"]["cells"] == [(2, 0.5), (4, 1.5)]


def test_the_whole_run_has_its_stages_metrics_to_be_compared_by(opened, ended, tmp_path):
    north = replace(
        ended.stages[0], stage="fit[region=north,year=2013]", metrics={"auc": 0.75, "note": "odd"}
    )
    train = replace(ended.stages[0], metrics={"auc": 0.5})
    with opened() as one:
        one.send(replace(ended, stages=(train, north)))
    found = seen(tmp_path)[""]["metrics"]
    own = {name: value for name, value in found.items() if not name.startswith("nbpipeline.")}
    assert own == {"train.auc": 0.5, "fit region:north year:2013.auc": 0.75}


def test_what_a_notebook_logs_itself_lands_in_its_stage_s_run(opened, ended, tmp_path):
    with opened() as one:
        one.send(replace(ended, stages=(), finished=None, status=""))
        given = one.environment(ended, "train")
        MlflowClient(given["MLFLOW_TRACKING_URI"]).log_metric(given["MLFLOW_RUN_ID"], "own", 4.0)
        one.send(ended)
    assert seen(tmp_path)["train"]["metrics"]["own"] == 4.0


def test_the_commit_is_told_also_where_git_answers_late(opened, ended, tmp_path):
    begun = replace(ended.stages[0], finished=None, status="")
    with opened() as one:
        one.send(replace(ended, stages=(begun,), finished=None, status=""))
        one.send(replace(ended, commit=Commit(id="c0ffee", dirty=True)))
    (first, second) = MlflowClient(f"sqlite:///{tmp_path}/mlflow.db").search_runs(["1"])
    for found in (first, second):
        about = found.data.tags
        assert (about["mlflow.source.git.commit"], about["nbpipeline.git_dirty"]) == ("c0ffee", "true")


def test_a_notebook_may_log_its_parameters_itself(opened, ended, tmp_path):
    with opened() as one:
        given = one.environment(ended, "train")
        client = MlflowClient(given["MLFLOW_TRACKING_URI"])
        client.log_param(given["MLFLOW_RUN_ID"], "names", ["a", "b"])
        client.log_param(given["MLFLOW_RUN_ID"], "C", "another")
        one.send(ended)
        client.log_param(given["MLFLOW_RUN_ID"], "none", None)
    found = seen(tmp_path)["train"]
    assert found["params"]["C"] == "another"
    assert '"nbpipeline.parameter.C": "0.5"' in found["words"]


def test_what_it_logs_while_the_system_is_down_is_brought_over(opened, ended, tmp_path):
    with opened("http://127.0.0.1:9") as one:
        given = one.environment(ended, "train")
    client = MlflowClient(given["MLFLOW_TRACKING_URI"])
    client.log_metric(given["MLFLOW_RUN_ID"], "own", 4.0, step=1)
    client.log_metric(given["MLFLOW_RUN_ID"], "own", 5.0, step=2)
    client.set_tag(given["MLFLOW_RUN_ID"], "mine", "yes")
    (tmp_path / "plot.txt").write_text("a plot")
    client.log_artifact(given["MLFLOW_RUN_ID"], str(tmp_path / "plot.txt"), artifact_path="plots")
    for _ in range(2):
        with opened() as one:
            one.send(ended)
    found = seen(tmp_path)["train"]
    assert found["metrics"]["own"] == 5.0
    assert '"mine": "yes"' in found["words"]
    assert found["files"] == ["attempt-1.ipynb", "log", "plots"]
    assert found["status"] == "good"


def test_runs_that_a_notebook_begins_itself_while_the_system_is_down_are_brought_over(
    opened, ended, tmp_path
):
    with opened("http://127.0.0.1:9") as one:
        given = one.environment(ended, "train")
    client = MlflowClient(given["MLFLOW_TRACKING_URI"])
    second = client.create_run(given["MLFLOW_EXPERIMENT_ID"], start_time=2_000, run_name="second").info.run_id
    client.log_metric(second, "late", 7.0)
    client.set_terminated(second, "FINISHED", end_time=3_000)
    tags = {"mlflow.parentRunId": second, "mine": "yes"}
    client.create_run(given["MLFLOW_EXPERIMENT_ID"], start_time=2_500, run_name="nested", tags=tags)
    for _ in range(2):
        with opened() as one:
            one.send(ended)
    there = MlflowClient(f"sqlite:///{tmp_path}/mlflow.db")
    held = there.search_runs([there.get_experiment_by_name("flights").experiment_id])
    (again,) = (one for one in held if one.info.run_name == "second")
    (below,) = (one for one in held if one.info.run_name == "nested")
    assert len(held) == 4
    assert again.data.metrics == {"late": 7.0}
    assert (again.info.status, again.info.start_time, again.info.end_time) == ("FINISHED", 2_000, 3_000)
    assert again.data.tags["nbpipeline.run"] == "r1"
    assert (below.data.tags["mlflow.parentRunId"], below.data.tags["mine"]) == (again.info.run_id, "yes")
    assert below.info.status == "KILLED", "it was not ended"


@pytest.mark.heavy
def test_ten_thousand_metrics_of_a_cell(opened, ended, tmp_path):
    many = {f"m{number}": float(number) for number in range(10_000)}
    with opened() as one:
        one.send(replace(ended, stages=(replace(ended.stages[0], metrics=many),)))
    metrics = seen(tmp_path)["train"]["metrics"]
    assert (metrics["m0"], metrics["m9999"], len(metrics)) == (0.0, 9999.0, 10_000 + 3)


def older(uri: str) -> str:
    """Make a database as an MLflow made it that did not know of the newest migration; gives its revision."""
    from alembic import command
    from alembic.script import ScriptDirectory
    from mlflow.store.db.utils import _get_alembic_config, create_sqlalchemy_engine
    from mlflow.store.tracking.dbmodels.initial_models import Base

    config = _get_alembic_config(uri)
    scripts = ScriptDirectory.from_config(config)
    before = scripts.get_revision(scripts.get_current_head()).down_revision
    engine = create_sqlalchemy_engine(uri)
    Base.metadata.create_all(engine)
    with engine.begin() as connection:
        config.attributes["connection"] = connection
        command.upgrade(config, before)
    engine.dispose()
    return before


def revision(file) -> str:
    with closing(sqlite3.connect(file)) as database:
        return database.execute("SELECT version_num FROM alembic_version").fetchone()[0]


def test_a_database_of_an_older_mlflow_is_refused_with_the_line_that_upgrades_it(opened, ended, tmp_path):
    file = tmp_path / "mlflow.db"
    file.unlink()
    before = older(f"sqlite:///{file}")
    with opened() as one, pytest.raises(OSError, match="older MLflow") as caught:
        one.send(ended)
    assert str(caught.value) == (
        f"{file} was made by an older MLflow; keep a copy of it, then run `mlflow db upgrade sqlite:///{file}`"
    )
    assert revision(file) == before
    subprocess.run([sys.executable, "-m", "mlflow", "db", "upgrade", f"sqlite:///{file}"], check=True)
    with opened() as one:
        one.send(ended)
    assert seen(tmp_path)["train"]["status"] == "good"


def test_a_database_of_a_newer_mlflow_is_refused(opened, ended, tmp_path):
    file = tmp_path / "mlflow.db"
    connected(f"sqlite:///{file}")
    with closing(sqlite3.connect(file)) as database, database:
        database.execute("UPDATE alembic_version SET version_num = 'of-tomorrow'")
    with opened() as one, pytest.raises(OSError, match="newer MLflow"):
        one.send(ended)


def test_a_locked_database_is_sent_later(opened, ended, tmp_path, monkeypatch):
    monkeypatch.setattr(mlflow_client, "BUSY", 0.1)
    connected(f"sqlite:///{tmp_path / 'mlflow.db'}")
    with closing(sqlite3.connect(tmp_path / "mlflow.db", isolation_level=None)) as holder:
        holder.execute("BEGIN EXCLUSIVE")
        with opened() as one, pytest.raises(Exception, match="database is locked"):
            one.send(ended)
        holder.execute("ROLLBACK")
    with opened() as one:
        one.send(ended)
    assert seen(tmp_path)["train"]["status"] == "good"


MAKE = """
import sys
from nbpipeline.trackers.mlflow_client import connected, experiment_id
sys.stdin.readline()
print(experiment_id(connected(sys.argv[1]), "flights", None))
"""


@pytest.mark.heavy
def test_several_make_the_database_at_once(tmp_path):
    uri = f"sqlite:///{tmp_path / 'mlflow.db'}"
    command = [sys.executable, "-c", MAKE, uri]
    makers = [
        subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) for _ in range(3)
    ]
    for one in makers:
        one.stdin.write("go\n")
        one.stdin.flush()
    told = [one.communicate(timeout=120)[0].strip() for one in makers]
    assert ([one.returncode for one in makers], len(set(told))) == ([0, 0, 0], 1)
