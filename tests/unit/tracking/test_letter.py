"""Who is yet to be told of a run."""

import time

import pytest

from nbpipeline.run.folder import close_run, drop_old_runs, kept_runs, open_run
from nbpipeline.tracking.letter import Addressee, Letter, read, unsent, write

LETTER = Letter(
    project="p", trackers={"mlflow": Addressee(settings={"uri": "sqlite:///a.db"}), "other": Addressee()}
)


def begun(root, now):
    folder = open_run(root, {"version": 1, "stages": []}, now=now)
    close_run(folder, now=now + 1, status="succeeded")
    return folder


def test_it_is_read_as_it_was_written(tmp_path):
    folder = begun(tmp_path, 1000.0)
    assert read(folder.path) is None
    write(folder, LETTER)
    assert read(folder.path) == LETTER
    assert unsent(tmp_path) == (folder,)
    half = LETTER.after("mlflow").after("other", trouble="ConnectionError: refused")
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
    write(runs[0], LETTER)
    write(runs[1], LETTER.after("mlflow").after("other"))
    drop_old_runs(tmp_path, now=time.time(), keep=2)
    assert {one.run for one in kept_runs(tmp_path)} == {runs[0].run, runs[4].run, runs[5].run}
