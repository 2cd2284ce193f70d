"""`.nbpipeline` was deleted while a dead run's outputs stood aside: they come back, and no byte is overwritten."""

import os
import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
from stages import artifact, instance

from nbpipeline.content import unfinished_of
from nbpipeline.model import Fingerprint, StageInstance, StageRecord, StoredOutput
from nbpipeline.stage import journal
from nbpipeline.stage.backing import Backing
from nbpipeline.stage.lock import hold
from nbpipeline.stage.places import aside_of, staged_of
from nbpipeline.stage.rescue import look_for_stranded, settle, settle_stranded
from nbpipeline.state.digests import FileDigests
from nbpipeline.state.memory import MemoryState
from nbpipeline.stores.local import LocalStore

RUN = "20261123-060000-abcd"
KEPT = f".nbpipeline/kept/stranded-{RUN}"
BACK = f"train: run {RUN} died, and its journal is gone; its previous outputs are back: models/m.txt"
STOOD = f"; what else stood or waited there is in {KEPT}"


def stage(**settings: object) -> StageInstance:
    return instance(["x = 1"], outputs=[artifact("model", "models/m.txt", **settings)])


def backing(root: Path) -> Backing:
    state = MemoryState()
    store = LocalStore(root / ".nbpipeline" / "store")
    return Backing(state=state, store=store, digests=FileDigests(MemoryState()))


def begun(root: Path, made: StageInstance, *, behind: Backing | None = None, run: str = RUN) -> Path:
    """An output put aside by a run that died at once; its place."""
    target = root / "models/m.txt"
    target.parent.mkdir(exist_ok=True)
    target.write_text("previous")
    journal.begin(
        made, root, run=run, state="s1", token="none-has-this", rejected=root / "rejected-1", backing=behind
    )
    return target


def deleted(root: Path) -> None:
    shutil.rmtree(root / ".nbpipeline")


def hidden(root: Path) -> list[str]:
    found = [*root.glob(".nbpipeline-*"), *(root / "models").glob(".*")]
    return [one.name for one in found]


@pytest.mark.parametrize("mode", ["write", "update"])
@pytest.mark.parametrize("sheltered", [False, True])
def test_what_waited_is_back_and_what_stood_there_is_kept(root: Path, mode: str, sheltered: bool) -> None:
    made = stage(mode=mode)
    target = begun(root, made, behind=backing(root) if sheltered else None)
    assert sheltered == bool(list(root.glob(".nbpipeline-aside-*")))
    target.write_text("half")
    deleted(root)
    assert settle(made, root, backing(root)) == (BACK + STOOD,)
    assert target.read_text() == "previous"
    assert (root / KEPT / "models/m.txt").read_text() == "half"
    assert hidden(root) == []
    assert settle(made, root, backing(root)) == ()


def test_what_another_stage_put_aside_is_in_its_journal(root: Path) -> None:
    """Two stages update one output: while the one runs, the other's lock is free and its journal is not there."""
    made = stage(mode="update")
    other = replace(made, spec=replace(made.spec, name="other"))
    target = begun(root, made)
    target.write_text("half")
    with hold(root, "train"):
        assert look_for_stranded([made, other], root) == ()
        assert settle_stranded([made, other], root) == ()
        assert settle(other, root) == ()
        assert target.read_text() == "half"
        assert aside_of(target, RUN).read_text() == "previous"
    settle(made, root)
    assert target.read_text() == "previous"
    assert hidden(root) == []


def test_where_nothing_stood_nothing_is_kept(root: Path) -> None:
    target = begun(root, stage())
    deleted(root)
    assert settle_stranded([stage()], root) == (BACK,)
    assert target.read_text() == "previous"
    assert not (root / ".nbpipeline/kept").exists()


def test_the_same_bytes_are_there_once(root: Path) -> None:
    target = begun(root, stage())
    target.write_text("previous")
    deleted(root)
    assert settle(stage(), root) == (
        f"train: run {RUN} died, and its journal is gone; nothing had to be brought back",
    )
    assert target.read_text() == "previous"
    assert hidden(root) == []


def test_what_is_on_record_stays_and_what_waits_is_kept(root: Path) -> None:
    target = begun(root, stage())
    deleted(root)
    target.write_text("newer")
    behind = backing(root)
    output = StoredOutput(path="models/m.txt", digest=behind.digests.of(target), size=5)
    behind.state.add_record(
        StageRecord(
            instance="train", state="s2", fingerprint=Fingerprint(), outputs=(output,), run="later", attempt=1,
            finished=1.0, seconds=1.0,
        )
    )  # fmt: skip
    settle(stage(), root, behind)
    assert target.read_text() == "newer"
    assert (root / KEPT / "models/m.txt").read_text() == "previous"
    assert hidden(root) == []


def test_of_two_dead_runs_the_later_ones_come_back_and_nothing_is_overwritten(root: Path) -> None:
    target = begun(root, stage())
    deleted(root)
    target.write_text("second")
    later = "20261124-060000-abcd"
    target.rename(aside_of(target, later))
    target.write_text("half")
    settle(stage(), root)
    assert target.read_text() == "second"
    kept = root / f".nbpipeline/kept/stranded-{later}/models"
    assert {one.read_text() for one in kept.iterdir()} == {"half", "previous"}
    assert hidden(root) == []


