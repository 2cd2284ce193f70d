"""Runs that trackers are told of: what MLflow's database then holds, and what becomes of runs that it cannot take."""

import json
import os
import signal
import subprocess
import sys
from typing import Any

import pytest
from builders import Gate, code, command, header, write_files, write_notebook

pytest.importorskip("mlflow")
from mlflow.tracking import MlflowClient
from mlflow_database import put_database

pytestmark = pytest.mark.timeout(240)
SECRET = "hunter2-hunter2"


@pytest.fixture
def root(tmp_path):
    (tmp_path / "pipeline.yaml").write_text(
        'name: flights\ntracking: {mlflow: {uri: "sqlite:///track/mlflow.db"}}\n'
    )
    write_notebook(
        tmp_path / "notebooks/clean.ipynb",
        code("limit = 3", "parameters"),
        code("table = '../data/table.csv'", "outputs"),
        code("open(table, 'w').write('a\\n' * limit)"),
        code("rows = limit", "metrics"),
    )
    write_notebook(
        tmp_path / "notebooks/train.ipynb",
        code("table = '../data/table.csv'", "inputs"),
        code("model = '../data/model.txt'", "outputs"),
        code("import mlflow\nmlflow.log_metric('own', 4)\nmlflow.set_tag('mine', 'yes')"),
        code("open(model, 'w').write(open(table).read().upper())"),
    )
    put_database(tmp_path / "track/mlflow.db")
    return tmp_path


def block(root) -> None:
    """Let the database be none: a folder stands in its place."""
    (root / "track/mlflow.db").unlink(missing_ok=True)
    (root / "track/mlflow.db").mkdir(parents=True)


def unblock(root) -> None:
    (root / "track/mlflow.db").rmdir()
    put_database(root / "track/mlflow.db")


def database(root) -> str:
    return f"sqlite:///{root}/track/mlflow.db"


def runs(root) -> dict[tuple[str, str], Any]:
    """MLflow's runs by run and stage, when no process tells of one any more."""
    command("runs", "--sync", cwd=root)
    client = MlflowClient(database(root))
    found = client.search_runs([one.experiment_id for one in client.search_experiments()])
    tags = [
        (one.data.tags.get("nbpipeline.run", ""), one.data.tags.get("nbpipeline.stage", ""), one)
        for one in found
    ]
    return {(run, stage): one for run, stage, one in tags}


def test_a_run_is_in_mlflow_with_what_its_notebooks_logged_themselves(root):
    done = command("run", cwd=root)
    assert done.returncode == 0, done.stderr
    assert "not sent yet" not in done.stderr
    found = runs(root)
    (run,) = {one for one, _ in found}
    whole, clean, train = found[run, ""], found[run, "clean"], found[run, "train"]
    assert {one.info.status for one in found.values()} == {"FINISHED"}
    assert clean.data.tags["mlflow.parentRunId"] == whole.info.run_id
    assert (clean.data.params, clean.data.metrics["rows"]) == ({"limit": "3"}, 3.0)
    assert (train.data.metrics["own"], train.data.tags["mine"]) == (4.0, "yes")
    written = {one.dataset.name: one.dataset.digest for one in clean.inputs.dataset_inputs}
    read = {one.dataset.name: one.dataset.digest for one in train.inputs.dataset_inputs}
    assert read["data/table.csv"] == written["data/table.csv"]
    files = MlflowClient(database(root)).list_artifacts(train.info.run_id)
    assert [one.path for one in files] == ["attempt-1.html", "attempt-1.ipynb", "log"]
    assert len(found) == 3

    again = command("run", cwd=root)  # nothing to do: nobody is told
    assert again.returncode == 0
    assert len(runs(root)) == 3
    untold = command("run", "--force", "--no-track", cwd=root)
    assert untold.returncode == 0
    assert len(runs(root)) == 3


