"""The fuzzer itself: a short run of each target, what broke once, and readers planted to break, each of which is seen."""

import os
import socket
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import fuzz
import fuzz_targets
import mutations
import pytest
import seeds
from fuzz_targets import TARGETS, Bench, bench, read_project
from oracle import MEGABYTES, Breach, is_tellable, judge_complaints, judge_same, watched

from nbpipeline.errors import Complaint
from nbpipeline.location import Location

pytestmark = pytest.mark.no_cover  # the tracer would take half of the time
INPUTS = 60
"""For each target; `fuzz.py` tries as many thousands."""
FEW = {"exports": 20}
"""Where each takes longer."""


@pytest.fixture(scope="module")
def project():
    with bench() as one:
        yield one


@pytest.mark.parametrize("target", TARGETS)
def test_a_short_run(target):
    tried, wanted = 0, FEW.get(target, INPUTS)
    with bench() as one:
        for data in fuzz.random_inputs(target, seed=20):
            TARGETS[target](one, data)
            tried += 1
            if tried == wanted:
                break
    assert tried == wanted


def test_every_target_can_be_asked_for():
    assert tuple(TARGETS) == fuzz.NAMES


@pytest.mark.parametrize("target", TARGETS)
def test_the_same_seed_gives_the_same_inputs(target):
    first, again, other = (
        [*zip(fuzz.random_inputs(target, seed), range(200), strict=False)] for seed in (1, 1, 2)
    )
    assert first == again
    assert first != other


@pytest.mark.parametrize("target", ["header", "cells", "pipeline", "suite", "tags"])
def test_seeds_are_read_as_what_they_are(target):
    """A target whose seeds all failed at the door would find nothing behind it."""
    with bench() as one:
        loaded = [TARGETS[target](one, data) for data in seeds.of(target)]
    assert (
        sum(any(stage.name == "train" for stage in found.spec.stages) for found in loaded) > len(loaded) / 4
    )


# --- what broke once -------------------------------------------------------------------------


def cell(source: bytes, tag: bytes = b"outputs") -> bytes:
    return b"#%% " + tag + b"\n" + source


def under(text: bytes) -> bytes:
    return b"---\nnbpipeline:\n" + text + b"---"


def accepted(bomb: str, last: str) -> bytes:
    doubled = "".join(f"  a{n}: &a{n} {bomb.format(', '.join([f'*a{n - 1}'] * 10))}\n" for n in range(1, 9))
    head = "accept\naccepted:\n- stage: t\n  because: x\n  date: d\n  a0: &a0 {a: 1}\n"
    return f"{head}{doubled}  changes: [{{kind: parameter, subject: C, before: {last}}}]\n".encode()


NESTED = b'{"nbformat":4,"metadata":{"%s":%s},"cells":[{"cell_type":"code","source":"x=1","metadata":{"tags":["outputs"]}}]}'
ONCE = {
    "a sum of many terms": ("cells", cell(b"x = 1" + b"+1" * 900)),
    "a sum in parameters": ("cells", cell(b"x = 1" + b"+1" * 900, b"parameters")),
    "a path of many parts": ("cells", cell(b"x = Path('a')" + b"/'a'" * 900)),
    "a chain of attributes": ("cells", cell(b"x = a" + b".b" * 990 + b"('x')")),
    "many signs": ("cells", cell(b"x = " + b"-" * 900 + b"1")),
    "an endless annotation": ("cells", cell(b"x: a" + b"|a" * 900 + b" = 1", b"parameters")),
    "an endless type": ("header", under(b"  params: {C: {default: 1, type: '" + b"a|" * 900 + b"a'}}\n")),
    "empty lines before what is no Python": ("cells", cell(b")" + b"\n" * 30_000 + b"x")),
    "shell commands that IPython has to look at": ("cells", cell(b'x")!ls\n' + b"!ls\n" * 2000, b"")),
    "functions within functions": ("cells", cell(b"a: " + b"lambda: " * 970 + b"1", b"")),
    "a path that turns writing round": ("cells", cell("n = '../../\u202e\x1b[31m'".encode())),
    "blanks after a quote that is not closed": (
        "cells",
        cell(b'x = f["c,\n!ls' + b" " * 30_000 + b"\n)", b""),
    ),
    "many names that nobody knows": ("cells", cell(b"".join(b"a%d = z%d\n" % (n, n) for n in range(2000)))),
    "many names that are undefined": (
        "cells",
        cell(b"".join(b"a%d = z%d\n" % (n, n) for n in range(2000)), b""),
    ),
    "any folder, many times": ("pipeline", b"notebooks: ['" + b"**/" * 30 + b"x.ipynb']"),
    "a mark of a cell that does not end": ("notebook", b"# %% " + b"a=[ " * 8000 + b"\nx=1"),
    "metadata nested deeply": ("notebook", NESTED % (b"a", b"[" * 900 + b"]" * 900)),
    "a header in metadata nested deeply": ("notebook", NESTED % (b"nbpipeline", b"[" * 500 + b"]" * 500)),
    "accepted changes that aliases blow up": ("records", accepted("[{}]", "*a8")),
    "accepted changes that merges blow up": ("records", accepted("{{<<: [{}]}}", "1")),
    "a record nested deeply": ("records", b"record\n" + b"[" * 20_000),
    "a mark of a holder nested deeply": ("records", b"owner\n" + b"[" * 20_000),
    "a kept kernel nested deeply": ("records", b"kept\n" + b"[" * 20_000),
}


