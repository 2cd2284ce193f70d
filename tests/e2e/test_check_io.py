"""`check --io`: from what the last runs opened, what is declared and not used, used and not declared."""

import json
from pathlib import Path

import pytest
from builders import code, command, header, write_files, write_notebook


def build(root: Path) -> None:
    write_files(
        root,
        {
            "pipeline.yaml": "name: io\n",
            "data/raw.csv": "1\n",
            "data/idle.csv": "2\n",
            "data/side.csv": "3\n",
        },
    )
    write_notebook(
        root / "notebooks/prepare.ipynb",
        code('raw = "../data/raw.csv"\nidle = "../data/idle.csv"', "inputs"),
        code('rows = "../data/rows.csv"', "outputs"),
        code("text = open(raw).read() + open('../data/side.csv').read(); name = str(idle)"),
        code("open(rows, 'w').write(text); open('../data/log.txt', 'w').write(text)"),
    )
    write_notebook(
        root / "notebooks/train.ipynb",
        code("import os, glob\nlog = open('../data/log.txt').read(); found = glob.glob('../data/*.csv')"),
        code('model = "../models/model.txt"', "outputs"),
        code("open(model, 'w').write(log)"),
    )


@pytest.fixture(scope="module")
def ran(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("io") / "project"
    root.mkdir()
    build(root)
    done = command("run", "-j", "1", cwd=root)
    assert done.returncode == 0, done.stdout + done.stderr
    return root


PREPARE = """\
warning: notebooks/prepare.ipynb, cell 1, line 2: 'prepare' was not seen to open its input 'idle' (data/idle.csv).
  it waits for this file, and goes stale with it
  mend: take it out if no cell needs it
warning: notebooks/prepare.ipynb, cell 1: 'prepare' was seen to read data/side.csv, undeclared; so it runs every time.
  mend: write into cell 1: side = "../data/side.csv"
warning: notebooks/prepare.ipynb, cell 2: 'prepare' was seen to write data/log.txt, undeclared; so it runs every time.
  mend: write into cell 2: log = "../data/log.txt"
"""
TRAIN = """\
warning: notebooks/train.ipynb: 'train' was seen to read data/log.txt, undeclared; so it runs every time.
  'prepare' makes data/log.txt
  mend: write into a new cell with the tag `inputs`: log = "../data/log.txt"
"""
SAID = """\
note: train lists data/, not declared: a file that comes there does not make it stale. Declare the folder as an \
input with `kind: directory`
stage    opened  wrote  not opened  undeclared
prepare  raw     rows   idle        data/log.txt, data/side.csv
train            model              data/log.txt
2 stages: no errors, 4 warnings
"""


def test_as_text(ran: Path) -> None:
    done = command("check", "--io", cwd=ran)
    assert done.returncode == 0
    assert sorted(done.stderr.splitlines()) == sorted((PREPARE + TRAIN).splitlines())
    assert done.stdout == SAID


def test_strictly(ran: Path) -> None:
    assert command("check", "--io", "--strict", cwd=ran).returncode == 2
    assert command("check", "--strict", cwd=ran).returncode == 0


def test_as_json(ran: Path) -> None:
    found = json.loads(command("check", "--io", "--format", "json", cwd=ran).stdout)
    run = found["io"][0]["run"]
    assert found["version"] == 1
    assert len(found["warnings"]) == 4
    assert found["io"] == [
        {
            "stage": "prepare",
            "run": run,
            "watched": True,
            "used": [
                {"side": "input", "name": "raw", "path": "data/raw.csv"},
                {"side": "output", "name": "rows", "path": "data/rows.csv"},
            ],
            "unopened": [{"side": "input", "name": "idle", "path": "data/idle.csv"}],
            "undeclared": [
                {"how": "write", "path": "data/log.txt", "maker": None},
                {"how": "read", "path": "data/side.csv", "maker": None},
            ],
            "listed": [],
            "unseen": [],
        },
        {
            "stage": "train",
            "run": run,
            "watched": True,
            "used": [{"side": "output", "name": "model", "path": "models/model.txt"}],
            "unopened": [],
            "undeclared": [{"how": "read", "path": "data/log.txt", "maker": "prepare"}],
            "listed": ["data/"],
            "unseen": [],
        },
    ]
    assert "io" not in json.loads(command("check", "--format", "json", cwd=ran).stdout)


def test_what_is_mended_is_not_told_and_what_never_ran_is(ran: Path) -> None:
    write_notebook(
        ran / "notebooks/late.ipynb", header("inputs: {log: ../data/log.txt}"), code("x = open(log)")
    )
    write_notebook(
        ran / "notebooks/train.ipynb",
        code('log_path = "../data/log.txt"', "inputs"),
        code("log = open(log_path).read()"),
        code('model = "../models/model.txt"', "outputs"),
        code("open(model, 'w').write(log)"),
    )
    done = command("check", "--io", cwd=ran)
    assert "'train' was seen to read" not in done.stderr
    assert "'train' was not seen to open" not in done.stderr, "the last run did not know of the input yet"
    assert "note: late has no success on record, so nothing is known of its files\n" in done.stdout
