"""What a real kernel is seen to do with files, by which way whatever."""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from stages import Bench, artifact, bench, instance

from nbpipeline.model import StageRecord, Status

MODEL = artifact("model", "models/m.txt")
WRITE = "open('../models/m.txt', 'w').write('new')"
D = "import os; D = '../data/'"

WAYS = {
    # each: what a cell does, what it is seen to read, what to write (all under data/)
    "bytes": ("open(os.fsencode(D + 'bytes.csv')).close()", ["bytes.csv"], []),
    "os_open": ("os.close(os.open(D + 'os_open.csv', os.O_RDONLY))", ["os_open.csv"], []),
    "read_text": ("import pathlib; pathlib.Path(D, 'read_text.csv').read_text()", ["read_text.csv"], []),
    "open_code": (
        "import io; io.open_code(os.path.abspath(D + 'open_code.csv')).close()",
        ["open_code.csv"],
        [],
    ),
    "made_empty": ("os.close(os.open(D + 'new.csv', os.O_RDONLY | os.O_CREAT))", [], ["new.csv"]),
    "read_then_written": (
        "open(D + 'twice.csv').close(); open(D + 'twice.csv', 'a').close()",
        [],
        ["twice.csv"],
    ),
    "renamed_into_place": (
        (
            "import tempfile; f = tempfile.NamedTemporaryFile('w', dir='..', delete=False); f.write('x'); f.close(); "
            "os.replace(f.name, D + 'renamed.csv')"
        ),
        [],
        ["renamed.csv"],
    ),
    "moved": (
        "import shutil; open('/tmp/nbp-m', 'w').close(); shutil.move('/tmp/nbp-m', D + 'moved.csv')",
        [],
        ["moved.csv"],
    ),
    "copied": ("import shutil; shutil.copy(D + 'copied.csv', D + 'copy.csv')", ["copied.csv"], ["copy.csv"]),
    "linked": ("os.link(D + 'linked.csv', D + 'link.csv')", ["linked.csv"], ["link.csv"]),
    "symlinked": ("os.symlink('bytes.csv', D + 'symlink.csv')", [], ["symlink.csv"]),
    "removed": ("open(D + 'gone.csv', 'w').close(); os.remove(D + 'gone.csv')", [], []),
    "truncated": ("os.truncate(D + 'cut.csv', 0)", [], ["cut.csv"]),
    "changed_folder": (
        (
            "open('here.csv').close() if os.path.exists('here.csv') else None\n"
            "open('../data/chdir.csv').close(); os.chdir('../data'); open('../data/chdir_too.csv').close(); "
            "open('chdir_3.csv').close(); os.chdir('../notebooks')"
        ),
        ["chdir.csv", "chdir_too.csv", "chdir_3.csv"],
        [],
    ),
    "same_text_elsewhere": (
        (
            "os.chdir('../data/a'); open('same.csv').close(); os.chdir('../b'); open('same.csv').close(); "
            "os.chdir('../../notebooks')"
        ),
        ["a/same.csv", "b/same.csv"],
        [],
    ),
    "thread": (
        "import threading; t = threading.Thread(target=lambda: open(D + 'thread.csv').close()); t.start(); t.join()",
        ["thread.csv"],
        [],
    ),
    "forked": (
        (
            "pid = os.fork()\nif pid == 0:\n    open(D + 'forked.csv').close(); open(D + 'by_fork.csv', 'w').close(); "
            "os._exit(0)\n_ = os.waitpid(pid, 0)"
        ),
        ["forked.csv"],
        ["by_fork.csv"],
    ),
    "pool": (
        (
            "import multiprocessing\ndef size(p):\n    return len(open(p).read())\n"
            "with multiprocessing.get_context('fork').Pool(2) as pool:\n"
            "    _ = pool.map(size, [D + 'pool.csv', D + 'pool_too.csv'])"
        ),
        ["pool.csv", "pool_too.csv"],
        [],
    ),
    "memmap": ("import numpy; _ = numpy.memmap(D + 'memmap.csv', mode='r')", ["memmap.csv"], []),
    "mmap": (
        "import mmap; f = open(D + 'mmap.csv', 'rb'); _ = mmap.mmap(f.fileno(), 0, prot=mmap.PROT_READ)",
        ["mmap.csv"],
        [],
    ),
    "numpy": (
        "import numpy; numpy.save(D + 'n.npy', [1]); _ = numpy.fromfile(D + 'fromfile.csv')",
        ["fromfile.csv"],
        ["n.npy"],
    ),
    "archives": (
        (
            "import tarfile, zipfile; z = zipfile.ZipFile(D + 'z.zip', 'w'); z.write(D + 'zipped.csv'); z.close(); "
            "t = tarfile.open(D + 't.tar', 'w'); t.add(D + 'tarred.csv'); t.close()"
        ),
        ["zipped.csv", "tarred.csv"],
        ["z.zip", "t.tar"],
    ),
    "sqlite": ("import sqlite3; sqlite3.connect(D + 'a.db').execute('create table t (x)')", [], ["a.db"]),
    "shell_line": ("!cp ../data/shell.csv ../data/by_shell.csv", ["shell.csv"], ["by_shell.csv"]),
    "shell_cell": (
        "%%bash\ncat '../data/cell.csv' |\n  sort > ../data/by_cell.csv\n",
        ["cell.csv"],
        ["by_cell.csv"],
    ),
    "os_system": (
        "os.system('cat ../data/system.csv > ../data/by_system.csv')",
        ["system.csv"],
        ["by_system.csv"],
    ),
    "argument": (
        "import subprocess; _ = subprocess.run(['cat', '--', 'data/argument.csv'], cwd='..', check=True, capture_output=True)",
        ["argument.csv"],
        [],
    ),
    "option": (
        "_ = subprocess.run('cat < ../data/piped.csv; true --in=../data/option.csv', shell=True, capture_output=True)",
        ["piped.csv", "option.csv"],
        [],
    ),
}
"""Not among them, since nothing shows it: what other programs open without being told on their command line."""

