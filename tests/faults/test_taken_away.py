"""What a run needs is taken away under its feet: no output is lost, the words are clear, the next run is right."""

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from one_stage import build, left_behind, run, word_in

pytestmark = pytest.mark.heavy

ON_B = "import glob, os, shutil\nif word == 'bbbb':\n    "


def begin(root: Path, deed: str) -> None:
    """Run for one word; with the next one the deed is done while the stage runs."""
    build(root, ON_B + deed.replace("\n", "\n    "))
    first = run(root, "aaaa")
    assert first.returncode == 0, first.stderr


def settle(root: Path) -> None:
    """The next run does what it should and leaves nothing about."""
    done = run(root, "cccc")
    assert done.returncode == 0, done.stdout + done.stderr
    assert word_in(root) == "cccc"
    assert left_behind(root) == []


@pytest.mark.parametrize("what", [".nbpipeline/runs/*", ".nbpipeline"])
def test_the_folder_of_the_run_is_removed(root: Path, what: str) -> None:
    begin(root, f"for one in glob.glob('../{what}'): shutil.rmtree(one)")
    done = run(root, "bbbb")
    assert done.returncode == 1
    assert (
        "a failed\nnotebooks/a.ipynb, cell 1: the stage could not be recorded: No such file or directory: "
        in (done.stdout)
    )
    assert "  mend: see what removes it, then run the stage again\n" in done.stdout
    assert word_in(root) == "aaaa", "the previous output is back"
    settle(root)


def test_the_history_is_written_over(root: Path) -> None:
    """It is begun anew at the latest with the next command; the run itself need not notice."""
    begin(root, "open('../.nbpipeline/state.db', 'wb').write(b'this is no database' * 2000)")
    done = run(root, "bbbb")
    assert done.returncode == 0, done.stdout + done.stderr
    assert word_in(root) == "bbbb"
    settle(root)


def test_the_notebooks_are_removed(root: Path) -> None:
    """What was planned runs; it is not recorded as the result of what is no longer there."""
    begin(root, "os.rename('../notebooks/a.ipynb', '../notebooks/a.ipynb.away')")
    done = run(root, "bbbb")
    assert done.returncode in (0, 1), done.stdout + done.stderr
    assert word_in(root) in ("aaaa", "bbbb")
    (root / "notebooks/a.ipynb.away").rename(root / "notebooks/a.ipynb")
    settle(root)


def test_the_output_is_removed_when_it_is_written(root: Path) -> None:
    begin(root, "os.remove(table)")
    done = run(root, "bbbb")
    assert done.returncode == 1
    assert "output 'table' was not written: out/a.txt is not there." in done.stdout
    assert word_in(root) == "aaaa"
    settle(root)


# --- a folder that becomes read-only --------------------------------------------------------------


ORDINARY = ["setpriv", "--bounding-set=-dac_override,-dac_read_search"] if os.geteuid() == 0 else []
"""Before a command: takes from a superuser what lets permissions not stop them."""


def can_be_ordinary() -> bool:
    try:
        return subprocess.run([*ORDINARY, "true"], capture_output=True, check=False).returncode == 0
    except OSError:
        return False


def as_owner(root: Path, *arguments: str) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        [*ORDINARY, sys.executable, "-m", "nbpipeline", *arguments],
        cwd=root,
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.fixture
def closing(root: Path) -> Iterator[Path]:
    """Open the folders again in the end, so that they can be removed."""
    yield root
    subprocess.run(["chmod", "-R", "u+w", root], check=True)


@pytest.mark.skipif(not can_be_ordinary(), reason="a superuser is stopped by no permissions here")
@pytest.mark.parametrize("folders", ["../out", "../.nbpipeline", ".."])
def test_folders_become_read_only(closing: Path, folders: str) -> None:
    root = closing
    deed = f"for folder, _, _ in list(os.walk({folders!r})): os.chmod(folder, 0o555)"
    build(root, ON_B + deed)
    first = as_owner(root, "run")
    assert first.returncode == 0, first.stdout + first.stderr
    done = as_owner(root, "run", "-p", "word=bbbb")
    told = done.stdout + done.stderr
    assert done.returncode in (0, 1, 2), told
    if done.returncode:
        assert "Permission denied" in told
    subprocess.run(["chmod", "-R", "u+w", root], check=True)
    mended = as_owner(root, "doctor")
    assert mended.returncode == 0, mended.stdout + mended.stderr
    assert word_in(root) == ("bbbb" if done.returncode == 0 else "aaaa"), told + mended.stdout
    settle(root)
