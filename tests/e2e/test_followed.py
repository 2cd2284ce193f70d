"""Code that reaches a kernel by ways that its imports do not show is followed all the same."""

from pathlib import Path

import pytest
from builders import code, command, write_files, write_notebook
from test_edits import plan

WAYS = {
    "exec_of_open": "exec(open('helper.py').read())",
    "run_path": "import runpy\nV = runpy.run_path('helper.py')['V']",
    "computed_name": "import importlib\nname = 'hel' + 'per'\nV = importlib.import_module(name).V",
    "computed_root": "import sys\nfor one in ['../lib']:\n    sys.path.append(one)\nfrom far import V",
    "other_folder": "import os\nos.chdir('../lib')\nfrom far import V\nos.chdir('../notebooks')",
    "in_a_child": (
        "import subprocess, sys\nscript = '../lib/' + 'far.py'\n"
        "V = subprocess.run([sys.executable, script], capture_output=True, text=True, check=True).stdout"
    ),
    "settings": "V = [line for line in open('.env')]",
}
"""Of each, one stage that writes V."""


def change(root: Path, value: int) -> None:
    write_files(
        root,
        {
            "notebooks/helper.py": f"V = {value}\n",
            "lib/far.py": f"import deep\nV = {value}\nprint(V)\n",
            "notebooks/.env": f"V={value}\n",
        },
    )


def build(root: Path) -> None:
    write_files(root, {"pipeline.yaml": "name: followed\n", "lib/deep.py": "X = 1\n"})
    change(root, 1)
    for name, source in WAYS.items():
        write = code("open(out, 'w').write(str(V))")
        write_notebook(
            root / f"notebooks/{name}.ipynb",
            code(f"out = '../data/{name}.txt'", "outputs"),
            code(source),
            write,
        )


@pytest.fixture(scope="module")
def green(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("followed") / "project"
    root.mkdir()
    build(root)
    done = command("run", cwd=root)
    assert done.returncode == 0, done.stdout + done.stderr
    return root


def test_an_edit_of_what_was_seen_makes_stale_and_going_back_restores(green: Path) -> None:
    assert {name: one["action"] for name, one in plan(green).items()} == dict.fromkeys(WAYS, "skip")
    before = {name: (green / f"data/{name}.txt").read_text() for name in WAYS}

    change(green, 2)
    planned = plan(green)
    assert {name: one["action"] for name, one in planned.items()} == dict.fromkeys(WAYS, "run")
    assert {reason["kind"] for one in planned.values() for reason in one["reasons"]} == {"module"}
    assert planned["computed_root"]["reasons"][0]["subject"] == "../lib/far.py"
    assert command("run", cwd=green).returncode == 0
    assert all("2" in (green / f"data/{name}.txt").read_text() for name in WAYS)

    change(green, 1)
    assert {name: one["action"] for name, one in plan(green).items()} == dict.fromkeys(WAYS, "restore")
    assert command("run", cwd=green).returncode == 0
    assert {name: (green / f"data/{name}.txt").read_text() for name in WAYS} == before


def test_a_module_of_a_program_is_followed_too(green: Path) -> None:
    write_files(green, {"lib/deep.py": "X = 2\n"})
    stale = {name for name, one in plan(green).items() if one["action"] == "run"}
    assert stale == {"computed_root", "other_folder", "in_a_child"}
    write_files(green, {"lib/deep.py": "X = 1\n"})


def test_what_was_seen_is_known_to_who_has_the_store_alone(green: Path) -> None:
    for one in (green / ".nbpipeline").glob("state.db*"):
        one.unlink()
    assert {name: one["action"] for name, one in plan(green).items()} == dict.fromkeys(WAYS, "skip")
    change(green, 3)
    assert {name: one["action"] for name, one in plan(green).items()} == dict.fromkeys(WAYS, "run")
