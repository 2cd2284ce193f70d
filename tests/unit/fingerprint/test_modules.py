"""Which files of the project a notebook's code reads by importing."""

import os
from pathlib import Path

import pytest
from builders import code, header, markdown, write_files, write_notebook

from nbpipeline.fingerprint import Fingerprinter, differences
from nbpipeline.fingerprint.facts import Facts, FactsCache, notebook_facts
from nbpipeline.model import Fingerprint, StageInstance
from nbpipeline.pipeline import build
from nbpipeline.reading.project import read_project
from nbpipeline.state.digests import FileDigests
from nbpipeline.state.memory import MemoryState


def fingerprint(root: Path, *, environ: dict[str, str] | None = None) -> Fingerprint:
    maker, instance = made(root, environ)
    return maker.of(instance)


def made(root: Path, environ: dict[str, str] | None = None) -> tuple[Fingerprinter, StageInstance]:
    project, _ = read_project(root)
    pipeline, complaints = build(project)
    assert pipeline is not None, [str(one) for one in complaints]
    state = MemoryState()
    maker = Fingerprinter(project, FileDigests(state), state, environ or {})
    (instance,) = pipeline
    return maker, instance


def modules(root: Path, source: str, head: str = "stage: it", **files: str) -> set[str]:
    write_notebook(root / "notebooks/it.ipynb", header(head), code(source))
    write_files(root, {name.replace("__", "/", 1): text for name, text in files.items()})
    return set(fingerprint(root).modules)


FILES = {
    "notebooks/plain.py": "import other\n",
    "notebooks/other.py": "import plain\nfrom pkg import deep\n",
    "notebooks/unused.py": "x = 1\n",
    "notebooks/pkg/__init__.py": "",
    "notebooks/pkg/deep.py": "from . import near\nfrom .sub import leaf\n",
    "notebooks/pkg/near.py": "from ..pkg.sub.leaf import x\n",
    "notebooks/pkg/sub/__init__.py": "from .leaf import *\n",
    "notebooks/pkg/sub/leaf.py": "x = 1\n",
    "notebooks/space/inner.py": "x = 1\n",
    "notebooks/script.py": "import run_too\n",
    "notebooks/run_too.py": "x = 1\n",
    "notebooks/json.py": "x = 1\n",
    "src/lib/__init__.py": "",
    "src/lib/part.py": "from lib import more\n",
    "src/lib/more.py": "x = 1\n",
    "tools/outside.py": "x = 1\n",
    "tools/program.py": "import outside\n",
    "root_level.py": "x = 1\n",
}

PKG = "notebooks/pkg"

CASES = {
    "nothing": ("x = 1", set()),
    "a third party's": ("import pandas as pd, numpy.linalg", set()),
    "transitively, in a circle, with submodules by from": (
        "import plain",
        {
            "notebooks/plain.py",
            "notebooks/other.py",
            f"{PKG}/__init__.py",
            f"{PKG}/deep.py",
            f"{PKG}/near.py",
            f"{PKG}/sub/__init__.py",
            f"{PKG}/sub/leaf.py",
        },
    ),
    "a dotted name": (
        "import pkg.sub.leaf",
        {f"{PKG}/__init__.py", f"{PKG}/sub/__init__.py", f"{PKG}/sub/leaf.py"},
    ),
    "a name that is an attribute": (
        "from pkg.sub import x",
        {f"{PKG}/__init__.py", f"{PKG}/sub/__init__.py", f"{PKG}/sub/leaf.py"},
    ),
    "a namespace package": ("from space import inner", {"notebooks/space/inner.py"}),
    "a module that hides one of the standard library": ("import json", {"notebooks/json.py"}),
    "inside a function": ("def f():\n    import unused\n", {"notebooks/unused.py"}),
    "by a literal name": (
        "from importlib import import_module\nm = import_module('unused')",
        {"notebooks/unused.py"},
    ),
    "%run": ("%run script.py --fast", {"notebooks/script.py", "notebooks/run_too.py"}),
    "%run without its ending": ("%run -i script", {"notebooks/script.py", "notebooks/run_too.py"}),
    "%run elsewhere": ("%run ../tools/outside.py", {"tools/outside.py"}),
    "a program beside its modules": ("!python ../tools/program.py", {"tools/program.py", "tools/outside.py"}),
    "%run out of the project": ("%run /etc/hosts.py", set()),
    "sys.path.append": (
        "import sys\nsys.path.append('../tools')\nimport outside",
        {"tools/outside.py"},
    ),
    "sys.path.insert with a Path": (
        "import sys\nfrom pathlib import Path\nsys.path.insert(0, str(Path('../tools')))\nimport outside",
        {"tools/outside.py"},
    ),
    "sys.path from the folder above": (
        "import sys, os\nfrom pathlib import Path\nsys.path += [str(Path.cwd().parent / 'tools')]\nimport outside",
        {"tools/outside.py"},
    ),
    "not on the path": ("import root_level, outside, lib", set()),
    "in a skipped cell's place": ("# import unused", set()),
}


