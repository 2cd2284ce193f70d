"""Outputs of `kind: model` in MLflow: what is logged, registered, refused."""

import signal
from dataclasses import replace
from pathlib import Path

import joblib
import pandas as pd
import pytest
from mlflow_database import put_database
from sklearn.linear_model import LogisticRegression

from nbpipeline.content import digest_file, digest_text, tree_listing
from nbpipeline.model import StoredOutput
from nbpipeline.model.told import ModelLog, RunLog, StageLog
from nbpipeline.stores.local import LocalStore
from nbpipeline.trackers.mlflow_model import LOGGED, Order, log_model
from nbpipeline.trackers.mlflow_models import Models

mlflow = pytest.importorskip("mlflow")
pytestmark = pytest.mark.timeout(240)


@pytest.fixture(scope="module")
def uri(tmp_path_factory) -> str:
    return f"sqlite:///{put_database(tmp_path_factory.mktemp('mlflow') / 'mlflow.db')}"


@pytest.fixture
def client(uri):
    return mlflow.MlflowClient(uri)


@pytest.fixture
def order(client, uri, tmp_path) -> Order:
    """A model of two features, and the table that it was fitted on."""
    table = pd.DataFrame({"a": [0.0, 1.0, 2.0, 3.0], "late": [0, 0, 1, 1], "b": [1.0, 0.0, 1.0, 0.0]})
    table.to_csv(tmp_path / "other.csv", columns=["a"])
    table.to_parquet(tmp_path / "train.parquet")
    joblib.dump(LogisticRegression().fit(table[["b", "a"]], table["late"]), tmp_path / "late.joblib")
    experiment = client.create_experiment(tmp_path.name, artifact_location=(tmp_path / "mlruns").as_uri())
    run = client.create_run(experiment)
    client.set_terminated(run.info.run_id, "FINISHED", end_time=12345)
    return Order(
        uri=uri,
        run_id=run.info.run_id,
        ended="FINISHED",
        end_time=12345,
        run="20260101-000000-abcd",
        output="model_file",
        path=str(tmp_path / "late.joblib"),
        digest=digest_file(tmp_path / "late.joblib"),
        name=f"flights-{tmp_path.name}",
        alias="candidate",
        inputs=tuple(str(tmp_path / name) for name in ("gone.csv", "other.csv", "train.parquet")),
        source="train.model_file",
        parameters={"C": 1.0},
        folder=str(tmp_path),
    )


def said(client, order) -> str:
    return client.get_run(order.run_id).data.tags.get(LOGGED + order.output, "")


def test_a_model_is_logged_with_its_signature_and_registered_under_an_alias(client, order, tmp_path):
    log_model(order)
    assert said(client, order) == f"{order.name} version 1"
    version = client.get_model_version_by_alias(order.name, "candidate")
    assert (version.version, version.run_id, version.tags["nbpipeline.digest"]) == (
        1,
        order.run_id,
        order.digest,
    )
    run = client.get_run(order.run_id)
    assert (run.info.status, run.info.end_time) == ("FINISHED", 12345)
    model = mlflow.pyfunc.load_model(f"models:/{order.name}/{version.version}")
    assert model.metadata.signature.inputs.input_names() == ["b", "a"]
    rows = pd.DataFrame({"b": [1.0], "a": [3.0]})
    assert list(model.predict(rows)) == list(joblib.load(order.path).predict(rows))
    pinned = (
        Path(client.get_model_version_download_uri(order.name, "1")[7:]) / "requirements.txt"
    ).read_text()
    assert "scikit-learn==" in pinned


def test_the_same_bytes_stay_one_version_and_the_alias_goes_back_to_them(client, order, tmp_path):
    log_model(order)
    log_model(order)  # sent again
    other = client.create_run(client.get_run(order.run_id).info.experiment_id).info.run_id
    joblib.dump(LogisticRegression(C=0.5).fit([[0.0], [1.0]], [0, 1]), tmp_path / "other.joblib")
    path = tmp_path / "other.joblib"
    log_model(
        replace(order, run_id=other, run="20260102-000000-abcd", path=str(path), digest=digest_file(path))
    )
    assert client.get_model_version_by_alias(order.name, "candidate").version == 2
    third = client.create_run(client.get_run(order.run_id).info.experiment_id).info.run_id
    back = replace(order, run_id=third, run="20260103-000000-abcd")  # restored
    log_model(back)
    assert said(client, back) == f"{order.name} version 1"
    assert client.get_model_version_by_alias(order.name, "candidate").version == 1
    assert len(client.search_model_versions(f"name = '{order.name}'")) == 2
    late = client.create_run(client.get_run(order.run_id).info.experiment_id).info.run_id
    waited = replace(order, run_id=late, run="20260102-120000-abcd", path=str(path), digest=digest_file(path))
    log_model(waited)
    assert said(client, waited) == f"{order.name} version 2"
    assert client.get_model_version_by_alias(order.name, "candidate").version == 1


