"""Runs' folders: how they begin, what control.json tells, which are kept."""

import json
import os
import re
import shutil
import socket
import subprocess
import sys
import tempfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from nbpipeline.errors import StorageError
from nbpipeline.liveness import is_alive, process_started
from nbpipeline.run import folder as runs

DAY = 24 * 3600.0
START = 1_770_000_000.0


def past_run(root: Path, number: int, status: str = "succeeded", *, worked: bool = True) -> str:
    opened = runs.open_run(root, {}, now=START + number)
    if worked:
        (opened.path / "train").mkdir()
    if status != "running":
        runs.close_run(opened, now=START + number, status=status)
    return opened.run


def kept(root: Path) -> list[str]:
    return [one.run for one in runs.kept_runs(root)]


def test_ids_sort_by_time_and_differ():
    ids = [runs.new_run_id(START + number / 1000) for number in range(1000)]
    assert all(re.fullmatch(r"20260202-024000-[0-9a-f]{4}", one) for one in ids)
    assert ids == sorted(set(ids))
    assert runs.new_run_id(START + 1) > max(ids)
    assert runs.new_run_id(START, 1) == "20260202-024000-0001"
    assert runs.new_run_id(START, 1 << 16) == "20260202-024001-0000"


def test_control_tells_who_and_since_when(root):
    opened = runs.open_run(root, {"version": 1}, now=START)
    control = runs.read_control(opened.path)
    assert control == {
        "version": 1,
        "run": opened.run,
        "root": str(root),
        "pid": os.getpid(),
        "process_started": process_started(os.getpid()),
        "host": socket.gethostname(),
        "started": START,
        "finished": None,
        "status": "running",
    }
    assert runs.is_running(control, START)
    assert not runs.is_running({**control, "process_started": 1.0}, START)
    assert not runs.is_running({**control, "finished": START}, START)
    assert not runs.is_running(None, START)
    assert json.loads(opened.plan.read_text()) == {"run": opened.run, "version": 1}


def test_a_run_after_the_clock_was_set_back_is_the_newest(root):
    before = [runs.open_run(root, {}, now=START + number).run for number in range(2)]
    after = [runs.open_run(root, {}, now=START - 40 * DAY + number).run for number in range(2)]
    later = runs.open_run(root, {}, now=START + 5).run
    assert [one.run for one in runs.kept_runs(root)] == [later, *reversed(after), *reversed(before)]
    assert runs.read_control(runs.runs_folder(root) / after[0])["started"] == START - 40 * DAY


def test_a_run_goes_on_where_it_began_and_not_in_a_copy(root):
    opened = runs.open_run(root, {}, now=START)
    copy = shutil.copytree(root, root.parent / "copy") / opened.path.relative_to(root)
    assert not runs.is_running(runs.read_control(copy), START)
    assert runs.is_running(runs.read_control(opened.path), START)
    moved = root.rename(root.parent / "moved")
    assert runs.is_running(runs.read_control(moved / opened.path.relative_to(root)), START)


def test_another_machines_run_counts_as_alive_for_a_week(root):
    control = {**runs.read_control(runs.open_run(root, {}, now=START).path), "host": "elsewhere"}
    assert runs.is_running(control, START + 6 * DAY)
    assert not runs.is_running(control, START + 8 * DAY)


@pytest.mark.parametrize("started", [None, "x", [], {}, float("nan"), float("inf"), 1e300, 10**400])
def test_a_run_of_another_machine_that_began_at_no_time_is_over(root, started):
    control = {**runs.read_control(runs.open_run(root, {}, now=START).path), "host": "elsewhere"}
    assert not runs.is_running({**control, "started": started}, START)


def test_the_last_twenty_and_the_last_good_one_are_kept(root):
    first = [past_run(root, number) for number in range(3)]
    failed = [past_run(root, number, "failed") for number in range(3, 30)]
    gone = runs.drop_old_runs(root, now=START + 100)
    assert kept(root) == [*reversed(failed[-20:]), first[-1]]
    assert set(gone) == {*first[:-1], *failed[:-20]}


def test_runs_with_nothing_to_do_do_not_push_out_logs(root):
    worked = [past_run(root, number) for number in range(25)]
    idle = [past_run(root, number, worked=False) for number in range(30, 60)]
    runs.drop_old_runs(root, now=START + 100)
    assert kept(root) == [*reversed(idle[-20:]), *reversed(worked[-20:])]


