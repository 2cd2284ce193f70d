"""Who is yet to be told of a run."""

import time
from dataclasses import replace

import pytest

from nbpipeline.run.folder import close_run, drop_old_runs, kept_runs, open_run
from nbpipeline.trackers import mlflow
from nbpipeline.tracking.outbox import Outbox, Recipient, read, unsent, write

OUTBOX = Outbox(
    project="p", trackers={"mlflow": Recipient(settings={"uri": "sqlite:///a.db"}), "other": Recipient()}
)


def begun(root, now):
    folder = open_run(root, {"version": 1, "stages": []}, now=now)
    close_run(folder, now=now + 1, status="succeeded")
    return folder


def test_it_is_read_as_it_was_written(tmp_path):
    folder = begun(tmp_path, 1000.0)
    assert read(folder.path) is None
    write(folder, OUTBOX)
    assert read(folder.path) == OUTBOX
    assert unsent(tmp_path) == (folder,)
    assert OUTBOX.addresses != OUTBOX.after("other").addresses
    half = replace(OUTBOX, store="/store").after("mlflow").after("other", trouble="ConnectionError: refused")
    write(folder, half)
    assert read(folder.path) == half
    assert half.waiting == ("other",)
    write(folder, half.after("other"))
    assert unsent(tmp_path) == ()
    told = read(folder.path)
    assert told is not None
    assert told.waiting == ()


@pytest.mark.parametrize(
    "text",
    ["", "{", "[]", "{}", '{"project": "p", "trackers": []}', '{"project": "p", "trackers": {"a": 1}}'],
)
def test_a_damaged_one_is_none(tmp_path, text):
    folder = begun(tmp_path, 1000.0)
    (folder.path / "tracking.json").write_text(text)
    assert read(folder.path) is None
    assert unsent(tmp_path) == ()


def test_a_run_that_somebody_waits_for_is_kept(tmp_path):
    runs = [begun(tmp_path, 1000.0 + number) for number in range(6)]
    write(runs[0], OUTBOX)
    write(runs[1], OUTBOX.after("mlflow").after("other"))
    drop_old_runs(tmp_path, now=time.time(), keep=2)
    assert {one.run for one in kept_runs(tmp_path)} == {runs[0].run, runs[4].run, runs[5].run}
    drop_old_runs(tmp_path, now=time.time(), keep=2, unsent=True)
    assert {one.run for one in kept_runs(tmp_path)} == {runs[4].run, runs[5].run}


@pytest.mark.parametrize(
    ("settings", "count"),
    [
        ({"uri": "databricks"}, 0),
        ({"uri": "sqlite:///x.db?timeout=5"}, 0),
        ({"uri": "  "}, 1),
        ({"uri": "mlruns"}, 1),
    ],
)
def test_what_mlflow_takes_for_a_uri(settings, count):
    assert len([*mlflow.complaints(settings)]) == count


def test_a_database_s_file_is_named_without_its_options(tmp_path):
    found = mlflow.files({"uri": "sqlite:///x.db?timeout=5"}, tmp_path)
    assert found == (f"{tmp_path}/x.db", f"{tmp_path}/.x.db", f"{tmp_path}/mlruns/")
