"""Checks that take for ever: Ctrl-C and the stage's `timeout` end them, and all is as it was before."""

import os
import signal
import sqlite3
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from builders import code, command, header, write_files, write_notebook
from checking import checking_processes

ENDLESS = "WITH RECURSIVE n(id) AS (SELECT 1 UNION ALL SELECT id + 1 FROM n) SELECT id FROM n"
SHORT = "SELECT 1 AS id"
SCHEMA = "import pandera.pandas as pa\n\nclass Table(pa.DataFrameModel):\n    id: int\n"
BOMB = "import re\n\nre.match('(a+)+$', 'a' * 40 + 'b')\n\nclass Table:\n    pass\n"
"""Python's lock is held for longer than anybody lives."""


def write_base(path: Path, view: str) -> None:
    path.unlink(missing_ok=True)
    with sqlite3.connect(path) as base:
        base.execute(f"CREATE VIEW v AS {view}")
    base.close()


def stage(root: Path, said: str, side: str) -> None:
    """Copies raw.csv and base.sqlite; `side` of base is checked, after that of the rows."""
    where = {"input": ("raw", "base"), "output": ("rows", "kept")}[side]
    write_notebook(
        root / "notebooks" / "keep.ipynb",
        header(
            f"{said}\ninputs: {{raw: ../raw.csv, base: ../base.sqlite}}\n"
            "outputs: {rows: ../rows.csv, kept: ../kept.sqlite}\n"
            f"expect: {{{where[0]}: [{{rows: {{min: 1}}}}], {where[1]}: [{{not_null: id, table: v}}]}}"
        ),
        code("import nbpipeline, shutil\nstage = nbpipeline.stage()"),
        code("shutil.copy(stage.inputs.raw, stage.outputs.rows)"),
        code("shutil.copy(stage.inputs.base, stage.outputs.kept)"),
    )


@pytest.fixture
def ran(root: Path) -> Callable[[str, str], Path]:
    def make(said: str, side: str) -> Path:
        write_files(root, {"pipeline.yaml": "name: slow\n", "raw.csv": "id\n1\n"})
        write_base(root / "base.sqlite", SHORT)
        stage(root, said, side)
        done = command("run", cwd=root)
        assert done.returncode == 0, done.stderr
        write_base(root / "base.sqlite", ENDLESS)
        return root

    return make


@pytest.mark.heavy
@pytest.mark.parametrize("side", ["input", "output"])
def test_ctrl_c_ends_a_built_in_check_and_brings_all_back(ran: Callable[[str, str], Path], side: str) -> None:
    root = ran("description: keeps", side)
    good = {name: (root / name).read_bytes() for name in ("rows.csv", "kept.sqlite")}
    run = subprocess.Popen(
        [sys.executable, "-m", "nbpipeline", "run", "--format", "json"],
        cwd=root,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    assert run.stdout is not None
    said = iter(run.stdout)
    assert any('"kind": "check_finished"' in line for line in said), "the check before it"
    os.kill(run.pid, signal.SIGINT)
    rest = "".join(said)
    assert run.wait(60) == 130, rest
    assert '"status": "cancelled"' in rest
    assert {name: (root / name).read_bytes() for name in good} == good


def test_a_stage_s_time_counts_the_checks_on_its_inputs(ran: Callable[[str, str], Path]) -> None:
    root = ran("timeout: 30s", "input")
    stage(root, "timeout: 1s\nretries: 3", "input")
    done = command("run", cwd=root)
    assert done.returncode == 1
    assert (
        "the checks on input 'base' did not end within the stage's timeout of 1 s.\n"
        "  its checks: not_null\n"
        "  mend: find which takes so long (a regular expression, a schema), or raise `timeout:` in the header"
    ) in done.stdout
    assert "attempt 2" not in done.stdout, "another attempt would only meet it again"


@pytest.mark.nightly
@pytest.mark.heavy
def test_a_schema_that_hears_nothing_is_ended_and_the_next_stage_s_checks_are_tried(root: Path) -> None:
    write_files(
        root, {"raw.csv": "id\n1\n", "notebooks/first_schema.py": SCHEMA, "notebooks/own_schema.py": SCHEMA}
    )
    for name, said in (("first", "timeout: 15s"), ("second", "after: [first]")):
        schema = "first_schema" if name == "first" else "own_schema"
        write_notebook(
            root / "notebooks" / f"{name}.ipynb",
            header(
                f"{said}\ninputs: {{raw: ../raw.csv}}\noutputs: {{{name}: ../{name}.csv}}\n"
                f"expect: {{{name}: [{{pandera: {schema}:Table}}]}}"
            ),
            code("import nbpipeline, shutil\nstage = nbpipeline.stage()"),
            code(f"shutil.copy(stage.inputs.raw, stage.outputs.{name})"),
        )
    write_files(root, {"pipeline.yaml": "name: slow\n"})
    done = command("run", cwd=root)
    assert done.returncode == 0, done.stdout + done.stderr
    good = (root / "first.csv").read_bytes()
    write_files(root, {"raw.csv": "id\n1\n2\n", "notebooks/first_schema.py": BOMB})
    (root / "notebooks" / "second.ipynb").write_text(
        (root / "notebooks" / "second.ipynb").read_text().replace("after: [first]", "")
    )
    done = command("run", "--keep-going", cwd=root)
    assert done.returncode == 1
    assert "the checks on output 'first' did not end within the stage's timeout of 15 s." in done.stdout
    assert (root / "first.csv").read_bytes() == good
    assert (root / "second.csv").read_text() == "id\n1\n2\n", "another process checked it"
    assert checking_processes(root) == set()