AWKWARD = """
import os, sys
class Odd(str):
    def __hash__(self): raise RuntimeError('no hash')
    def __eq__(self, other): raise RuntimeError('no eq')
class Path_:
    def __fspath__(self): return '../data/fspath.csv'
__import__('io').open(Odd('../data/odd.csv')).close()
open(Path_()).close()
open(os.open('/dev/null', os.O_RDONLY)).close()
for event, arguments in [('open', ()), ('open', (None, None, None)), ('open', (object(), 'r', 'x')), ('import', ()), ('os.rename', (1,)),
                         ('subprocess.Popen', (None, None, None, None)), ('os.listdir', (object(),)), ('sqlite3.connect', (3,))]:
    sys.audit(event, *arguments)
try:
    open('../data/not\\0a name')
except ValueError:
    pass
here = os.getcwd()
os.mkdir('/tmp/nbp-gone-%d' % os.getpid()); os.chdir('/tmp/nbp-gone-%d' % os.getpid()); os.rmdir(os.getcwd())
try:
    open('x')
except FileNotFoundError:
    pass
os.chdir(here)
for name in [one for one in sys.modules if 'nbpipeline' in one]:
    del sys.modules[name]
names = [one for one in [*globals(), *vars(__import__('builtins')), *sys.modules] if 'nbpipeline' in one or one.startswith('audit_')]
assert not names, names
import gc, weakref
class Held(str): pass
held = Held('../data/held.csv')
__import__('io').open(held).close()
gone = weakref.ref(held)
del held
gc.collect()
assert gone() is None
"""


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Bench]:
    root = tmp_path_factory.mktemp("watching") / "project"
    with bench(root) as at:
        for _, reads, _ in WAYS.values():
            for name in reads:
                at.write(f"data/{name}", "12345678")
        for name in ("twice.csv", "cut.csv", "odd.csv", "fspath.csv", "held.csv", "untouched.csv"):
            at.write(f"data/{name}", "12345678")
        yield at


@pytest.fixture(scope="module")
def record(place: Bench) -> StageRecord:
    """One stage that does it all."""
    result = place.run(
        instance([D, *(source for source, _, _ in WAYS.values()), AWKWARD, WRITE], outputs=[MODEL])
    )
    assert result.status is Status.SUCCEEDED, result.failure
    return result.record


@pytest.mark.parametrize("way", WAYS)
def test_what_a_cell_opens_is_seen(record: StageRecord, way: str) -> None:
    _, reads, writes = WAYS[way]
    assert {f"data/{one}" for one in [*reads, *writes]} <= set(record.undeclared)
    assert {f"data/{one}" for one in writes} <= set(record.written)
    assert not {f"data/{one}" for one in reads} & set(record.written)


def test_nothing_else_is_seen(record: StageRecord) -> None:
    names = {one for _, reads, writes in WAYS.values() for one in [*reads, *writes]}
    assert set(record.undeclared) == {f"data/{one}" for one in [*names, "odd.csv", "fspath.csv", "held.csv"]}
    assert record.usage.watched
    assert record.usage.used == ("models/m.txt",)
    assert record.usage.listed == ()


def test_programs_that_a_stage_starts_are_told(record: StageRecord) -> None:
    assert {"cat", "cp"} <= set(record.usage.unseen)


def test_no_trace_is_left(place: Bench, record: StageRecord) -> None:
    assert "nbpipeline" not in json.dumps([cell["outputs"] for cell in place.executed()["cells"]])
    assert [one.name for one in Path(place.last.folder).iterdir() if "opened" in one.name] == []