@pytest.mark.parametrize(("source", "expected"), CASES.values(), ids=CASES)
def test_which_modules_count(root: Path, source: str, expected: set[str]) -> None:
    write_files(root, FILES)
    write_notebook(root / "notebooks/it.ipynb", header("stage: it"), code(source))
    assert set(fingerprint(root).modules) == expected


def test_pythonpath(root: Path) -> None:
    write_files(root, FILES)
    write_notebook(
        root / "notebooks/it.ipynb", header("stage: it\npythonpath: [../src]"), code("from lib import part")
    )
    expected = {"src/lib/__init__.py", "src/lib/part.py", "src/lib/more.py"}
    assert set(fingerprint(root).modules) == expected


def test_pythonpath_from_the_environment(root: Path) -> None:
    write_files(root, FILES)
    write_notebook(root / "notebooks/it.ipynb", header("stage: it"), code("import outside"))
    assert set(fingerprint(root, environ={"PYTHONPATH": f"{root}/tools"}).modules) == {"tools/outside.py"}


def test_the_projects_root_as_working_folder(root: Path) -> None:
    write_files(root, FILES)
    write_notebook(
        root / "notebooks/it.ipynb", header("stage: it\ncwd: project"), code("import root_level, unused")
    )
    assert set(fingerprint(root).modules) == {"root_level.py"}


def test_skip_and_test_cells_import_nothing(root: Path) -> None:
    write_files(root, FILES)
    write_notebook(
        root / "notebooks/it.ipynb",
        header("stage: it"),
        code("import unused", "skip"),
        code("import json", "test"),
    )
    assert fingerprint(root).modules == {}


def test_a_module_that_cannot_be_parsed_counts_by_its_bytes(root: Path) -> None:
    write_notebook(root / "notebooks/it.ipynb", header("stage: it"), code("import broken"))
    write_files(root, {"notebooks/broken.py": "def ("})
    first = fingerprint(root).modules
    write_files(root, {"notebooks/broken.py": "def ( # comment"})
    second = fingerprint(root).modules
    assert set(first) == set(second) == {"notebooks/broken.py"}
    assert first != second


def test_a_notebook_that_is_run_counts_by_its_code(root: Path) -> None:
    write_files(root, FILES)
    write_notebook(root / "notebooks/it.ipynb", header("stage: it"), code("%run part.ipynb"))
    write_notebook(root / "notebooks/part.ipynb", markdown("prose"), code("import unused"))
    first = fingerprint(root).modules
    assert set(first) == {"notebooks/part.ipynb", "notebooks/unused.py"}
    write_notebook(root / "notebooks/part.ipynb", code("import unused  # why"))
    assert fingerprint(root).modules == first
    write_notebook(root / "notebooks/part.ipynb", code("import unused as u"))
    assert fingerprint(root).modules != first
    (root / "notebooks/part.ipynb").write_text("{}")
    assert set(fingerprint(root).modules) == {"notebooks/part.ipynb"}


def test_a_notebook_that_is_run_brings_what_it_runs_and_its_folders(root: Path) -> None:
    write_files(root, FILES)
    cells = [
        code("import sys\nsys.path.append('../lib')"),
        code("import far"),
        code("%run script.py"),
        code("import os\nos.system('python other.py')"),
    ]
    write_notebook(root / "notebooks/part.ipynb", *cells)
    write_notebook(root / "notebooks/else.ipynb", code("import unused"))
    facts = FactsCache(MemoryState())
    found, other = (
        facts.of_notebook(str(root / "notebooks" / name), digest)
        for name, digest in (("part.ipynb", "1" * 64), ("else.ipynb", "2" * 64))
    )
    assert (found.paths, found.runs) == (("../lib",), ("script.py", "other.py"))
    assert [one.module for one in found.imports] == ["sys", "far", "os"]
    assert [one.module for one in other.imports] == ["unused"]
    assert (other.paths, other.runs) == ((), ())


