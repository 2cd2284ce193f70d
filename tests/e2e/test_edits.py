"""A table of edits, and the stale sets and reasons expected of each, through the real command.

The project: `clean` reads data/raw.csv and imports rules.py; `features` and `summary` read what
clean writes; `model` reads the features. Each row edits one thing in a green project, and says which stages are
then stale by themselves (with the kinds of their reasons), which only wait for those (`maybe`), and which really ran.
"""

import json
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from builders import code, command, header, markdown, write_files, write_notebook

CLEAN = [
    markdown("# Clean"),
    code("limit: int = 100", "parameters"),
    code('raw = "../data/raw.csv"', "inputs"),
    code('rows = "../data/rows.json"', "outputs"),
    code(
        """
        import csv, json
        from rules import keep

        with open(raw) as file:
            kept = [row for row in csv.DictReader(file) if keep(row, limit)]
        """
    ),
    code("with open(rows, 'w') as file:\n    json.dump(kept, file, sort_keys=True)"),
]
FEATURES = [
    code("scale: float = 1.0", "parameters"),
    code('rows = "../data/rows.json"', "inputs"),
    code('features = "../data/features.json"', "outputs"),
    code("import json\nvalues = [float(row['x']) * scale for row in json.load(open(rows))]"),
    code("json.dump(values, open(features, 'w'))"),
]
SUMMARY = [
    code('rows = "../data/rows.json"', "inputs"),
    code('summary = "../out/summary.txt"', "outputs"),
    code("import json\ncount = len(json.load(open(rows)))", "metrics"),
    code("open(summary, 'w').write(f'{count} rows\\n')"),
]
MODEL = [
    header("env: [MODEL_SALT]"),
    code('features = "../data/features.json"', "inputs"),
    code('model = "../out/model.json"', "outputs"),
    code("import json\nmean = sum(v := json.load(open(features))) / len(v)"),
    code("json.dump({'mean': mean}, open(model, 'w'))"),
]


def build(root: Path) -> None:
    for name, cells in {"clean": CLEAN, "features": FEATURES, "summary": SUMMARY, "model": MODEL}.items():
        write_notebook(root / "notebooks" / f"{name}.ipynb", *cells)
    write_files(
        root,
        {
            "pipeline.yaml": "name: edits\n",
            "data/raw.csv": "x,y\n1,a\n2,b\n3,c\n400,d\n",
            "notebooks/rules.py": '''
                """Rules."""
                def keep(row, limit):
                    return float(row["x"]) < limit

                def unused():
                    return 1
            ''',
        },
    )


