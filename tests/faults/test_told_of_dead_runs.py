"""What `plan`, `check` and `show` tell of a run that is at work, and of one that was killed at it."""

import json
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from builders import code, command, write_files, write_notebook

from nbpipeline.run.folder import kept_runs


@pytest.fixture
def project(root: Path) -> Path:
    """Two stages with outputs; the second waits for ever where a file `wait` stands."""
    write_notebook(
        root / "notebooks/first.ipynb",
        code("made = '../out/first.txt'", "outputs"),
        code("open(made, 'w').write('1')"),
    )
    write_notebook(
        root / "notebooks/train.ipynb",
        code("made = '../out/first.txt'", "inputs"),
        code("model = '../out/model.txt'\nreport = '../out/report.txt'", "outputs"),
        code(
            """
            import os, threading

            for path in (model, report):
                open(path, 'w').write('whole')
            if os.path.exists('../wait'):
                os.rename('../wait', '../waits')
                threading.Event().wait()
            """
        ),
    )
    write_files(root, {"pipeline.yaml": "name: p\n"})
    done = command("run", cwd=root)
    assert done.returncode == 0, done.stderr
    return root


@pytest.fixture
def at_work(project: Path) -> Iterator[subprocess.Popen]:
    """A run of both stages, in the middle of the second."""
    (project / "wait").touch()
    arguments = [sys.executable, "-m", "nbpipeline", "run", "--force"]
    quiet = subprocess.DEVNULL
    runner = subprocess.Popen(arguments, cwd=project, stdout=quiet, stderr=quiet)
    while not (project / "waits").exists():
        assert runner.poll() is None
    yield runner
    runner.kill()
    runner.wait()
    command("doctor", cwd=project)  # ends the kernel, where that outlived its run


def test_a_run_at_work_is_named(project: Path, at_work: subprocess.Popen) -> None:
    run = kept_runs(project)[0].run
    told = (
        f"run {run} (process {at_work.pid}) is at work on train; out/model.txt, out/report.txt stand aside "
        "while it is"
    )
    done = command("plan", cwd=project)
    assert (done.returncode, done.stderr) == (0, f"note: {told}\n")
    assert json.loads(command("plan", "--format", "json", cwd=project).stdout)["notices"] == [told]
    assert "note: " not in command("check", cwd=project).stdout
    shown = json.loads(command("show", run, "--format", "json", cwd=project).stdout)
    assert (shown["status"], shown["counts"]) == ("running", {"succeeded": 1, "running": 1})
    assert [(one["stage"], one["status"]) for one in shown["stages"]] == [
        ("first", "succeeded"),
        ("train", "running"),
    ]


def test_a_killed_run_is_told_with_what_it_left(project: Path, at_work: subprocess.Popen) -> None:
    at_work.send_signal(signal.SIGKILL)
    at_work.wait()
    run = kept_runs(project)[0].run
    told = (
        f"run {run} died in the middle of train; 2 outputs stand aside (out/model.txt, out/report.txt); "
        "the next run or `nbpipeline doctor` brings them back"
    )
    assert command("plan", cwd=project).stderr == f"note: {told}\n"
    checked = command("check", cwd=project)
    assert (checked.returncode, checked.stdout.splitlines()[0]) == (0, f"note: {told}")
    assert json.loads(command("check", "--format", "json", cwd=project).stdout)["notices"] == [told]
    assert f"run {run}: killed, 1 succeeded, 1 cut off" in command("show", run, cwd=project).stdout
    assert command("doctor", cwd=project).returncode == 0
    assert command("plan", cwd=project).stderr == ""
    assert json.loads(command("check", "--format", "json", cwd=project).stdout)["notices"] == []
    shown = json.loads(command("show", run, "--format", "json", cwd=project).stdout)
    assert (shown["status"], shown["counts"]) == ("killed", {"succeeded": 1, "cut_off": 1})
    cut = shown["stages"][-1]
    assert (cut["stage"], cut["status"], cut["seconds"], cut["attempts"]) == ("train", "cut_off", None, 1)
    assert cut["reasons"][0]["kind"] == "forced"
    assert len(cut["notebooks"]) == 1
