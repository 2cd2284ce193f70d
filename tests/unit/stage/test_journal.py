"""Whatever moment a run dies in, the old outputs are whole, or the new ones are."""

import dataclasses
import errno
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from stages import artifact, instance

from nbpipeline.content import unfinished_of
from nbpipeline.kernels.marks import MARK
from nbpipeline.masking.secrets import Masker
from nbpipeline.model import Fingerprint, StageInstance, StageRecord, StoredOutput
from nbpipeline.stage import asides, entries, journal, notebook_file, rollback
from nbpipeline.stage.backing import Backing
from nbpipeline.stage.lock import hold
from nbpipeline.stage.places import aside_of, staged_of
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


# --- phases: what is on disk while a step is done ------------------------------------------------


def named(made: StageInstance, name: str) -> StageInstance:
    return dataclasses.replace(made, spec=dataclasses.replace(made.spec, name=name))


def refusing(code: int, words: str) -> Callable[..., None]:
    def refuse(*args: object, **settings: object) -> None:
        raise OSError(code, words)

    return refuse


@pytest.mark.parametrize(
    ("mode", "there", "phase"),
    [("update", True, "moving"), ("update", False, "running"), ("write", True, "running")],
)
def test_only_a_copy_has_a_phase_in_which_nothing_was_written(
    root: Path, monkeypatch: pytest.MonkeyPatch, mode: str, there: bool, phase: str
) -> None:
    if there:
        previous(root)
    seen: list[str] = []
    put_aside = journal._put_aside

    def look(entry: journal.Entry, run: str) -> None:
        seen.append(json.loads((root / ".nbpipeline/journals/train.json").read_text())["phase"])
        put_aside(entry, run)

    monkeypatch.setattr(journal, "_put_aside", look)
    aside = began(root, stage(mode=mode))
    assert seen == [phase]
    assert (aside.phase, journal.latest(aside).phase) == ("running", "running")


def test_what_stands_there_before_a_copy_is_whole_is_no_attempt_s(root: Path) -> None:
    target = previous(root)
    behind = held(root, target)
    aside = entries.enter(began(root, stage(mode="update"), backing=behind), "moving")
    aside_of(target, RUN).unlink()
    target.write_text("altered by hand meanwhile")
    assert journal.roll_back(aside, behind) == journal.Back()
    assert target.read_text() == "altered by hand meanwhile"
    assert clean(root)


@pytest.mark.parametrize("kind", ["file", "directory"])
def test_published_then_recorded_or_taken_back(root: Path, kind: str) -> None:
    target = root / "models/m.txt"
    new, old = (target / "new", target / "old") if kind == "directory" else (target, target)
    old.parent.mkdir(parents=True)
    old.write_text("previous")
    made = stage(publish="atomic", kind=kind)
    for end in ("taken back", "recorded"):
        aside = began(root, made)
        staged = staged_of(target, RUN)
        if kind == "directory":
            staged.mkdir()
        (staged / "new" if kind == "directory" else staged).write_text("new")
        aside = journal.publish(aside)
        assert (aside.phase, journal.latest(aside).phase) == ("publishing", "publishing")
        assert new.read_text() == "new"
        waiting = aside_of(target, RUN)
        assert (waiting / "old" if kind == "directory" else waiting).read_text() == "previous"
        if end == "taken back":
            assert journal.roll_back(aside) == journal.Back(paths=("models/m.txt",))
            assert old.read_text() == "previous"
        else:
            assert journal.commit(aside) == ()
            assert new.read_text() == "new"
            assert new == old or not old.exists()
        assert clean(root)


def test_published_where_nothing_stood_and_taken_back(root: Path) -> None:
    aside = began(root, stage(publish="atomic"))
    staged_of(root / "models/m.txt", RUN).write_text("new")
    aside = journal.publish(aside)
    assert (root / "models/m.txt").read_text() == "new"
    assert journal.roll_back(aside) == journal.Back()
    assert not (root / "models").exists()
    assert (root / "rejected-1/models/m.txt").read_text() == "new"


