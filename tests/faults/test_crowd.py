"""Two runs, a planner and a doctor at once, again and again: each is served or told that others are busy."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from storm_project import STAGES, build, words

BUSY, NOTHING_TO_READ = 7, 3
ROUNDS = 2


def start(root: Path, marks: Path, *arguments: str) -> "subprocess.Popen[str]":
    return subprocess.Popen(
        [sys.executable, "-m", "nbpipeline", *arguments],
        cwd=root,
        env={**os.environ, "STORM_MARKS": str(marks)},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


@pytest.mark.heavy
@pytest.mark.timeout(1200)
@pytest.mark.parametrize("wait", [False, True], ids=["refused", "waiting"])
def test_a_crowd(root: Path, tmp_path: Path, wait: bool) -> None:
    marks = tmp_path / "marks"
    marks.mkdir()
    build(root, "fork")
    first = start(root, marks, "run", "-p", "word=base")
    assert "10 ran in " in first.communicate()[0]
    also = ["--wait"] if wait else []
    for number in range(ROUNDS):
        word = f"r{number:03}"
        crowd = [
            start(root, marks, "run", "-p", f"word={word}", *also),
            start(root, marks, "run", "-p", f"word={word}", *also),
            start(root, marks, "plan", "-p", f"word={word}"),
            start(root, marks, "doctor"),
            start(root, marks, "run", "part@n=2", "-p", f"word={word}", "--only", *also),
        ]
        told = [one.communicate(timeout=300)[0] for one in crowd]
        codes = [one.returncode for one in crowd]
        text = "\n---\n".join(told)
        runs = (codes[0], codes[1], codes[4])
        assert set(runs[:2]) <= ({0} if wait else {0, BUSY}), text
        assert runs[2] in (0, BUSY, NOTHING_TO_READ), text  # it may come before what it reads
        assert 0 in runs, text
        assert codes[2:4] == [0, 0], text
        assert "bug of nbpipeline" not in text
        found = set(words(root).values())
        assert found == {word} if 0 in runs[:2] else None not in found, text
    last = start(root, marks, "run", "-p", f"word={word}")
    assert "bug of nbpipeline" not in last.communicate()[0]
    assert set(words(root).values()) == {word}
    done = start(root, marks, "plan", "-p", f"word={word}", "--format", "json")
    planned = json.loads(done.communicate()[0])["stages"]
    assert [one["action"] for one in planned] == ["skip"] * STAGES
