"""A journal is of the project that it stands in, whatever it says of itself; one that is no journal is none."""

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from stages import artifact, instance

from nbpipeline.kernels.marks import MARK
from nbpipeline.run.standing import asides
from nbpipeline.stage import asides as moving
from nbpipeline.stage import entries, journal
from nbpipeline.stage.backing import Backing
from nbpipeline.stage.places import aside_of, staged_of
from nbpipeline.state.digests import FileDigests
from nbpipeline.state.memory import MemoryState
from nbpipeline.stores.local import LocalStore

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


# --- while outputs are swapped in --------------------------------------------------------------


def backing(root: Path) -> Backing:
    """A history and a store that know nothing yet."""
    store = LocalStore(root / ".nbpipeline" / "store")
    return Backing(state=MemoryState(), store=store, digests=FileDigests(MemoryState()))


def write(place: Path, text: str, *, folder: bool) -> None:
    """Write an output as a file, or as a folder with a file in it."""
    if folder:
        place.mkdir(parents=True)
        place /= "part.txt"
    place.write_text(text)


def nothing(_new: Path, _target: Path, _old: Path) -> None:
    """The run dies before its first step."""


def kept(_new: Path, target: Path, old: Path) -> None:
    moving.link_or_clone(target, old)


def exchanged(new: Path, target: Path, _old: Path) -> None:
    assert moving.exchange(new, target)


def put_aside(_new: Path, target: Path, old: Path) -> None:
    target.rename(old)


MOMENTS = [
    (nothing, False), (kept, False), (moving.swap_in, False),
    (nothing, True), (exchanged, True), (put_aside, True), (moving.swap_in, True),
]  # fmt: skip
"""What has been done of a swap when the run dies, and whether the output is a folder."""
Step = Callable[[Path, Path, Path], None]


def died_while_publishing(root: Path, step: Step, *, folder: bool) -> None:
    """Leave two outputs of a run that died while it swapped in the second, and one that is new."""
    paths = ["out/first", "out/second", "out/new"]
    for path in paths[:2]:
        (root / path).parent.mkdir(exist_ok=True)
        write(root / path, f"previous {path}", folder=folder)
    outputs = [artifact(f"m{number}", path, publish="atomic") for number, path in enumerate(paths)]
    left = journal.begin(
        instance(["x = 1"], outputs=outputs), root, run=RUN, state="s1", token="", backing=backing(root),
        rejected=root / ".nbpipeline/runs" / RUN / "train/rejected-1",
    )  # fmt: skip
    for path in paths:
        write(staged_of(root / path, RUN), f"later {path}", folder=folder)
    entries.enter(left, "publishing")
    for path, done in zip(paths, (moving.swap_in, step, nothing), strict=True):
        done(staged_of(root / path, RUN), root / path, aside_of(root / path, RUN))


def everything(root: Path) -> dict[str, str]:
    return {str(one.relative_to(root)): one.read_text() for one in sorted(root.rglob("*")) if one.is_file()}


@pytest.mark.parametrize(("step", "folder"), MOMENTS)
def test_a_project_copied_while_outputs_are_swapped_in_settles_its_own(
    first: Path, tmp_path: Path, step: Step, *, folder: bool
) -> None:
    died_while_publishing(first, step, folder=folder)
    before = everything(first)
    copy = Path(shutil.copytree(first, tmp_path / "copy"))
    for root in (copy, first):
        (notice, *_) = journal.replay(root, backing(root))
        assert notice.startswith(f"train: run {RUN} died; ")
        end = "/part.txt" if folder else ""
        found = {path: text for path, text in everything(root).items() if not path.startswith(".nbpipeline")}
        assert found == {f"{path}{end}": f"previous {path}" for path in ("out/first", "out/second")}
        rejected = root / ".nbpipeline/runs" / RUN / "train/rejected-1"
        assert everything(rejected) == {
            f"{path}{end}": f"later {path}" for path in ("out/first", "out/second", "out/new")
        }
        assert root == first or everything(first) == before


def test_a_copy_s_files_are_not_known_by_the_first_one_s_inodes(first: Path, tmp_path: Path) -> None:
    died_while_publishing(first, kept, folder=False)
    copy = Path(shutil.copytree(first, tmp_path / "copy"))
    file = copy / FILE
    told = json.loads(file.read_text())
    for entry in told["entries"]:
        entry["inode"] = moving.inode(copy / "out/first")  # what is new there has a number that meant the old
    file.write_text(json.dumps(told))
    journal.replay(copy, backing(copy))
    assert (copy / "out/first").read_text() == "previous out/first"


def test_a_file_that_changed_places_with_a_folder_comes_back_in_a_copy(first: Path, tmp_path: Path) -> None:
    (first / "out").write_text("previous")
    left = journal.begin(
        instance(["x = 1"], outputs=[artifact("out", "out", publish="atomic")]), first, run=RUN, state="s1",
        token="", rejected=first / "rejected-1", backing=backing(first),
    )  # fmt: skip
    staged = staged_of(first / "out", RUN)
    write(staged, "later", folder=True)
    entries.enter(left, "publishing")
    exchanged(staged, first / "out", first / "out")
    copy = Path(shutil.copytree(first, tmp_path / "copy"))
    journal.replay(copy, backing(copy))
    assert (copy / "out").read_text() == "previous"
    assert (copy / "rejected-1/out/part.txt").read_text() == "later"


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
