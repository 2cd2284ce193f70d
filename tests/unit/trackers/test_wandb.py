"""What W&B's tracker does that others do not: offline runs that are sent later, notebooks that write to theirs."""

import json
import os
import subprocess
import sys
import time
from dataclasses import replace

import pytest

pytest.importorskip("wandb")
from builders import code, notebook_json
from tracked import PICTURE, Wandb, WandbOnline, records
from wandb_server import wandb_server

from nbpipeline.model import Fingerprint
from nbpipeline.model.told import RunLog, StageLog
from nbpipeline.trackers import wandb, wandb_sync


@pytest.fixture
def run(tmp_path) -> RunLog:
    shown = {**code("plot()"), "outputs": [{"output_type": "display_data", "data": {"image/png": PICTURE}}]}
    (tmp_path / "attempt-1.ipynb").write_text(json.dumps(notebook_json([shown])))
    (tmp_path / "in.csv").write_text("a")
    train = StageLog(
        stage="train[region=eu]",
        started=1000.0,
        finished=1005.0,
        status="succeeded",
        parameters={"C": 0.5},
        metrics={"auc": 0.75},
        fingerprint=Fingerprint(code={}, inputs={"in.csv": "d1"}),
        files={"notebook": str(tmp_path / "attempt-1.ipynb")},
    )
    return RunLog(
        run="r1",
        root=str(tmp_path),
        project="flights",
        started=1000.0,
        finished=1006.0,
        status="succeeded",
        stages=(train,),
    )


@pytest.fixture
def server(monkeypatch):
    monkeypatch.setenv("WANDB_API_KEY", "k" * 40)
    with wandb_server() as served:
        yield served


def opened(root, **settings):
    return wandb.open_tracker(settings, root, "flights", root / "spool")


NOTEBOOK = """
import wandb
run = wandb.init(config={"theirs": 1})
for value in (1, 2, 3):
    run.log({"own": value})
run.finish()
"""


def joined(tracker, run, source=NOTEBOOK):
    """Do what a notebook of the stage does, in a process of its own."""
    given = {**os.environ, **tracker.environment(run, run.stages[0].stage)}
    subprocess.run([sys.executable, "-c", source], env=given, check=True, cwd="/", capture_output=True)


def test_a_run_is_a_group_and_a_stage_s_run_has_its_name(run, tmp_path):
    with opened(tmp_path, project="p", entity="team") as tracker:
        tracker.send(run)
    (file,) = (tmp_path / "wandb").glob("offline-run-*/*.wandb")
    (made,) = (one.run for one in records(file) if one.HasField("run"))
    assert (made.project, made.entity, made.run_group, made.job_type, made.display_name) == (
        "p",
        "team",
        "r1",
        "train[region=eu]",
        "train[region=eu]",
    )
    assert made.run_id == wandb.run_id(run, "train[region=eu]")


def test_artifacts_hold_the_notebook_and_name_what_was_read(run, tmp_path):
    with opened(tmp_path) as tracker:
        tracker.send(run)
    found = Wandb(tmp_path).runs()["train[region=eu]"]
    assert found["artifacts"] == {
        "train_region_eu_-record": ["attempt-1.ipynb"],
        "train_region_eu_-inputs": ["digests.json", "files/in.csv"],
    }
    assert [*found["images"]] == ["plots/cell 0 (1)"]


def test_a_notebook_s_run_of_the_same_second_is_another(run, tmp_path):
    with opened(tmp_path) as tracker:
        joined(tracker, run)
        (theirs,) = (tmp_path / "wandb").glob("offline-run-*")
        began = time.mktime(time.strptime(theirs.name[12:27], "%Y%m%d_%H%M%S"))
        tracker.send(replace(run, stages=(replace(run.stages[0], finished=began),)))
    assert len([*(tmp_path / "wandb").glob("offline-run-*")]) == 2


def test_wandb_s_own_command_finds_what_was_written(run, tmp_path, server):
    with opened(tmp_path) as tracker:
        tracker.send(run)
    given = {**os.environ, "WANDB_BASE_URL": server.url}
    subprocess.run([sys.executable, "-m", "wandb", "sync", "--yes"], env=given, check=True, cwd=tmp_path)
    assert WandbOnline(tmp_path, server).runs()["train[region=eu]"]["metrics"]["auc"] == 0.75


