"""Several trackers at once: what one of them does is no matter to the others."""

import threading
from pathlib import Path

import pytest
from builders import write_files

from nbpipeline.model.told import RunLog, StageLog
from nbpipeline.run.folder import RunFolder
from nbpipeline.tracking import outbox, sender

THEIRS = """
import threading

JOINED_BY = frozenset({"theirs"})
go_on, told, asked = threading.Event(), [], []

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
        if self.settings.get("hangs"): go_on.wait()
        if self.settings.get("fails"): raise ValueError("not taken")
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
    import sys

    for name in names:
        module = sys.modules.pop(f"{name}_tracker", None)
        if module is not None:
            module.go_on.set()


def heard(name: str) -> list[str]:
    import sys

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
    import sys

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
        import sys

        sys.modules["first_tracker"].go_on.set()
        done.join()
    assert on_disk(tmp_path).waiting == ()
