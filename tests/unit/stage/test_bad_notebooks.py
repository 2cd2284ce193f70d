"""What a notebook can do wrong: each has its words, and leaves the outputs as they were."""

import json
from pathlib import Path

import psutil
import pytest
from stages import Bench, artifact, bench, instance

from nbpipeline.kernels import registry
from nbpipeline.location import Location
from nbpipeline.model import Check, StageResult, Status, Verdict
from nbpipeline.stage.backends import Surroundings

WRITE = "open('../models/m.txt', 'w').write('half')"
MODEL = artifact("model", "models/m.txt")


def refused(at: Bench, *sources: str, outputs=(MODEL,), **settings) -> StageResult:
    """Run a stage that must fail beside a previous output, which must stand afterwards."""
    at.write("models/m.txt", "previous")
    result = at.run(instance(sources, outputs=outputs, **settings))
    assert result.failure is not None
    assert result.record is None
    assert at.text("models/m.txt") == "previous"
    assert at.leftovers() == []
    return result


def test_a_cell_that_raises(at: Bench) -> None:
    result = refused(at, WRITE, "x = 1\nraise ValueError('no rows\\nat all')")
    failure = result.failure
    assert result.status is Status.FAILED
    assert failure.kind == "cell"
    assert str(failure.where) == "notebooks/train.ipynb, cell 2, line 2"
    assert failure.what == "the cell raised ValueError: no rows"
    assert failure.mend == "see the whole of it with `nbpipeline log train`"
    assert "ValueError: no rows\nat all" in failure.traceback
    assert "ValueError: no rows" in at.log()
    rejected = Path(at.last.folder) / "rejected-1" / "models" / "m.txt"
    assert rejected.read_text() == "half"


def test_a_failed_test_names_its_own_log(at: Bench) -> None:
    failure = at.run(instance(["1 / 0"]), test=True).failure
    log = Path(at.last.folder).relative_to(at.root) / "log"
    assert failure.mend == f"see the whole of it in {log}"
    assert "ZeroDivisionError" in (at.root / log).read_text()


def test_a_mend_names_an_instance_as_shells_take_it(at: Bench) -> None:
    failure = at.run(instance(["1 / 0"], parts={"axes": (("region", "eu"),)})).failure
    assert failure.mend == "see the whole of it with `nbpipeline log train@region=eu`"


def test_the_record_counts_all_seconds_of_the_stage_and_its_failed_attempts(at: Bench) -> None:
    once = (
        "import pathlib\nmark = pathlib.Path('../tried')\n"
        "if not mark.exists():\n    mark.touch(); raise ValueError\n"
    )
    result = at.run(instance([once + WRITE], outputs=[MODEL], retries=1, retry_delay=0.5))
    assert sum(cell.seconds for cell in result.cells) + 0.5 < result.record.seconds <= result.seconds


def test_a_failed_check_is_not_tried_again(root: Path) -> None:
    wrong = Check(name="short", arguments=None, where=Location(path="notebooks/train.ipynb", cell=1))

    def refuse(
        _paths: tuple[Path, ...], checks: tuple[Check, ...], _around: Surroundings
    ) -> tuple[Verdict, ...]:
        return tuple(Verdict(check=one, passed=False, message="too long") for one in checks)

    with bench(root, validators=refuse) as at:
        result = at.run(instance([WRITE], outputs=[MODEL], retries=3, expect={"model": (wrong,)}))
        assert (result.status, result.attempts) == (Status.CHECK_FAILED, 1)
        assert [one.data["last"] for one in at.events if one.kind == "attempt_failed"] == [True]


def test_a_message_without_end_is_cut_where_it_is_told(at: Bench) -> None:
    result = refused(at, "raise ValueError('x' * 3_000_000)", retries=1)
    failure = result.failure
    assert failure.what == "the cell raised ValueError: " + "x" * 372 + "... (3000028 characters)"
    assert max(map(len, failure.traceback.splitlines())) < 1_100
    told = [one.data["what"] for one in at.events if one.kind == "attempt_failed"]
    assert told == [failure.what] * 2
    assert "x" * 3_000_000 in at.log()
    assert "x" * 3_000_000 in json.dumps(at.executed())


