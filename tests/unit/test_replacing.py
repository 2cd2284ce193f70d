"""A file is replaced whole or not at all."""

from pathlib import Path

import pytest

from nbpipeline.replacing import replace_text, replaced


@pytest.mark.parametrize("durable", [False, True])
def test_the_new_text_takes_the_place_of_the_old(root: Path, durable: bool) -> None:
    path = root / "a.json"
    for text in ("old\n", "newer \u00e4\n"):
        replace_text(path, text, durable=durable)
        assert path.read_bytes() == text.encode()
    assert list(root.iterdir()) == [path]


def test_a_block_that_raises_leaves_the_old_and_nothing_beside(root: Path) -> None:
    path = root / "a.json"
    path.write_text("old")

    def cut() -> None:
        with replaced(path) as beside:
            beside.write_text("ne")
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        cut()
    assert path.read_text() == "old"
    assert list(root.iterdir()) == [path]


def test_a_refusal_is_raised_as_it_is(root: Path) -> None:
    with pytest.raises(FileNotFoundError):
        replace_text(root / "nowhere" / "a.json", "x")
    (root / "folder" / "full").mkdir(parents=True)
    with pytest.raises(OSError):
        replace_text(root / "folder", "x")
    assert [one.name for one in root.iterdir()] == ["folder"]


def test_another_place_to_fill(root: Path) -> None:
    with replaced(root / "a", by=root / "elsewhere") as beside:
        beside.write_text("x")
    assert (root / "a").read_text() == "x"
    assert [one.name for one in root.iterdir()] == ["a"]
