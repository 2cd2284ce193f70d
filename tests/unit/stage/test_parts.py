"""The small parts of a stage's life: output limits, memory, undeclared files, places, words."""

import errno
import itertools
import json
import os
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from stages import artifact, instance

from nbpipeline.location import Location, is_url
from nbpipeline.masking.secrets import Masker
from nbpipeline.model import Check, Failure, Fingerprint, Job, PathValue, StageInstance, Verdict
from nbpipeline.stage import asides, failures, memory, metrics, outputs, processes, undeclared
from nbpipeline.stage.outcome import Stop
from nbpipeline.stage.places import staged_value
from nbpipeline.stage.watching import Sight

# --- output of a cell ------------------------------------------------------------------------


def stream(text: str, name: str = "stdout") -> dict[str, Any]:
    return {"msg_type": "stream", "content": {"name": name, "text": text}}


def taken(intake: outputs.Intake, *messages: dict[str, Any]) -> list[dict[str, Any]]:
    """What a cell holds after the messages, added the way nbclient does."""
    held: list[dict[str, Any]] = []
    for message in messages:
        if intake.admits(message) and not intake.joins(message, held):
            if message["msg_type"] == "clear_output":
                held.clear()
            else:
                held.append({"output_type": message["msg_type"], **message["content"]})
    intake.forget()
    return held


@given(st.lists(st.tuples(st.sampled_from(["stdout", "stderr"]), st.text(max_size=3))))
def test_pieces_of_a_stream_are_joined_in_order(pieces: list[tuple[str, str]]) -> None:
    held = taken(outputs.Intake(), *(stream(text, name) for name, text in pieces))
    assert "".join(one["text"] for one in held) == "".join(text for _, text in pieces)
    names = [one["name"] for one in held]
    assert all(first != second for first, second in itertools.pairwise(names))


