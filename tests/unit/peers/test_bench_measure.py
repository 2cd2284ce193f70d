"""A command is measured with all that it starts: real processes that burn and hold known amounts."""

import os
import sys
from pathlib import Path

import pytest

from benchmarks import measure

pytestmark = pytest.mark.skipif(
    not Path("/proc/self/smaps_rollup").exists(), reason="measures by Linux's /proc"
)

BURN = """
import os, subprocess, sys, time

def burn(seconds):
    while time.process_time() < seconds:
        pass
"""
MEGABYTE = 2**20


def measured(tmp_path: Path, program: str) -> measure.Measurement:
    command = [sys.executable, "-c", BURN + program]
    return measure.run(command, cwd=tmp_path, env=os.environ, log=tmp_path / "log")


def test_cpu_of_child_and_grandchild(tmp_path: Path) -> None:
    alone = measured(tmp_path, "burn(0.3)")
    both = measured(
        tmp_path,
        """
program = "import time\\nwhile time.process_time() < 0.3: pass"
subprocess.run([sys.executable, "-c", program], check=True)
burn(0.3)
""",
    )
    assert 0.3 <= alone.cpu < 0.6
    assert both.cpu >= 0.6


def test_cpu_of_a_daemon_that_goes_on_after_the_command(tmp_path: Path) -> None:
    took = measured(
        tmp_path,
        """
if os.fork() == 0:
    os.setsid()
    if os.fork() == 0:
        before = time.process_time()
        burn(before + 0.3)
    os._exit(0)
os.wait()
""",
    )
    assert took.code == 0
    assert took.cpu >= 0.3
    assert took.left == 0


def test_cpu_where_nobody_waits_for_the_child(tmp_path: Path) -> None:
    took = measured(
        tmp_path,
        """
import signal
signal.signal(signal.SIGCHLD, signal.SIG_IGN)
ours, theirs = os.pipe()
if os.fork() == 0:
    burn(time.process_time() + 1.0)
    os._exit(0)
os.close(theirs)
os.read(ours, 1)  # until the child has ended
""",
    )
    assert took.cpu >= 0.5  # by samples: what the child burned after the last one is not seen


def test_what_never_ends_is_ended_and_told(tmp_path: Path) -> None:
    took = measured(
        tmp_path,
        """
if os.fork() == 0:
    os.setsid()
    open("pid", "w").write(str(os.getpid()))
    time.sleep(600)
while not os.path.exists("pid") or not open("pid").read():
    time.sleep(0.01)
""",
    )
    assert took.left == 1
    assert not Path("/proc", (tmp_path / "pid").read_text()).exists()


def test_memory_of_the_tree_counts_shared_pages_once(tmp_path: Path) -> None:
    took = measured(
        tmp_path,
        """
ours, theirs = os.pipe()
if os.fork() == 0:
    os.setsid()
    held = bytearray(b"x") * (64 << 20)
    if os.fork() == 0:
        os.write(theirs, b"x")
    time.sleep(600)
os.read(ours, 1)
""",
    )
    assert took.rss >= 128 * MEGABYTE
    assert 64 * MEGABYTE <= took.pss < 128 * MEGABYTE
    assert took.processes >= 2


def test_the_exit_code_and_the_output_are_kept(tmp_path: Path) -> None:
    took = measured(tmp_path, "print('said'); print('wrong', file=sys.stderr); sys.exit(3)")
    assert took.code == 3
    assert sorted((tmp_path / "log").read_text().split()) == ["said", "wrong"]


def test_memory_of_the_command_without_what_it_starts(tmp_path: Path) -> None:
    took = measured(
        tmp_path,
        """
ours, theirs = os.pipe()
if os.fork() == 0:
    held = bytearray(b"x") * (96 << 20)
    os.write(theirs, b"x")
    time.sleep(600)
os.read(ours, 1)
time.sleep(0.3)  # a few samples
""",
    )
    assert took.rss >= 96 * MEGABYTE
    assert 0 < took.alone < 96 * MEGABYTE


def test_memory_of_a_command_too_quick_for_samples(tmp_path: Path) -> None:
    took = measured(tmp_path, "held = bytearray(b'x') * (64 << 20)")
    assert 64 * MEGABYTE <= took.alone < 128 * MEGABYTE


def test_bytes_written_by_all_that_ran(tmp_path: Path) -> None:
    took = measured(
        tmp_path,
        """
program = "open('theirs', 'w').write('x' * 3_000_000)"
subprocess.run([sys.executable, "-c", program], check=True)
for _ in range(2):
    open("ours", "w").write("x" * 1_000_000)
""",
    )
    assert 5_000_000 <= took.written < 5_100_000
