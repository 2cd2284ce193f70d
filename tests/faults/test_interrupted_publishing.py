"""Ctrl-C while outputs are swapped in, kept and recorded: all new and on record, or all old; never a mixture.

The moment is exact: Python's own audit events tell of each rename, and the signal is sent within it.
"""

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from builders import code, command, header, write_notebook

pytestmark = pytest.mark.heavy

RUNNER = """
import os, signal, sys

word, left = sys.argv.pop(1), [int(sys.argv.pop(1))]

def interrupt(event, arguments):
    if event == "os.rename" and word in str(arguments[1]):
        left[0] -= 1
        if left[0] == 0:
            os.kill(os.getpid(), signal.SIGINT)

sys.addaudithook(interrupt)
from nbpipeline.__main__ import main
sys.exit(main())
"""
MOMENTS = [
    ("journals/one.json", 1),
    ("journals/one.json", 2),
    ("out/live", 1),
    ("store/objects", 1),
    ("store/records", 1),
    ("journals/one.json", 3),
]
"""Put aside; entered to publish; swapped in; kept; recorded in the store; entered as recorded."""


def build(root: Path) -> None:
    write_notebook(
        root / "notebooks" / "one.ipynb",
        header("outputs: {live: {path: ../out/live, publish: atomic}, plain: ../out/plain}"),
        code('word = "previous"'),
        code("for one in (live, plain): open(one, 'w').write(word)"),
    )
    write_notebook(
        root / "notebooks" / "two.ipynb",
        code('live = "../out/live"', "inputs"),
        code('copy = "../out/copy"', "outputs"),
        code("open(copy, 'w').write(open(live).read())"),
    )


@pytest.fixture(scope="module")
def ran(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("ran") / "project"
    root.mkdir()
    build(root)
    done = command("run", cwd=root)
    assert done.returncode == 0, done.stdout + done.stderr
    return root


def standing(root: Path) -> dict[str, str]:
    return {one.name: one.read_text() for one in (root / "out").iterdir()}


def planned(root: Path) -> dict[str, str]:
    done = command("plan", "--format", "json", cwd=root)
    return {one["stage"]: one["action"] for one in json.loads(done.stdout)["stages"]}


def interrupted(root: Path, word: str, nth: int) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", RUNNER, word, str(nth), "run"],
        cwd=root, capture_output=True, text=True, check=False,
    )  # fmt: skip


@pytest.mark.parametrize(("word", "nth"), MOMENTS)
def test_all_new_and_on_record_or_all_old(ran: Path, tmp_path: Path, word: str, nth: int) -> None:
    root = Path(shutil.copytree(ran, tmp_path / "project"))
    notebook = root / "notebooks/one.ipynb"
    notebook.write_text(notebook.read_text().replace("previous", "new"))
    done = interrupted(root, word, nth)
    assert done.returncode == 130, done.stdout + done.stderr
    assert "interrupting; once more kills" in done.stderr
    (found,) = {text for name, text in standing(root).items() if name in ("live", "plain")}
    assert planned(root) == {
        "one": "skip" if found == "new" else "run",
        "two": "run" if found == "new" else "maybe",
    }
    assert standing(root)["copy"] == "previous", "nothing new is started"
    state = root / ".nbpipeline"
    assert not [*(root / "out").glob(".*"), *state.glob("journals/*"), *state.glob("kept/*")]
    assert command("run", cwd=root).returncode == 0
    assert set(standing(root).values()) == {"new"}