def test_bytes_that_were_written_since_are_not_taken_for_the_run_s(client, order):
    Path(order.path).write_bytes(Path(order.path).read_bytes() + b" ")
    log_model(order)
    why = (
        "late.joblib was written again, or removed, before MLflow could be told of it, and the store lacks it"
    )
    assert said(client, order) == f"not logged: {why}"
    assert client.search_model_versions(f"name = '{order.name}'") == []


@pytest.mark.parametrize("later", ["written again", "removed"])
def test_bytes_that_were_written_since_come_from_the_store(client, order, tmp_path, later):
    path, store = Path(order.path), LocalStore(tmp_path / "store")
    store.put(path, StoredOutput(path="late.joblib", digest=order.digest))
    rows = pd.DataFrame({"b": [1.0, 0.0], "a": [3.0, 0.0]})
    expected = list(joblib.load(path).predict(rows))
    path.unlink()
    if later == "written again":
        joblib.dump(LogisticRegression(C=0.5).fit([[0.0], [1.0]], [0, 1]), path)
    log_model(replace(order, store=str(store.folder), spool=str(tmp_path)))
    assert said(client, order) == f"{order.name} version 1"
    model = mlflow.pyfunc.load_model(f"models:/{order.name}@candidate")
    assert list(model.predict(rows)) == expected
    assert path.exists() == (later == "written again")
    assert {one.name for one in tmp_path.iterdir() if one.is_dir()} <= {"store", "mlruns"}, "nothing is left"


def test_a_folder_that_was_written_since_comes_from_the_store(client, order, tmp_path):
    place, store = tmp_path / "saved", LocalStore(tmp_path / "store")
    given = {"serialization_format": "cloudpickle", "pip_requirements": []}
    mlflow.sklearn.save_model(joblib.load(order.path), str(place), **given)
    digest = digest_text(tree_listing(place, digest_file))
    store.put(place, StoredOutput(path="saved", digest=digest))
    (place / "MLmodel").unlink()
    log_model(replace(order, path=str(place), digest=digest, store=str(store.folder), spool=str(tmp_path)))
    assert said(client, order) == f"{order.name} version 1"


@pytest.mark.parametrize("damage", ["lacking", "damaged"])
def test_what_the_store_cannot_give_is_noted(client, order, tmp_path, damage):
    store = LocalStore(tmp_path / "store")
    if damage == "damaged":
        store.put(Path(order.path), StoredOutput(path="late.joblib", digest=order.digest))
        (kept,) = (one for one in store.folder.rglob(order.digest) if one.is_file())
        kept.chmod(0o600)
        kept.write_bytes(b"other")
    Path(order.path).unlink()
    log_model(replace(order, store=str(store.folder), spool=str(tmp_path)))
    assert said(client, order).startswith("not logged: late.joblib was written again, or removed")


def test_a_second_model_does_not_rename_the_first(client, order, tmp_path):
    """Nor does the second take the first one's name when it stands alone."""
    project = order.name
    first, second = model(path="late.joblib"), model(output="encoder", path="late.joblib")
    found = Models({}, project, tmp_path, tmp_path / "spool")

    def logged(one, *models):
        run = RunLog(run="r", root=str(tmp_path), project=project, models=models)
        own = client.create_run(client.get_run(order.run_id).info.experiment_id).info.run_id
        names = {key: tuple(v) if isinstance(v, list) else v for key, v in found.names(run, one).items()}
        log_model(replace(order, run_id=own, output=one.output, **names))
        return client.get_run(own).data.tags[LOGGED + one.output]

    assert logged(first, first) == f"{project} version 1"
    assert logged(first, first, second) == f"{project} version 1"
    assert logged(second, first, second) == f"{project}-train-encoder version 1"
    assert logged(second, second) == f"{project}-train-encoder version 1"
    renamed = replace(first, stage="fit")
    assert logged(renamed, renamed) == f"{project} version 1", "a stage of another name, alone, goes on"


def test_a_folder_of_mlflow_s_own_is_logged_as_it_is(client, order, tmp_path):
    mlflow.sklearn.save_model(
        joblib.load(order.path),
        str(tmp_path / "saved"),
        serialization_format="cloudpickle",
        pip_requirements=[],
    )
    digest = digest_text(tree_listing(tmp_path / "saved", digest_file))
    log_model(replace(order, path=str(tmp_path / "saved"), digest=digest))
    model = mlflow.pyfunc.load_model(f"models:/{order.name}@candidate")
    assert list(model.predict(pd.DataFrame({"b": [1.0], "a": [3.0]}))) == [1]