def test_a_notebook_that_cannot_be_read_counts_by_its_bytes() -> None:
    assert notebook_facts(b"{", "ab" * 32) == Facts("ab" * 16)


@pytest.mark.parametrize(
    ("before", "after", "told"),
    [
        ("FIRST = 1\nsecond = 2\n", "FIRST = 3\nsecond = 2\n", "changed (FIRST)"),
        ("FIRST = 1\nsecond = 2\n", "second = 2\nthird = 3\n", "changed (third, FIRST)"),
        ("FIRST = 1\nprint(1)\n", "FIRST = 1\nprint(2)\n", "changed"),
        ("FIRST = 1\nprint(1)\n", "FIRST = 2\nprint(2)\n", "changed (FIRST)"),
    ],
)
def test_a_modules_difference_is_told_by_name(root: Path, before: str, after: str, told: str) -> None:
    write_notebook(root / "notebooks/it.ipynb", header("stage: it"), code("import mine"))
    write_files(root, {"notebooks/mine.py": before})
    first = fingerprint(root)
    write_files(root, {"notebooks/mine.py": after})
    (reason,) = differences(first, fingerprint(root))
    assert (reason.kind.value, reason.subject, reason.detail) == ("module", "notebooks/mine.py", told)


def test_what_a_followed_file_adds_is_added_and_all_else_stays_as_planned(root: Path) -> None:
    write_files(root, {"notebooks/seen.py": "import yaml\n"})
    write_notebook(root / "notebooks/it.ipynb", header("stage: it\nenv: [SITE]"), code("x = 1"))
    environ = {**os.environ, "SITE": "eu"}
    maker, instance = made(root, environ)
    planned = maker.of(instance)
    assert not any("yaml" in name.lower() for name in planned.environment)
    environ["SITE"] = "us"
    later = maker.following(planned, instance, ("notebooks/seen.py",))
    whole = maker.of(instance, followed=("notebooks/seen.py",))
    assert later.environment["env SITE"] == planned.environment["env SITE"] != whole.environment["env SITE"]
    assert {**later.environment, "env SITE": ""} == {**whole.environment, "env SITE": ""}
    assert any("yaml" in name.lower() for name in later.environment)
    assert later.modules == whole.modules


def test_nbpipeline_itself_never_counts(root: Path) -> None:
    write_notebook(root / "notebooks/it.ipynb", header("stage: it"), code("from nbpipeline import stage"))
    write_files(root, {"notebooks/nbpipeline/__init__.py": "", "notebooks/nbpipeline/stage.py": ""})
    found = fingerprint(root)
    assert found.modules == {}
    assert set(found.environment) == {"python"}


def test_a_module_that_moves_out_of_the_way_changes_what_is_found(root: Path) -> None:
    write_files(root, FILES)
    write_notebook(
        root / "notebooks/it.ipynb",
        header("stage: it\npythonpath: [../tools, ../src]"),
        code("import outside"),
    )
    assert set(fingerprint(root).modules) == {"tools/outside.py"}
    write_files(root, {"notebooks/outside.py": "x = 2"})
    assert set(fingerprint(root).modules) == {"notebooks/outside.py"}


def test_a_followed_file_counts_as_code_or_by_its_bytes(root: Path) -> None:
    write_files(root, FILES)
    write_notebook(root / "notebooks/it.ipynb", header("stage: it"), code("import plain"))
    maker, instance = made(root)
    bare = maker.of(instance)
    as_code = maker.of(instance, followed=("root_level.py", "notebooks/plain.py"))
    as_text = maker.of(instance, followed=("=notebooks/plain.py",))
    assert set(as_code.modules) == {*bare.modules, "root_level.py"}
    assert set(as_text.modules) == set(bare.modules)
    assert maker.following(as_code, instance, ()) == bare
    write_files(root, {"notebooks/plain.py": FILES["notebooks/plain.py"] + "# a comment"})
    maker, instance = made(root)
    assert maker.of(instance) == bare
    assert maker.of(instance, followed=("root_level.py", "notebooks/plain.py")) == as_code
    assert maker.of(instance, followed=("=notebooks/plain.py",)) != as_text
    (root / "notebooks/plain.py").unlink()
    maker, instance = made(root)
    assert maker.of(instance, followed=("=notebooks/plain.py",)).modules == {"notebooks/plain.py": "missing"}
