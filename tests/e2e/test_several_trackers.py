"""Several trackers in one run, notebooks that speak to them themselves, and what may go wrong meanwhile."""

import json

import pytest
from builders import code, command, header, write_notebook
from tracked import Mlflow, Tensorboard, Wandb, events

for library in ("mlflow", "wandb", "tensorboardX"):
    pytest.importorskip(library)

pytestmark = pytest.mark.timeout(240)
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
    metrics = "rows = limit\nloss = float('nan')\ncurve = [1, 2]\nlabel = 'good'"
    write_notebook(tmp_path / "notebooks/clean.ipynb", *clean(code(metrics, "metrics")))
    return tmp_path


def seen(root):
    return {
        name: kind(root).runs() for name, kind in (("mlflow", Mlflow), ("wandb", Wandb), ("tb", Tensorboard))
    }


@pytest.mark.heavy
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

    theirs, ours = sorted((root / "wandb").glob("offline-run-*"), key=lambda one: "theirs" not in _text(one))
    assert theirs.name.rpartition("-")[2] in {
        one.name.rpartition("-")[2] for one in (root / "wandb").glob("*")
    }
    assert len([*(root / "wandb").glob(f"offline-run-*-{theirs.name.rpartition('-')[2]}")]) == 2
    assert ours.is_dir()

    (folder,) = (root / "tensorboard/runs").glob("*/train")
    tags = {value.tag for file in folder.iterdir() for one in events(file) for value in one.summary.value}
    assert {"own", "auc", "nbpipeline/seconds"} <= tags
    held = [path for path in root.rglob("*") if path.is_file() and SECRET.encode() in path.read_bytes()]
    assert held == []
    again = command("plan", "--format", "json", cwd=root, environment={"TOKEN": SECRET})
    assert [one["action"] for one in json.loads(again.stdout)["stages"]] == ["skip", "skip"], again.stdout


def _text(folder):
    (file,) = folder.glob("*.wandb")
    return file.read_bytes().decode("latin-1")
