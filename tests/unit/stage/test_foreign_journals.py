"""A journal is of the project that it stands in, whatever it says of itself; one that is no journal is none."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from stages import artifact, instance

from nbpipeline.kernels.marks import MARK
from nbpipeline.run.standing import asides
from nbpipeline.stage import entries, journal
from nbpipeline.stage.places import aside_of

RUN = "20261123-060000-abcd"
FILE = Path(".nbpipeline/journals/train.json")


def in_the_middle(root: Path, *paths: str, **settings: Any) -> None:
    """Leave a project as a run leaves it that was killed after it wrote half of each output."""
    for path in paths:
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        (root / path).write_text("previous")
    outputs = [artifact(f"m{number}", path, **settings) for number, path in enumerate(paths)]
    rejected = root / ".nbpipeline/runs" / RUN / "train/rejected-1"
    journal.begin(
        instance(["x = 1"], outputs=outputs), root, run=RUN, state="s1", token="attack-1", rejected=rejected
    )
    for path in paths:
        (root / path).write_text("half")


@pytest.fixture
def first(tmp_path: Path) -> Path:
    root = tmp_path / "first"
    root.mkdir()
    return root


def test_a_copied_project_settles_its_own_outputs_alone(first: Path, tmp_path: Path) -> None:
    in_the_middle(first, "models/m.txt")
    copy = tmp_path / "copy"
    shutil.copytree(first, copy)
    (notice, _) = journal.replay(copy)
    assert notice == f"train: run {RUN} died; its previous outputs are back: models/m.txt"
    assert (copy / "models/m.txt").read_text() == "previous"
    assert (copy / ".nbpipeline/runs" / RUN / "train/rejected-1/models/m.txt").read_text() == "half"
    assert not (copy / FILE).exists()
    assert (first / "models/m.txt").read_text() == "half"
    assert aside_of(first / "models/m.txt", RUN).read_text() == "previous"
    assert (first / FILE).exists()


def test_a_copied_project_ends_no_process_of_the_first(first: Path, tmp_path: Path) -> None:
    in_the_middle(first, "models/m.txt")
    shutil.copytree(first, tmp_path / "copy")
    waits = [sys.executable, "-c", "import sys; sys.stdin.read()"]
    with subprocess.Popen(waits, stdin=subprocess.PIPE, env={**os.environ, MARK: "attack-1"}) as working:
        journal.replay(tmp_path / "copy")
        assert working.poll() is None
        journal.replay(first)
        assert working.wait() != 0


def test_a_moved_project_is_settled_where_it_stands_now(first: Path, tmp_path: Path) -> None:
    in_the_middle(first, "models/m.txt", "models/n.txt")
    moved = first.rename(tmp_path / "moved")
    assert (tmp_path / "moved/models/m.txt").read_text() == "half"
    journal.replay(moved)
    assert (moved / "models/m.txt").read_text() == "previous"
    assert (moved / "models/n.txt").read_text() == "previous"
    assert not first.exists()
    assert not (moved / FILE).exists()


def test_what_two_copies_share_is_for_the_first_to_settle(first: Path, tmp_path: Path) -> None:
    shared = tmp_path / "shared.txt"
    in_the_middle(first, str(shared), "m.txt")
    shutil.copytree(first, tmp_path / "copy")
    journal.replay(tmp_path / "copy")
    assert shared.read_text() == "half"
    assert (tmp_path / "copy/m.txt").read_text() == "previous"
    journal.replay(first)
    assert shared.read_text() == "previous"


ODD: tuple[Any, ...] = (None, True, -1, 3.5, [], ["x"], [None], {}, {"a": 1}, "a/\0b")


def _damages() -> list[tuple[str, str, Any]]:
    texts = ("root", "instance", "run", "state", "token", "rejected", "phase")
    found = [("", name, odd) for name in texts for odd in ODD]
    found += [("", "run", odd) for odd in ("", "../../..", "a/b")]
    found += [("", "phase", "unheard of"), ("", "folders", [1]), ("", "entries", None)]
    of_entry = ("path", "target", "how", "digest", "shelter")
    found += [("entry", name, odd) for name in of_entry for odd in ODD]
    return [*found, ("entry", "target", ""), ("entry", "target", "/"), ("entry", "how", "eaten")]


@pytest.mark.parametrize(("part", "name", "odd"), _damages())
def test_what_is_no_journal_is_told_and_left(first: Path, part: str, name: str, odd: Any) -> None:
    in_the_middle(first, "m.txt")
    data = json.loads((first / FILE).read_text())
    (data["entries"][0] if part else data)[name] = odd
    (first / FILE).write_text(json.dumps(data))
    assert entries.read(first / FILE) is None
    assert asides(first, 0.0) == ()
    assert journal.replay(first) == (f"{FILE} cannot be read; left as it is",)
    assert (first / "m.txt").read_text() == "half"


@pytest.mark.parametrize("text", ["[" * 100_000, "null", "[]", '"x"', ""])
def test_what_is_no_object_is_no_journal(first: Path, text: str) -> None:
    in_the_middle(first, "m.txt")
    (first / FILE).write_text(text)
    assert entries.read(first / FILE) is None
