"""The process that runs a stage is killed with SIGKILL: nothing is lost, nothing lives on."""

import signal
import subprocess
import sys
from pathlib import Path

import psutil
import pytest
from processes import outlasting

from nbpipeline.stage.journal import replay
from nbpipeline.stage.lock import hold, is_free

TESTS = Path(__file__).parent.parent

RUNNER = """
import sys
sys.path.insert(0, {tests!r})
from pathlib import Path
from stages import artifact, bench, instance

cell = '''
import os, subprocess, sys, threading
open('../models/m.txt', 'w').write('half')
child = subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(600)'], start_new_session=True)
open('../pids', 'w').write(str(os.getpid()) + ' ' + str(child.pid))
os.rename('../pids', '../pids.whole')
threading.Event().wait()
'''
with bench(Path({root!r})) as at:
    at.on_event = lambda event: print(event.kind, event.data.get("cell", ""), flush=True)
    at.run(instance(["x = 1", cell], outputs=[artifact("model", "models/m.txt", mode={mode!r}, publish={publish!r})]))
"""


def killed_in_the_middle(root: Path, *, mode: str = "write", publish: str = "direct") -> list[psutil.Process]:
    """Kill a runner whose notebook has written half of its output; give its kernel and its child."""
    code = RUNNER.format(tests=str(TESTS), root=str(root), mode=mode, publish=publish)
    runner = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True)
    for line in runner.stdout:
        if line.split() == ["cell_started", "2"]:
            break
    whole = root / "pids.whole"
    while not whole.exists():
        assert runner.poll() is None
    left = [psutil.Process(int(pid)) for pid in whole.read_text().split()]
    runner.send_signal(signal.SIGKILL)
    runner.wait()
    return left


def has_ended(process: psutil.Process) -> bool:
    return not outlasting([process], 5)


@pytest.mark.parametrize(
    ("mode", "publish"), [("write", "direct"), ("update", "direct"), ("write", "atomic")]
)
def test_the_previous_output_is_back_with_the_next_command(root: Path, mode: str, publish: str) -> None:
    target = root / "models/m.txt"
    target.parent.mkdir()
    target.write_text("previous")
    kernel, child = killed_in_the_middle(root, mode=mode, publish=publish)
    assert child.is_running()
    assert target.read_text() == "half"
    assert is_free(root, "train")
    notice, *_ = replay(root)
    assert notice.startswith("train: run run-1 died; ")
    if publish == "atomic":  # this notebook writes past the hidden path: it replaced the target itself
        return
    assert target.read_text() == "previous"
    assert (root / ".nbpipeline/runs/run-1/train/rejected-1/models/m.txt").read_text() == "half"
    assert has_ended(kernel)
    assert has_ended(child)
    assert not list((root / "models").glob(".*"))
    assert not list((root / ".nbpipeline/journals").glob("*"))


def test_the_next_run_of_the_stage_settles_it_too(root: Path) -> None:
    sys.path.insert(0, str(TESTS))
    from stages import artifact, bench, instance

    (root / "models").mkdir()
    (root / "models/m.txt").write_text("previous")
    killed_in_the_middle(root)
    with bench(root) as at:
        at.runs = 1
        result = at.run(instance(["1 / 0"], outputs=[artifact("model", "models/m.txt")]))
    assert result.notices[0] == "train: run run-1 died; its previous outputs are back: models/m.txt"
    assert (root / "models/m.txt").read_text() == "previous"


def test_a_first_run_leaves_no_half_output(root: Path) -> None:
    killed_in_the_middle(root)
    assert (root / "models/m.txt").read_text() == "half"
    replay(root)
    assert not (root / "models/m.txt").exists()


def test_a_dead_holder_s_lock_is_free(root: Path) -> None:
    killed_in_the_middle(root)
    with hold(root, "train", run="next"):
        assert not is_free(root, "train")