def test_only_what_is_written_beside_is_published(root: Path) -> None:
    target = previous(root)
    aside = began(root, stage())
    target.write_text("new")
    assert journal.publish(aside) is aside
    assert journal.latest(aside).phase == "running"
    journal.commit(aside)
    made = instance(
        ["x = 1"],
        outputs=[artifact("live", "models/live.txt", publish="atomic"), artifact("model", "models/m.txt")],
    )
    aside = began(root, made)
    beside = staged_of(target, RUN)
    beside.write_text("a file of this name is no output's")
    (root / "models/m.txt").write_text("newer")
    aside = journal.publish(aside)  # the live one was not written: its check will say so
    assert target.read_text() == "newer"
    assert not (root / "models/live.txt").exists()
    assert journal.commit(aside) == ()
    assert beside.read_text() == "a file of this name is no output's"


def test_what_was_not_published_is_taken_back_and_nothing_came_back(root: Path) -> None:
    target = previous(root)
    aside = began(root, stage(publish="atomic"))
    staged_of(target, RUN).write_text("half")
    assert journal.roll_back(aside) == journal.Back()
    assert target.read_text() == "previous"
    assert (root / "rejected-1/models/m.txt").read_text() == "half"


def test_what_was_written_beside_and_not_swapped_in_goes_with_the_commit(root: Path) -> None:
    target = previous(root)
    aside = began(root, stage(publish="atomic"))
    staged_of(target, RUN).write_text("never swapped in")
    assert journal.commit(aside) == ()
    assert [one.name for one in target.parent.iterdir()] == ["m.txt"]


