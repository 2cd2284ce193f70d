"""What TensorBoard's tracker does that others do not: a line over runs, plots, event files of notebooks beside."""

import json
import struct
from dataclasses import replace

import pytest

pytest.importorskip("tensorboardX")
from builders import code, notebook_json
from tracked import PICTURE, Tensorboard, events

from nbpipeline.model.told import CellLog, RunLog, StageLog
from nbpipeline.trackers import record, tensorboard


def a_run(root, number=1, **given) -> RunLog:
    train = StageLog(
        stage="train",
        started=1000.0 * number,
        finished=1000.0 * number + 5,
        status="succeeded",
        metrics={"auc": number / 4},
        **given,
    )
    return RunLog(
        run=f"r{number}",
        root=str(root),
        project="flights",
        started=train.started,
        finished=train.finished,
        status="succeeded",
        stages=(train,),
    )


def send(root, *runs):
    with tensorboard.open_tracker({}, root, "flights", root / "spool") as tracker:
        for run in runs:
            tracker.send(run)


def notebook(root, *pictures):
    shown = {"output_type": "display_data", "data": {"image/png": PICTURE}}
    cells = [
        code("1"),
        {**code("plot()"), "outputs": [{**shown, "data": {"image/png": one}} for one in pictures]},
    ]
    (root / "attempt-1.ipynb").write_text(json.dumps(notebook_json(cells)))
    return {"notebook": str(root / "attempt-1.ipynb")}


def test_a_metric_is_a_line_over_the_runs(tmp_path):
    send(tmp_path, a_run(tmp_path, 1), a_run(tmp_path, 2), a_run(tmp_path, 1), a_run(tmp_path, 3))
    found = Tensorboard(tmp_path).over_runs("train")
    assert [(step, value) for step, tag, value in found if tag == "auc"] == [(1, 0.25), (2, 0.5), (3, 0.75)]


def test_plots_of_the_executed_notebook_are_shown(tmp_path):
    send(tmp_path, a_run(tmp_path, files=notebook(tmp_path, PICTURE, [PICTURE[:10], PICTURE[10:]])))
    images = Tensorboard(tmp_path).runs()["train"]["images"]
    assert {name: one[:2] for name, one in images.items()} == {
        "plots/cell 1 (1)": (1, 1),
        "plots/cell 1 (2)": (1, 1),
    }
    assert all(one[2].startswith(b"\x89PNG") for one in images.values())


def test_no_more_plots_than_some_and_none_that_is_large_or_no_png(tmp_path, monkeypatch):
    monkeypatch.setattr(record, "MOST_PICTURES", 3)
    many = a_run(tmp_path, 1, files=notebook(tmp_path, *[PICTURE] * 9, "R0lGODlhAQAB"))
    send(tmp_path, many)
    assert len(Tensorboard(tmp_path).runs()["train"]["images"]) == 3
    monkeypatch.setattr(record, "LARGEST_PICTURE", 10)
    assert [*record.pictures(many.stages[0])] == []


@pytest.mark.parametrize("text", ["", "[]", '{"cells": 5}', '{"cells": []}'])
def test_a_notebook_that_cannot_be_read_has_no_plots(tmp_path, text):
    (tmp_path / "a.ipynb").write_text(text)
    assert [*record.pictures(StageLog(stage="a", files={"notebook": str(tmp_path / "a.ipynb")}))] == []


def test_a_notebook_s_own_events_stay_beside(tmp_path):
    from tensorboardX import SummaryWriter

    run = a_run(tmp_path)
    with tensorboard.open_tracker({"folder": "logs/tb"}, tmp_path, "flights", tmp_path / "spool") as tracker:
        folder = tracker.environment(run, "train")["TENSORBOARD_LOGDIR"]
        with SummaryWriter(folder) as writer:
            writer.add_scalar("loss", 0.5, 1)
        tracker.send(run)
    assert folder == str(tmp_path / "logs/tb/runs/r1/train")
    files = sorted((tmp_path / "logs/tb/runs/r1/train").iterdir())
    tags = [{value.tag for one in events(file) for value in one.summary.value} for file in files]
    assert sorted("loss" in one for one in tags) == [False, True]
    assert any("auc" in one for one in tags)
    assert tensorboard.files({"folder": "logs/tb"}, tmp_path) == (f"{tmp_path}/logs/tb/",)


def test_an_event_file_is_whole_or_not_there(tmp_path, monkeypatch):
    run = a_run(tmp_path, cells=(CellLog(cell=1, finished=1001.0, seconds=1.0),))

    def broken(*given):
        yield from ()
        raise OSError("disk full")

    with monkeypatch.context() as patch:
        patch.setattr(tensorboard, "of_stage", broken)
        with pytest.raises(OSError, match="disk full"):
            send(tmp_path, run)
    assert [path for path in (tmp_path / "tensorboard").rglob("*") if path.is_file()] == []
    send(tmp_path, run)
    (file,) = (tmp_path / "tensorboard/runs/r1/train").iterdir()
    assert next(events(file)).file_version == "brain.Event:2"


def test_checksums_are_those_that_tensorboard_wants(tmp_path):
    from tensorboardX.crc32c import crc32c

    send(tmp_path, a_run(tmp_path))
    (file,) = (tmp_path / "tensorboard/runs/r1/train").iterdir()
    data = file.read_bytes()
    (found,) = struct.unpack_from("<I", data, 8)
    value = crc32c(data[:8])
    assert found == (((value >> 15) | (value << 17)) + 0xA282EAD8) & 0xFFFFFFFF


def test_ten_thousand_metrics(tmp_path):
    run = a_run(tmp_path)
    many = {f"m{number}": float(number) for number in range(10_000)}
    send(tmp_path, replace(run, stages=(replace(run.stages[0], metrics=many),)))
    assert Tensorboard(tmp_path).runs()["train"]["metrics"]["m9999"] == 9999.0
