"""The SQLite state's own matters: damage, versions, several processes."""

import sqlite3
import stat
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

from nbpipeline.errors import ReadingError, StorageError
from nbpipeline.model import Fingerprint, StageRecord, StageResult, Status
from nbpipeline.state import sqlite
from nbpipeline.state.sqlite import MIGRATIONS, open_state


def record(instance: str, state: str = "s") -> StageRecord:
    return StageRecord(instance=instance, state=state, fingerprint=Fingerprint(code={"cell 1": "x" * 500}))


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    with open_state(tmp_path / ".nbpipeline") as state:
        for number in range(40):
            state.add_record(record(f"i{number}"))
            state.add_result("r", StageResult(instance=f"i{number}", status=Status.FRESH), finished=1.0)
    return tmp_path / ".nbpipeline"


def test_it_outlives_its_process_and_is_private(folder: Path) -> None:
    with open_state(folder) as state:
        assert len(state.last_records()) == 40
        assert state.notices == ()
    assert stat.S_IMODE((folder / "state.db").stat().st_mode) == 0o600
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700


def test_the_cache_is_written_when_it_is_closed(folder: Path) -> None:
    state = open_state(folder)
    state.save("file", {"a": "b"})
    state.close()
    state.close()
    with open_state(folder) as again:
        assert again.load("file") == {"a": "b"}


def test_old_cache_entries_are_forgotten(folder: Path) -> None:
    with open_state(folder) as state:
        state.save("file", {"old": "1"})
    with sqlite3.connect(folder / "state.db") as db:
        db.execute("UPDATE cache SET saved = 0")
    with open_state(folder) as state:
        state.save("file", {"new": "2"})
    with open_state(folder) as state:
        assert state.load("file") == {"new": "2"}


