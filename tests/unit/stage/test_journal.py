"""Whatever moment a run dies in, the old outputs are whole, or the new ones are."""

import errno
import json
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from stages import artifact, instance

from nbpipeline.content import unfinished_of
from nbpipeline.model import Fingerprint, StageInstance, StageRecord, StoredOutput
from nbpipeline.stage import asides, entries, journal, notebook_file, rollback
from nbpipeline.stage.backing import Backing
from nbpipeline.stage.lock import hold
from nbpipeline.stage.places import aside_of, staged_of
from nbpipeline.stage.secrets import Masker
from nbpipeline.state.digests import FileDigests
from nbpipeline.state.memory import MemoryState
from nbpipeline.stores.local import LocalStore

RUN = "20261123-060000-abcd"


def stage(**settings: object) -> StageInstance:
    return instance(["x = 1"], outputs=[artifact("model", "models/m.txt", **settings)])


def began(root: Path, made: StageInstance, **settings: object) -> journal.Journal:
    return journal.begin(
        made, root, run=RUN, state="s1", token="none-has-this", rejected=root / "rejected-1", **settings
    )


def backing(root: Path) -> Backing:
    """A history and a store that know nothing yet."""
    state = MemoryState()
    return Backing(
        state=state, store=LocalStore(root / ".nbpipeline" / "store"), digests=FileDigests(MemoryState())
    )


KILLED_IN_WRITING = """
import os, signal, sys
from pathlib import Path
from nbpipeline.replacing import replace_text
os.fsync = lambda handle: os.kill(os.getpid(), signal.SIGKILL)
folder = Path(sys.argv[1], ".nbpipeline/journals")
folder.mkdir(parents=True, exist_ok=True)
replace_text(folder / "train.json", "{}", durable=True)
"""


def record(state: str = "s1", run: str = RUN) -> StageRecord:
    return StageRecord(
        instance="train", state=state, fingerprint=Fingerprint(), outputs=(), run=run, attempt=1,
        finished=1.0, seconds=1.0,
    )  # fmt: skip


def previous(root: Path) -> Path:
    target = root / "models/m.txt"
    target.parent.mkdir()
    target.write_text("previous")
    return target


def clean(root: Path) -> bool:
    state = root / ".nbpipeline"
    return not [*root.rglob(".*nbpipeline-2026*"), *state.glob("journals/*"), *root.glob(".nbpipeline-*")]


@pytest.mark.parametrize("mode", ["write", "update"])
def test_a_dead_run_s_outputs_come_back(root: Path, mode: str) -> None:
    target = previous(root)
    began(root, stage(mode=mode))
    assert target.exists() == (mode == "update")
    target.write_text("half")
    notices = journal.replay(root)
    assert notices == (
        f"train: run {RUN} died; its previous outputs are back: models/m.txt",
        "train: what stood there meanwhile is in rejected-1: models/m.txt",
    )
    assert target.read_text() == "previous"
    assert (root / "rejected-1/models/m.txt").read_text() == "half"
    assert clean(root)
    assert journal.replay(root) == ()


def test_what_was_new_is_rejected_and_its_folder_taken_back(root: Path) -> None:
    aside = began(root, stage())
    (root / "models/m.txt").write_text("half")
    assert journal.roll_back(aside) == journal.Back()
    assert not (root / "models").exists()
    assert (root / "rejected-1/models/m.txt").read_text() == "half"
    assert clean(root)


def test_a_held_instance_is_left_alone(root: Path) -> None:
    previous(root)
    began(root, stage())
    with hold(root, "train"):
        assert journal.replay(root) == ()
    assert not (root / "models/m.txt").exists()
    journal.replay(root)
    assert (root / "models/m.txt").read_text() == "previous"