def test_a_folder_comes_back(root: Path) -> None:
    made = stage(kind="directory")
    target = root / "models/m.txt"
    target.mkdir(parents=True)
    (target / "a").write_text("previous")
    journal.begin(made, root, run=RUN, state="s1", token="none-has-this", rejected=root / "rejected-1")
    (target / "a").write_text("half")
    deleted(root)
    settle(made, root)
    assert (target / "a").read_text() == "previous"
    assert (root / KEPT / "models/m.txt/a").read_text() == "half"


def test_a_live_output_stays_and_what_was_written_beside_is_kept(root: Path) -> None:
    made = stage(publish="atomic")
    target = begun(root, made)
    staged_of(target, RUN).write_text("half")
    deleted(root)
    settle(made, root)
    assert target.read_text() == "previous"
    assert (root / KEPT / "models/m.txt").read_text() == "half"
    assert hidden(root) == []


def test_copies_begun_go_and_what_was_being_thrown_out_or_given_is_kept(root: Path) -> None:
    target = root / "models/m.txt"
    target.parent.mkdir()
    target.write_text("present")
    aside = aside_of(target, RUN)
    aside.with_name(f"{aside.name}.part").write_text("pres")
    aside.with_name(f"{aside.name}.rejected").write_text("failed")
    unfinished_of(target).write_text("given")
    settle(stage(mode="update"), root)
    assert target.read_text() == "present"
    assert {one.read_text() for one in (root / KEPT / "models").iterdir()} == {"failed", "given"}
    assert hidden(root) == []


def test_another_output_s_and_strangers_names_are_left_alone(root: Path) -> None:
    folder = root / "models"
    folder.mkdir()
    names = [
        f".other.txt.nbpipeline-{RUN}",
        ".m.txt.nbpipeline-run",
        f".nbpipeline-{RUN}.other.txt",
        ".m.txt",
    ]
    for name in names:
        (folder / name).write_text("theirs")
    shelter = root / f".nbpipeline-aside-train-b-{RUN}-0"
    shelter.mkdir()
    assert settle(stage(), root) == ()
    assert sorted(one.name for one in folder.iterdir()) == sorted(names)
    assert shelter.exists()


def test_a_run_that_goes_on_is_left_alone(root: Path) -> None:
    begun(root, stage())
    assert look_for_stranded([stage()], root) == ()
    with hold(root, "train", run=RUN):
        assert settle_stranded([stage()], root) == ()
        (root / ".nbpipeline/journals/train.json").unlink()
        assert look_for_stranded([stage()], root) == (("train", "models/m.txt"),)
        assert settle_stranded([stage()], root) == (), "its lock is held"
    assert settle_stranded([stage()], root) == (BACK,)


CHILD = "import sys; print('up', flush=True); sys.stdin.read()"


def test_what_a_dead_run_left_running_is_ended(root: Path) -> None:
    target = begun(root, stage())
    deleted(root)
    run = f"20261125-060000-{os.getpid():x}"
    aside_of(target, RUN).rename(aside_of(target, run))
    child = subprocess.Popen(
        [sys.executable, "-c", CHILD],
        env={**os.environ, "NBPIPELINE_RUN": run},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    )
    assert child.stdout.readline() == b"up\n"
    assert settle(stage(), root) == (BACK.replace(RUN, run),)
    child.communicate()
    assert child.returncode != 0


def test_a_copy_ends_no_process_of_the_project_that_it_was_made_of(root: Path) -> None:
    begun(root, stage())
    copy = root.parent / "copy"
    shutil.copytree(root, copy)
    deleted(copy)
    run = f"20261125-060000-{os.getpid():x}"
    aside_of(copy / "models/m.txt", RUN).rename(aside_of(copy / "models/m.txt", run))
    context = root / ".nbpipeline/runs" / run / "train/context.json"
    with subprocess.Popen(
        [sys.executable, "-c", CHILD],
        env={**os.environ, "NBPIPELINE_RUN": run, "NBPIPELINE_CONTEXT": str(context)},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    ) as child:
        assert child.stdout.readline() == b"up\n"
        assert settle(stage(), copy) == (BACK.replace(RUN, run),)
        assert child.poll() is None
        child.communicate()
        assert child.returncode == 0


@pytest.mark.skipif(not Path("/proc/self/fd").exists(), reason="only Linux tells who has what open")
def test_a_run_whose_folder_was_deleted_under_it_is_left_alone(root: Path) -> None:
    with hold(root, "train", run=RUN):
        target = begun(root, stage())
        deleted(root)
        target.write_text("half")
        with hold(root, "train"):
            left = "are left where they are: it goes on, though .nbpipeline lost its journal"
            assert settle(stage(), root) == (f"train: outputs that run {RUN} put aside {left}",)
            assert target.read_text() == "half"
    assert settle(stage(), root) == (BACK + STOOD,)
    assert target.read_text() == "previous"


def test_a_refusing_disk_is_told(root: Path) -> None:
    target = begun(root, stage())
    deleted(root)
    target.write_text("half")
    (root / ".nbpipeline").mkdir()
    (root / ".nbpipeline/kept").write_text("no folder")
    (notice,) = settle_stranded([stage()], root)
    assert notice.startswith("train: outputs could not be brought back yet: ")
    assert target.read_text() == "half"
    assert aside_of(target, RUN).read_text() == "previous"
