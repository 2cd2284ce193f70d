"""A journal that was cut in half costs no output."""

from pathlib import Path

import pytest
from stages import artifact, instance

from nbpipeline.stage import journal
from nbpipeline.stage.entries import folder_of, make_shelter, shelter_of
from nbpipeline.stage.rescue import rescue

RUN = "20261123-060000-abcd"


def begun(root: Path, *, mode: str = "write", name: str = "m.txt") -> Path:
    """An output put aside by a run that died, with half of the new one at its place, and half a journal."""
    made = instance(["x = 1"], outputs=[artifact("model", f"models/{name}", mode=mode)])
    target = root / "models" / name
    target.parent.mkdir()
    target.write_text("previous")
    journal.begin(made, root, run=RUN, state="s1", token="none-has-this", rejected=root / "rejected-1")
    target.write_text("half")
    file = folder_of(root) / "train.json"
    file.write_text(file.read_text()[:40])
    return target


@pytest.mark.parametrize("mode", ["write", "update"])
@pytest.mark.parametrize("name", ["m.txt", "n" * 250 + ".txt"])
def test_what_waited_is_back_and_what_stood_there_is_kept(root: Path, mode: str, name: str) -> None:
    target = begun(root, mode=mode, name=name)
    made = instance(["x = 1"], outputs=[artifact("model", f"models/{name}", mode=mode)])
    (notice,) = rescue(made, root)
    assert target.read_text() == "previous"
    (kept,) = (root / ".nbpipeline/kept").iterdir()
    assert (kept / "models" / name).read_text() == "half"
    assert (kept / "train.json").exists()
    assert notice == (
        f"train: the journal of a run that died could not be read; its previous outputs are back: models/{name}; "
        f"what stood there meanwhile and the journal are in .nbpipeline/kept/{kept.name}"
    )
    assert not list(folder_of(root).iterdir())
    assert rescue(made, root) == ()


def test_sheltered_bytes_are_found_too(root: Path) -> None:
    target = begun(root)
    aside = target.with_name(f".m.txt.nbpipeline-{RUN}")
    shelter, other = shelter_of(root, "train", RUN, 0), shelter_of(root, "train-b", RUN, 0)
    make_shelter(shelter)
    aside.rename(shelter)
    make_shelter(other)
    other.write_text("another stage's")
    rescue(instance(["x = 1"], outputs=[artifact("model", "models/m.txt")]), root)
    assert target.read_text() == "previous"
    assert not shelter.parent.exists()
    assert other.exists()


def test_a_sound_journal_and_none_are_left_alone(root: Path) -> None:
    made = instance(["x = 1"], outputs=[artifact("model", "models/m.txt")])
    assert rescue(made, root) == ()
    journal.begin(made, root, run=RUN, state="s1", token="none-has-this", rejected=root / "rejected-1")
    assert rescue(made, root) == ()
    assert (folder_of(root) / "train.json").exists()
