"""Whether kernels can be forked, asked of real interpreters."""

import json
import sys
from pathlib import Path

import pytest
from builders import code, write_files, write_notebook

from nbpipeline.kernels.fork_service import Refusal
from nbpipeline.kernels.refusals import Refusals
from nbpipeline.model import ProjectSpec
from nbpipeline.reading.project import read_project
from nbpipeline.state.memory import MemoryState
from nbpipeline.upkeep.installation import warm_kernels


def project(root: Path, text: str = "name: warm\n", kernel: str = "python3") -> ProjectSpec:
    write_files(root, {"pipeline.yaml": text})
    write_notebook(root / "notebooks" / "one.ipynb", code('out = "../out.txt"', "outputs"), kernel=kernel)
    return read_project(root)[0]


def test_an_interpreter_that_forks(root: Path) -> None:
    (found,) = warm_kernels(project(root), Refusals())
    assert (found.subject, found.state, found.what, found.mend) == (
        "warm kernels",
        "good",
        f"{sys.executable} forks them",
        "",
    )


def test_an_interpreter_without_ipykernel(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    bare = root / "bare" / "ipykernel"
    bare.mkdir(parents=True)
    (bare / "__init__.py").write_text("raise ImportError('no ipykernel here')")
    monkeypatch.setenv("PYTHONPATH", str(bare.parent))
    (found,) = warm_kernels(project(root), Refusals())
    assert found.state == "warning"
    assert found.what == (
        f"{sys.executable} forks none, so that each is started anew: "
        "the fork server does not start: ImportError: no ipykernel here"
    )
    assert found.mend == "`kernels: plain` in pipeline.yaml, or mend what is named"


def test_plain_kernels_are_not_probed(root: Path) -> None:
    (found,) = warm_kernels(project(root, "kernels: plain\n"), Refusals())
    assert found.what == "not wanted: pipeline.yaml says `kernels: plain`"


def test_modules_that_are_left_to_their_stages_are_named(root: Path) -> None:
    known = Refusals(MemoryState())
    known.add(sys.executable, Refusal(module="tensorflow", why="it starts threads while it is imported"))
    *_, found = warm_kernels(project(root), known)
    assert found.what == (
        f"tensorflow is left to its stages by {sys.executable}: it starts threads while it is imported"
    )


def test_a_kernel_of_another_language_is_passed_over(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = root / "jupyter" / "kernels" / "other"
    folder.mkdir(parents=True)
    spec = {"argv": ["/bin/true", "{connection_file}"], "display_name": "other", "language": "sh"}
    (folder / "kernel.json").write_text(json.dumps(spec))
    monkeypatch.setenv("JUPYTER_PATH", str(root / "jupyter"))
    assert not list(warm_kernels(project(root, kernel="other"), Refusals()))
