"""What is remembered never makes a stale stage look fresh: fingerprints are those of a first look."""

import os
import random
from pathlib import Path

import pytest
from builders import code, header, write_files, write_notebook

from nbpipeline import Project, content
from nbpipeline.fingerprint import Fingerprinter
from nbpipeline.fingerprint import code as fingerprint_code
from nbpipeline.state.digests import FileDigests
from nbpipeline.state.memory import MemoryState


@pytest.fixture(autouse=True)
def settled(monkeypatch):
    """Every file counts as one that has not changed for long."""
    monkeypatch.setattr(content, "SETTLED", -3600.0)


def rewritten(path: Path, data: bytes) -> None:
    """Replace a file's bytes and put its time of change back; ctime has moved on when this returns."""
    was = path.stat()
    path.write_bytes(data)
    while path.stat().st_ctime_ns == was.st_ctime_ns:
        path.write_bytes(data)
    os.utime(path, ns=(was.st_atime_ns, was.st_mtime_ns))


def project(root: Path) -> Project:
    write_files(root, {"notebooks/own.py": "def f():\n    return 1\n", "data/raw.csv": "a\n1\n"})
    for name, reads in (("a", "raw"), ("b", "a"), ("c", "b")):
        write_notebook(
            root / f"notebooks/{name}.ipynb",
            header("tags: [all]"),
            code("import own\nC: float = 1.0\nD = own.f()", "parameters"),
            code(f"before = '../data/{reads}.csv'", "inputs"),
            code(f"after = '../data/{name}.csv'", "outputs"),
            code("import own\nopen(after, 'w').write(open(before).read() + str(C) + str(own.f()))"),
            code("text = 'x'"),
        )
        (root / f"data/{name}.csv").write_text(name)
    made = Project(root)
    made.record("tag:all")
    return made


def fingerprints(made: Project) -> dict:
    with made._open() as (pipeline, place):
        return {one.id: place.fingerprinter.of(one) for one in pipeline}


def first_look(made: Project) -> dict:
    pipeline = made.pipeline  # reads without a cache
    looking = Fingerprinter(pipeline.project, FileDigests(MemoryState()))
    return {one.id: looking.of(one) for one in pipeline}


CHANGES = [
    ("notebooks/a.ipynb", "C: float = 1.0", "C: float = 2.0"),
    ("notebooks/b.ipynb", "text = 'x'", "text = 'y'"),
    ("notebooks/b.ipynb", '"parameters"', '"mycomments"'),
    ("notebooks/c.ipynb", "str(C)", "str(D)"),
    ("notebooks/c.ipynb", "import own\\nopen", "import sys\\nopen"),
    ("notebooks/own.py", "return 1", "return 2"),
    ("data/raw.csv", "1", "2"),
]


@pytest.mark.parametrize("seed", range(4))
def test_fingerprints_are_those_of_a_first_look(root, seed):
    made = project(root)
    assert fingerprints(made) == first_look(made)
    chance = random.Random(seed)
    for _ in range(10):
        path, one, other = chance.choice(CHANGES)
        text = (root / path).read_text()
        found, put = (one, other) if one in text else (other, one)
        before = fingerprints(made)
        rewritten(root / path, text.replace(found, put, 1).encode())
        after = fingerprints(made)
        assert after == first_look(made)
        assert after != before


@pytest.mark.parametrize(("path", "one", "other"), CHANGES)
def test_an_edit_of_the_same_size_and_time_is_planned(root, path, one, other):
    made = project(root)
    assert {str(step.action) for step in made.plan().steps} == {"skip"}
    made.plan()
    text = (root / path).read_text()
    assert one in text
    rewritten(root / path, text.replace(one, other, 1).encode())
    assert any(step.action != "skip" for step in made.plan().steps)
    rewritten(root / path, text.encode())
    assert {str(step.action) for step in made.plan().steps} == {"skip"}


def test_another_way_of_counting_cells_counts_anew(root, monkeypatch):
    made = project(root)
    made.plan()
    gathered = []
    gather = fingerprint_code._gathered

    def heard(spec, facts):
        gathered.append(spec.name)
        return gather(spec, facts)

    monkeypatch.setattr(fingerprint_code, "_gathered", heard)
    made.plan()
    assert gathered == []
    monkeypatch.setattr(fingerprint_code, "_scheme", lambda: "another")
    assert {str(step.action) for step in made.plan().steps} == {"skip"}
    assert gathered == ["a", "b", "c"]