@pytest.fixture(scope="module")
def green(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("green") / "project"
    root.mkdir()
    build(root)
    done = command("run", cwd=root)
    assert done.returncode == 0, done.stdout + done.stderr
    return root


def edit_source(name: str, cell: int, old: str, new: str) -> Callable[[Path], None]:
    def apply(root: Path) -> None:
        path = root / "notebooks" / f"{name}.ipynb"
        nb = json.loads(path.read_text())
        source = "".join(nb["cells"][cell - 1]["source"])
        assert old in source
        nb["cells"][cell - 1]["source"] = source.replace(old, new)
        path.write_text(json.dumps(nb))

    return apply


def edit_file(name: str, old: str, new: str) -> Callable[[Path], None]:
    def apply(root: Path) -> None:
        text = (root / name).read_text()
        assert old in text
        (root / name).write_text(text.replace(old, new))

    return apply


def insert_cell(name: str, at: int, cell: dict[str, Any]) -> Callable[[Path], None]:
    def apply(root: Path) -> None:
        path = root / "notebooks" / f"{name}.ipynb"
        nb = json.loads(path.read_text())
        nb["cells"].insert(at, {"id": "new", **cell})
        path.write_text(json.dumps(nb))

    return apply


def set_outputs(root: Path) -> None:
    path = root / "notebooks" / "features.ipynb"
    nb = json.loads(path.read_text())
    for number, cell in enumerate(nb["cells"], start=1):
        cell["execution_count"] = number
        cell["outputs"] = [{"output_type": "stream", "name": "stdout", "text": ["hello\n"]}]
        cell["metadata"]["collapsed"] = True
    path.write_text(json.dumps(nb))


def delete(name: str) -> Callable[[Path], None]:
    return lambda root: (root / name).unlink()


@dataclass(frozen=True, kw_only=True)
class Row:
    """One edit and what must follow."""

    what: str
    edit: Callable[[Path], None]
    stale: dict[str, list[str]]
    maybe: set[str]
    ran: set[str]
    restored: set[str] = frozenset()  # type: ignore[assignment]
    words: tuple[str, ...] = ()


TABLE = [
    Row(
        what="a comment",
        edit=edit_source("clean", 5, "import csv, json", "import csv, json  # to read"),
        stale={},
        maybe=set(),
        ran=set(),
    ),
    Row(
        what="a markdown cell",
        edit=edit_source("clean", 1, "# Clean", "# Clean the rows"),
        stale={},
        maybe=set(),
        ran=set(),
    ),
    Row(
        what="a new markdown cell",
        edit=insert_cell("clean", 2, markdown("Why")),
        stale={},
        maybe=set(),
        ran=set(),
    ),
    Row(
        what="formatting",
        edit=edit_source(
            "features",
            5,
            "json.dump(values, open(features, 'w'))",
            'json.dump(\n    values, open(features, "w")\n)',
        ),
        stale={},
        maybe=set(),
        ran=set(),
    ),
    Row(what="outputs, counts, metadata", edit=set_outputs, stale={}, maybe=set(), ran=set()),
    Row(
        what="a skip cell",
        edit=insert_cell("features", 4, code("print('look')", "skip")),
        stale={},
        maybe=set(),
        ran=set(),
    ),
    Row(
        what="a code cell, other bytes out",
        edit=edit_source("features", 4, "* scale", "* scale + 1"),
        stale={"features": ["code"]},
        maybe={"model"},
        ran={"features", "model"},
        words=("code: cell 4 changed",),
    ),
    Row(
        what="a code cell, same bytes out",
        edit=edit_source("features", 4, "* scale", "* scale * 1"),
        stale={"features": ["code"]},
        maybe={"model"},
        ran={"features"},
    ),
    Row(
        what="a helper module",
        edit=edit_file("notebooks/rules.py", "< limit", "<= limit - 98"),
        stale={"clean": ["module"]},
        maybe={"features", "summary", "model"},
        ran={"clean", "features", "summary", "model"},
        words=("module rules.py changed (keep)",),
    ),
    Row(
        what="a comment in a helper module",
        edit=edit_file("notebooks/rules.py", "    return 1", "    # one\n    return 1"),
        stale={},
        maybe=set(),
        ran=set(),
    ),
    Row(
        what="a parameter's default",
        edit=edit_source("features", 1, "1.0", "0.5"),
        stale={"features": ["parameter"]},
        maybe={"model"},
        ran={"features", "model"},
        words=("parameter scale: 1.0 -> 0.5",),
    ),
    Row(
        what="a parameter in pipeline.yaml",
        edit=edit_file("pipeline.yaml", "name: edits", "name: edits\nparams: {scale: 2.0}"),
        stale={"features": ["parameter"]},
        maybe={"model"},
        ran={"features", "model"},
        words=("parameter scale: 1.0 -> 2.0",),
    ),
    Row(
        what="a data file",
        edit=edit_file("data/raw.csv", "3,c", "5,c"),
        stale={"clean": ["input"]},
        maybe={"features", "summary", "model"},
        ran={"clean", "features", "summary", "model"},
        words=("input ../data/raw.csv changed",),
    ),
    Row(
        what="a data file, in a row that is dropped",
        edit=edit_file("data/raw.csv", "400,d", "500,d"),
        stale={"clean": ["input"]},
        maybe={"features", "summary", "model"},
        ran={"clean"},
    ),
    Row(
        what="an output deleted",
        edit=delete("data/features.json"),
        stale={"features": ["output"]},
        maybe=set(),
        ran=set(),
        restored={"features"},
    ),
]


def plan(root: Path, **environment: str) -> dict[str, dict[str, Any]]:
    done = command("plan", "--format", "json", cwd=root, environment=environment)
    assert done.returncode == 0, done.stdout + done.stderr
    return {one["stage"]: one for one in json.loads(done.stdout)["stages"]}


def run(root: Path) -> dict[str, str]:
    done = command("run", "--format", "json", cwd=root)
    assert done.returncode == 0, done.stdout + done.stderr
    events = [json.loads(line) for line in done.stdout.splitlines()]
    return {one["stage"]: one["data"]["status"] for one in events if one["kind"] == "stage_finished"}


def contents(root: Path) -> dict[str, bytes]:
    return {
        str(path.relative_to(root)): path.read_bytes()
        for folder in ("data", "out")
        for path in sorted((root / folder).rglob("*"))
        if path.is_file()
    }


@pytest.mark.parametrize("row", TABLE, ids=lambda row: row.what)
def test_edit(row: Row, green: Path, tmp_path: Path) -> None:
    root = tmp_path / "moved"
    shutil.copytree(green, root)
    assert {name: one["reasons"] for name, one in plan(root).items()} == {
        name: [] for name in ("clean", "features", "summary", "model")
    }, "a moved project is as fresh as it was"
    originals = contents(root)
    sources = {
        path: path.read_bytes()
        for path in root.rglob("*")
        if path.is_file() and ".nbpipeline" not in path.parts
    }

    row.edit(root)
    planned = plan(root)
    stale = {
        name: [reason["kind"] for reason in one["reasons"]]
        for name, one in planned.items()
        if one["action"] in {"run", "restore"}
    }
    assert stale == row.stale
    assert {name for name, one in planned.items() if one["action"] == "maybe"} == row.maybe
    words = command("plan", cwd=root).stdout
    for expected in row.words:
        assert expected in words

    status = run(root)
    assert {name for name, one in status.items() if one == "succeeded"} == row.ran
    assert {name for name, one in status.items() if one == "restored"} == row.restored
    assert all(one["action"] == "skip" and not one["reasons"] for one in plan(root).values())

    for path, data in sources.items():
        if not path.exists() or (path.read_bytes() != data and path.name not in contents_names(row)):
            path.write_bytes(data)
    back = run(root)
    assert "succeeded" not in back.values(), "reverting restores, it does not run"
    assert contents(root) == originals


def contents_names(row: Row) -> set[str]:
    """Files that stages write: reverting is the store's work, not the test's."""
    del row
    return {"rows.json", "features.json", "summary.txt", "model.json"}


def test_env_variable_counts(green: Path, tmp_path: Path) -> None:
    root = tmp_path / "moved"
    shutil.copytree(green, root)
    planned = plan(root, MODEL_SALT="pepper")
    assert {name: one["action"] for name, one in planned.items()} == {
        "clean": "skip",
        "features": "skip",
        "summary": "skip",
        "model": "run",
    }
    assert planned["model"]["reasons"][0]["kind"] == "environment"