def test_a_failure_is_one_there_too_and_secrets_stay_here(root):
    write_notebook(
        root / "notebooks/clean.ipynb",
        header("secrets: [TOKEN]"),
        code("import os\nhost = os.environ['TOKEN']", "parameters"),
        code("table = '../data/table.csv'", "outputs"),
        code("print('with', os.environ['TOKEN'])\nraise ValueError(os.environ['TOKEN'])"),
    )
    done = command("run", cwd=root, environment={"TOKEN": SECRET})
    assert done.returncode == 1
    found = runs(root)
    (run,) = {one for one, _ in found}
    assert {stage: one.info.status for (_, stage), one in found.items()} == {
        "": "FAILED",
        "clean": "FAILED",
        "train": "FAILED",
    }
    assert "ValueError" in found[run, "clean"].data.tags["nbpipeline.failure"]
    assert found[run, "train"].data.tags["nbpipeline.status"] == "blocked"
    held = [path for path in root.rglob("*") if path.is_file() and SECRET.encode() in path.read_bytes()]
    assert held == []


@pytest.mark.nightly
def test_what_the_database_cannot_take_is_sent_later(root):
    block(root)
    done = command("run", cwd=root)
    assert done.returncode == 0, done.stderr
    assert "note: mlflow: not sent yet (" in done.stderr
    assert "nbpipeline runs --sync" in done.stderr
    refused = command("runs", "--sync", cwd=root)
    assert refused.returncode == 0
    assert "not sent to mlflow: " in refused.stderr
    (root / "track/mlflow.db").rmdir()  # now it is made
    sent = command("runs", "--sync", cwd=root)
    (run,) = {one for one, _ in runs(root)}
    assert sent.stderr == f"note: run {run}: sent to mlflow\n"
    found = runs(root)
    assert {one.info.status for one in found.values()} == {"FINISHED"}
    assert (found[run, "train"].data.metrics["own"], found[run, "train"].data.tags["mine"]) == (4.0, "yes")
    assert command("runs", "--sync", cwd=root).stderr == ""


def test_the_next_run_sends_what_waits(root):
    block(root)
    assert command("run", "clean", cwd=root).returncode == 0
    unblock(root)
    assert command("run", cwd=root).returncode == 0
    assert sorted(stage for _, stage in runs(root)) == ["", "", "clean", "train"]


