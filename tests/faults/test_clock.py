"""A clock that was wrong: set back between runs, or files from the future."""

import os
import subprocess
import sys
import time
from pathlib import Path

from one_stage import actions, build, run, word_in

DAY = 86400.0
# The machine's oddity is the one thing that is made up: the command's clock differs from ours.
SHIFTED = """
import sys, time
real, by = time.time, float(sys.argv[1])
time.time = lambda: real() + by
sys.argv[:2] = ["nbpipeline"]
from nbpipeline.__main__ import main
sys.exit(main())
"""


def at(days: float, root: Path, *arguments: str) -> str:
    """Give a command's answer with a clock so many days off."""
    done = subprocess.run(
        [sys.executable, "-c", SHIFTED, str(days * DAY), *arguments],
        cwd=root,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_the_last_run_is_the_last_after_the_clock_was_set_back(root: Path) -> None:
    build(root, "print('made', word)")
    at(0, root, "run", "-p", "word=aaaa")
    at(-2, root, "run", "-p", "word=bbbb")
    assert word_in(root) == "bbbb"
    assert "made bbbb" in at(-2, root, "log", "a")
    assert "parameter word: aaaa -> bbbb" in at(-2, root, "show")
    assert actions(root, "bbbb") == {"a": "skip"}
    assert actions(root, "aaaa") == {"a": "restore"}
    at(-1, root, "run", "-p", "word=aaaa")
    assert word_in(root) == "aaaa"
    assert "1 restored" in at(-1, root, "show")
    assert "ok    runs: 3 kept" in at(-3, root, "doctor")


def test_an_edit_is_seen_though_all_files_are_from_the_future(root: Path) -> None:
    build(root)
    future = time.time() + 30 * DAY

    def date_all() -> None:
        for path in root.rglob("*"):
            if path.is_file() and ".nbpipeline" not in path.parts:
                os.utime(path, (future, future))

    date_all()
    assert run(root, "aaaa").returncode == 0
    date_all()
    assert actions(root, "aaaa") == {"a": "skip"}
    (root / "out/a.txt").write_text("xxxx" * 1000)  # as long, and with the same time
    date_all()
    assert actions(root, "aaaa") == {"a": "restore"}
