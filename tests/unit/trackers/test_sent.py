"""What was sent already is known, also by another process, and after a kill in the middle of a line."""

import json
import subprocess
import sys

import pytest
from filelock import FileLock, Timeout

from nbpipeline.trackers import sent
from nbpipeline.trackers.sent import Ledger, LinesFile


def test_a_ledger_knows_what_another_noted(tmp_path):
    file = tmp_path / "deep/sent"
    one, other = Ledger(file), Ledger(file)
    assert "a" not in one
    one.note(["a", "b"])
    assert "a" in one
    assert [key in other for key in ("a", "b", "c")] == [True, True, False]
    other.note(["a", "c"])
    assert file.read_text().split() == ["a", "b", "c"]


def test_half_a_line_of_a_killed_sender_counts_as_not_sent(tmp_path):
    file = tmp_path / "sent"
    file.write_text("whole\nhal")
    ledger = Ledger(file)
    assert [key in ledger for key in ("whole", "hal")] == [True, False]
    ledger.note(["half"])
    assert [key in Ledger(file) for key in ("whole", "half")] == [True, True]


def lines_file(path):
    return LinesFile(path, lambda one: one["key"], "a")


def line(key):
    return json.dumps({"key": key})


def test_no_line_twice(tmp_path):
    path = tmp_path / "deep/lines.jsonl"
    lines_file(path).add({"a1": line("a1"), "a2": line("a2")})
    lines_file(path).add({"a2": line("a2"), "a3": line("a3")})
    lines_file(path).add({})
    assert [json.loads(one)["key"] for one in path.read_text().splitlines()] == ["a1", "a2", "a3"]


@pytest.mark.parametrize("damage", ['{"key": "a1', '{"other": "a1"}', '["a1"]', "a1", '"a1"'])
def test_what_is_damaged_stays_and_what_it_was_is_added_whole(tmp_path, damage):
    path = tmp_path / "lines.jsonl"
    path.write_text(f"{line('a0')}\n{damage}")
    lines_file(path).add({"a0": line("a0"), "a1": line("a1")})
    assert path.read_text().splitlines() == [line("a0"), damage, line("a1")]


def test_what_others_add_meanwhile_is_seen_and_a_file_in_its_place_too(tmp_path):
    path = tmp_path / "lines.jsonl"
    one, other = lines_file(path), lines_file(path)
    one.add({"a1": line("a1")})
    other.add({"a1": line("a1"), "a2": line("a2")})
    with path.open("ab") as file:
        file.write(b'{"key": "a3')  # killed in the middle
    one.add({"a2": line("a2"), "a3": line("a3")})
    other.add({"a3": line("a3"), "a4": line("a4")})
    assert path.read_text().splitlines() == [
        *map(line, ("a1", "a2")),
        '{"key": "a3',
        *map(line, ("a3", "a4")),
    ]

    path.rename(tmp_path / "rotated.jsonl")
    one.add({"a1": line("a1")})
    assert path.read_text().splitlines() == [line("a1")]
    path.write_text("")
    one.add({"a1": line("a1"), "a5": line("a5")})
    assert path.read_text().splitlines() == [line("a1"), line("a5")]


WRITER = """
import json, sys
from pathlib import Path
from nbpipeline.trackers.sent import LinesFile
file = LinesFile(Path(sys.argv[1]), lambda one: one["key"], "k")
for number in range(40):
    file.add({f"k{number}": json.dumps({"key": f"k{number}", "long": "x" * 5000})})
"""


def test_processes_at_once_write_each_line_once_and_whole(tmp_path):
    path = tmp_path / "lines.jsonl"
    running = [subprocess.Popen([sys.executable, "-c", WRITER, str(path)]) for _ in range(3)]
    assert [one.wait(60) for one in running] == [0, 0, 0]
    found = [json.loads(one)["key"] for one in path.read_text().splitlines()]
    assert sorted(found) == sorted(f"k{number}" for number in range(40))


def test_a_file_that_another_holds_is_given_up(tmp_path, monkeypatch):
    monkeypatch.setattr(sent, "PATIENCE", 0.01)
    path = tmp_path / "lines.jsonl"
    with FileLock(tmp_path / ".lines.jsonl.lock"), pytest.raises(Timeout):
        lines_file(path).add({"a": line("a")})
    assert not path.exists()