def test_what_cells_print_is_not_kept_unmasked(run, tmp_path):
    with opened(tmp_path) as tracker:
        joined(tracker, run, NOTEBOOK.replace("run.finish()", "print('hunter' + '2' * 8)\nrun.finish()"))
    held = [path for path in tmp_path.rglob("*") if path.is_file() and b"hunter22222222" in path.read_bytes()]
    assert held == []


def test_other_inputs_make_another_version_of_their_artifact(run, tmp_path):
    def digest(log):
        with opened(tmp_path) as tracker:
            tracker.send(log)
        name = wandb.run_id(log, log.stages[0].stage)
        (file,) = (tmp_path / "wandb").glob(f"offline-run-*-{name}/*.wandb")
        (made,) = (one.artifact.digest for one in records(file) if one.artifact.name.endswith("-inputs"))
        return made

    changed = replace(run.stages[0], fingerprint=Fingerprint(code={}, inputs={"in.csv": "d2"}))
    same, other = replace(run, run="r2"), replace(run, run="r3", stages=(changed,))
    first = digest(run)
    assert (digest(same) == first, digest(other) == first) == (True, False)


def test_what_a_notebook_logs_is_sent_with_its_stage_s_run(run, tmp_path, server):
    with opened(tmp_path, mode="online", base_url=server.url) as tracker:
        joined(tracker, run)
        tracker.send(run)
    (held,) = server.runs.values()
    assert [row["own"] for row in held.history if "own" in row] == [1, 2, 3]
    assert (held.config["theirs"], held.config["C"], held.summary["auc"]) == (1, 0.5, 0.75)
    assert (held.group, held.job_type, held.exit_code) == ("r1", "train[region=eu]", 0)
    assert server.unknown == ["ServerFeaturesQuery"] * len(server.unknown)


def test_a_notebook_s_run_that_ended_well_does_not_hide_that_its_stage_failed(run, tmp_path, server):
    failed = replace(run, stages=(replace(run.stages[0], status="failed"),))
    with opened(tmp_path, mode="online", base_url=server.url) as tracker:
        joined(tracker, failed)
        tracker.send(failed)
    (held,) = server.runs.values()
    assert held.exit_code == 1


@pytest.mark.parametrize("kept", [0, 7, 600, 2000])
def test_a_notebook_that_was_killed_holds_up_nothing_of_its_stage(run, tmp_path, server, kept):
    with opened(tmp_path, mode="online", base_url=server.url) as tracker:
        joined(tracker, run)
        (theirs,) = (tmp_path / "wandb").glob("offline-run-*/*.wandb")
        theirs.write_bytes(theirs.read_bytes()[:kept])
        tracker.send(run)
    (held,) = server.runs.values()
    assert (held.summary["auc"], held.exit_code) == (0.75, 0)


