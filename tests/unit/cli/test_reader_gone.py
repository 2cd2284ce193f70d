"""`nbpipeline COMMAND | head -1`: the command goes on as if it were read, and says nothing of it."""

import errno
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from builders import code, write_notebook

import nbpipeline
from nbpipeline.__main__ import main

BUFFERED = {name: value for name, value in os.environ.items() if name != "PYTHONUNBUFFERED"}
UNBUFFERED = {**BUFFERED, "PYTHONUNBUFFERED": "1"}
SETTINGS = pytest.mark.parametrize("environment", [BUFFERED, UNBUFFERED], ids=["buffered", "unbuffered"])


@pytest.fixture
def project(root: Path) -> Path:
    write_notebook(
        root / "notebooks" / "a.ipynb",
        code('one = "../one.txt"', "outputs"),
        code("open(one, 'w').write('1')"),
    )
    write_notebook(
        root / "notebooks" / "b.ipynb",
        code('one = "../one.txt"', "inputs"),
        code('two = "../two.txt"', "outputs"),
        code("open(two, 'w').write(open(one).read())"),
    )
    return root


def unread(*arguments: str, cwd: Path, both: bool) -> tuple[int, str]:
    """The exit code, and what stands on stderr, where nobody reads stdout; `both`: nor stderr."""
    reader, writer = os.pipe()
    os.close(reader)
    try:
        done = subprocess.run(
            [sys.executable, "-m", "nbpipeline", *arguments],
            cwd=cwd,
            env=BUFFERED,
            stdout=writer,
            stderr=writer if both else subprocess.PIPE,
            text=True,
            check=False,
        )
    finally:
        os.close(writer)
    return done.returncode, done.stderr or ""


@SETTINGS
def test_a_run_goes_on_when_nobody_reads_its_events(project: Path, environment: dict[str, str]) -> None:
    process = subprocess.Popen(
        [sys.executable, "-m", "nbpipeline", "run", "--format", "json"],
        cwd=project,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    assert json.loads(process.stdout.readline())["kind"] == "run_started"
    process.stdout.close()
    _, error = process.communicate()
    assert (process.returncode, error) == (0, "")
    assert (project / "two.txt").read_text() == "1"
    (run,) = (project / ".nbpipeline" / "runs").iterdir()
    kinds = [json.loads(line)["kind"] for line in (run / "events.jsonl").read_text().splitlines()]
    assert kinds[-1] == "run_finished"


@pytest.mark.parametrize("both", [False, True], ids=["stdout", "both"])
@pytest.mark.parametrize(
    "line",
    ["--help", "plan --format json", "check", "graph", "doctor"],
)
def test_a_command_ends_quietly(line: str, both: bool, project: Path) -> None:
    assert unread(*line.split(), cwd=project, both=both) == (0, "")


@pytest.mark.parametrize("both", [False, True], ids=["stdout", "both"])
@pytest.mark.parametrize(
    ("line", "exit_code"),
    [
        ("run broken", 1),
        ("run broken --format json", 1),
        ("test broken", 1),
        ("plan nobody --format json", 2),
        ("plan --bad", 2),
        ("rnu", 2),
    ],
)
def test_an_exit_code_is_what_it_would_have_been(line: str, exit_code: int, both: bool, root: Path) -> None:
    write_notebook(root / "notebooks" / "broken.ipynb", code("x = 1", "parameters"), code("1 / 0"))
    code_given, error = unread(*line.split(), cwd=root, both=both)
    assert code_given == exit_code
    assert "BrokenPipe" not in error


def test_another_broken_pipe_is_a_bug_of_ours(
    root: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def broken(*_given: object, **_named: object) -> None:
        raise BrokenPipeError(errno.EPIPE, "to a kernel")

    monkeypatch.setattr(nbpipeline.Project, "plan", broken)
    (root / ".nbpipeline").mkdir()
    monkeypatch.chdir(root)
    assert main(["plan"]) == 70
    assert "a bug of nbpipeline's own" in capsys.readouterr().err