def test_a_commit_cut_short_keeps_the_new_outputs(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    target = previous(root)
    aside = began(root, stage())
    target.write_text("new")
    with monkeypatch.context() as patch:
        patch.setattr(asides, "remove", refusing(errno.EIO, "lost"))
        with pytest.raises(OSError, match="lost"):
            journal.commit(aside)
    assert journal.latest(aside).phase == "recorded"
    assert journal.replay(root) == ()
    assert target.read_text() == "new"
    assert clean(root)


def test_a_full_disk_does_not_stop_a_commit(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    target = previous(root)
    aside = began(root, stage())
    target.write_text("new")
    monkeypatch.setattr(journal, "enter", refusing(errno.ENOSPC, "full"))
    shutil.rmtree(root / ".nbpipeline/journals")  # somebody made room
    assert journal.commit(aside) == ()
    assert target.read_text() == "new"
    assert clean(root)


def test_a_roll_back_needs_no_journal_on_disk(root: Path) -> None:
    target = previous(root)
    aside = began(root, stage())
    aside.file.unlink()
    assert journal.roll_back(aside) == journal.Back(paths=("models/m.txt",))
    assert target.read_text() == "previous"


# --- what an output is ---------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("path", "settings", "folder"),
    [
        ("models/m", {"kind": "directory"}, True),
        ("models/m/", {}, True),
        ("models/m", {}, False),
        ("models/m", {"kind": "directory", "publish": "atomic"}, False),
    ],
)
def test_a_declared_folder_may_be_taken_for_granted(
    root: Path, path: str, settings: dict[str, str], folder: bool
) -> None:
    aside = began(root, instance(["x = 1"], outputs=[artifact("model", path, **settings)]))
    assert (root / "models").is_dir()
    assert (root / "models/m").exists() == folder
    assert aside.entries[0].directory == (path.endswith("/") or "kind" in settings)
    journal.roll_back(aside)
    assert not (root / "models").exists()


def test_the_last_record_s_own_bytes_are_dropped_though_the_store_lacks_them(root: Path) -> None:
    target = previous(root)
    behind = backing(root)
    own = StoredOutput(path="models/m.txt", digest=behind.digests.of(target) or "", stored=False)
    behind.state.add_record(dataclasses.replace(record(), outputs=(own,)))
    aside = began(root, stage(), backing=behind)
    target.write_text("new")
    assert journal.commit(aside) == ()
    assert not (root / ".nbpipeline/kept").exists()
    assert clean(root)


def test_other_bytes_of_one_size_and_time_are_kept(root: Path) -> None:
    target = previous(root)
    times = (target.stat().st_atime_ns, target.stat().st_mtime_ns)
    aside = began(root, stage(), backing=backing(root))
    target.write_text("newbytes")
    os.utime(target, ns=times)
    (notice,) = journal.commit(aside)
    assert notice == (
        "models/m.txt held bytes that no run had recorded; "
        f"they are kept at .nbpipeline/kept/{RUN}/models/m.txt"
    )


def outside(folder: Path) -> tuple[Path, StageInstance]:
    """An output beside the project, `allow_outside`, at which something stands."""
    target = folder / "beside" / "m.txt"
    target.parent.mkdir()
    target.write_text("previous")
    made = instance(["x = 1"], outputs=[artifact("model", str(target), allow_outside=True)])
    return target, made


def test_bytes_of_an_output_outside_are_kept_inside(root: Path, tmp_path: Path) -> None:
    target, made = outside(tmp_path)
    aside = began(root, made, backing=backing(root))
    target.write_text("new")
    (notice,) = journal.commit(aside)
    place = f".nbpipeline/kept/{RUN}/{str(target).lstrip('/')}"
    assert notice == f"{target} held bytes that no run had recorded; they are kept at {place}"
    assert (root / place).read_text() == "previous"
    assert target.read_text() == "new"


def test_what_a_dead_run_wrote_outside_goes_with_the_attempt(root: Path, tmp_path: Path) -> None:
    target, made = outside(tmp_path)
    began(root, made)
    target.write_text("half")
    assert journal.replay(root) == (
        f"train: run {RUN} died; its previous outputs are back: {target}",
        f"train: what stood there meanwhile is in rejected-1: {target}",
    )
    assert target.read_text() == "previous"
    assert (root / "rejected-1" / str(target).lstrip("/")).read_text() == "half"


def test_nothing_is_told_of_a_place_outside_where_a_dead_run_wrote_nothing(
    root: Path, tmp_path: Path
) -> None:
    target, made = outside(tmp_path)
    began(root, made)
    assert journal.replay(root) == (f"train: run {RUN} died; its previous outputs are back: {target}",)


# --- what goes wrong on the way back -------------------------------------------------------------


def test_no_room_for_what_failed_does_not_keep_the_previous_away(
    root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    target = previous(root)
    aside = began(root, stage())
    target.write_text("half")
    seen: list[Path] = []

    def move(source: Path, to: Path) -> None:
        seen.append(source)
        raise OSError(errno.ENOSPC, "full")

    monkeypatch.setattr(asides, "move", move)
    assert journal.roll_back(aside) == journal.Back(paths=("models/m.txt",))
    assert target.read_text() == "previous"
    assert [one.name for one in seen] == [f"{aside_of(target, RUN).name}.rejected"]
    assert clean(root)


@pytest.mark.parametrize(
    ("mode", "code"), [("write", errno.ENOSPC), ("update", errno.EXDEV), ("update", errno.ENOSPC)]
)
def test_where_bytes_cannot_be_sheltered_nothing_begins(
    root: Path, monkeypatch: pytest.MonkeyPatch, mode: str, code: int
) -> None:
    target = previous(root)
    rename = Path.rename

    def refuse(self: Path, to: Path) -> Path:
        if Path(to).name == "previous":
            raise OSError(code, "refused")
        return rename(self, to)

    with monkeypatch.context() as patch:
        patch.setattr(Path, "rename", refuse)
        with pytest.raises(OSError, match="refused"):
            began(root, stage(mode=mode), backing=backing(root))
    assert target.read_text() == "previous"
    assert clean(root)


def test_bytes_lost_while_a_stage_could_not_begin_come_from_the_store(
    root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    target = previous(root)
    behind = held(root, target)

    def cleared_and_full(folders: object) -> tuple[Path, ...]:
        aside_of(target, RUN).unlink()
        raise OSError(errno.ENOSPC, "full")

    monkeypatch.setattr(journal, "make_folders", cleared_and_full)
    with pytest.raises(OSError, match="full"):
        began(root, stage(), backing=behind)
    assert target.read_text() == "previous"
    assert clean(root)


def test_a_new_output_was_not_lost(root: Path) -> None:
    behind = backing(root)
    aside = began(root, stage(), backing=behind)
    (root / "models/m.txt").write_text("half")
    assert journal.roll_back(aside, behind) == journal.Back()
    assert not (root / "models").exists()


def folder_of_two(root: Path) -> Path:
    target = root / "models/m.txt"
    target.mkdir(parents=True)
    (target / "a").write_text("previous")
    (target / "b").write_text("previous too")
    return target


def test_the_rest_of_a_folder_that_the_store_lacks_comes_back(root: Path) -> None:
    target = folder_of_two(root)
    behind = backing(root)
    aside = began(root, stage(kind="directory"), backing=behind)
    (Path(aside.entries[0].shelter) / "b").unlink()
    assert journal.roll_back(aside, behind) == journal.Back(paths=("models/m.txt",))
    assert [one.name for one in target.iterdir()] == ["a"]
    assert clean(root)


def test_a_whole_folder_is_not_told_as_lost(root: Path) -> None:
    target = folder_of_two(root)
    behind = held(root, target)
    aside = began(root, stage(kind="directory"), backing=behind)
    assert journal.roll_back(aside, behind) == journal.Back(paths=("models/m.txt",))
    assert sorted(one.name for one in target.iterdir()) == ["a", "b"]


def test_a_file_that_was_altered_while_it_waited_is_still_the_best_there_is(root: Path) -> None:
    target = previous(root)
    behind = held(root, target)
    aside = began(root, stage(), backing=behind)
    aside_of(target, RUN).write_text("previous, touched")
    assert journal.roll_back(aside, behind) == journal.Back(paths=("models/m.txt",))
    assert target.read_text() == "previous, touched"


def test_folders_above_are_made_again(root: Path) -> None:
    target = root / "models/eu/2013/m.txt"
    target.parent.mkdir(parents=True)
    target.write_text("previous")
    made = instance(["x = 1"], outputs=[artifact("model", "models/eu/2013/m.txt")])
    behind = backing(root)
    aside = began(root, made, backing=behind)
    shutil.rmtree(root / "models")
    assert journal.roll_back(aside, behind).paths == ("models/eu/2013/m.txt",)
    assert target.read_text() == "previous"


def test_a_live_output_cleared_away_while_half_of_the_next_stood_beside(root: Path) -> None:
    target = previous(root)
    behind = held(root, target)
    aside = began(root, stage(publish="atomic"), backing=behind)
    target.unlink()
    staged_of(target, RUN).write_text("half")
    assert journal.roll_back(aside, behind).paths == ("models/m.txt",)
    assert target.read_text() == "previous"
    assert (root / "rejected-1/models/m.txt").read_text() == "half"
    assert clean(root)


# --- several dead runs ---------------------------------------------------------------------------


def test_one_that_cannot_be_settled_does_not_stop_the_others(root: Path) -> None:
    (root / ".nbpipeline/journals").mkdir(parents=True)
    (root / ".nbpipeline/journals/a.json").write_text("cut")
    for name in "bcd":
        (root / f"{name}.txt").write_text("previous")
        began(root, named(instance(["x = 1"], outputs=[artifact("made", f"{name}.txt")]), name))
    with hold(root, "b"):
        assert journal.replay(root) == (
            ".nbpipeline/journals/a.json cannot be read; left as it is",
            f"c: run {RUN} died; its previous outputs are back: c.txt",
            f"d: run {RUN} died; its previous outputs are back: d.txt",
        )
    assert [(root / f"{name}.txt").exists() for name in "bcd"] == [False, True, True]


def test_several_outputs_are_told_in_one_line(root: Path) -> None:
    made = instance(["x = 1"], outputs=[artifact("one", "1.txt"), artifact("two", "2.txt")])
    for name in ("1.txt", "2.txt"):
        (root / name).write_text("previous")
    began(root, made)
    for name in ("1.txt", "2.txt"):
        (root / name).write_text("half")
    assert journal.replay(root) == (
        f"train: run {RUN} died; its previous outputs are back: 1.txt, 2.txt",
        "train: what stood there meanwhile is in rejected-1: 1.txt, 2.txt",
    )


def test_a_replay_that_cannot_bring_back_says_so(root: Path) -> None:
    target = previous(root)
    behind = held(root, target)
    began(root, stage(), backing=behind)
    aside_of(target, RUN).unlink()
    shutil.rmtree(root / ".nbpipeline/store")
    assert journal.replay(root, backing(root)) == (
        f"train: run {RUN} died; not all came back",
        f"train: {GONE}the store does not hold it, so it is lost",
    )


def test_what_a_dead_run_left_running_is_ended_before_its_outputs_come_back(root: Path) -> None:
    target = previous(root)
    token = f"left-{os.getpid()}-{root.name}-{os.urandom(4).hex()}"
    journal.begin(stage(), root, run=RUN, state="s1", token=token, rejected=root / "rejected-1")
    left = subprocess.Popen(
        [sys.executable, "-c", "print('up', flush=True); input()"],
        env={**os.environ, MARK: token},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    )
    try:
        assert left.stdout is not None
        assert left.stdout.readline() == b"up\n"
        journal.replay(root)
        assert left.wait(60) != 0
    finally:
        left.kill()
        left.communicate()
    assert target.read_text() == "previous"
