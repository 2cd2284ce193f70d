"""A run as it goes, in words: plain lines, the live board, the estimate."""

import os
import pty
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from builders import Gate, code, write_notebook

from nbpipeline.cli.progress import Course, LiveBoard, event_lines
from nbpipeline.cli.wording import counted, table
from nbpipeline.model import Event
from nbpipeline.report.wording import duration, size


def event(kind: str, stage: str = "", time: float = 0.0, **data: Any) -> Event:
    return Event(kind=kind, run="r", stage=stage, time=time, data=data)


def begun() -> Course:
    course = Course()
    stages = [
        {"stage": "a", "action": "run", "expected": 10.0, "upstream": []},
        {"stage": "b", "action": "run", "expected": 4.0, "upstream": ["a"]},
    ]
    course.hear(event("run_started", total=5, fresh=3, slots=2, stages=stages))
    return course


def told(course: Course, one: Event) -> list[str]:
    course.hear(one)
    return list(event_lines(one, course))


def test_lines_of_a_run() -> None:
    course = begun()
    assert told(course, event("stage_started", "a", action="run")) == ["a: running (took 10 s last time)"]
    assert told(course, event("cell_started", "a", cell=3, n=2, of=6)) == []
    assert course.running["a"].words(65.0) == "cell 2 of 6, 1 min 5 s"
    failed = {"attempt": 1, "what": "it broke", "where": "a.ipynb, cell 2"}
    assert told(course, event("attempt_failed", "a", **failed, last=False)) == [
        "a: attempt 1 failed, trying again: a.ipynb, cell 2: it broke"
    ]
    assert told(course, event("attempt_failed", "a", **failed, last=True)) == []
    assert told(course, event("notice", text="mind")) == ["note: mind"]
    done = event("stage_finished", "a", status="fresh", seconds=0)
    assert told(course, done) == ["[1/2] a: fresh"]
    assert told(course, event("stage_started", "b", action="restore")) == ["b: restoring"]


def test_what_a_stage_has_to_tell_is_told_when_it_ends() -> None:
    course = begun()
    done = event("stage_finished", "a", status="restored", seconds=0.2, notices=["one", "two"])
    first, *rest = told(course, done)
    assert first.startswith("[1/2] a: ")
    assert rest == ["a: note: one", "a: note: two"]
    unstarted = event("stage_finished", "b", status="blocked", seconds=0, notices=["not started: 'a' failed"])
    assert len(told(course, unstarted)) == 1
    broken_off = event("stage_finished", "c", status="cancelled", attempts=1, notices=["one was ended"])
    assert told(course, broken_off)[1:] == ["c: note: one was ended"]


def test_the_estimate_counts_what_waits_and_what_runs() -> None:
    course = begun()
    course.hear(event("stage_started", "a", time=100.0, action="run"))
    assert course.left(104.0, 1) == 10.0
    assert course.left(104.0, 2) == 6.0
    assert course.left(200.0, 1) == 4.0
    course.waiting.add("unknown")
    assert course.left(104.0, 1) is None


def test_words() -> None:
    assert [counted(number, "stage") for number in (0, 1, 2)] == ["no stages", "1 stage", "2 stages"]
    assert [duration(one) for one in (0.04, 9.9, 59.6, 61, 7300)] == [
        "0.0 s", "9.9 s", "1 min 0 s", "1 min 1 s", "2 h 1 min",
    ]  # fmt: skip
    assert [size(one) for one in (12, 1400, 2.5e6, 3e12)] == ["12 B", "1.4 kB", "2.5 MB", "3.0 TB"]
    assert table([("a", "b"), ("long", "")]) == ["a     b", "long"]
    assert table([]) == []


def on_a_terminal(
    root: Path, *arguments: str, seen: str = "", then: Callable[[], None] | None = None
) -> tuple[int, str]:
    """Run the command with a terminal as its output, as a user at a keyboard has it; `then` when it shows `seen`."""
    master, slave = pty.openpty()
    process = subprocess.Popen(
        [sys.executable, "-m", "nbpipeline", *arguments],
        cwd=root,
        stdin=slave,
        stdout=slave,
        stderr=slave,
        env={**os.environ, "TERM": "xterm", "COLUMNS": "100"},
    )
    os.close(slave)
    shown = b""
    while True:
        try:
            chunk = os.read(master, 65536)
        except OSError:  # Linux says so when the last writer has gone
            break
        if not chunk:
            break
        shown += chunk
        if then is not None and seen.encode() in shown:
            then()
            then = None
    os.close(master)
    return process.wait(), shown.decode(errors="replace")


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="the system has no named pipes")
def test_the_board_on_a_terminal(root: Path) -> None:
    gate = Gate(root.parent / "gate")
    write_notebook(
        root / "notebooks" / "one.ipynb",
        code('out = "../out.txt"', "outputs"),
        code(f"{gate.wait}\nopen(out, 'w').write('x')"),
    )
    exit_code, text = on_a_terminal(root, "run", seen="cell 2 of 2", then=gate.open)
    assert exit_code == 0, text
    assert "cell 2 of 2" in text
    assert "0 of 1" in text
    assert "[1/1] one: " in text
    assert "1 ran in" in text
    assert on_a_terminal(root, "run") == (0, "all fresh: 1 stage, nothing to run\r\n")


def test_who_draws_does_not_wait_for_who_prints(monkeypatch: pytest.MonkeyPatch) -> None:
    """rich prints under the lock under which it draws: either would wait for the other."""
    board, drawn = LiveBoard(), []

    def printing(line: str) -> None:
        drawing = threading.Thread(target=lambda: drawn.append((line, board._draw())), daemon=True)
        drawing.start()
        drawing.join(20)

    monkeypatch.setattr(board, "_print", printing)
    board(event("notice", "one", text="said"))
    assert [line for line, _ in drawn] == ["one: said"]