@pytest.mark.parametrize(
    ("name", "why"),
    [
        (
            "late.txt",
            "late.txt is none of .joblib, .pkl, .pickle, .cloudpickle, .onnx, nor a folder of MLflow's",
        ),
        ("cut.pkl", "cut.pkl cannot be loaded where nbpipeline runs: "),
        ("odd.joblib", "builtins.dict is of none of sklearn, xgboost, lightgbm, catboost, statsmodels"),
        ("folder", "the folder folder holds no MLmodel: write it with mlflow's save_model"),
        ("net.onnx", "onnx is not installed where nbpipeline runs"),
    ],
)
def test_what_is_no_model_is_noted_and_not_registered(client, order, tmp_path, name, why):
    (tmp_path / "late.txt").write_text("5")
    (tmp_path / "net.onnx").write_text("5")
    (tmp_path / "cut.pkl").write_bytes(Path(order.path).read_bytes()[:200])
    (tmp_path / "folder").mkdir()
    joblib.dump({"a": 1}, tmp_path / "odd.joblib")
    path = tmp_path / name
    digest = digest_text(tree_listing(path, digest_file)) if path.is_dir() else digest_file(path)
    log_model(replace(order, path=str(path), digest=digest))
    assert said(client, order).startswith(f"not logged: {why}")
    assert client.search_model_versions(f"name = '{order.name}'") == []
    run = client.get_run(order.run_id)
    assert (run.info.status, run.info.end_time) == ("FINISHED", 12345)


def model(stage="train", output="model", path="m.joblib") -> ModelLog:
    return ModelLog(stage=stage, output=output, path=path)


@pytest.mark.parametrize(
    ("models", "settings", "names"),
    [
        ([model()], {}, ["flights"]),
        (
            [model("train[region=eu]"), model("train[region=us]")],
            {},
            ["flights-region=eu", "flights-region=us"],
        ),
        ([model(), model(output="encoder")], {}, ["flights-train-model", "flights-train-encoder"]),
        (
            [model(), model(output="encoder")],
            {"models": {"train.model": "late"}},
            ["late", "flights-train-encoder"],
        ),
        ([model('train[region=a/b:c"]')], {}, ['flights-region=a-b-c"']),
    ],
)
def test_what_models_are_registered_as(models, settings, names, tmp_path):
    run = RunLog(run="r", root=str(tmp_path), project="flights", models=tuple(models))
    found = Models(settings, "flights", tmp_path, tmp_path / "spool")
    assert [found.names(run, one)["name"] for one in models] == names


def test_a_model_that_the_server_does_not_take_is_said_and_tried_again(client, order, tmp_path):
    run = RunLog(run="r", root=str(tmp_path), project="flights", models=(model(path="late.joblib"),))
    made = StoredOutput(path="late.joblib", digest=order.digest, kind="model")
    stage = StageLog(stage="train", status="succeeded", outputs=(made,))
    found = Models({}, "flights", tmp_path, tmp_path / "spool")
    found.expect(run, "train", order.uri)
    found.log(client, run, stage, uri=order.uri, run_id="0" * 32, ended="FINISHED", end_time=1)
    with pytest.raises(RuntimeError, match=r"models not logged: late.joblib \(train\): .*not found"):
        found.wait()
    found.log(client, run, stage, uri=order.uri, run_id=order.run_id, ended="FINISHED", end_time=1)
    found.wait()
    assert mlflow.MlflowClient(order.uri).get_model_version_by_alias("flights", "candidate").version == 1


def test_a_stage_that_left_no_model_leaves_no_process(client, tmp_path):
    run = RunLog(run="r", root=str(tmp_path), project="flights", models=(model(path="late.joblib"),))
    found = Models({}, "flights", tmp_path, tmp_path / "spool")
    found.expect(run, "train", f"sqlite:///{tmp_path}/gone")
    (waiting,) = found._expected.values()
    failed = StageLog(stage="train", status="failed")
    found.log(client, run, failed, uri="", run_id="", ended="FAILED", end_time=1)
    assert waiting.returncode == -signal.SIGKILL, "what it loads is not waited for"


def test_a_model_that_came_back_and_is_registered_is_named_again_without_a_process(client, order, tmp_path):
    run = RunLog(
        run="r2", root=str(tmp_path), project="flights", models=(model("train", "model_file", "late.joblib"),)
    )
    made = StoredOutput(path="late.joblib", digest=order.digest, kind="model")
    back = StageLog(stage="train", action="restore", status="restored", outputs=(made,))
    found = Models({"models": {"train.model_file": order.name}}, "flights", tmp_path, tmp_path / "spool")
    told = {"uri": order.uri, "run_id": order.run_id, "ended": "FINISHED", "end_time": 12345}
    found.log(client, run, back, **told)
    assert len(found._running) == 1, "its bytes are not registered yet"
    found.wait()
    assert said(client, order) == f"{order.name} version 1"
    other = client.create_run(client.get_run(order.run_id).info.experiment_id).info.run_id
    client.delete_registered_model_alias(order.name, "candidate")
    later = replace(run, run="r3")
    found.log(client, later, back, **{**told, "run_id": other})
    assert not found._running
    assert said(client, replace(order, run_id=other)) == f"{order.name} version 1"
    assert client.get_model_version_by_alias(order.name, "candidate").version == 1
