"""What the machine refuses is the user's to mend: told in parts with exit code 2, and no bug of ours."""

import errno
import os
import subprocess
import sys
from pathlib import Path

import pytest
from builders import code as code_cell
from builders import write_notebook

import nbpipeline.__main__ as entry
from nbpipeline import Project
from nbpipeline.__main__ import main
from nbpipeline.run.folder import kept_runs

FULL = Path("/dev/full")
full_device = pytest.mark.skipif(not FULL.exists(), reason="the system has no device that is always full")


@pytest.fixture
def project(root: Path) -> Path:
    write_notebook(
        root / "notebooks" / "a.ipynb",
        code_cell("x = 1", "parameters"),
        code_cell("one = '../one.txt'", "outputs"),
        code_cell("open(one, 'w').write(str(x))"),
    )
    return root


@full_device
@pytest.mark.parametrize("arguments", [["plan"], ["plan", "--format", "json"], ["graph"], ["--help"]])
def test_an_output_that_takes_nothing(project: Path, arguments: list[str]) -> None:
    with FULL.open("w") as full:
        done = subprocess.run(
            [sys.executable, "-m", "nbpipeline", *arguments],
            cwd=project, stdout=full, stderr=subprocess.PIPE, text=True, check=False,
        )  # fmt: skip
    assert done.stderr == (
        "nbpipeline: what it writes is refused: No space left on device.\n"
        "  mend: make room, or let it write elsewhere\n"
    )
    assert done.returncode == 2


@full_device
@pytest.mark.parametrize("arguments", [["plan", "--bad"], ["plan", "nobody"]])
def test_nowhere_to_tell_it(project: Path, arguments: list[str]) -> None:
    # With a buffer, what could not be written is tried once more at the end, and Python exits with 120.
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONUNBUFFERED"}
    with FULL.open("w") as full:
        done = subprocess.run(
            [sys.executable, "-m", "nbpipeline", *arguments],
            cwd=project, stderr=full, check=False, env=environment,
        )  # fmt: skip
    assert done.returncode == 2