def test_a_run_that_is_killed_is_told_of_as_that(root, tmp_path):
    gate = Gate(tmp_path / "gate")
    write_notebook(
        root / "notebooks/clean.ipynb",
        code("table = '../data/table.csv'", "outputs"),
        code(f"print('here', flush=True)\n{gate.wait}\nopen(table, 'w').write('1')"),
    )
    process = subprocess.Popen(
        [sys.executable, "-m", "nbpipeline", "run", "--format", "json"],
        cwd=root,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    for line in process.stdout:
        event = json.loads(line)
        if event["kind"] == "cell_started" and event["data"]["n"] == 2:
            break
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    process.stdout.close()
    gate.open()
    command("doctor", cwd=root)
    found = runs(root)
    (run,) = {one for one, _ in found}
    assert {one.info.status for one in found.values()} == {"KILLED"}
    assert found[run, ""].data.tags["nbpipeline.status"] == "interrupted"


@pytest.mark.nightly
def test_a_run_that_cannot_be_sent_holds_up_no_later_one(root):
    settings = (root / "pipeline.yaml").read_text()
    (root / "pipeline.yaml").write_text(settings.replace("track/mlflow.db", "broken/mlflow.db"))
    (root / "broken/mlflow.db").mkdir(parents=True)
    assert command("run", "clean", cwd=root).returncode == 0
    (root / "pipeline.yaml").write_text(settings)
    block(root)
    assert command("run", "clean", "--force", cwd=root).returncode == 0
    unblock(root)
    told = command("runs", "--sync", cwd=root).stderr.splitlines()
    assert ["not sent to mlflow" in told[0], "sent to mlflow" in told[1], len(told)] == [True, True, 2]
    assert sorted(stage for _, stage in runs(root)) == ["", "clean"]


NOISY = """
from pathlib import Path

JOINED_BY = frozenset({"yaml"})


def require():
    pass


def complaints(settings):
    return ()


def files(settings, root):
    return ()


class open_tracker:
    def __init__(self, settings, root, project, spool):
        self.file = root / "told.txt"

    def __enter__(self):
        return self

    def __exit__(self, *error):
        pass

    def environment(self, run, stage):
        print("a library prints")
        return {"NOISY_RUN": f"{run.run}/{stage}"}

    def send(self, run):
        print("a library prints")
        self.file.write_text(" ".join([run.status or "goes on", *(f"{one.stage}:{one.status}" for one in run.stages)]))
"""


def test_a_tracker_of_another_package_that_prints(root):
    write_files(
        root / "theirs",
        {
            "noisy.py": NOISY,
            "noisy-1.dist-info/METADATA": "Metadata-Version: 2.1\nName: noisy\nVersion: 1\n",
            "noisy-1.dist-info/entry_points.txt": "[nbpipeline.trackers]\nnoisy = noisy\n",
        },
    )
    (root / "pipeline.yaml").write_text("tracking: {noisy: {}}\n")
    for name in ("clean", "train"):
        write_notebook(
            root / f"notebooks/{name}.ipynb",
            code(f"out = '../data/{name}.txt'", "outputs"),
            code("import os, yaml\nopen(out, 'w').write(os.environ['NOISY_RUN'])"),
        )
    done = command("run", cwd=root, environment={"PYTHONPATH": str(root / "theirs")})
    assert (done.returncode, "note:" in done.stderr) == (0, False), done.stderr
    assert (root / "data/train.txt").read_text().endswith("/train")
    assert (root / "told.txt").read_text().split() == ["succeeded", "clean:succeeded", "train:succeeded"]


def test_a_sender_that_dies_fails_no_run(root):
    write_files(
        root / "theirs",
        {"sitecustomize.py": "import sys\nif 'nbpipeline.tracking' in sys.orig_argv: sys.exit(3)\n"},
    )
    done = command("run", cwd=root, environment={"PYTHONPATH": str(root / "theirs")})
    assert done.returncode == 0, done.stderr
    assert "note: mlflow: not sent yet (see .nbpipeline/runs/" in done.stderr
    assert "train: no tracker answered" in done.stderr
    assert {stage for _, stage in runs(root)} >= {"", "clean", "train"}


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ("{mlflow: {url: x}}", "tracking: mlflow: unknown key 'url'."),
        ("{mlflow: {uri: mlruns}}", "MLflow takes no folder such as 'mlruns'"),
        ("{mlflow: {uri: 5}}", "uri: 5 is no text"),
    ],
)
def test_wrong_settings_are_refused_before_anything_runs(root, given, said):
    (root / "pipeline.yaml").write_text(f"tracking: {given}\n")
    for one in ("check", "run"):
        done = command(one, cwd=root)
        assert (done.returncode, said in done.stderr + done.stdout) == (2, True), done.stderr + done.stdout
    assert not (root / "data").exists()


def test_an_unknown_tracker_is_missed_when_something_runs(root):
    (root / "pipeline.yaml").write_text("tracking: {mlfow: {}}\n")
    done = command("run", cwd=root)
    assert done.returncode == 5
    assert "did you mean 'mlflow'?" in done.stderr


@pytest.mark.heavy
def test_what_a_notebook_logs_in_a_run_that_nobody_is_told_of_stays_out_of_the_project(root):
    done = command("run", "--no-track", cwd=root)
    assert done.returncode == 0, done.stderr
    assert "undeclared" not in done.stderr
    left = {path.relative_to(root).parts[0] for path in root.rglob("*") if path.is_file()} - {".nbpipeline"}
    assert left - {"track"} == {"data", "notebooks", "pipeline.yaml"}, "track: made by the fixture"
    assert not [*root.glob("notebooks/*.db"), *root.glob("notebooks/mlruns")]
    assert [*root.glob(".nbpipeline/runs/*/untracked/mlflow/**/metrics/own")]
    assert "all fresh" in command("run", "--no-track", cwd=root).stdout