def test_a_traceback_without_end_keeps_both_its_ends(at: Bench) -> None:
    lines = "raise ValueError('\\n'.join(f'line {n}' for n in range(10_000)))"
    trace = refused(at, lines).failure.traceback.splitlines()
    assert len(trace) == 401
    assert trace[-1] == "line 9999"
    assert trace[200].startswith("... ")
    assert any("ValueError" in line for line in trace[:5])


def test_what_an_earlier_attempt_had_to_tell_is_told_too(at: Bench) -> None:
    once = (
        "import pathlib, subprocess\nmark = pathlib.Path('../tried')\n"
        "if not mark.exists():\n    mark.touch(); subprocess.Popen(['sleep', '60']); raise ValueError\n"
    )
    result = at.run(instance([once + WRITE], outputs=[MODEL], retries=1))
    assert result.status is Status.SUCCEEDED
    assert result.notices == ("1 process that a cell had left was ended",)


def test_the_line_is_the_cell_s_own_when_the_error_is_deeper(at: Bench) -> None:
    at.write("notebooks/helper_for_line.py", "def f():\n    raise KeyError('deep')\n")
    result = refused(at, "import helper_for_line", "\n\nhelper_for_line.f()")
    assert str(result.failure.where) == "notebooks/train.ipynb, cell 2, line 3"


@pytest.mark.parametrize("publish", ["direct", "atomic"])
def test_a_link_out_of_the_project(at: Bench, tmp_path: Path, publish: str) -> None:
    elsewhere = tmp_path / "elsewhere.txt"
    elsewhere.write_text("not of this project")
    model = artifact("model", "models/m.txt", publish=publish)
    name = "models/.nbpipeline-run-1.m.txt" if publish == "atomic" else "models/m.txt"
    result = refused(at, f"import os; os.symlink({str(elsewhere)!r}, '../{name}')", outputs=(model,))
    assert result.failure.kind == "output"
    assert result.failure.what == (
        f"output 'model' was written outside the project: models/m.txt is a link to {elsewhere}."
    )
    assert "allow_outside: true" in result.failure.mend
    assert elsewhere.read_text() == "not of this project"


def test_only_the_last_attempt_s_kernel_is_kept(at: Bench) -> None:
    once = (
        "import os\nif not os.path.exists('../tried'):\n    open('../tried', 'w').close(); raise ValueError\n"
    )
    result = at.run(instance([once + WRITE], outputs=[MODEL], retries=1), keep_kernel=True)
    assert result.status is Status.SUCCEEDED
    assert result.notices == ()
    assert registry.kept_kernels(at.root) == ()


def test_a_syntax_error(at: Bench) -> None:
    result = refused(at, "x = )")
    assert result.failure.what.startswith("the cell raised SyntaxError: ")
    assert str(result.failure.where) == "notebooks/train.ipynb, cell 1, line 1"


INCOMPLETE = """
class _IncompleteInputError(SyntaxError):
    "As Python 3.13 has it."

raise _IncompleteInputError("incomplete input")
"""


@pytest.mark.parametrize("source", ["x = (1,\n  2", INCOMPLETE])
def test_a_cell_that_is_unfinished_is_a_syntax_error_under_every_python(at: Bench, source: str) -> None:
    result = refused(at, source)
    assert result.failure.what.startswith("the cell raised SyntaxError: incomplete input")
    assert result.failure.traceback.splitlines()[-1] == "SyntaxError: incomplete input"
    assert "\nSyntaxError: incomplete input" in at.log()


@pytest.mark.parametrize(
    ("call", "said"),
    [
        ("import sys; sys.exit(0)", "sys.exit(0)"),
        ("import sys; sys.exit()", "sys.exit()"),
        ("raise SystemExit(2)", "sys.exit(2)"),
        ("exit()", "exit()"),
        ("quit()", "exit()"),
    ],
)
def test_a_cell_that_exits(at: Bench, call: str, said: str) -> None:
    result = refused(at, WRITE, call, "never = 1")
    assert result.failure.kind == "exit"
    assert str(result.failure.where) == "notebooks/train.ipynb, cell 2"
    assert result.failure.what == f"the cell called {said}, so the cells after it did not run."
    assert result.failure.mend == "let the notebook run to its end; the tag `skip` leaves out cells"