def test_a_run_that_goes_on_stays(root):
    going = past_run(root, 0, "running")
    for number in range(1, 30):
        past_run(root, number)
    assert going not in runs.drop_old_runs(root, now=START + 100)
    assert kept(root)[-1] == going


def test_what_killed_runs_began_is_cleared(root):
    past_run(root, 1)
    folder = runs.runs_folder(root)
    leaving, coming, fresh = folder / ".old-x", folder / ".new-x", folder / ".new-y"
    for one in (leaving, coming, fresh):
        one.mkdir()
    os.utime(coming, (START, START))
    runs.drop_old_runs(root, now=fresh.stat().st_mtime)
    assert (leaving.exists(), coming.exists(), fresh.exists()) == (False, False, True)


def test_two_runs_at_once_drop_and_open_safely(root):
    for number in range(40):
        past_run(root, number, "failed")
    with ThreadPoolExecutor(4) as pool:
        dropped = list(pool.map(lambda _: runs.drop_old_runs(root, now=START + 100), range(4)))
        opened = list(pool.map(lambda _: runs.open_run(root, {}, now=START + 50).run, range(8)))
    assert len(set(opened)) == 8
    assert set(opened) <= set(kept(root))
    assert len(kept(root)) == 28
    assert any(dropped)
    assert not [one for one in runs.runs_folder(root).iterdir() if one.name.startswith(".old")]


OPEN_RUN = """
import os, sys
from pathlib import Path
from nbpipeline.errors import StorageError
from nbpipeline.run import folder

if os.geteuid() == 0:  # who may write anywhere
    os.setgroups([])
    os.setgid(65534)
    os.setuid(65534)
try:
    folder.open_run(Path(sys.argv[1]), {}, now=0.0)
except StorageError as error:
    print(error)
"""


@pytest.mark.skipif(os.name == "nt", reason="Windows has other rights")
def test_an_unwritable_folder_is_told_to_a_user_without_rights():
    with tempfile.TemporaryDirectory() as folder:  # pytest's own are closed to others
        Path(folder).chmod(0o555)
        done = subprocess.run(
            [sys.executable, "-c", OPEN_RUN, folder],
            capture_output=True,
            text=True,
            check=False,
        )
    assert done.stderr == ""
    assert done.stdout == (
        ".nbpipeline: cannot be written: Permission denied.\n"
        "  mend: make room or give yourself the right to write there; no output was touched\n"
    )


def test_a_file_in_the_folders_place_is_told(root):
    (root / ".nbpipeline").write_text("")
    with pytest.raises(StorageError) as caught:
        runs.open_run(root, {}, now=START)
    assert str(caught.value) == (
        ".nbpipeline: cannot be written: File exists.\n"
        "  mend: make room or give yourself the right to write there; no output was touched"
    )


@pytest.mark.parametrize("text", ["", "{", "[]", "null", "[" * 100_000])
def test_a_cut_control_or_plan_is_none(root, text):
    opened = runs.open_run(root, {}, now=START)
    opened.control.write_text(text)
    opened.plan.write_text(text)
    assert runs.read_control(opened.path) is None
    assert runs.read_plan(opened.path) is None


@pytest.mark.parametrize(
    "stages",
    [
        None, 1, "x", {"a": 1}, [None], ["x"], [{}], [{"stage": None}], [{"stage": ["x"]}],
        [{"stage": "x", "reasons": None}], [{"stage": "x", "reasons": [1]}], [{"stage": "x", "reasons": [{}]}],
        [{"stage": "x", "reasons": [{"kind": []}]}],
    ],
)  # fmt: skip
def test_a_plan_with_stages_that_are_none_is_none(root, stages):
    opened = runs.open_run(root, {"stages": stages}, now=START)
    assert runs.read_plan(opened.path) is None


def test_a_process_is_told_from_a_later_one_of_the_same_number():
    process = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
    started = process_started(process.pid)
    assert started is not None
    assert is_alive(process.pid, started)
    assert not is_alive(process.pid, started - 1)
    process.communicate(b"\n")
    assert not is_alive(process.pid, started)
