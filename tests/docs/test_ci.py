"""What `.ci/run` says of itself: its last line is the count of all its tests."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]
TESTS = """
import pytest

def test_good(): pass

def test_bad(): assert {good}

@pytest.mark.skip
def test_skipped(): pass

@pytest.fixture
def broken(): assert {good}

def test_error(broken): pass
"""
SHARED = """
from pathlib import Path
import pytest

@pytest.fixture(scope="module")
def shared():
    with Path(__file__).with_name("made").open("a") as file:
        file.write("made\\n")

@pytest.mark.parametrize("number", range(6))
def test_good(shared, number): pass
"""


def plain(**settings: str) -> dict[str, str]:
    """The environment without what the pytest that runs this one was given."""
    passed_over = ("PYTEST_", "COV_", "COVERAGE_")
    return {name: one for name, one in os.environ.items() if not name.startswith(passed_over)} | settings


def report(folder: Path, name: str, *, good: bool) -> None:
    (folder / "test_some.py").write_text(TESTS.format(good=good))
    command = [sys.executable, "-m", "pytest", "-q", f"--junitxml=reports/{name}.xml", "test_some.py"]
    subprocess.run(command, cwd=folder, env=plain(), check=False, capture_output=True)


def counted(folder: Path) -> tuple[int, str]:
    command = [sys.executable, str(ROOT / ".ci" / "counts"), str(folder / "reports")]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    return done.returncode, done.stdout


def test_reports_are_added_up(tmp_path: Path) -> None:
    report(tmp_path, "quick", good=True)
    assert counted(tmp_path) == (0, "3 passed, 0 failed, 1 skipped\n")
    report(tmp_path, "heavy", good=False)
    assert counted(tmp_path) == (1, "4 passed, 2 failed, 2 skipped\n")


def test_what_the_heavy_tests_of_a_file_share_is_made_once(tmp_path: Path) -> None:
    """By the very options of `.ci/run`: with others, two processes make it, and nobody is told."""
    (words,) = re.findall(r'-m pytest -q (.*) -m "heavy and not nightly"', (ROOT / ".ci/run").read_text())
    for name in ("test_a.py", "test_b.py"):
        (tmp_path / name).write_text(SHARED)
    command = [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", *words.split()]
    done = subprocess.run(command, cwd=tmp_path, env=plain(), capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout
    assert len((tmp_path / "made").read_text().splitlines()) == 2


def test_no_tests_are_no_success(tmp_path: Path) -> None:
    assert counted(tmp_path) == (1, "0 passed, 0 failed, 0 skipped\n")


def test_the_last_line_of_a_failed_run_counts_too(tmp_path: Path) -> None:
    shutil.copytree(ROOT / ".ci", tmp_path / ".ci")
    (tmp_path / "test_some.py").write_text(TESTS.format(good=False))
    block = f"```sh\n{sys.executable} -m pytest -q\n```\n"
    (tmp_path / "README.md").write_text(f"{block}\nand\n\n{block}")
    done = subprocess.run(
        ["bash", ".ci/run"], cwd=tmp_path, env=plain(), capture_output=True, text=True, check=False
    )
    assert done.returncode == 1
    *_, before, last = done.stdout.splitlines()
    assert last == "1 passed, 2 failed, 1 skipped"
    assert before.startswith("=== quick tests (README): FAILED after ")
