import json
import multiprocessing
import os
import threading
from pathlib import Path

import pytest

from nbpipeline.errors import BusyError, ExitCode, StorageError
from nbpipeline.stage.lock import held, hold, is_free, owner


def test_the_second_is_told_who_holds(root: Path) -> None:
    with hold(root, "train[region=eu]", run="run-7"):
        with pytest.raises(BusyError) as caught, hold(root, "train[region=eu]"):
            raise AssertionError("it was held")
        assert caught.value.exit_code is ExitCode.BUSY
        lines = str(caught.value).splitlines()
        assert lines[0] == "stage 'train[region=eu]' is held by another run."
        assert lines[1].startswith(f"  holder: process {os.getpid()}, run run-7, since 20")
        assert lines[2] == "  mend: wait until it ends, or give `--wait` to wait for it"
    assert owner(root, "train[region=eu]") is None
    assert is_free(root, "train[region=eu]")


@pytest.mark.parametrize("since", [None, "x", [], float("nan"), 1e300])
def test_a_holder_since_no_time_is_told_too(root: Path, since: object) -> None:
    mark = root / ".nbpipeline/locks/train.owner"
    with hold(root, "train"):
        mark.write_text(json.dumps({"stage": "train", "pid": 7, "run": "r", "since": since}))
        with pytest.raises(BusyError, match="holder: process 7, run r, since 20"), hold(root, "train"):
            raise AssertionError("it was held")


def test_others_are_free(root: Path) -> None:
    with hold(root, "train[region=eu]"), hold(root, "train[region=us]"):
        assert not is_free(root, "train[region=eu]")


def test_waiting_ends_with_the_holder(root: Path) -> None:
    waiting, got = threading.Event(), threading.Event()

    def wait() -> None:
        with hold(root, "train", True, give_up=lambda: bool(waiting.set())):
            got.set()

    thread = threading.Thread(target=wait)
    with hold(root, "train"):
        thread.start()
        assert waiting.wait(10)
        assert not got.is_set()
    assert got.wait(10)
    thread.join()


def test_waiting_may_be_given_up(root: Path) -> None:
    with (
        hold(root, "train"),
        pytest.raises(BusyError),
        hold(root, "train", True, give_up=lambda: True),
    ):
        raise AssertionError("it was held")


def _holds(root: Path, said: "multiprocessing.synchronize.Event") -> None:
    with hold(root, "train"):
        said.set()
        threading.Event().wait()


def test_a_killed_holder_holds_no_more(root: Path) -> None:
    context = multiprocessing.get_context("spawn")
    said = context.Event()
    holder = context.Process(target=_holds, args=(root, said))
    holder.start()
    assert said.wait(30)
    with pytest.raises(BusyError), hold(root, "train"):
        raise AssertionError("it was held")
    holder.kill()
    holder.join()
    with hold(root, "train"):
        assert owner(root, "train")["pid"] == os.getpid()


def test_who_is_held_now(root: Path) -> None:
    stale = root / ".nbpipeline/locks/clean.owner"
    with hold(root, "train[region=eu]"):
        stale.write_text(json.dumps({"stage": "clean", "pid": 1}))
        assert held(root) == ("train[region=eu]",), "a mark that a killed run left holds nothing"
    assert held(root) == ()


def test_a_mark_that_cannot_be_removed_does_not_keep_the_lock(root: Path) -> None:
    mark = root / ".nbpipeline/locks/train.owner"
    with hold(root, "train"):
        mark.unlink()
        mark.mkdir()
    assert is_free(root, "train")


@pytest.mark.parametrize("text", ["", "{", "[1]", json.dumps("x")])
def test_an_owner_s_file_that_is_cut(root: Path, text: str) -> None:
    (root / ".nbpipeline/locks").mkdir(parents=True)
    (root / ".nbpipeline/locks/train.owner").write_text(text)
    assert owner(root, "train") is None
    with hold(root, "train"):
        assert owner(root, "train") is not None


def test_a_place_that_cannot_be_written(root: Path) -> None:
    (root / ".nbpipeline").write_text("a file in the folder's place")
    with pytest.raises(StorageError) as caught, hold(root, "train"):
        raise AssertionError("there is no lock")
    text = str(caught.value)
    assert text.startswith("stage 'train' cannot be locked: ")
    assert text.endswith("  mend: make the folder writable for this user, and see that its disk has room")
