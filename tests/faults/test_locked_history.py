"""Another process holds the state database locked."""

import sqlite3
import subprocess
import sys
import threading
from contextlib import closing
from pathlib import Path

import pytest
from one_stage import build, left_behind, run, word_in

from nbpipeline import Project
from nbpipeline.errors import StorageError
from nbpipeline.model import Fingerprint, StageRecord
from nbpipeline.state import sqlite
from nbpipeline.state.sqlite import open_state

HOLDER = """
import sqlite3, sys
db = sqlite3.connect(sys.argv[1], isolation_level=None)
db.execute("BEGIN EXCLUSIVE")
print("held", flush=True)
sys.stdin.read()
"""


@pytest.fixture
def ran(root: Path) -> Path:
    build(root)
    assert run(root, "aaaa").returncode == 0
    return root


def hold(root: Path) -> "subprocess.Popen[str]":
    """Lock the database in another process, until its input is closed."""
    holder = subprocess.Popen(
        [sys.executable, "-c", HOLDER, root / ".nbpipeline/state.db"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert holder.stdout is not None
    assert holder.stdout.readline() == "held\n"
    return holder


def release(holder: "subprocess.Popen[str]") -> None:
    holder.communicate()


def test_plans_are_made_meanwhile(ran: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sqlite, "_BUSY_SECONDS", 0.1)
    holder = hold(ran)
    try:
        for word, action in (("aaaa", "skip"), ("bbbb", "run")):
            (step,) = Project(ran, params={"word": word}).plan().steps
            assert step.action == action
    finally:
        release(holder)


def test_a_run_says_so_before_it_touches_anything(ran: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sqlite, "_BUSY_SECONDS", 0.1)
    holder = hold(ran)
    try:
        with pytest.raises(StorageError) as caught:
            Project(ran).run(force=True)
    finally:
        release(holder)
    assert str(caught.value) == (
        ".nbpipeline/state.db: the state file cannot be used: database is locked.\n"
        "  mend: end the program that keeps it open, or wait until it does."
    )
    assert word_in(ran) == "aaaa"
    assert left_behind(ran) == []
    assert run(ran, "bbbb").returncode == 0
    assert word_in(ran) == "bbbb"


def test_a_lock_taken_while_the_stage_runs(ran: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The success cannot be recorded: so it is none, and the previous output comes back."""
    monkeypatch.setattr(sqlite, "_BUSY_SECONDS", 0.1)
    holders: list[subprocess.Popen[str]] = []

    def hear(event: object) -> None:
        if getattr(event, "kind", "") == "cell_started" and not holders:
            holders.append(hold(ran))

    try:
        with pytest.raises(StorageError, match="database is locked"):
            Project(ran).run(force=True, on_event=hear)
    finally:
        for one in holders:
            release(one)
    assert word_in(ran) == "aaaa"
    assert left_behind(ran) == []
    assert run(ran, "bbbb").returncode == 0
    assert word_in(ran) == "bbbb"


def test_a_short_lock_is_waited_for(tmp_path: Path) -> None:
    record = StageRecord(instance="a", state="s", fingerprint=Fingerprint())
    with open_state(tmp_path) as state, closing(sqlite3.connect(tmp_path / "state.db")) as other:
        other.isolation_level = None
        other.execute("BEGIN IMMEDIATE")
        writer = threading.Thread(target=state.add_record, args=(record,))
        writer.start()
        writer.join(0.2)
        assert writer.is_alive()
        other.execute("ROLLBACK")
        writer.join()
        assert state.last_record("a") == record