@pytest.mark.parametrize("name", ONCE)
def test_what_broke_once(name):
    target, data = ONCE[name]
    with bench() as one:
        TARGETS[target](one, data)


# --- planted -----------------------------------------------------------------------------------


def broken(project: Bench, work) -> str:
    """Give the signature of what the oracle finds in a reader of ours."""
    with pytest.raises(Breach) as told:
        watched(work, project.root)
    return told.value.find.signature


def test_a_reader_that_raises(project):
    assert broken(project, lambda: {}["x"]).startswith("raised: KeyError")


def test_a_reader_that_runs_the_text(project):
    assert broken(project, lambda: exec("1")).startswith("executed: compile")  # noqa: S102 - planted, as are the others
    made = compile("1", "notebooks/train.ipynb", "eval")
    assert broken(project, lambda: eval(made)).startswith("executed: exec")  # noqa: S307


def test_a_reader_that_imports_a_module_of_the_project(project, monkeypatch):
    monkeypatch.syspath_prepend(str(project.root))
    assert broken(project, lambda: __import__("fuzzed_module")).startswith("executed: import")
    assert "fuzzed_module" not in sys.modules


def test_a_reader_that_hides_what_it_did(project):
    """An `except Exception` in a reader makes nothing good."""

    def hide() -> None:
        try:
            exec("1")  # noqa: S102
        except BaseException:  # noqa: BLE001
            return

    assert broken(project, hide).startswith("executed: compile")


def test_a_reader_that_hangs(project):
    def hang() -> None:
        while True:
            pass

    with pytest.raises(Breach, match="slow") as told:
        watched(hang, project.root, seconds=0.2)
    assert told.value.find.kind == "slow"


def test_a_reader_that_hides_that_it_hangs(project):
    def hang() -> None:
        try:
            while True:
                pass
        except BaseException:  # noqa: BLE001
            return

    with pytest.raises(Breach, match="slow"):
        watched(hang, project.root, seconds=0.2)


@pytest.mark.skipif(not Path("/proc/self/statm").exists(), reason="memory is measured on Linux")
def test_a_reader_that_takes_much_memory():
    """In a process of its own: what other tests took before would hide it."""
    work = f"watched(lambda: len(bytearray({MEGABYTES + 100} << 20)), Path('.'))"
    script = f"import sys; sys.path[:0] = {sys.path!r}\nfrom pathlib import Path\nfrom oracle import watched\n{work}"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=False)
    assert "large: memory" in done.stderr


def test_a_reader_that_writes_starts_or_connects(project):
    place = project.root / "made"
    assert broken(project, lambda: place.write_text("x")).startswith("executed: open for writing")
    assert broken(project, place.mkdir).startswith("executed: os.mkdir")
    assert broken(project, lambda: os.system("true")).startswith("executed: os.system")  # noqa: S605
    assert broken(project, lambda: subprocess.Popen(["true"])).startswith("executed: subprocess.Popen")
    assert broken(project, socket.socket).startswith("executed: socket.")
    assert not place.exists()