def test_a_cell_that_never_ends(at: Bench) -> None:
    result = refused(at, WRITE, "import time\nwhile True: time.sleep(0.01)", cell_timeout=1)
    assert result.failure.kind == "cell_timeout"
    assert str(result.failure.where) == "notebooks/train.ipynb, cell 2, line 2"
    assert result.failure.what == "the cell did not end within its cell_timeout of 1 s."
    assert result.failure.mend == "find what takes so long, or raise `cell_timeout:` in the header"


def test_a_stage_that_never_ends(at: Bench) -> None:
    result = refused(at, WRITE, "import threading; threading.Event().wait()", timeout=3)
    assert result.failure.kind == "timeout"
    assert result.failure.what == "the stage did not end within its timeout of 3 s."
    assert result.failure.mend == "find what takes so long, or raise `timeout:` in the header"


def test_a_cell_that_ignores_interrupts(at: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    from nbpipeline.stage import client

    monkeypatch.setattr(client, "INTERRUPT_GRACE", 0.5)
    stubborn = (
        "import signal, threading\nsignal.signal(signal.SIGINT, signal.SIG_IGN)\nthreading.Event().wait()"
    )
    result = refused(at, stubborn, cell_timeout=1)
    assert result.failure.kind == "cell_timeout"


def test_a_cell_that_prints_50_mb(at: Bench) -> None:
    at.write("models/m.txt", "previous")
    loud = "for n in range(50):\n    print('x' * (1024 * 1024 - 1))"
    result = at.run(instance([WRITE, loud], outputs=[MODEL]))
    assert result.status is Status.SUCCEEDED
    assert "cell 2 wrote 50 MB of output; its record is cut at 10 MB" in result.notices
    cell = at.executed()["cells"][1]
    assert sum(len("".join(one["text"])) for one in cell["outputs"]) < 10.1 * 1024 * 1024
    assert "".join(cell["outputs"][-1]["text"]) == (
        "\n[nbpipeline: cell 2 wrote 50 MB of output; its record is cut at 10 MB]\n"
    )


def test_many_small_pieces_of_output_arrive_whole(at: Bench) -> None:
    result = at.run(instance(["for n in range(3000):\n    print(n, flush=True)"]))
    assert result.status is Status.SUCCEEDED
    outputs = at.executed()["cells"][0]["outputs"]
    assert len(outputs) == 1
    assert "".join(outputs[0]["text"]) == "".join(f"{n}\n" for n in range(3000))


def test_a_cell_that_kills_its_own_kernel(at: Bench) -> None:
    result = refused(at, WRITE, "import os, signal\nos.kill(os.getpid(), signal.SIGKILL)")
    assert result.failure.kind == "dead_kernel"
    assert str(result.failure.where) == "notebooks/train.ipynb, cell 2"
    assert result.failure.what == "the kernel died: killed, out of memory?"
    assert result.failure.mend == (
        "let the cell take less memory, or declare `resources: {memory: ...}` so that less runs beside"
    )


def test_a_kernel_that_crashes_or_ends_itself(at: Bench) -> None:
    crashed = refused(at, "import os, signal\nos.kill(os.getpid(), signal.SIGSEGV)")
    assert crashed.failure.what == "the kernel died: it was ended by SIGSEGV."
    ended = refused(at, "import os\nos._exit(3)")
    assert ended.failure.what == "the kernel died: it exited with code 3."


@pytest.mark.parametrize("tags", [(), ("metrics",)], ids=["after the last cell", "when metrics are read"])
def test_a_kernel_that_dies_between_cells(at: Bench, tags: tuple[str, ...]) -> None:
    def kill(event) -> None:
        if event.kind == "cell_finished" and event.data["cell"] == 2:
            psutil.Process(int(at.text("pid"))).kill()

    at.on_event = kill
    result = refused(at, WRITE, ("import os; open('../pid', 'w').write(str(os.getpid())); score = 1", *tags))
    assert result.failure.kind == "dead_kernel"
    assert result.failure.what == "the kernel died: killed, out of memory?"
    assert str(result.failure.where) == "notebooks/train.ipynb, cell 2"


def test_a_kernel_that_does_not_start(at: Bench, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    spec = tmp_path / "kernels" / "broken"
    spec.mkdir(parents=True)
    (spec / "kernel.json").write_text(
        '{"argv": ["/bin/sh", "-c", "echo no such module >&2; exit 1"], "display_name": "b", "language": "python"}'
    )
    monkeypatch.setenv("JUPYTER_PATH", str(tmp_path))
    result = refused(at, "x = 1", kernel="broken")
    assert result.failure.kind == "dead_kernel"
    assert result.failure.what == "the kernel did not start: no such module"


@pytest.mark.parametrize(
    ("ended", "what", "mend"),
    [
        (
            "kill -KILL $$",
            "the kernel died while it started: killed, out of memory?",
            "declare `resources: {memory: ...}` so that less runs beside",
        ),
        (
            "echo busy; echo free: corrupted pointer; kill -ABRT $$",
            "the kernel died while it started: it was ended by SIGABRT. Its last words: free: corrupted pointer",
            "find what crashes when its Python starts",
        ),
    ],
)
def test_a_kernel_that_is_killed_while_it_starts(
    at: Bench, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, ended: str, what: str, mend: str
) -> None:
    spec = tmp_path / "kernels" / "killed"
    spec.mkdir(parents=True)
    argv = ["/bin/sh", "-c", ended]
    (spec / "kernel.json").write_text(json.dumps({"argv": argv, "display_name": "k", "language": "python"}))
    monkeypatch.setenv("JUPYTER_PATH", str(tmp_path))
    result = refused(at, "x = 1", kernel="killed")
    assert result.failure.kind == "dead_kernel"
    assert (result.failure.what, result.failure.mend) == (what, mend)


def test_a_header_s_kernel_that_is_not_installed(at: Bench) -> None:
    at.write("models/m.txt", "previous")
    from dataclasses import replace

    stage = instance(["x = 1"], outputs=[MODEL])
    result = at.run(replace(stage, spec=replace(stage.spec, kernel="no-such-kernel")))
    assert result.failure.what == "kernel 'no-such-kernel' is not installed."
    assert "python3" in result.failure.known
    assert at.text("models/m.txt") == "previous"
    assert at.leftovers() == []


def test_a_saved_kernel_that_is_not_installed_gives_way(at: Bench) -> None:
    result = at.run(instance(["import sys; print(sys.executable)"], kernel="their-env"))
    assert result.status is Status.SUCCEEDED
    assert result.notices == (
        (
            "kernel 'their-env' of notebooks/train.ipynb is not installed; "
            "the Python that runs nbpipeline is used instead"
        ),
    )
    import sys

    assert sys.executable in at.log()


CHILD = """
import subprocess, sys, os
child = subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(600)'], start_new_session={session})
open('../models/pid.txt', 'w').write(str(child.pid))
"""


@pytest.mark.parametrize("session", [False, True])
def test_a_child_that_stays_is_ended(at: Bench, session: bool) -> None:
    result = at.run(instance([CHILD.format(session=session)], outputs=[artifact("pid", "models/pid.txt")]))
    assert result.status is Status.SUCCEEDED
    pid = int(at.text("models/pid.txt"))
    assert not psutil.pid_exists(pid) or psutil.Process(pid).status() == psutil.STATUS_ZOMBIE
    assert "1 process that a cell had left was ended" in result.notices


def test_a_child_of_a_kernel_that_died_is_ended(at: Bench) -> None:
    at.write("models/pid.txt", "previous")
    result = at.run(
        instance(
            [
                CHILD.format(session=True) + "print('pid', child.pid, flush=True)",
                "import os; os.kill(os.getpid(), 9)",
            ],
            outputs=[artifact("pid", "models/pid.txt")],
        )
    )
    assert result.failure.kind == "dead_kernel"
    written = (Path(at.last.folder) / "rejected-1" / "models" / "pid.txt").read_text()
    assert (
        not psutil.pid_exists(int(written)) or psutil.Process(int(written)).status() == psutil.STATUS_ZOMBIE
    )


def test_an_output_that_is_not_written(at: Bench) -> None:
    result = refused(at, "x = 1")
    assert result.failure.kind == "output"
    assert str(result.failure.where) == "notebooks/train.ipynb, cell 1"
    assert result.failure.what == "output 'model' was not written: models/m.txt is not there."
    assert result.failure.mend == "write it in the notebook, or take it out of the declared outputs"


def test_an_output_that_is_written_empty(at: Bench) -> None:
    result = refused(at, "open('../models/m.txt', 'w').close()")
    assert result.failure.kind == "output"
    assert result.failure.what == "output 'model' was written empty: models/m.txt has no bytes in it."


def test_a_folder_output_without_files(at: Bench) -> None:
    shards = artifact("shards", "data/shards/", kind="directory")
    at.write("data/shards/a.csv", "previous")
    result = at.run(instance(["import os; os.mkdir('../data/shards/inner')"], outputs=[shards]))
    assert result.failure.what == "output 'shards' was written empty: data/shards/ has no files in it."
    assert at.text("data/shards/a.csv") == "previous"
    assert at.leftovers() == []


def test_an_input_that_is_not_there(at: Bench) -> None:
    raw = artifact("raw", "data/raw.csv")
    result = refused(at, "x = 1", inputs=(raw,))
    assert result.attempts == 0
    assert result.failure.kind == "input"
    assert result.failure.what == "input 'raw' is not there: data/raw.csv"
    assert result.failure.mend == "put it there, or declare which stage makes it"


def test_a_secret_that_is_not_set(at: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("WAREHOUSE_TOKEN", raising=False)
    result = refused(at, "x = 1", secrets=("WAREHOUSE_TOKEN",))
    assert result.failure.what == "secret 'WAREHOUSE_TOKEN' is not in the environment."
    assert result.failure.mend == "set it before the run: `export WAREHOUSE_TOKEN=...`"


@pytest.mark.parametrize("below", ["", "/deep"])
def test_a_file_where_an_output_s_folder_should_be(at: Bench, below: str) -> None:
    at.write("blocked", "a file, not a folder")
    result = refused(at, WRITE, outputs=(MODEL, artifact("other", f"blocked{below}/m.txt")))
    assert result.failure.kind == "storage"
    assert result.failure.what.startswith("the outputs' places could not be prepared: ")
    assert result.failure.mend == (
        f"move {at.root}/blocked away: a folder is needed there; or name another path"
    )
    assert at.text("blocked") == "a file, not a folder"


def test_a_full_disk_seen_by_the_cell(at: Bench) -> None:
    result = refused(at, WRITE, "f = open('/dev/full', 'w'); f.write('x' * 100000); f.flush()")
    assert result.failure.kind == "storage"
    assert result.failure.what == "the cell raised OSError: [Errno 28] No space left on device"
    assert result.failure.mend == "make room on that file system, then run the stage again"


def test_an_interrupted_stage(at: Bench) -> None:
    def stop(event) -> None:
        if event.kind == "cell_started" and event.data["cell"] == 2:
            at.switch.raise_to(1)

    at.on_event = stop
    result = refused(at, WRITE, "import threading; threading.Event().wait()", "never = 1", retries=3)
    assert result.status is Status.CANCELLED
    assert result.attempts == 1
    assert result.failure.what == "the stage was interrupted."
    assert [event.data["cell"] for event in at.events if event.kind == "cell_started"] == [1, 2]


def test_a_killed_stage(at: Bench) -> None:
    def stop(event) -> None:
        if event.kind == "cell_started" and event.data["cell"] == 2:
            at.switch.raise_to(2)

    at.on_event = stop
    stubborn = (
        "import signal, threading\nsignal.signal(signal.SIGINT, signal.SIG_IGN)\nthreading.Event().wait()"
    )
    result = refused(at, WRITE, stubborn)
    assert result.status is Status.CANCELLED


def test_a_cancelled_run_starts_nothing(at: Bench) -> None:
    at.switch.raise_to(1)
    result = refused(at, WRITE)
    assert result.status is Status.CANCELLED
