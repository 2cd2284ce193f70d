"""Several trackers at once: what one of them does is no matter to the others."""

import json
import sys
import threading
import time
from dataclasses import replace
from pathlib import Path

import pytest
from builders import write_files

from nbpipeline.model import ProjectSpec
from nbpipeline.model.told import RunLog, StageLog
from nbpipeline.ports import GivenUpError
from nbpipeline.run.folder import RunFolder, close_run, open_run
from nbpipeline.tracking import link, outbox, sender, teller
from nbpipeline.upkeep.telling import untold

THEIRS = """
import threading

JOINED_BY = frozenset({"theirs"})
go_on, told, asked, sending = threading.Event(), [], [], []

def require(): pass
def complaints(settings): return ()
def files(settings, root): return ()

class open_tracker:
    def __init__(self, settings, root, project, spool):
        self.settings = settings
        if settings.get("unopened"):
            raise ValueError("cannot be opened")
    def __enter__(self): return self
    def __exit__(self, *error): told.append("closed")
    def environment(self, run, stage):
        asked.append(stage)
        if self.settings.get("hangs"): go_on.wait()
        if self.settings.get("fails"): raise ValueError("no variables")
        return {"THEIRS": stage}
    def send(self, run):
        sending.append(run.run)
        if self.settings.get("hangs"): go_on.wait()
        if self.settings.get("fails"): raise ValueError("not taken")
        if self.settings.get("gives_up"):
            from nbpipeline.ports import GivenUpError
            raise GivenUpError("the run ended long ago")
        told.append(run.status)
"""
RUN = RunLog(
    run="r1", root="", project="flights", status="succeeded", finished=2.0, stages=(StageLog(stage="a"),)
)


class Reader:
    """A run that has told all."""

    def read(self, now: float) -> RunLog:
        return RUN


