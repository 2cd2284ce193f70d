"""A run is killed, then `.nbpipeline` is deleted: that loses history and cache, nothing else."""

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from builders import code, command, header, write_notebook


@pytest.fixture
def killed(root: Path) -> Path:
    """A project whose run was killed in mid-write, with its folder deleted."""
    (root / "out").mkdir()
    for name in ("plain", "big"):
        (root / "out" / name).write_text("previous")
    write_notebook(
        root / "notebooks" / "one.ipynb",
        header("outputs: {plain: ../out/plain, big: {path: ../out/big, store: false}}"),
        code("for one in ('plain', 'big'): open(f'../out/{one}', 'w').write('half')"),
        code("import threading\nthreading.Event().wait()"),
    )
    runner = subprocess.Popen(
        [sys.executable, "-m", "nbpipeline", "run", "--format", "json"],
        cwd=root,
        stdout=subprocess.PIPE,
        text=True,
    )
    events = (json.loads(line) for line in runner.stdout)
    assert any(one["kind"] == "cell_started" and one["data"]["cell"] == 3 for one in events)
    runner.kill()
    runner.communicate()
    shutil.rmtree(root / ".nbpipeline")
    return root


def standing(root: Path) -> dict[str, str]:
    return {one.name: one.read_text() for one in (root / "out").iterdir()}


def hidden(root: Path) -> list[Path]:
    return [*root.glob(".nbpipeline-*"), *(root / "out").glob(".*")]


def test_plan_tells_and_doctor_brings_back(killed: Path) -> None:
    told = command("plan", cwd=killed)
    assert told.stderr.startswith(
        "note: one: a run died, and its journal is gone; previous outputs wait under hidden names: out/plain, out/big; "
        "the next run or `nbpipeline doctor` brings them back\n"
    )
    assert hidden(killed), "a plan touches nothing"
    looked = command("doctor", "--no-fix", cwd=killed)
    assert "wait without a journal: one (out/plain, out/big)" in looked.stdout
    done = command("doctor", cwd=killed)
    assert "died, and its journal is gone; its previous outputs are back: out/plain, out/big" in done.stdout
    assert standing(killed) == {"plain": "previous", "big": "previous"}
    assert hidden(killed) == []
    (kept,) = (killed / ".nbpipeline/kept").iterdir()
    assert {one.read_text() for one in (kept / "out").iterdir()} == {"half"}
    assert "journal is gone" not in command("plan", cwd=killed).stderr


def test_the_next_run_brings_back_and_a_failing_one_leaves_the_previous(killed: Path) -> None:
    notebook = killed / "notebooks/one.ipynb"
    notebook.write_text(notebook.read_text().replace("for one in", "raise ValueError\\nfor one in"))
    done = command("run", cwd=killed)
    assert done.returncode == 1
    assert "note: one: run " in done.stdout + done.stderr
    assert "its previous outputs are back: out/plain, out/big" in done.stdout + done.stderr
    assert standing(killed) == {"plain": "previous", "big": "previous"}
    assert hidden(killed) == []