@full_device
@pytest.mark.parametrize("stream", ["stdout", "stderr"])
def test_a_run_whose_events_nothing_takes_ends_as_it_would(project: Path, stream: str) -> None:
    arguments = ["run", "--format", "json"] if stream == "stdout" else ["run"]
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONUNBUFFERED"}
    with FULL.open("w") as full:
        done = subprocess.run(
            [sys.executable, "-m", "nbpipeline", *arguments],
            cwd=project,
            env=environment,
            text=True,
            check=False,
            **{"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, stream: full},
        )
    assert (project / "one.txt").read_text() == "1"
    if stream == "stderr":
        assert done.returncode == 0
    else:  # whoever reads the events takes a cut stream for all there is, but for the exit code
        assert done.returncode == 2
        assert "what became of the run cannot be written: No space left on device." in done.stderr


@full_device
@pytest.mark.parametrize(("command", "source", "code", "then"), [
    ("run", "", 2, "skip"), ("run-stage", "", 2, "skip"), ("run", "1 / 0", 1, "run"), ("run-stage", "1 / 0", 1, "run"),
])  # fmt: skip
def test_a_run_whose_summary_nothing_takes_is_on_record(
    project: Path, command: str, source: str, code: int, then: str
) -> None:
    write_notebook(
        project / "notebooks" / "a.ipynb",
        code_cell("one = '../one.txt'", "outputs"),
        code_cell(f"open(one, 'w').write('1')\n{source}"),
    )
    arguments = [command, "a"]
    with FULL.open("w") as full:
        done = subprocess.run(
            [sys.executable, "-m", "nbpipeline", *arguments],
            cwd=project, stdout=full, stderr=subprocess.PIPE, text=True, check=False,
        )  # fmt: skip
    (run,) = kept_runs(project)
    assert done.stderr.endswith(
        "what became of the run cannot be written: No space left on device.\n"
        f"  run {run.run} has ended, and is on record\n"
        f"  mend: make room, or let it write elsewhere; see the run with nbpipeline show {run.run}\n"
    )
    assert done.returncode == code
    assert [one.action for one in Project(project).plan().steps] == [then]


@full_device
def test_a_run_that_can_say_nothing_at_all(project: Path) -> None:
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONUNBUFFERED"}
    with FULL.open("w") as full:
        done = subprocess.run(
            [sys.executable, "-m", "nbpipeline", "run"],
            cwd=project, stdout=full, stderr=full, check=False, env=environment,
        )  # fmt: skip
    assert done.returncode == 2
    assert (project / "one.txt").read_text() == "1"


@pytest.mark.parametrize("closed", [">&-", "2>&-", "<&- >&- 2>&-"])
@pytest.mark.parametrize(
    ("arguments", "exit_code"),
    [
        ("run --kernels plain", 0),
        ("run --kernels fork --format json", 0),
        ("plan", 0),
        ("clean", 0),
        ("no", 2),
    ],
)
@pytest.mark.skipif(os.name == "nt", reason="a shell closes the streams")
def test_streams_that_are_closed(project: Path, arguments: str, exit_code: int, closed: str) -> None:
    line = f'"$0" -m nbpipeline {arguments} {closed}'
    done = subprocess.run(["/bin/sh", "-c", line, sys.executable], cwd=project, check=False)
    assert done.returncode == exit_code
    assert not list((project / ".nbpipeline").glob("nbpipeline-bug*"))
    if arguments.startswith("run"):
        assert (project / "one.txt").read_text() == "1"


def test_a_working_folder_that_is_gone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    gone = tmp_path / "gone"
    gone.mkdir()
    monkeypatch.chdir(gone)
    gone.rmdir()
    for arguments in (["plan"], ["init"], ["init", "x"], ["doctor"]):
        assert main(arguments) == 2
        assert capsys.readouterr().err == (
            "nbpipeline: the folder that it was called in is not there any more.\n"
            "  mend: cd to a folder that is there\n"
        )


@pytest.mark.parametrize(
    ("number", "words"),
    [
        (errno.ENOSPC, "No space left on device: x.db.\n  mend: make room, or let it write elsewhere\n"),
        (errno.EACCES, "Permission denied: x.db.\n  mend: give yourself the right to it\n"),
        (errno.EROFS, "Read-only file system: x.db.\n  mend: give yourself the right to it\n"),
        (errno.EMFILE, "Too many open files: x.db.\n  mend: raise the limit of open files: ulimit -n\n"),
        (errno.EIO, "Input/output error: x.db.\n  mend: see to the disk: it may be failing\n"),
    ],
)
def test_what_no_command_catches(
    number: int, words: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def refuse(_arguments: object) -> None:
        raise OSError(number, "", "x.db")

    monkeypatch.setattr(entry, "invoke", refuse)
    assert main(["plan"]) == 2
    assert capsys.readouterr().err == f"nbpipeline: what it needs is refused: {words}"


def test_other_trouble_with_files_is_a_bug_of_ours(monkeypatch: pytest.MonkeyPatch, root: Path) -> None:
    def fail(_arguments: object) -> None:
        raise FileNotFoundError(errno.ENOENT, "", "x.db")

    monkeypatch.chdir(root)
    monkeypatch.setattr(entry, "invoke", fail)
    (root / ".nbpipeline").mkdir()
    assert main(["plan"]) == 70


def test_a_drawing_that_cannot_be_written(project: Path, capsys: pytest.CaptureFixture[str]) -> None:
    target = project / "none" / "x.svg"
    assert main(["graph", "--project", str(project), "-o", str(target)]) == 2
    assert capsys.readouterr().err == (
        f"{target} cannot be written: No such file or directory.\n  mend: choose another place for it\n"
    )


def test_a_project_that_cannot_be_made(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "file").write_text("in the way")
    assert main(["init", str(tmp_path / "file" / "x")]) == 2
    assert capsys.readouterr().err == (
        f"{tmp_path}/file/x: cannot be written: Not a directory.\n"
        "  mend: make room or give yourself the right to write there\n"
    )
