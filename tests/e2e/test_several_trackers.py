"""Several trackers in one run, notebooks that speak to them themselves, and what may go wrong meanwhile."""

import json

import pytest
from builders import code, command, header, write_notebook
from tracked import Mlflow, Tensorboard, Wandb, WandbOnline, events
from wandb_server import wandb_server

pytest.importorskip("wandb")
pytest.importorskip("tensorboardX")
pytest.importorskip("mlflow")
from mlflow.tracking import MlflowClient
from mlflow_database import put_database

pytestmark = pytest.mark.timeout(600)
SECRET = "hunter2-hunter2"
ALL = 'name: flights\ntracking: {mlflow: {uri: "sqlite:///mlflow.db"}, wandb: {%s}, tensorboard: {}}\n'


def clean(*more):
    return (
        code("limit = 3", "parameters"),
        code("table = '../data/table.csv'", "outputs"),
        code("open(table, 'w').write('a\\n' * limit)"),
        *more,
    )


@pytest.fixture
def root(tmp_path):
    (tmp_path / "pipeline.yaml").write_text(ALL % "")
    put_database(tmp_path / "mlflow.db")
    metrics = "rows = limit\nloss = float('nan')\ncurve = [1, 2]\nlabel = 'good'"
    write_notebook(tmp_path / "notebooks/clean.ipynb", *clean(code(metrics, "metrics")))
    return tmp_path


def seen(root):
    return {
        name: kind(root).runs() for name, kind in (("mlflow", Mlflow), ("wandb", Wandb), ("tb", Tensorboard))
    }


@pytest.mark.nightly
def test_each_is_told_and_notebooks_join_theirs_and_secrets_stay_here(root):
    write_notebook(
        root / "notebooks/train.ipynb",
        header("secrets: [TOKEN]"),
        code("import os\nhost = os.environ['TOKEN']", "parameters"),
        code("table = '../data/table.csv'", "inputs"),
        code("model = '../data/model.txt'", "outputs"),
        code(
            """
            import mlflow, wandb
            from tensorboardX import SummaryWriter
            mlflow.log_metric('own', 4)
            mlflow.log_param('note', os.environ['TOKEN'][:3])
            run = wandb.init(config={'theirs': 1})
            run.log({'own': 5})
            with SummaryWriter(os.environ['TENSORBOARD_LOGDIR']) as writer:
                writer.add_scalar('own', 6, 1)
            print('with', os.environ['TOKEN'])
            open(model, 'w').write('1')
            """
        ),
        code("auc = 0.5\nlabel = os.environ['TOKEN']", "metrics"),
    )
    done = command("run", cwd=root, environment={"TOKEN": SECRET})
    assert done.returncode == 0, done.stderr
    assert "undeclared" not in done.stderr
    assert command("runs", "--sync", cwd=root).returncode == 0
    mlflow = Mlflow(root).runs()
    assert (mlflow["clean"]["metrics"]["rows"], mlflow["train"]["metrics"]["own"]) == (3.0, 4.0)
    assert mlflow["train"]["metrics"]["auc"] == 0.5

    texts = {one.parent.name: one.read_bytes() for one in (root / "wandb").glob("offline-run-*/*.wandb")}
    (theirs,) = (name.rpartition("-")[2] for name, text in texts.items() if b"theirs" in text)
    assert sorted(name.rpartition("-")[2] == theirs for name in texts) == [False, True, True]

    (folder,) = (root / "tensorboard/runs").glob("*/train")
    tags = {value.tag for file in folder.iterdir() for one in events(file) for value in one.summary.value}
    assert {"own", "auc", "nbpipeline/seconds"} <= tags
    held = [path for path in root.rglob("*") if path.is_file() and SECRET.encode() in path.read_bytes()]
    assert held == []
    again = command("plan", "--format", "json", cwd=root, environment={"TOKEN": SECRET})
    assert [one["action"] for one in json.loads(again.stdout)["stages"]] == ["skip", "skip"], again.stdout