def halved(path: Path) -> None:
    data = path.read_bytes()
    path.write_bytes(data[: len(data) // 2])


def scribbled(path: Path) -> None:
    data = bytearray(path.read_bytes())
    data[4096:] = b"\xff" * (len(data) - 4096)
    path.write_bytes(bytes(data))


DAMAGE = {
    "cut in half": halved,
    "no database": lambda path: path.write_text("this is no database, but long enough to look like one" * 40),
    "scribbled over": scribbled,
    "a few bytes": lambda path: path.write_bytes(b"SQLite format 3\0"),
}


@pytest.mark.parametrize("damage", DAMAGE.values(), ids=DAMAGE)
def test_a_damaged_file_is_moved_aside_and_begun_anew(folder: Path, damage) -> None:
    damage(folder / "state.db")
    with open_state(folder) as state:
        state.last_records()
        state.results("r")
        state.add_record(record("after"))
        assert state.last_record("after") == record("after")
        (notice,) = state.notices
    asides = [one.name for one in folder.iterdir() if ".damaged-" in one.name]
    assert len(asides) == 1
    assert notice.startswith(".nbpipeline/state.db was damaged (")
    assert notice.endswith(
        f"it was moved to {asides[0]} and begun anew. Results that the store has are found again."
    )
    with open_state(folder) as again:
        assert again.notices == ()
        assert set(again.last_records()) == {"after"}


def test_an_empty_file_is_simply_filled(tmp_path: Path) -> None:
    (tmp_path / "state.db").touch()
    with open_state(tmp_path) as state:
        assert state.last_records() == {}
        assert state.notices == ()


def test_damage_while_it_is_open(folder: Path) -> None:
    with open_state(folder) as state:
        state.last_records()
        state._connection.close()
        state._connection = None
        halved(folder / "state.db")
        state.add_record(record("after"))
        assert state.last_records()["after"] == record("after")


def test_a_row_that_is_no_record_is_passed_over(folder: Path) -> None:
    with sqlite3.connect(folder / "state.db") as db:
        db.execute("UPDATE latest SET data = '{' WHERE instance = 'i7'")
    with open_state(folder) as state:
        assert state.last_record("i7") is None
        assert len(state.last_records()) == 39


def test_a_newer_version_is_refused(folder: Path) -> None:
    with sqlite3.connect(folder / "state.db") as db:
        db.execute(f"PRAGMA user_version = {len(MIGRATIONS) + 1}")
    before = (folder / "state.db").read_bytes()
    with pytest.raises(ReadingError) as caught:
        open_state(folder)
    assert str(caught.value) == (
        f".nbpipeline/state.db: the state file has version {len(MIGRATIONS) + 1}, which a newer nbpipeline wrote.\n"
        f"  this nbpipeline knows versions up to {len(MIGRATIONS)}\n"
        "  mend: upgrade nbpipeline, or move the file away: history and caches are lost, nothing else."
    )
    assert (folder / "state.db").read_bytes() == before


def test_an_older_version_is_migrated(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    steps = (*MIGRATIONS, ("ALTER TABLE latest ADD COLUMN more TEXT DEFAULT 'x'",))
    monkeypatch.setattr(sqlite, "MIGRATIONS", steps)
    with open_state(folder) as state:
        assert len(state.last_records()) == 40
        assert state._rows("SELECT DISTINCT more FROM latest") == [("x",)]


def test_a_migration_that_fails_leaves_the_old_version(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    steps = (*MIGRATIONS, ("CREATE TABLE more (a)", "this is no SQL"))
    monkeypatch.setattr(sqlite, "MIGRATIONS", steps)
    with pytest.raises(StorageError):
        open_state(folder)
    monkeypatch.undo()
    with open_state(folder) as state:
        assert len(state.last_records()) == 40


def test_a_folder_that_refuses(tmp_path: Path) -> None:
    (tmp_path / ".nbpipeline").write_text("a file in the way")
    with pytest.raises(StorageError) as caught:
        open_state(tmp_path / ".nbpipeline")
    assert str(caught.value) == (
        ".nbpipeline/state.db: the state file cannot be used: File exists.\n"
        f"  mend: make {tmp_path / '.nbpipeline'} writable for this user and see that the disk has room."
    )


def test_a_state_file_that_is_a_folder(tmp_path: Path) -> None:
    (tmp_path / "state.db").mkdir()
    with pytest.raises(StorageError):
        open_state(tmp_path)


def test_a_disk_that_fills_costs_the_cache_alone(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    state = open_state(folder)
    monkeypatch.setattr(
        state, "_write", lambda *_, **__: (_ for _ in ()).throw(sqlite._refused(folder, "full"))
    )
    state.save("file", {"a": "b"})
    state.flush()
    state.close()


def test_several_processes_write_at_once(tmp_path: Path) -> None:
    script = textwrap.dedent(
        """
        import sys
        from pathlib import Path
        from nbpipeline.model import Fingerprint, StageRecord
        from nbpipeline.state.sqlite import open_state
        with open_state(Path(sys.argv[1])) as state:
            for number in range(25):
                state.add_record(StageRecord(instance=f"{sys.argv[2]} {number}", state="s", fingerprint=Fingerprint()))
                state.save("file", {f"{sys.argv[2]} {number}": "x"})
        """
    )
    running = [
        subprocess.Popen([sys.executable, "-c", script, str(tmp_path / "s"), str(number)])
        for number in range(4)
    ]
    assert [one.wait(60) for one in running] == [0, 0, 0, 0]
    with open_state(tmp_path / "s") as state:
        assert len(state.last_records()) == 100
        assert len(state.load("file")) == 100


def test_a_killed_writer_leaves_whole_records(tmp_path: Path) -> None:
    script = textwrap.dedent(
        """
        import os, sys
        from pathlib import Path
        from nbpipeline.model import Fingerprint, StageRecord
        from nbpipeline.state.sqlite import open_state
        state = open_state(Path(sys.argv[1]))
        for number in range(10):
            state.add_record(StageRecord(instance=str(number), state="s", fingerprint=Fingerprint()))
        os.kill(os.getpid(), 9)
        """
    )
    assert subprocess.run([sys.executable, "-c", script, str(tmp_path / "s")], check=False).returncode == -9
    with open_state(tmp_path / "s") as state:
        assert len(state.last_records()) == 10


def test_a_file_name_that_is_no_unicode_costs_its_cache_entry_alone(folder: Path) -> None:
    with open_state(folder) as state:
        state.save("names", {"/a/\udcff.txt": "1", "/a/ü.txt": "2", "/b": "\ud800"})
    with open_state(folder) as state:
        assert state.load("names") == {"/a/ü.txt": "2"}


DAMAGED = ["{", "1", "[]", "null", '"x"', "{}", '{"instance": 1, "status": "none"}', "[" * 100_000]


@pytest.mark.parametrize("text", DAMAGED)
def test_rows_with_a_text_that_is_damaged_count_as_none(folder: Path, text: str) -> None:
    """SQLite checks its pages' structure, not what stands in them."""
    with open_state(folder) as state:
        state.add_run("r", started=1.0, data={})
    with sqlite3.connect(folder / "state.db") as db:
        db.execute("INSERT INTO failures VALUES ('i7', ?)", (text,))
        db.execute("UPDATE runs SET data = ?", (text,))
        db.execute("INSERT INTO results VALUES (99, 'x', 'i7', 1.0, ?)", (text,))
        db.execute("UPDATE latest SET data = ? WHERE instance = 'i7'", (text,))
    with open_state(folder) as state:
        assert state.last_record("i7") is None or text == "{}"
        assert state.last_failure("i7") in (None, {}, {"instance": 1, "status": "none"})
        assert set(state.last_failures()) <= {"i7"}
        assert state.results("x") == ()
        assert all(isinstance(run["data"], dict) for run in state.runs())
