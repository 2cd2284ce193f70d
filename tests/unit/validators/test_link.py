"""The process that checks data apart: it is asked, it dies, it is cancelled, it ends with who asked."""

import os
import signal
import subprocess
import sys
import threading
from pathlib import Path

import psutil
import pytest
from processes import outlasting

from nbpipeline.errors import MissingPluginError
from nbpipeline.location import Location
from nbpipeline.model import UNTRIED, Check, Verdict
from nbpipeline.validators import choice
from nbpipeline.validators.link import CheckingProcess
from nbpipeline.validators.tables import never

SCHEMA = "import pandera.pandas as pa\nclass Table(pa.DataFrameModel):\n    {column}: int\n"


def check(name, arguments=None, **beside):
    return Check(name=name, arguments=arguments, where=Location(path="n.ipynb"), **beside)


@pytest.fixture
def table(tmp_path: Path) -> Path:
    path = tmp_path / "t.csv"
    path.write_text("a,b\n1,x\n,y\n")
    return path


def ask(process, table, validator, *checks, roots=(), stop=never):
    return process.ask(validator, (table,), checks, folder=table.parent, roots=roots, stop=stop)


def test_it_is_started_once_and_ends_with_its_block(table):
    with CheckingProcess() as process:
        assert process.pid is None
        process.start(["columns"])
        pid = process.pid
        (found,) = ask(process, table, "columns", check("not_null", "a", mostly=0.9))
        assert not found.passed
        assert found.details["examples"] == [{"row": 2, "a": None, "b": "y"}]
        assert found.message == "'a' is null in 1 of 2 rows (at least 90 % must hold): row 2"
        assert process.pid == pid
    assert not psutil.pid_exists(pid)


def test_one_that_was_killed_fails_the_check_and_another_is_started(table):
    with CheckingProcess() as process:
        process.start([])
        os.kill(process.pid, signal.SIGSTOP)  # it will answer nothing before it is killed
        first = process.pid
        threading.Timer(0.2, os.kill, (first, signal.SIGKILL)).start()
        (found,) = ask(process, table, "columns", check("not_null", "a"))
        assert (found.passed, found.message) == (
            False,
            "the process that checks data died: killed, out of memory?",
        )
        (again,) = ask(process, table, "columns", check("not_null", "b"))
        assert again.passed
        assert process.pid != first


def test_one_that_ends_by_itself_says_its_last_words(table, tmp_path):
    (tmp_path / "bad_schema.py").write_text("import os\nprint('no way on', flush=True)\nos._exit(3)\n")
    with CheckingProcess() as process:
        (found,) = ask(process, table, "pandera", check("pandera", "bad_schema:T"))
        assert found.message == "the process that checks data died (exit code 3): no way on"
        assert found.details == {UNTRIED: True}


def test_a_check_that_nobody_waits_for_any_more_is_not_waited_for(table):
    over = threading.Event()
    with CheckingProcess() as process:
        process.start([])
        os.kill(process.pid, signal.SIGSTOP)
        pid = process.pid
        threading.Timer(0.2, over.set).start()
        (found,) = ask(process, table, "columns", check("not_null", "a"), stop=over.is_set)
        assert (found.passed, found.message) == (False, "interrupted")
        assert not psutil.pid_exists(pid)
        assert process.pid is None