def test_a_replay_cut_short_is_repeated(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    target = previous(root)
    began(root, stage())
    target.write_text("half")
    with monkeypatch.context() as patch:
        patch.setattr(
            rollback, "sync_folder", lambda folder: (_ for _ in ()).throw(OSError(errno.EIO, "lost"))
        )
        (notice,) = journal.replay(root)
    assert notice == "train: outputs could not be brought back yet: [Errno 5] lost"
    assert target.read_text() == "previous"
    journal.replay(root)
    assert target.read_text() == "previous"
    assert clean(root)


def test_dead_before_anything_was_moved(root: Path) -> None:
    target = previous(root)
    aside = began(root, stage())
    aside_of(target, RUN).rename(target)  # as if the rename had not happened yet
    assert aside.file.exists()
    assert journal.replay(root) == (f"train: run {RUN} died; nothing had to be brought back",)
    assert target.read_text() == "previous"
    assert clean(root)


def test_dead_while_its_journal_was_written(root: Path) -> None:
    """However often that happens, one small file is left, and it goes when the stage comes again."""
    for _ in range(2):
        subprocess.run([sys.executable, "-c", KILLED_IN_WRITING, root], check=False)
    assert [one.name for one in (root / ".nbpipeline/journals").iterdir()] == [".train.json.new"]
    assert journal.replay(root) == ()
    assert journal.recover(root, "train") == ()
    assert clean(root)


def test_dead_while_a_copy_was_made(root: Path) -> None:
    target = previous(root)
    aside = began(root, stage(mode="update"))
    entries.enter(aside, "moving")
    aside_of(target, RUN).unlink()
    aside_of(target, RUN).with_name(aside_of(target, RUN).name + ".part").write_text("half a copy")
    journal.replay(root)
    assert target.read_text() == "previous"
    assert clean(root)


@pytest.mark.parametrize("on_record", [False, True])
def test_dead_between_record_and_end_of_journal(root: Path, on_record: bool) -> None:
    target = previous(root)
    began(root, stage())
    target.write_text("new and complete")
    behind = backing(root)
    behind.state.add_record(record() if on_record else record(run="an earlier one"))
    journal.replay(root, behind)
    assert target.read_text() == ("new and complete" if on_record else "previous")
    assert clean(root)


def test_dead_after_commit_began(root: Path) -> None:
    target = previous(root)
    aside = began(root, stage())
    target.write_text("new")
    entries.enter(aside, "recorded")
    journal.replay(root)
    assert target.read_text() == "new"
    assert clean(root)


def _after_link(target: Path, staged: Path, aside: Path) -> None:
    asides.link_or_clone(target, aside)


def _after_swap(target: Path, staged: Path, aside: Path) -> None:
    asides.swap_in(staged, target, aside)


@pytest.mark.parametrize("so_far", [lambda *_: None, _after_link, _after_swap])
def test_dead_while_an_atomic_file_was_swapped(root: Path, so_far: Callable[..., None]) -> None:
    target = previous(root)
    aside = began(root, stage(publish="atomic"))
    assert target.read_text() == "previous"
    staged = staged_of(target, RUN)
    staged.write_text("new")
    entries.enter(aside, "publishing")
    so_far(target, staged, aside_of(target, RUN))
    journal.replay(root)
    assert target.read_text() == "previous"
    assert (root / "rejected-1/models/m.txt").read_text() == "new"
    assert clean(root)


def _exchanged(target: Path, staged: Path, aside: Path) -> None:
    assert asides.exchange(staged, target)


@pytest.mark.parametrize("so_far", [lambda *_: None, _exchanged, _after_swap])
def test_dead_while_an_atomic_folder_was_swapped(root: Path, so_far: Callable[..., None]) -> None:
    target = root / "models/m.txt"
    target.mkdir(parents=True)
    (target / "a").write_text("previous")
    aside = began(root, stage(publish="atomic", kind="directory"))
    staged = staged_of(target, RUN)
    staged.mkdir()
    (staged / "b").write_text("new")
    entries.enter(aside, "publishing")
    so_far(target, staged, aside_of(target, RUN))
    journal.replay(root)
    assert [one.name for one in target.iterdir()] == ["a"]
    assert [one.name for one in (root / "rejected-1/models/m.txt").iterdir()] == ["b"]
    assert clean(root)


def test_a_folder_swap_without_exchange(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(asides, "exchange", lambda one, other: False)
    test_dead_while_an_atomic_folder_was_swapped(root, _after_swap)


def test_a_failure_while_putting_aside_brings_all_back(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    target = previous(root)
    made = instance(["x = 1"], outputs=[artifact("model", "models/m.txt"), artifact("b", "models/b.txt")])
    monkeypatch.setattr(
        journal, "make_folders", lambda folders: (_ for _ in ()).throw(OSError(errno.ENOSPC, "full"))
    )
    with pytest.raises(OSError, match="full"):
        began(root, made)
    assert target.read_text() == "previous"
    assert clean(root)


def test_unrecorded_bytes_are_kept_by_a_replay_too(root: Path) -> None:
    target = previous(root)
    aside = began(root, stage(), backing=backing(root))
    target.write_text("new")
    entries.enter(aside, "recorded")
    (notice,) = journal.replay(root)
    assert "models/m.txt held bytes that no run had recorded" in notice
    assert (root / ".nbpipeline/kept" / RUN / "models/m.txt").read_text() == "previous"


def test_equal_bytes_need_not_be_kept(root: Path) -> None:
    target = previous(root)
    aside = began(root, stage(), backing=backing(root))
    target.write_text("previous")
    assert journal.commit(aside) == ()
    assert not (root / ".nbpipeline/kept").exists()


@pytest.mark.parametrize("text", ["", '{"entries": [', "[]", '{"entries": []}'])
def test_a_journal_that_cannot_be_read_is_told_and_left(root: Path, text: str) -> None:
    file = root / ".nbpipeline/journals/train.json"
    file.parent.mkdir(parents=True)
    file.write_text(text)
    assert journal.replay(root) == (".nbpipeline/journals/train.json cannot be read; left as it is",)
    assert file.read_text() == text


def test_the_journal_is_on_disk_before_anything_moves(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    previous(root)
    seen: list[str] = []

    def look(entry: journal.Entry, run: str) -> None:
        data = json.loads((root / ".nbpipeline/journals/train.json").read_text())
        seen.append(data["entries"][0]["path"])

    monkeypatch.setattr(journal, "_put_aside", look)
    began(root, stage())
    assert seen == ["models/m.txt"]


def test_a_dangling_link_is_an_output_to_be(root: Path, tmp_path: Path) -> None:
    (root / "models").mkdir()
    (root / "models/m.txt").symlink_to(tmp_path / "new-disk" / "m.txt")
    aside = began(root, stage())
    (root / "models/m.txt").write_text("new")
    assert journal.commit(aside) == ()
    assert (tmp_path / "new-disk/m.txt").read_text() == "new"


# --- what went away while it waited -------------------------------------------------------------


def held(root: Path, target: Path) -> Backing:
    """A store that holds what stands at the target."""
    behind = backing(root)
    digest = behind.digests.of(target)
    assert digest is not None
    behind.store.put(target, StoredOutput(path="models/m.txt", digest=digest))
    return behind


def cleared(root: Path) -> None:
    """What a notebook does that clears its output folder, then writes half a file."""
    shutil.rmtree(root / "models")
    (root / "models").mkdir()
    (root / "models/m.txt").write_text("half")


GONE = "models/m.txt was put aside while the stage ran, and something removed it there; "


@pytest.mark.parametrize("mode", ["write", "update"])
def test_a_cleared_folder_comes_back_from_the_store(root: Path, mode: str) -> None:
    target = previous(root)
    behind = held(root, target)
    aside = began(root, stage(mode=mode), backing=behind)
    cleared(root)
    back = journal.roll_back(aside, behind)
    assert back == journal.Back(paths=("models/m.txt",), notices=(f"{GONE}it is back from the store",))
    assert target.read_text() == "previous"
    assert (root / "rejected-1/models/m.txt").read_text() == "half"
    assert clean(root)


def test_a_replay_gets_it_from_the_store_too(root: Path) -> None:
    target = previous(root)
    behind = held(root, target)
    began(root, stage(), backing=behind)
    shutil.rmtree(root / "models")
    assert journal.replay(root, behind) == (
        f"train: run {RUN} died; its previous outputs are back: models/m.txt",
        f"train: {GONE}it is back from the store",
    )
    assert target.read_text() == "previous"
    assert clean(root)


@pytest.mark.parametrize("mode", ["write", "update"])
def test_what_the_store_lacks_waits_out_of_reach(root: Path, mode: str) -> None:
    target = previous(root)
    behind = backing(root)
    aside = began(root, stage(mode=mode), backing=behind)
    assert not aside_of(target, RUN).exists()
    cleared(root)
    assert journal.roll_back(aside, behind) == journal.Back(paths=("models/m.txt",))
    assert target.read_text() == "previous"
    assert clean(root)


def test_where_nothing_can_be_sheltered_half_a_file_is_not_left(
    root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    target = previous(root)
    behind = backing(root)
    monkeypatch.setattr(asides, "same_device", lambda path, folder: False)
    aside = began(root, stage(), backing=behind)
    cleared(root)
    back = journal.roll_back(aside, behind)
    assert back == journal.Back(notices=(f"{GONE}the store does not hold it, so it is lost",))
    assert not target.exists()
    assert (root / "rejected-1/models/m.txt").read_text() == "half"


def test_a_shelter_on_another_file_system_after_all(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    target = previous(root)
    rename = Path.rename

    def refuse(self: Path, to: Path) -> Path:
        if Path(to).name == "previous":
            raise OSError(errno.EXDEV, "Invalid cross-device link")
        return rename(self, to)

    monkeypatch.setattr(Path, "rename", refuse)
    aside = began(root, stage(), backing=backing(root))
    assert aside_of(target, RUN).read_text() == "previous"
    target.write_text("half")
    assert journal.roll_back(aside, backing(root)) == journal.Back(paths=("models/m.txt",))
    assert target.read_text() == "previous"


def test_a_folder_that_was_cleared_in_part(root: Path) -> None:
    target = root / "models/m.txt"
    target.mkdir(parents=True)
    (target / "a").write_text("previous")
    (target / "b").write_text("previous too")
    behind = held(root, target)
    aside = began(root, stage(kind="directory"), backing=behind)
    (aside_of(target, RUN) / "b").unlink()
    assert journal.roll_back(aside, behind).paths == ("models/m.txt",)
    assert sorted(one.name for one in target.iterdir()) == ["a", "b"]
    assert clean(root)


def test_a_live_output_that_was_cleared_away_comes_back(root: Path) -> None:
    target = previous(root)
    behind = held(root, target)
    aside = began(root, stage(publish="atomic"), backing=behind)
    shutil.rmtree(root / "models")
    back = journal.roll_back(aside, behind)
    assert back.paths == ("models/m.txt",)
    assert target.read_text() == "previous"


def test_what_is_back_already_stays(root: Path) -> None:
    target = previous(root)
    behind = held(root, target)
    aside = began(root, stage(), backing=behind)
    aside_of(target, RUN).rename(target)
    assert journal.roll_back(aside, behind) == journal.Back()
    assert target.read_text() == "previous"


def test_an_empty_folder_comes_back_empty(root: Path) -> None:
    (root / "models/m.txt").mkdir(parents=True)
    behind = backing(root)
    aside = began(root, stage(kind="directory"), backing=behind)
    shutil.rmtree(root / "models")
    (root / "models/m.txt").mkdir(parents=True)
    (root / "models/m.txt/half").write_text("half")
    assert journal.roll_back(aside, behind).paths == ("models/m.txt",)
    assert list((root / "models/m.txt").iterdir()) == []


def test_what_a_store_was_giving_is_cleared_away(root: Path) -> None:
    target = previous(root)
    behind = held(root, target)
    began(root, stage(), backing=behind)
    unfinished_of(target).write_text("half of what the store gives")
    journal.replay(root, behind)
    assert [one.name for one in (root / "models").iterdir()] == ["m.txt"]


@pytest.mark.parametrize("name", ["n" * 251 + ".txt", "\u00e4" * 125 + ".txt"])
@pytest.mark.parametrize("publish", ["direct", "atomic"])
def test_the_longest_names(root: Path, name: str, publish: str) -> None:
    made = instance(["x = 1"], outputs=[artifact("model", f"models/{name}", publish=publish)])
    target = root / "models" / name
    target.parent.mkdir()
    target.write_text("previous")
    aside = began(root, made, backing=backing(root))
    (staged_of(target, RUN) if publish == "atomic" else target).write_text("half")
    journal.roll_back(aside, backing(root))
    assert target.read_text() == "previous"
    assert clean(root)
    aside = journal.publish(began(root, made, backing=backing(root)))
    assert journal.commit(aside) == () or publish == "direct"


def test_a_replay_puts_the_record_of_a_large_notebook_together(
    root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(notebook_file, "WHOLE_BELOW", 0)
    began(root, stage())
    cells = [
        {
            "id": f"c{n}",
            "cell_type": "code",
            "metadata": {},
            "source": "x" * 200,
            "outputs": [],
            "execution_count": None,
        }
        for n in range(9)
    ]
    book = {"cells": cells, "metadata": {}, "nbformat": 4, "nbformat_minor": 5}
    file = notebook_file.NotebookFile(root / "attempt-1.ipynb", Masker(()))
    file.save(book)
    cells[0]["execution_count"] = 7
    file.touch(cells[0])
    file.save(book)
    assert json.loads((root / "attempt-1.ipynb").read_text())["cells"][0]["execution_count"] is None
    journal.replay(root)  # the run has died here
    assert json.loads((root / "attempt-1.ipynb").read_text())["cells"][0]["execution_count"] == 7
    assert not notebook_file.part_of(root / "attempt-1.ipynb").exists()
