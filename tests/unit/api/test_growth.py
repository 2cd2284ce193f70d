"""Work grows with the project and no faster: counted in calls, statements and reads, never timed."""

import os
import sqlite3
import sys
from pathlib import Path

import pytest
from builders import code, header, write_notebook
from counting import calls_of

from nbpipeline import Project, content
from nbpipeline.fingerprint import modules
from nbpipeline.state import sqlite


@pytest.fixture(autouse=True)
def settled(monkeypatch):
    """Every file counts as one that has not changed for long."""
    monkeypatch.setattr(content, "SETTLED", -3600.0)


def recorded(root: Path, stages: int) -> Project:
    """A chain of stages that are all on record, as `nbpipeline record` puts them there."""
    (root / "data").mkdir(parents=True)
    for number in range(stages):
        reads = [code(f"before = '../data/{number - 1}.txt'", "inputs")] if number else []
        write_notebook(
            root / f"notebooks/s{number:03d}.ipynb",
            header("tags: [all]"),
            code("from pathlib import Path\nC = 1", "parameters"),
            *reads,
            code(f"after = '../data/{number}.txt'", "outputs"),
            code("import json\nPath(after).write_text(json.dumps(C))"),
        )
        (root / f"data/{number}.txt").write_text("1")
    project = Project(root)
    assert len(project.record("tag:all")) == stages
    assert {str(one.action) for one in project.plan().steps} == {"skip"}
    return project


@pytest.fixture
def sizes(root) -> dict[int, Project]:
    return {number: recorded(root / str(number), number) for number in (10, 30, 50)}


def test_a_plan_with_nothing_to_do_is_linear(sizes):
    ten, thirty, fifty = (calls_of(project.plan) for project in sizes.values())
    assert thirty < fifty
    assert fifty - thirty < 1.1 * (thirty - ten)


def test_a_run_with_nothing_to_do_is_linear(sizes):
    ten, thirty, fifty = (calls_of(project.run) for project in sizes.values())
    assert fifty - thirty < 1.1 * (thirty - ten)


def statements(monkeypatch, work) -> list[str]:
    """List the SQL statements that some work makes."""
    told: list[str] = []
    connect = sqlite._connect

    def heard(path, *, alone) -> sqlite3.Connection:
        connection = connect(path, alone=alone)
        connection.set_trace_callback(told.append)
        return connection

    with monkeypatch.context() as patch:
        patch.setattr(sqlite, "_connect", heard)
        work()
    return told


def test_a_plan_asks_the_state_as_often_whatever_the_size(sizes, monkeypatch):
    asked = {number: len(statements(monkeypatch, project.plan)) for number, project in sizes.items()}
    assert len(set(asked.values())) == 1
    written = [one for one in statements(monkeypatch, sizes[10].plan) if one.startswith(("INSERT", "DELETE"))]
    assert not written


def opened(work) -> list[str]:
    """List the files that are opened meanwhile."""
    OPENED.clear()
    OPENED.append("")
    work()
    found, OPENED[:] = OPENED[1:], []
    return found


OPENED: list[str] = []


def _audit(event, arguments):
    if OPENED and event == "open":
        OPENED.append(str(arguments[0]))


sys.addaudithook(_audit)


def test_a_plan_with_nothing_to_do_opens_no_notebook_and_no_data(sizes):
    project = sizes[10]
    found = opened(project.plan)
    assert not [
        path for path in found if path.endswith((".ipynb", ".txt", ".json")) and "kernels" not in path
    ]
    path = Path(project.root) / "notebooks/s004.ipynb"
    path.write_text(path.read_text().replace('"C = 1"', '"C = 2"').replace("C = 1", "C = 2"))
    found = opened(project.plan)
    assert {Path(one).name for one in found if one.endswith(".ipynb")} == {"s004.ipynb"}


def test_the_folder_of_notebooks_is_not_listed_anew_for_each_stage(sizes, monkeypatch):
    listed: list[str] = []
    scan = os.scandir

    def heard(path):
        listed.append(str(path))
        return scan(path)

    monkeypatch.setattr(modules.os, "scandir", heard)
    counts = {}
    for number, project in sizes.items():
        with project._open() as (pipeline, place):
            listed.clear()
            for instance in pipeline:  # each a look of its own, as in a run
                place.fingerprinter.of(instance)
            counts[number] = sum(one.endswith("/notebooks") for one in listed)
    assert set(counts.values()) == {1}


def test_a_folder_is_listed_again_when_a_module_comes(root):
    folders = modules.Folders()
    (root / "a.py").touch()
    assert folders.names(str(root)) == {"a.py": False}
    assert folders.names(str(root)) == {"a.py": False}
    before = root.stat().st_mtime_ns
    while root.stat().st_mtime_ns == before:
        (root / "b").mkdir(exist_ok=True)
        (root / "c").touch()
        (root / "c").unlink()
    assert folders.names(str(root)) == {"a.py": False, "b": True}
    (root / "link").symlink_to("a.py")
    assert folders.names(str(root))["link"] is False
    (root / "link").unlink()
    (root / "link").symlink_to("b")
    assert folders.names(str(root))["link"] is True
    assert folders.names(str(root / "none")) == {}


def test_changing_a_link_target_is_seen(root):
    """A folder's time does not tell what a link in it leads to."""
    (root / "x").mkdir()
    (root / "in").mkdir()
    (root / "in/link").symlink_to(root / "x")
    folders = modules.Folders()
    assert folders.names(str(root / "in")) == {"link": True}
    (root / "x").rmdir()
    (root / "x").touch()
    assert folders.names(str(root / "in")) == {"link": False}