@pytest.fixture
def senders(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    names = ("first", "second", "third")
    modules = {f"{name}_tracker.py": THEIRS for name in names}
    points = "".join(f"{name} = {name}_tracker\n" for name in names)
    info = {
        "t-1.dist-info/METADATA": "Metadata-Version: 2.1\nName: t\nVersion: 1\n",
        "t-1.dist-info/entry_points.txt": f"[nbpipeline.trackers]\n{points}",
    }
    write_files(tmp_path / "theirs", {**modules, **info})
    monkeypatch.syspath_prepend(str(tmp_path / "theirs"))
    folder = RunFolder(run="r1", path=tmp_path / "runs/r1")
    folder.path.mkdir(parents=True)

    def make(**settings):
        recipients = {name: outbox.Recipient(settings=one) for name, one in settings.items()}
        given = outbox.Outbox(project="flights", trackers=recipients)
        outbox.write(folder, given)
        return sender.Sender(tmp_path, folder, given, Reader())

    yield make
    for name in names:
        module = sys.modules.pop(f"{name}_tracker", None)
        if module is not None:
            module.go_on.set()


def heard(name: str) -> list[str]:
    return sys.modules[f"{name}_tracker"].told


def on_disk(tmp_path: Path) -> outbox.Outbox:
    found = outbox.read(tmp_path / "runs/r1")
    assert found is not None
    return found


def test_one_that_hangs_holds_up_no_other(senders, tmp_path):
    one = senders(first={"hangs": True}, second={}, third={"fails": True})
    one.tell()
    after = one.finish(patience=1.0)
    assert (after.waiting, on_disk(tmp_path)) == (("first", "third"), after)
    assert (after.trackers["first"].trouble, after.trackers["third"].trouble) == (
        "it hangs: no end after 1 s",
        "ValueError: not taken",
    )
    assert heard("second")[-2:] == ["succeeded", "closed"]


def test_one_that_hangs_is_waited_for_once(senders):
    one = senders(first={"hangs": True}, second={})
    assert one.answer("a", ("first", "second"), patience=0.5) == {"THEIRS": "a"}
    assert one.answer("b", ("first",), patience=600.0) == {}


def test_only_those_are_asked_that_the_stage_speaks_to(senders):
    one = senders(first={}, second={}, third={"fails": True})
    assert one.answer("a", ("second", "third", "unheard-of")) == {"THEIRS": "a"}
    one.finish()
    asked = {name: sys.modules[f"{name}_tracker"].asked for name in ("first", "second", "third")}
    assert asked == {"first": [], "second": ["a"], "third": ["a"]}


def test_one_that_cannot_be_opened(senders, tmp_path):
    one = senders(first={"unopened": True}, second={}, **{"no-such": {}})
    after = one.finish()
    assert after.waiting == ("first", "no-such")
    assert after.trackers["first"].trouble == "ValueError: cannot be opened"
    assert after.trackers["no-such"].trouble.startswith("MissingPluginError: there is no tracker 'no-such'")
    assert one.answer("a", ("first", "second")) == {}


def test_what_has_been_told_is_on_disk_while_another_hangs(senders, tmp_path):
    one = senders(first={"hangs": True}, second={})
    done = threading.Thread(target=one.finish, args=(600.0,))
    done.start()
    try:
        while on_disk(tmp_path).waiting != ("first",):
            assert done.is_alive()
    finally:
        sys.modules["first_tracker"].go_on.set()
        done.join()
    assert on_disk(tmp_path).waiting == ()


def test_a_run_that_waits_for_one_says_so(senders, tmp_path, monkeypatch):
    """A task of an orchestrator would else be silent for so long."""
    monkeypatch.setenv("PYTHONPATH", str(tmp_path / "theirs"))
    monkeypatch.setattr(link, "FELT", 0.05)
    folder = RunFolder(run="r2", path=tmp_path / ".nbpipeline/runs/r2")
    folder.path.mkdir(parents=True)
    (folder.path / "events.jsonl").touch()
    project = ProjectSpec(
        root=str(tmp_path), name="flights", file=None, stages=(), tracking={"first": {"hangs": True}}
    )
    said: list[str] = []
    with link.SenderLink(project, folder) as one:
        pass
    try:
        (left,) = one.finish(3.2, said.append)
    finally:
        one._process.kill()
        one._process.wait()
    assert said == ["waiting for first to take what is known of the run, 3 s at most"]
    assert left.startswith("first: still being told")


# --- runs that have ended ---------------------------------------------------------------------


@pytest.fixture
def ended(senders, tmp_path):
    """Makes the folders of runs that ended, with these trackers still to be told."""
    del senders  # its modules are on the path now

    def make(**settings):
        folder = open_run(tmp_path, {"version": 1, "stages": []}, now=time.time() - 60)
        close_run(folder, now=time.time() - 30, status="succeeded")
        recipients = {name: outbox.Recipient(settings=one) for name, one in settings.items()}
        outbox.write(folder, outbox.Outbox(project="flights", trackers=recipients))
        return folder

    return make


def module(name):
    return sys.modules[f"{name}_tracker"]


def test_one_that_hangs_is_not_told_a_second_time_beside_the_first(ended, tmp_path):
    folder = ended(first={"hangs": True}, second={})
    after = sender.send_ended(tmp_path, folder, grace=0.3)
    assert after is not None
    assert (after.waiting, after.trackers["first"].trouble) == (("first",), "it hangs: no end after 0.3 s")
    assert sender.send_waiting(tmp_path, grace=0.3) == {folder.run: "another process is still telling of it"}
    assert module("first").sending == [folder.run]

    module("first").go_on.set()  # that it was told at last is noted, and others may tell again
    while (found := outbox.read(folder.path)) is None or found.waiting:
        time.sleep(0.01)
    assert module("first").told == ["interrupted", "closed"]
    assert sender.send_waiting(tmp_path, patience=60.0) == {}


def test_one_that_hangs_is_waited_for_once_whatever_waits_for_it(ended, tmp_path):
    runs = [ended(first={"hangs": True}) for _ in range(3)]
    assert [*sender.send_waiting(tmp_path, grace=0.3)] == [runs[0].run]
    assert module("first").sending == [runs[0].run]


def test_a_tracker_that_gives_up_has_not_sent_and_it_is_said_so(ended, tmp_path):
    folder = ended(first={"fails": True}, second={})
    for _ in range(2):
        sender.send_ended(tmp_path, folder)
    waiting = outbox.read(folder.path)
    assert waiting is not None
    assert (waiting.waiting, waiting.trackers["first"].tries) == (("first",), 2)
    assert [(one.state, one.what) for one in untold(tmp_path)] == [
        ("warning", f"first was not told yet of run {folder.run}: ValueError: not taken")
    ]

    gives_up = replace(waiting.trackers["first"], settings={"gives_up": True})
    outbox.write(folder, replace(waiting, trackers={**waiting.trackers, "first": gives_up}))
    (line,) = sender.sent_lines(tmp_path)
    said = "first: given up after 2 tries (ValueError: not taken): the run ended long ago"
    assert line == f"run {folder.run}: sent to second; {said}"
    assert [(one.state, one.what) for one in untold(tmp_path)] == [("warning", f"run {folder.run}: {said}")]
    assert sender.sent_lines(tmp_path) == ()
    kept = json.loads((folder.path / "tracked.json").read_text())["trackers"]
    assert (kept["first"]["told"], kept["first"]["given_up"]) == (False, "the run ended long ago")
    assert kept["second"]["told"] is True


# --- opening ----------------------------------------------------------------------------------


class Quiet:
    """A tracker that takes everything."""

    def __enter__(self):
        return self

    def __exit__(self, *error):
        pass

    def send(self, run):
        pass


def test_one_that_hangs_while_it_is_opened_holds_up_the_others_for_a_while_only(monkeypatch):
    monkeypatch.setattr(teller, "LOADS", 0.2)
    go_on, inside, ended = threading.Event(), threading.Event(), [threading.Event() for _ in range(3)]

    def hanging():
        inside.set()
        go_on.wait()
        return Quiet()

    first = teller.Teller(hanging, ended[0].set)
    assert inside.wait(10)
    tellers = [first, *(teller.Teller(Quiet, one.set) for one in ended[1:])]
    try:
        for one in tellers:
            one.tell(RUN, last=True)
        assert [one.wait(10) for one in ended[1:]] == [True, True]
        assert not ended[0].is_set()
    finally:
        go_on.set()
    assert ended[0].wait(10)
    assert [one.trouble for one in tellers] == ["", "", ""]


def test_trackers_load_one_after_the_other():
    loading, most, ended = [], [], [threading.Event() for _ in range(4)]

    class Slow(Quiet):
        def __enter__(self):
            loading.append(self)
            most.append(len(loading))
            time.sleep(0.02)  # others would come in between, if they could
            loading.remove(self)
            return self

    for one in [teller.Teller(Slow, one.set) for one in ended]:
        one.tell(RUN, last=True)
    assert all(one.wait(10) for one in ended)
    assert most == [1, 1, 1, 1]


def test_giving_up_is_no_trouble():
    class Tired(Quiet):
        def send(self, run):
            raise GivenUpError("too late")

    ended = threading.Event()
    one = teller.Teller(Tired, ended.set)
    one.tell(RUN, last=True)
    assert ended.wait(10)
    assert (one.trouble, one.given_up) == ("", "too late")