def test_it_ends_when_who_asked_is_killed(table, tmp_path):
    source = (
        "import os, sys, time\nfrom nbpipeline.validators.link import CheckingProcess\n"
        "process = CheckingProcess()\nprocess.start(['great_expectations'])\n"  # it is at its import by then
        "print(process.pid, flush=True)\nsys.stdin.read()"
    )
    asking = subprocess.Popen(
        [sys.executable, "-c", source], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    checking = psutil.Process(int(asking.stdout.readline()))
    asking.kill()
    asking.wait()
    asking.stdin.close()
    asking.stdout.close()
    assert not outlasting([checking], 60)


def test_each_stage_imports_its_own_modules(table, tmp_path):
    for name, column in (("one", "a"), ("other", "c")):
        (tmp_path / name).mkdir()
        (tmp_path / name / "own_schema.py").write_text(SCHEMA.format(column=column))
    table.write_text("a\n1\n")
    with CheckingProcess() as process:
        found = [
            ask(process, table, "pandera", check("pandera", "own_schema:Table"), roots=[tmp_path / name])[0]
            for name in ("one", "other")
        ]
    assert [one.passed for one in found] == [True, False]


def test_a_validator_that_nobody_offers_is_missed_and_the_process_goes_on(table):
    with CheckingProcess() as process:
        with pytest.raises(MissingPluginError, match="there is no validator 'nobody'"):
            ask(process, table, "nobody", check("a"))
        (found,) = ask(process, table, "columns", check("between", {"column": "a", "min": 0}))
        assert found.passed


FORK = """
import os, subprocess, sys
import pandera.pandas as pa
for name, made in (("back", 0), ("away", 1)):
    pid = os.fork()
    if not pid and made:
        os.execv(sys.executable, [sys.executable, "-c", "import time; time.sleep(600)"])
    if not pid and os.fork():
        os._exit(0)  # and its child goes on without a parent, back into the check
    if pid:
        open({pids!r}, "a").write(f"{{pid}}\\n")
    else:
        open({pids!r}, "a").write(f"{{os.getpid()}}\\n")
        break
class Table(pa.DataFrameModel):
    a: int
"""


def test_what_a_schema_s_module_forked_answers_nothing_and_is_ended(table, tmp_path):
    """Its answer to the question before is none to the next: that would pass data which must fail."""
    pids = tmp_path / "pids"
    (tmp_path / "forking.py").write_text(FORK.format(pids=str(pids)))
    (tmp_path / "strict_schema.py").write_text(SCHEMA.format(column="nowhere"))
    table.write_text("a\n1\n")
    with CheckingProcess() as process:
        (found,) = ask(process, table, "pandera", check("pandera", "forking:Table"))
        assert found.passed
        left = [psutil.Process(int(one)) for one in pids.read_text().split() if psutil.pid_exists(int(one))]
        assert not outlasting(left, 20)
        for _ in range(3):
            (found,) = ask(process, table, "pandera", check("pandera", "strict_schema:Table"))
            assert not found.passed


def test_an_answer_to_no_question_is_none(table, tmp_path):
    (tmp_path / "lying.py").write_text(
        "import gc, io, json\n"
        "for one in gc.get_objects():\n"
        "    if isinstance(one, io.TextIOWrapper) and not one.closed and one.name not in (0, 1, 2):\n"
        "        if isinstance(one.name, int):\n"
        "            for line in ('[]', 'no JSON', json.dumps({'number': 0, 'verdicts': []})):\n"
        "                one.write(line + '\\n')\n"
    )
    with CheckingProcess() as process:
        (found,) = ask(process, table, "pandera", check("pandera", "lying:T"))
        assert found.message == "T in the module lying is not there"
        (found,) = ask(process, table, "columns", check("not_null", "b"))
        assert found.passed


def test_one_that_dies_while_a_child_holds_its_pipe_is_not_waited_for(table, tmp_path):
    (tmp_path / "dying.py").write_text("import os, time\nif os.fork():\n    os._exit(4)\ntime.sleep(600)\n")
    with CheckingProcess() as process:
        (found,) = ask(process, table, "pandera", check("pandera", "dying:T"))
    assert found.message == "the process that checks data died (exit code 4)"


@pytest.mark.parametrize("end", ["sys.exit(0)", "raise KeyboardInterrupt", "raise ValueError('boom')"])
def test_a_module_that_ends_the_process_is_named(table, tmp_path, end):
    (tmp_path / "ending.py").write_text(f"import sys\n{end}\n")
    with CheckingProcess() as process:
        process.start(["pandera"])
        pid = process.pid
        (found,) = ask(process, table, "pandera", check("pandera", "ending:T"))
        assert found.message.startswith("the module ending cannot be imported: ")
        assert found.details == {UNTRIED: True}
        assert process.pid == pid


def test_a_module_that_reads_stdin_finds_nothing_there(table, tmp_path):
    """It would wait for the next question, and take it."""
    (tmp_path / "asking.py").write_text(
        "import sys\nfound = sys.stdin.readline()\nraise ValueError(repr(found))\n"
    )
    with CheckingProcess() as process:
        (found,) = ask(process, table, "pandera", check("pandera", "asking:T"))
        assert found.message == "the module asking cannot be imported: ValueError: ''"
        (found,) = ask(process, table, "columns", check("not_null", "b"))
        assert found.passed


BOMB = "import re\nopen({pipe!r}, 'wb').close()\nre.match('(a+)+$', 'a' * 40 + 'b')\n"
"""It holds Python's lock for longer than anybody lives."""


def test_one_that_hears_nothing_is_killed_and_the_next_question_gets_another(table, tmp_path):
    pipe, at_it = tmp_path / "pipe", threading.Event()
    os.mkfifo(pipe)
    (tmp_path / "bomb.py").write_text(BOMB.format(pipe=str(pipe)))
    threading.Thread(target=lambda: (pipe.open("rb").close(), at_it.set()), daemon=True).start()
    with CheckingProcess() as process:
        process.start(["columns"])
        first = psutil.Process(process.pid)
        (found,) = ask(process, table, "pandera", check("pandera", "bomb:T"), stop=at_it.is_set)
        assert found.message == "interrupted"
        assert not first.is_running()
        (again,) = ask(process, table, "columns", check("not_null", "b"))
        assert again.passed
        assert process.pid != first.pid


def test_who_breaks_off_does_not_wait_for_its_end(table, tmp_path, monkeypatch):
    """As Ctrl-C in `record` does; a negative control of patience is the first test."""
    waited = []
    real = subprocess.Popen.wait
    monkeypatch.setattr(
        subprocess.Popen, "wait", lambda self, timeout=None: waited.append(timeout) or real(self, timeout)
    )

    def broken_off():
        with CheckingProcess() as process:
            process.start([])
            os.kill(process.pid, signal.SIGSTOP)
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        broken_off()
    assert waited == [0, None]


def test_a_check_apart_knows_where_others_are(table, tmp_path):
    (tmp_path / "o.csv").write_text("b\ny\n")
    leak = check("disjoint_from", {"other": "o", "columns": "b"}, others={"o": (str(tmp_path / "o.csv"),)})
    with CheckingProcess() as process:
        (found,) = ask(process, table, "columns", leak)
    assert found.message == "'b' is also in 'o' in 1 of 2 rows: row 2 (y)"


def test_what_is_not_built_in_is_asked_apart(table, monkeypatch):
    """A plug-in's validator may hang as any library does; the built-in one is asked here, and told when to stop."""
    asked = []

    def ask(validator, paths, checks):
        asked.append((validator, [one.name for one in checks]))
        return [Verdict(check=one, passed=True) for one in checks]

    monkeypatch.setattr(
        choice, "validator_of", lambda one: "theirs" if one.name == "theirs" else choice.BUILT_IN
    )
    checks = (check("theirs"), check("exists"), check("not_null", "b"), check("theirs"))
    found = choice.validate((table,), checks, ask, lambda: True)
    assert asked == [("theirs", ["theirs", "theirs"])]
    assert [(one.validator, one.passed, one.message) for one in found] == [
        ("theirs", True, ""),
        ("columns", False, "interrupted"),
        ("columns", False, "interrupted"),
        ("theirs", True, ""),
    ]