def test_text_past_the_limit_is_cut(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(outputs, "LIMIT", 10)
    intake = outputs.Intake()
    held = taken(intake, stream("12345678"), stream("9abc"), stream("more"))
    assert held == [{"output_type": "stream", "name": "stdout", "text": "123456789a"}]
    assert intake.cut
    assert intake.written == 16


def test_what_is_cleared_does_not_count(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(outputs, "LIMIT", 10)
    intake = outputs.Intake()
    clear = {"msg_type": "clear_output", "content": {"wait": False}}
    held = taken(intake, stream("1234567890"), clear, stream("abc"))
    assert [one["text"] for one in held] == ["abc"]
    assert not intake.cut


def test_a_large_picture_is_left_out_but_an_error_is_not(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(outputs, "LIMIT", 10)
    intake = outputs.Intake()
    picture = {"msg_type": "display_data", "content": {"data": {"image/png": "A" * 99}}}
    error = {"msg_type": "error", "content": {"ename": "E", "evalue": "x" * 99, "traceback": []}}
    assert [one["output_type"] for one in taken(intake, picture, error)] == ["error"]
    assert intake.cut


# --- memory ----------------------------------------------------------------------------------


def test_memory_without_a_mark_is_sampled(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(memory.PeakMemory, "_reset_mark", lambda self: False)
    peak = memory.PeakMemory(os.getpid())
    peak.start()
    assert peak.stop() > 1_000_000


def test_memory_of_nobody() -> None:
    gone = subprocess.Popen([sys.executable, "-c", "pass"])
    gone.wait()
    for pid in (None, gone.pid):
        peak = memory.PeakMemory(pid)
        peak.start()
        assert peak.stop() is None


# --- metrics ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("source", "names"),
    [
        ("a = 1\nb: float = 2.0\nc, (d, *e) = f()", ("a", "b", "c", "d", "e")),
        ("for i in x:\n    last = i\nwith open(p) as f: n = 1", ("i", "last", "f", "n")),
        ("def g():\n    hidden = 1\nclass C:\n    also = 1\nz = [q for q in x]", ("z",)),
        ("x.y = 1\nx[0] = 2\n_private = 3\nx += 1", ("x",)),
        ("%time auc = score()", ("auc",)),
        ("syntax error (", ()),
    ],
)
def test_names_that_a_metrics_cell_assigns(source: str, names: tuple[str, ...]) -> None:
    assert set(metrics.assigned_names(source)) == set(names)


@pytest.mark.parametrize(
    "reply", [{}, {"data": {}}, {"data": {"text/plain": "not a literal"}}, {"status": "error"}]
)
def test_a_name_that_is_gone_is_no_metric(reply: dict[str, Any]) -> None:
    assert metrics.read({"auc": reply}) == ({}, ())


def test_a_number_that_nothing_holds_is_told_and_one_that_cannot_be_asked_for() -> None:
    replies = {
        name: {"data": {"text/plain": repr(json.dumps({"type": "int", "value": value}))}}
        for name, value in (("small", 1), ("ways", None))
    }
    failed = {"status": "error", "ename": "OverflowError"}
    gone = {"status": "error", "ename": "NameError"}
    found = metrics.read({**replies, "odd": failed, "gone": gone})
    assert found == ({"small": 1}, ("ways (an int past 1e308)", "odd (OverflowError)"))


@pytest.mark.parametrize(
    ("details", "kind", "mend"),
    [
        ({}, "check", "correct the data where it is made, or the check"),
        (
            {"untried": True},
            "input",
            "correct what the check names, or the check: it says nothing of the data yet",
        ),
    ],
)
def test_a_check_that_could_not_be_tried_blames_no_data(
    details: dict[str, Any], kind: str, mend: str
) -> None:
    one = Check(name="pandera", arguments="m:S", where=Location(path="n.ipynb"))
    failed = Verdict(check=one, passed=False, message="died", details=details)
    found = failures.failed_checks("output", "o", [failed])
    assert found is not None
    assert (found.kind, found.mend) == (kind, mend)
    other = Verdict(
        check=Check(name="not_null", arguments="a", where=one.where), passed=False, message="row 1"
    )
    both = failures.failed_checks("output", "o", [failed, other])
    assert both is not None
    assert (both.kind, "not_null" in both.what or not details) == ("check", True), (
        "a failed check is not hidden"
    )


# --- undeclared files ------------------------------------------------------------------------


def test_which_opened_files_are_followed_and_which_undeclared(root: Path) -> None:
    stage = instance(
        ["x = 1"],
        inputs=[artifact("raw", "data/raw.csv")],
        outputs=[artifact("shards", "data/shards/", kind="directory")],
    )
    job = Job(
        root=str(root),
        run="r",
        folder=str(root),
        instance=stage,
        fingerprint=Fingerprint(),
    )
    written = {"src/written.py", "src/named_too.py", ".cache-lock"}
    names = [
        "data/raw.csv", "data/shards/a/b.csv", "src/x.py", ".env", ".venv/lib/data.txt", "notebooks/a.ipynb",
        "lib/site-packages/p/data.csv", "pipeline.yaml", "data/gone.csv", "data/other.csv", ".cache-lock",
        "src/__pycache__/compiled.cpython-311.pyc", "src/named.py", "src/named_too.py", "src/written.py",
        "env/lib/python3.11/json.py", "conda/lib/zoneinfo/UTC", "data/.nbpipeline-123",
    ]  # fmt: skip
    for name in (*names, "env/pyvenv.cfg", "conda/conda-meta/x", "src/compiled.py"):
        if name != "data/gone.csv":
            (root / name).parent.mkdir(parents=True, exist_ok=True)
            (root / name).write_text("x")
    opened = {str(root / name): "write" if name in written else "load" for name in names}
    seen = undeclared.files(job, Sight(files=opened), {"src/named.py", "src/named_too.py"}, time.time() + 60)
    assert seen.undeclared == ("data/other.csv", "src/named_too.py", "src/written.py")
    assert seen.written == tuple(one for one in seen.undeclared if one in written)
    assert "src/written.py" in seen.written
    assert seen.followed == (".env", "notebooks/a.ipynb", "pipeline.yaml", "src/compiled.py", "src/x.py")


def test_code_that_changed_while_it_ran_cannot_be_followed(root: Path) -> None:
    job = Job(root=str(root), run="r", folder=str(root), instance=instance([]), fingerprint=Fingerprint())
    for name in ("made.py", "named.py", ".lock"):
        (root / name).write_text("x")
    opened = dict.fromkeys((str(root / name) for name in ("made.py", "named.py", ".lock")), "read")
    assert undeclared.files(job, Sight(files=opened), {"named.py"}, 0.0) == undeclared.Seen(("made.py",), ())


def test_code_that_a_cell_reads_as_text_counts_by_its_bytes(root: Path) -> None:
    job = Job(root=str(root), run="r", folder=str(root), instance=instance([]), fingerprint=Fingerprint())
    names = ("named.py", "other.py", "run.ipynb", "other.ipynb")
    for name in names:
        (root / name).write_text("x")
    opened = dict.fromkeys((str(root / name) for name in names), "read")
    seen = undeclared.files(job, Sight(files=opened), {"named.py", "run.ipynb"}, time.time() + 60)
    assert seen == undeclared.Seen((), ("=named.py", "=other.ipynb", "=other.py"))


def judged(
    root: Path, stage: StageInstance, opened: dict[str, str], listed: Sequence[str] = ()
) -> undeclared.Seen:
    job = Job(root=str(root), run="r", folder=str(root), instance=stage, fingerprint=Fingerprint())
    sight = Sight(
        watched=True,
        files={str(root / name): how for name, how in opened.items()},
        listed=tuple(str(root / name) + "/" for name in listed),
    )
    return undeclared.files(job, sight, (), time.time() + 60)


def make(root: Path, *names: str) -> None:
    for name in names:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text("x")


def test_a_file_that_was_opened_somehow_was_written_where_it_changed(root: Path) -> None:
    make(root, "data/a.db")
    job = Job(root=str(root), run="r", folder=str(root), instance=instance([]), fingerprint=Fingerprint())
    sight = Sight(files={str(root / "data/a.db"): "open"})
    assert undeclared.files(job, sight, (), time.time() + 60).written == ()
    assert undeclared.files(job, sight, (), 0.0).written == ("data/a.db",)


def test_a_folder_stands_for_very_many_files(root: Path) -> None:
    many = [f"data/{number}.csv" for number in range(51)]
    make(root, *many, "few/a.csv", *(f"{number}.txt" for number in range(51)))
    opened = dict.fromkeys([*many, "few/a.csv", *(f"{number}.txt" for number in range(51))], "read")
    opened["data/0.csv"] = "write"
    seen = judged(root, instance([]), opened)
    assert seen.undeclared == ("./", *sorted(many), "few/a.csv"), "what is written counts by itself"
    del opened["data/0.csv"]
    make(root, "data/51.csv")
    seen = judged(root, instance([]), {**opened, "data/51.csv": "read"})
    assert seen.undeclared == ("./", "data/", "few/a.csv")


def test_links_lead_to_what_is_declared(root: Path, tmp_path: Path) -> None:
    make(root, "real/a.csv", "real/b.csv", "real/c.csv")
    make(tmp_path / "far", "d.csv")
    (root / "data").symlink_to(root / "real")
    (root / "link.csv").symlink_to(root / "real/b.csv")
    (root / "far").symlink_to(tmp_path / "far")
    (root / "same").symlink_to(tmp_path / "far")
    inputs = [
        artifact(name, path) for name, path in (("a", "data/a.csv"), ("b", "real/b.csv"), ("d", "far/d.csv"))
    ]
    opened = dict.fromkeys(["real/a.csv", "link.csv", "same/d.csv", "data/c.csv"], "read")
    seen = judged(root, instance([], inputs=inputs), opened)
    assert seen.undeclared == ("data/c.csv",)
    assert seen.usage.used == ("data/a.csv", "far/d.csv", "real/b.csv")


def test_what_is_declared_and_used(root: Path) -> None:
    make(root, "data/deep/x.csv", "data/listed/y.csv", "data/idle.csv", "models/m.txt")
    stage = instance(
        [],
        inputs=[
            artifact("deep", "data/deep/", kind="directory"),
            artifact("listed", "data/listed", kind="directory"),
            artifact("idle", "data/idle.csv"),
            artifact("far", "https://host/x.csv"),
        ],
        outputs=[artifact("model", "models/m.txt", publish="atomic")],
    )
    opened = {"data/deep/x.csv": "read", "models/.nbpipeline-r.m.txt": "write"}
    seen = judged(root, stage, opened, ["data/listed", "data", ".hidden", ""])
    assert seen.undeclared == ()
    assert seen.usage.used == ("data/deep", "data/listed", "models/m.txt")
    assert seen.usage.listed == ("./", "data/")


# --- places ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("value", "staged"),
    [
        ("../models/m.txt", "../models/.nbpipeline-r.m.txt"),
        ("m.txt", ".nbpipeline-r.m.txt"),
        ("../data/shards/", "../data/.nbpipeline-r.shards/"),
        (PathValue("a/b"), PathValue("a/.nbpipeline-r.b")),
        ({"eu": ["a/b"]}, {"eu": ["a/.nbpipeline-r.b"]}),
        ("s3://bucket/key", "s3://bucket/key"),
        (7, 7),
    ],
)
def test_hidden_names_of_atomic_outputs(value: Any, staged: Any) -> None:
    assert staged_value(value, "r") == staged


@pytest.mark.parametrize(
    ("path", "expected"),
    [("s3://a/b", True), ("filecache::s3://a/b", True), ("a/b", False), ("c:/x", False), ("://x", False)],
)
def test_urls(path: str, expected: bool) -> None:
    assert is_url(path) is expected


def test_moving_across_file_systems(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def other_file_system(self: Path, target: Path) -> None:
        raise OSError(errno.EXDEV, "Invalid cross-device link")

    (root / "folder").mkdir()
    (root / "folder/a").write_text("1")
    (root / "file").write_text("2")
    monkeypatch.setattr(Path, "rename", other_file_system)
    asides.move(root / "folder", root / "there/folder")
    asides.move(root / "file", root / "there/file")
    assert (root / "there/folder/a").read_text() == "1"
    assert (root / "there/file").read_text() == "2"
    assert not (root / "folder").exists()
    assert not (root / "file").exists()


def test_a_copy_is_equal_and_keeps_its_times(root: Path) -> None:
    source = root / "a"
    source.write_bytes(os.urandom(100_000))
    os.utime(source, (1, 1))
    asides.clone(source, root / "b")
    assert (root / "b").read_bytes() == source.read_bytes()
    assert (root / "b").stat().st_mtime == 1


# --- processes -------------------------------------------------------------------------------


def test_marked_processes_are_found_and_ended_even_when_they_ignore_sigterm(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(processes, "GRACE", 0.3)
    code = "import signal, sys; signal.signal(signal.SIGTERM, signal.SIG_IGN); print('up', flush=True); sys.stdin.read()"
    child = subprocess.Popen(
        [sys.executable, "-c", code],
        env={**os.environ, processes.MARK: "test-token-1"},
        stdout=subprocess.PIPE,
        stdin=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    assert child.stdout.readline() == "up\n"
    assert list(processes.marked("test-token-1")) == [child.pid]
    assert processes.quiet(["test-token-1", "test-token-2"]) == {"test-token-2"}
    with monkeypatch.context() as elsewhere:
        elsewhere.setattr(processes, "_others", processes._others_by_psutil)
        assert list(processes.marked("test-token-1")) == [child.pid]
        assert processes.quiet(["test-token-1", "test-token-2"]) == {"test-token-2"}
    assert processes.end("test-token-1") == 1
    assert child.wait(10) == -9
    assert processes.end("test-token-1") == 0


def test_a_process_that_is_gone_has_no_family() -> None:
    gone = subprocess.Popen([sys.executable, "-c", "pass"])
    gone.wait()
    assert processes.family(gone.pid) == ()
    assert processes.family(None) == ()


# --- words -----------------------------------------------------------------------------------


def test_a_disk_s_refusals_have_words() -> None:
    stage = instance(["x = 1"])
    full = failures.of_disk(
        stage, OSError(errno.ENOSPC, "No space left on device", "/p/m.txt"), "the output could not be kept"
    )
    assert full.what == "the output could not be kept: No space left on device: /p/m.txt"
    assert full.mend == "make room on that file system, then run the stage again"
    large = failures.of_disk(stage, OSError(errno.EFBIG, "File too large"), "x")
    assert large.mend == "raise the limit on the size of files (`ulimit -f`), then run the stage again"
    gone = failures.of_disk(stage, OSError(errno.ENOENT, "No such file or directory", "/p"), "x")
    assert gone.mend == "see what removes it, then run the stage again"
    refused = failures.of_disk(stage, OSError(errno.EACCES, "Permission denied"), "x")
    assert refused.mend == "make the place writable for this user, or name another path"


def test_a_kernel_that_found_no_room_to_start() -> None:
    said = "[Errno 28] No space left on device"
    failure = failures.of_stop(instance(["x = 1"]), Stop(kind="dead_kernel", value=said), Masker(()))
    assert failure.kind == "storage"
    assert failure.what == f"the kernel did not start: {said}"
    assert failure.mend == "make room on that file system, then run the stage again"


def test_an_error_in_an_injected_cell_is_named_as_such() -> None:
    stop = Stop(kind="cell", cell=0, name="NameError", value="")
    failure = failures.of_stop(instance(["x = 1"]), stop, Masker(()))
    assert str(failure.where) == "notebooks/train.ipynb (injected cell)"
    assert failure.what == "the cell raised NameError: no message"


@pytest.mark.parametrize(
    "sequence",
    ["\x1b[31m", "\x1b[2J", "\x1b[?25l", "\x9b1;31m", "\x1b]0;title\x07", "\x1b]8;;http://a\x1b\\", "\x1bPq\x1b\\",
     "\x1bc", "\x1b(B", "\x08", "\x00", "\x7f", "\r"],
)  # fmt: skip
def test_a_failure_steers_no_terminal_and_hides_no_secret_from_the_mask(sequence: str) -> None:
    text = f"a\tb\npass{sequence}word-1"
    said = Failure(kind="cell", what=text, known=text, mend=text, traceback=text)
    shown = failures.presentable(said, Masker(["password-1"]))
    assert (shown.what, shown.known, shown.mend, shown.traceback) == ("a\tb\n[masked]",) * 4
