"""A restore of what has live readers (`publish: atomic`): between any two steps of it one whole version stands."""

import sys
from dataclasses import replace
from pathlib import Path

import pytest
from stages import Bench, artifact, instance

from nbpipeline.content import unfinished_of
from nbpipeline.model import Fingerprint, StageInstance, StageRecord, Status
from nbpipeline.stage import journal, keep, restore, revive
from nbpipeline.stage.lock import hold
from nbpipeline.stage.places import staged_of

LIVE = artifact("live", "out/live.txt", publish="atomic", cell=1)
SHARDS = artifact("shards", "out/shards", kind="directory", publish="atomic", cell=1)
STAGE = instance([], outputs=[LIVE, SHARDS])


def seen(at: Bench) -> tuple[str, ...]:
    """What a reader finds at both places at this moment."""
    folder = at.root / "out/shards"
    live = at.root / "out/live.txt"
    found = {one.read_text() for one in folder.iterdir()} if folder.exists() else {"nothing"}
    return (live.read_text() if live.exists() else "nothing", *sorted(found))


def fill(at: Bench, word: str) -> None:
    at.write("out/live.txt", word)
    for n in range(3):
        at.write(f"out/shards/{n}.txt", word)


@pytest.fixture
def record(at: Bench) -> StageRecord:
    fill(at, "recorded")
    direct = [replace(one, spec=replace(one.spec, publish="direct")) for one in (LIVE, SHARDS)]
    found = keep(replace(STAGE, outputs=direct), Fingerprint(), at.backends, root=at.root, origin="recorded")
    fill(at, "by hand ")
    return found


def watched(at: Bench, work) -> set[tuple[str, ...]]:
    """Look whenever a function of the system's has ended: only these change files."""
    found = set()
    with hold(at.root, "train"):
        pass  # its imports need not be looked through
    sys.setprofile(lambda _frame, event, _what: found.add(seen(at)) if event == "c_return" else None)
    try:
        work()
    finally:
        sys.setprofile(None)
    return found


def test_readers_find_the_one_or_the_other(at: Bench, record: StageRecord) -> None:
    results = []
    found = watched(at, lambda: results.append(restore(at.job(STAGE), record, at.backends)))
    assert found == {("by hand ", "by hand "), ("recorded", "by hand "), ("recorded", "recorded")}
    (result,) = results
    assert result.status is Status.RESTORED, result.failure
    kept = [one for one in result.notices if "held bytes that no run had recorded" in one]
    assert len(kept) == 2, "what was there by hand is kept"
    assert at.leftovers() == []


def test_what_is_not_there_comes_whole(at: Bench, record: StageRecord) -> None:
    (at.root / "out/live.txt").unlink()
    found = watched(at, lambda: restore(at.job(STAGE), record, at.backends))
    assert found == {("nothing", "by hand "), ("recorded", "by hand "), ("recorded", "recorded")}


def test_what_the_store_lacks_is_not_touched(at: Bench, record: StageRecord) -> None:
    lost = replace(record, outputs=(record.outputs[0], replace(record.outputs[1], digest="0" * 64)))
    found = watched(at, lambda: restore(at.job(STAGE), lost, at.backends))
    assert found == {("by hand ", "by hand ")}
    assert at.leftovers() == []


@pytest.mark.parametrize("step", ["publish", "commit"])
def test_what_cannot_be_finished_leaves_all_as_it_was(
    at: Bench, record: StageRecord, monkeypatch, step
) -> None:
    def fails(*_given):
        raise KeyboardInterrupt

    if step == "publish":
        monkeypatch.setattr(revive.journal, "publish", fails)
    else:
        monkeypatch.setattr(type(at.backends.state), "add_record", fails)
    with pytest.raises(KeyboardInterrupt):
        restore(at.job(STAGE), record, at.backends)
    assert seen(at) == ("by hand ", "by hand ")
    assert at.leftovers() == []


def test_what_a_killed_restore_had_half_written_goes(at: Bench, record: StageRecord) -> None:
    made: StageInstance = replace(STAGE, outputs=(LIVE,))
    aside = journal.begin(
        made, at.root, run="20260101-000000-abcd", state="s", token="t", rejected=at.root / "rejected"
    )
    half = unfinished_of(staged_of(at.root / "out/live.txt", aside.run))
    half.write_text("rec")
    journal.recover(at.root, "train")
    assert not half.exists()
    assert not [*Path(at.root, "out").glob(".*")]
    assert seen(at) == ("by hand ", "by hand ")
    assert record.outputs