def test_a_reader_that_looks_elsewhere(project):
    assert broken(project, Path("/etc/hostname").read_text).startswith("outside: open")
    assert broken(project, lambda: list(Path("/").iterdir())).startswith("outside: listing")
    assert broken(project, lambda: list((project.root / "away").iterdir())).startswith("outside: listing")


def test_what_reading_needs_is_let_through(project):
    assert watched((project.root / "data/raw.csv").read_text, project.root) == "a,b\n1,2\n"
    error = watched(lambda: int("x"), project.root, errors=(ValueError,))
    assert isinstance(error, ValueError)


@pytest.mark.parametrize(
    "text", ["a\x1b[31m", "a\nb", "a\u2028b", "a\u202eb", "\x00", "a\x9b1m", "\ud800", "a\tb"]
)
def test_words_that_steer_a_terminal(text):
    assert not is_tellable(text)
    complaint = Complaint(where=Location(path=text), what=text, known=text, mend=text)
    judge_complaints([complaint])
    with pytest.raises(Breach, match="steers"):
        judge_complaints([Raw(complaint)])


class Raw:
    """A complaint that is told as it stands."""

    def __init__(self, told):
        self.where, self.what, self.known, self.mend = told.where, told.what, told.known, told.mend

    def __str__(self):
        return f"{self.what}\n{self.known}\n{self.mend}"


@pytest.mark.parametrize("lacking", ["where", "what", "mend"])
def test_a_complaint_that_lacks_a_part(lacking):
    parts = {"where": Location(path="n"), "what": "it is wrong.", "mend": "mend it."}
    with pytest.raises(Breach, match="lacks"):
        judge_complaints([Complaint(**{**parts, lacking: None if lacking == "where" else " "})])
    judge_complaints([Complaint(**parts)])


def test_a_cache_that_gives_something_else(project):
    """Something that is equal in Python counts: a 1 that comes back as true."""
    judge_same({"a": float("nan")}, {"a": float("nan")}, "x")
    with pytest.raises(Breach, match="differs"):
        judge_same({"a": 1}, {"a": True}, "x")
    project.put("notebooks/train.ipynb", fuzz_targets.notebook(fuzz_targets.code("C = 1", ["parameters"])))

    def load(root, cache=None):
        loaded = fuzz_targets.load(root)
        return loaded if cache is None else replace(loaded, complaints=(*loaded.complaints, "x"))

    with pytest.raises(Breach, match="differs"):
        read_project(project, load)


# --- the program -----------------------------------------------------------------------------

BROKEN = """
import sys
sys.path[:0] = {path!r}
import fuzz, fuzz_targets
def planted(one, data):
    if b"nbpipeline" in data:
        fuzz_targets.watched(lambda: {{}}["x"], one.root)
fuzz_targets.TARGETS["header"] = planted
sys.argv = ["fuzz.py", *{arguments!r}]
sys.exit(fuzz.main())
"""


def run(*arguments: str, planted: bool = False) -> "subprocess.CompletedProcess[str]":
    command = [sys.executable, fuzz.__file__, *arguments]
    if planted:
        command = [sys.executable, "-c", BROKEN.format(path=sys.path, arguments=arguments)]
    return subprocess.run(command, capture_output=True, text=True, check=False)


def test_the_program_tells_its_figures(tmp_path):
    done = run("--target", "records", "--engine", "random", "--inputs", "20", "--finds", str(tmp_path))
    assert done.stdout.startswith("records: 20 inputs in "), done.stdout + done.stderr
    assert "(random, seed 1)" in done.stdout
    assert "0 finds" in done.stdout
    assert done.returncode == 0


def test_a_find_is_written_once_and_cut_down(tmp_path):
    arguments = ("--target", "header", "--engine", "random", "--inputs", "20", "--finds", str(tmp_path))
    run("--worker", *arguments, planted=True)
    (found,) = tmp_path.glob("header/*.input")
    done = run("--replay", str(found), "--target", "header", "--minimise", planted=True)
    assert done.returncode == 1
    assert found.read_bytes() == b"nbpipeline"
    assert found.with_suffix(".txt").read_text().startswith("raised: KeyError")
    assert run("--replay", str(found), "--target", "header").returncode == 0


def test_what_is_cut_down_stays_what_it_is():
    assert mutations.minimised(b"abcXdefYghi", lambda data: b"X" in data and b"Y" in data) == b"XY"
