"""The store's objects are damaged: wrong bytes never come back, the stage runs instead."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from one_stage import actions, build, left_behind, run, word_in

from nbpipeline.content import digest_file

pytestmark = pytest.mark.heavy


def flip(place: Path) -> None:
    data = bytearray(place.read_bytes())
    data[len(data) // 2] ^= 1
    place.write_bytes(data)


def cut(place: Path) -> None:
    place.write_bytes(place.read_bytes()[:-1])


def empty(place: Path) -> None:
    place.write_bytes(b"")


def make_folder(place: Path) -> None:
    place.unlink()
    place.mkdir()
    (place / "inside").write_text("x")


def link_elsewhere(place: Path) -> None:
    elsewhere = place.with_name("elsewhere")
    elsewhere.write_text("xxxx" * 1000)
    place.unlink()
    place.symlink_to(elsewhere)


def link_to_nowhere(place: Path) -> None:
    place.unlink()
    place.symlink_to(place.with_name("nowhere"))


def remove(place: Path) -> None:
    place.unlink()


DAMAGES: tuple[Callable[[Path], None], ...] = (
    flip, cut, empty, make_folder, link_elsewhere, link_to_nowhere, remove,
)  # fmt: skip

RARE = (cut, empty, link_to_nowhere)  # as the others are, and tried without a run in test_local_store.py


@pytest.fixture(scope="module")
def ran(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One stage that ran for two words: the first one's table is in the store alone."""
    root = tmp_path_factory.mktemp("stored") / "project"
    root.mkdir()
    build(root)
    for word in ("aaaa", "bbbb"):
        assert run(root, word).returncode == 0
    return root


@pytest.mark.parametrize(
    "damage",
    [pytest.param(one, id=one.__name__, marks=[pytest.mark.nightly] * (one in RARE)) for one in DAMAGES],
)
def test_wrong_bytes_never_come_back(ran: Path, tmp_path: Path, damage: Callable[[Path], None]) -> None:
    root = Path(shutil.copytree(ran, tmp_path / "copy"))
    wanted = root / "wanted"
    wanted.write_text("aaaa" * 1000)
    digest = digest_file(wanted)
    damage(root / ".nbpipeline/store/objects" / digest[:2] / digest)
    done = run(root, "aaaa")
    assert done.returncode == 0, done.stdout + done.stderr
    assert "1 ran in " in done.stdout
    assert word_in(root) == "aaaa"
    assert left_behind(root) == []
    assert run(root, "bbbb").returncode == 0
    assert word_in(root) == "bbbb"
    assert "1 restored in " in run(root, "aaaa").stdout, "the object was put there anew"
    assert word_in(root) == "aaaa"


@pytest.mark.parametrize("text", ["", "{", "[]", "{}", "null"])
def test_records_that_are_none(ran: Path, tmp_path: Path, text: str) -> None:
    """With the history gone too, nothing is known: the stage runs."""
    root = Path(shutil.copytree(ran, tmp_path / "copy"))
    (root / ".nbpipeline/state.db").unlink()
    for record in (root / ".nbpipeline/store/records").glob("*/*.json"):
        json.loads(record.read_text())
        record.write_text(text)
    assert actions(root, "aaaa") == {"a": "run"}