def test_what_a_notebook_had_written_before_it_was_killed_is_sent(run, tmp_path, server):
    with opened(tmp_path, mode="online", base_url=server.url) as tracker:
        joined(tracker, run)
        (theirs,) = (tmp_path / "wandb").glob("offline-run-*/*.wandb")
        data, ends = theirs.read_bytes(), []
        place = 7
        while place < len(data):
            place += 7 + int.from_bytes(data[place + 4 : place + 6], "little")
            ends.append(place)
        theirs.write_bytes(data[: ends[len(ends) * 2 // 3]])
        tracker.send(run)
    (held,) = server.runs.values()
    assert (held.config["theirs"], held.summary["auc"], held.exit_code) == (1, 0.75, 0)


def test_what_was_sent_is_not_sent_again(run, tmp_path, server):
    for _ in range(2):
        with opened(tmp_path, mode="online", base_url=server.url) as tracker:
            tracker.send(run)
        asked = server.requests
    with opened(tmp_path, mode="online", base_url=server.url) as tracker:
        tracker.send(run)
    assert server.requests == asked


def test_what_was_written_offline_is_sent_once_it_is_online(run, tmp_path, server):
    with opened(tmp_path) as tracker:
        tracker.send(run)
    assert server.requests == 0
    with opened(tmp_path, mode="online", base_url=server.url) as tracker:
        tracker.send(run)
    assert WandbOnline(tmp_path, server).runs()["train[region=eu]"]["metrics"]["auc"] == 0.75


@pytest.mark.parametrize("code", [401, 403, 404])
def test_a_server_that_refuses_is_said_and_nothing_lost(run, tmp_path, server, code):
    server.refuses = code
    with opened(tmp_path, mode="online", base_url=server.url) as tracker:
        with pytest.raises(ConnectionError, match=server.url):
            tracker.send(run)
        server.refuses = None
        tracker.send(run)
    assert WandbOnline(tmp_path, server).runs()["train[region=eu]"]["status"] == "good"


def test_without_a_key_nothing_is_sent_and_the_way_to_one_is_said(run, tmp_path, server, monkeypatch):
    monkeypatch.delenv("WANDB_API_KEY")
    monkeypatch.setenv("HOME", str(tmp_path))
    with (
        opened(tmp_path, mode="online", base_url=server.url) as tracker,
        pytest.raises(ConnectionError, match="wandb login"),
    ):
        tracker.send(run)


def test_a_server_that_does_not_go_on_is_left(run, tmp_path, server):
    with opened(tmp_path) as tracker:
        tracker.send(run)
    server.waits.clear()
    try:
        with pytest.raises(TimeoutError, match="did not end in 1 s"):
            wandb_sync.sync([*(tmp_path / "wandb").glob("offline-run-*")], server.url, tmp_path, patience=1.0)
    finally:
        server.waits.set()
    with opened(tmp_path, mode="online", base_url=server.url) as tracker:
        tracker.send(run)
    assert WandbOnline(tmp_path, server).runs()["train[region=eu]"]["status"] == "good"


def test_nobody_is_called_offline(run, tmp_path, server):
    """Every request would go through the proxy, which is the server here."""
    source = (
        "import sys; from pathlib import Path; from nbpipeline.trackers import wandb; import pickle\n"
        "root, run = Path(sys.argv[1]), pickle.loads(bytes.fromhex(sys.argv[2]))\n"
        "with wandb.open_tracker({}, root, 'flights', root) as tracker: tracker.send(run)\n"
    )
    import pickle

    proxies = dict.fromkeys(("HTTP_PROXY", "HTTPS_PROXY", "http_proxy", "https_proxy"), server.url)
    command = [sys.executable, "-c", source, str(tmp_path), pickle.dumps(run).hex()]
    subprocess.run(command, env={**os.environ, **proxies}, check=True, capture_output=True)
    assert Wandb(tmp_path).runs()["train[region=eu]"]["metrics"]["auc"] == 0.75
    assert server.requests == 0


def test_ten_thousand_metrics(run, tmp_path):
    many = {f"m{number}": float(number) for number in range(10_000)}
    with opened(tmp_path) as tracker:
        tracker.send(replace(run, stages=(replace(run.stages[0], metrics=many),)))
    assert Wandb(tmp_path).runs()["train[region=eu]"]["metrics"]["m9999"] == 9999.0


def test_a_run_is_whole_or_not_there(run, tmp_path, monkeypatch):
    def broken(*given):
        raise OSError("disk full")

    with opened(tmp_path) as tracker:
        with monkeypatch.context() as patch:
            patch.setattr(wandb, "write_run", broken)
            with pytest.raises(OSError, match="disk full"):
                tracker.send(run)
        assert [*(tmp_path / "wandb").glob("*")] == []
        tracker.send(run)
    assert Wandb(tmp_path).runs()["train[region=eu]"]["status"] == "good"


@pytest.mark.parametrize(
    ("given", "what", "mend"),
    [
        ({"mod": "online"}, "unknown key 'mod'.", "did you mean 'mode'?"),
        ({"mode": "disabled"}, "mode: 'disabled' is unknown.", "write one of offline, online"),
        ({"project": ""}, "project: '' is no text.", "write it as text: `project: ...`"),
        (
            {"base_url": "example.com"},
            "base_url: it is no HTTP address.",
            "write, for example, `base_url: http://127.0.0.1:5000`",
        ),
    ],
)
def test_complaints(given, what, mend):
    assert [*wandb.complaints(given)] == [(what, mend)]