@pytest.mark.nightly
def test_one_that_is_down_holds_up_no_other_and_is_told_later(root):
    with wandb_server() as server:
        server.refuses = 401
        (root / "pipeline.yaml").write_text(ALL % f'mode: online, base_url: "{server.url}"')
        key = {"WANDB_API_KEY": "k" * 40}
        done = command("run", cwd=root, environment=key)
        assert done.returncode == 0, done.stderr
        assert "metrics not recorded, since they are no finite" in done.stderr
        assert "note: " in done.stderr
        refused = command("runs", "--sync", cwd=root, environment=key)
        assert f"not sent to wandb: ConnectionError: {server.url}: " in refused.stderr
        assert "mlflow:" not in refused.stderr
        found = seen(root)
        for name in ("mlflow", "tb"):
            assert (found[name][""]["status"], found[name]["clean"]["metrics"]["rows"]) == ("good", 3.0), name
        server.refuses = None
        sent = command("runs", "--sync", cwd=root, environment=key)
        assert sent.stderr.endswith("sent to mlflow, wandb, tensorboard\n")
        assert WandbOnline(root, server).runs()["clean"]["metrics"]["rows"] == 3.0
        assert command("runs", "--sync", cwd=root, environment=key).stderr == ""


WAYS = {
    "first": "with mlflow.start_run():\n    mlflow.log_metric('own', 1)",
    "fluent": "mlflow.log_metric('own', 1)",
    "named": "with mlflow.start_run(run_name='mine') as run:\n    mlflow.log_metric('own', 1)",
    "nested": (
        "mlflow.log_metric('own', 1)\nwith mlflow.start_run(nested=True):\n    mlflow.log_metric('inner', 2)"
    ),
    "ended": "mlflow.start_run()\nmlflow.log_metric('own', 1)\nmlflow.end_run()",
    "twice": (
        "with mlflow.start_run():\n    mlflow.log_metric('own', 1)\n"
        "with mlflow.start_run(run_name='second'):\n    mlflow.log_metric('own', 2)"
    ),
    "experiment": "mlflow.set_experiment('flights')\nmlflow.log_metric('own', 1)",
    "many": "for step in range(20):\n    mlflow.log_metric('own', 20 - step, step=step)",
}


@pytest.mark.nightly
def test_a_notebook_may_begin_its_run_in_many_ways(root):
    (root / "pipeline.yaml").write_text('name: flights\ntracking: {mlflow: {uri: "sqlite:///mlflow.db"}}\n')
    for name, source in WAYS.items():
        write_notebook(
            root / f"notebooks/{name}.ipynb", code(f"# {name}", "inputs"), code(f"import mlflow\n{source}")
        )
    refused = "mlflow.log_metric('own', 1)\nmlflow.start_run()"
    write_notebook(root / "notebooks/refused.ipynb", code("", "inputs"), code(f"import mlflow\n{refused}"))
    done = command("run", "--keep-going", cwd=root)
    assert done.returncode == 1, done.stderr
    assert "is already active" in done.stdout + done.stderr
    command("runs", "--sync", cwd=root)
    client = MlflowClient(f"sqlite:///{root}/mlflow.db")
    found = client.search_runs([client.get_experiment_by_name("flights").experiment_id])
    stages = {one.data.tags["nbpipeline.stage"]: one for one in found if "nbpipeline.stage" in one.data.tags}
    assert {name: stages[name].data.metrics.get("own") for name in WAYS} == dict.fromkeys(WAYS, 1.0)
    assert {stages[name].info.status for name in WAYS} == {"FINISHED"}
    assert (stages["refused"].info.status, stages["refused"].data.metrics["own"]) == ("FAILED", 1.0)
    apart = {one.info.run_name: one for one in found if "nbpipeline.run" not in one.data.tags}
    assert apart.pop("second").data.metrics == {"own": 2.0}
    (inner,) = apart.values()
    assert inner.data.tags["mlflow.parentRunId"] == stages["nested"].info.run_id


@pytest.mark.nightly
def test_ten_thousand_metrics_of_a_cell_reach_each(root):
    many = code("\n".join(f"m{number} = {number}" for number in range(10_000)), "metrics")
    write_notebook(root / "notebooks/clean.ipynb", *clean(many))
    done = command("run", cwd=root)
    assert done.returncode == 0, done.stderr
    assert command("runs", "--sync", cwd=root).returncode == 0
    for name, found in seen(root).items():
        assert found["clean"]["metrics"].get("m9999") == 9999.0, name
