"""The hook by itself, told of events as the interpreter tells it; real kernels are in test_watching.py."""

import ctypes
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from nbpipeline.stage.audit_hook import QUESTION, Watch
from nbpipeline.stage.audit_native import Native

READ, WRITE = os.O_RDONLY | os.O_CLOEXEC, os.O_WRONLY | os.O_CREAT | os.O_TRUNC


class Ear:
    """A watch and its hook."""

    def __init__(self, root: Path, native: Native | None = None) -> None:
        self.root = root
        self.watch = Watch(str(root), str(root / ".spool"), native or Native(str(root)))
        self.hears = self.watch._hook()

    def opens(self, path: Any, flags: int = READ) -> None:
        self.hears("open", (path, "r", flags))

    def answer(self) -> dict[str, Any]:
        found: dict[str, Any] = {}
        self.hears(QUESTION, (found,))
        return found

    def files(self) -> dict[str, str]:
        return {os.path.relpath(path, self.root): how for path, how in self.answer()["files"].items()}


@pytest.fixture
def ear(root: Path, monkeypatch: pytest.MonkeyPatch) -> Ear:
    (root / "notebooks").mkdir()
    (root / "data").mkdir()
    monkeypatch.chdir(root / "notebooks")
    return Ear(root)


@pytest.mark.parametrize(
    ("path", "seen"),
    [
        ("../data/a.csv", "data/a.csv"),
        (b"../data/a.csv", "data/a.csv"),
        (Path("../data/a.csv"), "data/a.csv"),
        ("a.csv", "notebooks/a.csv"),
        ("./a//b/../a.csv", "notebooks/a/a.csv"),
        ("/elsewhere/a.csv", None),
        ("../../a.csv", None),
        ("/a.csv", None),
        ("..", None),
        (3, None),
        (None, None),
    ],
)
def test_a_path_is_made_absolute(ear: Ear, path: Any, seen: str | None) -> None:
    ear.opens(path)
    ear.opens(path)
    assert ear.files() == ({seen: "read"} if seen else {})


def test_a_root_that_is_a_link(root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "link").symlink_to(root)
    monkeypatch.chdir(root)
    ear = Ear(tmp_path / "link")
    ear.opens("a.csv")
    ear.opens(str(tmp_path / "link" / "b.csv"))
    assert ear.files() == {"a.csv": "read", "b.csv": "read"}


def test_the_most_that_was_done_counts(ear: Ear) -> None:
    for flags in (READ, WRITE, READ):
        ear.opens("../data/a.csv", flags)
    ear.hears("sqlite3.connect", ("../data/b.db",))
    ear.hears("sqlite3.connect", ("file:../data/c.db?mode=ro",))
    ear.hears("sqlite3.connect", (":memory:",))
    assert ear.files() == {
        "data/a.csv": "write",
        "data/b.db": "open",
        "data/c.db": "open",
        "notebooks/:memory:": "open",
    }


def test_relative_paths_mean_what_they_meant(ear: Ear) -> None:
    ear.opens("a.csv")
    ear.hears("os.chdir", ("../data",))
    os.chdir("../data")
    ear.opens("a.csv")
    assert ear.files() == {"notebooks/a.csv": "read", "data/a.csv": "read"}


def test_code_is_loaded_by_who_runs_it_and_read_by_others(ear: Ear) -> None:
    def by(file: str, path: str) -> None:
        source = f"hears('open', ({path!r}, 'r', {READ}))"
        exec(compile(source, file, "exec"), {"hears": ear.hears})  # noqa: S102 - as if it stood in that file

    by("<frozen importlib._bootstrap_external>", "loaded.py")
    by("/lib/linecache.py", "shown.py")
    by("/lib/cell.py", "read.py")
    by("/lib/cell.py", "loaded.csv")
    ear.hears("import", ("module", "../data/m.so", None, None, None))
    assert ear.files() == {
        "notebooks/loaded.py": "load",
        "notebooks/shown.py": "load",
        "notebooks/read.py": "read",
        "notebooks/loaded.csv": "read",
        "data/m.so": "load",
    }


def test_renames_and_links(ear: Ear) -> None:
    folder = os.open("../data", os.O_RDONLY)
    try:
        ear.hears("os.rename", ("x", "renamed.csv", -1, -1))
        ear.hears("os.rename", ("x", "in_folder.csv", folder, folder))
        ear.hears("os.link", ("old.csv", "new.csv", folder, folder))
    finally:
        os.close(folder)
    ear.hears("os.symlink", ("x", "symlink.csv", -1))
    ear.hears("os.truncate", ("cut.csv", 0))
    ear.hears("os.truncate", (3, 0))
    assert ear.files() == {
        "notebooks/renamed.csv": "write",
        "data/in_folder.csv": "write",
        "data/old.csv": "read",
        "data/new.csv": "write",
        "notebooks/symlink.csv": "write",
        "notebooks/cut.csv": "write",
    }


def test_listings(ear: Ear) -> None:
    for path in ("../data", b"../data", None, "..", 3, "/elsewhere"):
        ear.hears("os.listdir", (path,))
    ear.hears("os.scandir", ("../data/deep",))
    exec(  # noqa: S102 - as if the import system did it
        compile("hears('os.listdir', ('../lib',))", "<frozen importlib._bootstrap_external>", "exec"),
        {"hears": ear.hears},
    )
    assert [os.path.relpath(one, ear.root) for one in ear.answer()["listed"]] == [
        ".",
        "data",
        "data/deep",
        "notebooks",
    ]


@pytest.mark.parametrize(
    ("event", "arguments", "files", "program"),
    [
        ("subprocess.Popen", ("cat", ["cat", "../data/a.csv"], None, None), {"data/a.csv": "open"}, "cat"),
        ("subprocess.Popen", ("cat", ["cat", "a.csv"], "../data", None), {"data/a.csv": "open"}, "cat"),
        (
            "subprocess.Popen",
            ("/bin/sh", ["/bin/sh", "-c", "sort <a.csv >b.csv --in=c.csv"], None, None),
            {"notebooks/a.csv": "open", "notebooks/b.csv": "open", "notebooks/c.csv": "open"},
            "sort",
        ),
        (
            "subprocess.Popen",
            ("/bin/sh", ["/bin/sh", "-c", "echo 'it"], None, None),
            {},
            "echo",
        ),
        (
            "os.posix_spawn",
            ("/bin/python", [b"/bin/python", b"run.py", b"other.py"], {}),
            {"notebooks/run.py": "load", "notebooks/other.py": "open"},
            "python",
        ),
        ("os.exec", ("/bin/cp", ["cp", "a.csv"], None), {"notebooks/a.csv": "open"}, "cp"),
        ("os.system", (b"cat a.csv",), {"notebooks/a.csv": "open"}, "cat"),
        ("subprocess.Popen", ("x", [], None, None), {}, None),
    ],
)
def test_command_lines(
    ear: Ear, event: str, arguments: tuple[Any, ...], files: dict[str, str], program: str | None
) -> None:
    ear.hears(event, arguments)
    answer = ear.answer()
    assert files.items() <= ear.files().items()
    assert set(answer["programs"]) - {"python"} | ({"python"} & {program}) == ({program} - {None})


def test_what_forked_children_tell(ear: Ear) -> None:
    ear.opens("known.csv")
    ear.hears("os.fork", ())
    child = Ear(ear.root)
    child.watch.files = dict(ear.watch.files)
    child.watch._begin_child()
    child.opens("known.csv")
    child.opens("new.csv")
    child.opens("new.csv", WRITE)
    child.hears("os.exec", ("/bin/cp", ["cp", "x.csv"], None))
    assert child.answer() == {}, "only the parent answers"
    spool = ear.root / ".spool"
    assert spool.stat().st_mode & 0o777 == 0o600
    with spool.open("a") as file:
        file.write("nonsense\n4 /half/a/li")
    assert ear.files() == {
        "notebooks/known.csv": "read",
        "notebooks/new.csv": "write",
        "notebooks/cp": "open",
        "notebooks/x.csv": "open",
    }
    assert "cp" in ear.answer()["programs"]


DAEMON = """
import os, sys
from nbpipeline.stage.audit_hook import QUESTION, Watch
from nbpipeline.stage.audit_native import Native

root = sys.argv[1]
Watch(root, root + "/.spool", Native(root)).start()
if child := os.fork():
    os.waitpid(child, 0)
    found = {}
    sys.audit(QUESTION, found)
    print(*sorted(os.path.relpath(one, root) + " " + how for one, how in found["files"].items()), sep=", ")
else:
    open(root + "/first.csv", "w").close()
    os.closerange(3, 64)
    with open(root + "/data.csv", "w") as file:
        open(root + "/last.csv", "w").close()
        file.write("a,b")
    os._exit(0)
"""


def test_a_child_that_closes_all_its_files_has_its_data_left_alone(root: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-c", DAEMON, str(root)], capture_output=True, text=True, check=True
    )
    assert (root / "data.csv").read_text() == "a,b"
    assert done.stdout == "data.csv write, first.csv write, last.csv write\n"


def test_nothing_is_kept_but_texts_and_not_without_end(ear: Ear, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("nbpipeline.stage.audit_hook._MOST", 10)
    watch = Watch(str(ear.root), "", Native(str(ear.root)))
    hears = watch._hook()
    for number in range(95):
        hears("open", (f"/far/{number}/{number}.txt", "r", READ))
    assert len(watch._waiting) <= 10
    assert len(watch._read) <= 10
    assert len(watch._folders) <= 10
    assert watch.files == {}


def test_the_hook_never_raises(ear: Ear) -> None:
    class Bad:
        def __fspath__(self) -> str:
            raise RuntimeError

    events = ("open", "import", "os.rename", "os.link", "os.listdir", "sqlite3.connect", "subprocess.Popen")
    for event in (*events, "os.exec", "os.system", QUESTION, "unknown"):
        for arguments in ((), (None,), (Bad(), Bad(), Bad()), (1, 2, 3, 4, 5, 6, 7)):
            ear.hears(event, arguments)
    assert ear.files() == {}


# --- what the system tells ------------------------------------------------------------------------


def told(native: Native) -> dict[str, int]:
    found: dict[str, int] = {}
    native.drain(lambda path, how: found.update({path: max(how, found.get(path, 0))}))
    return found


@pytest.fixture
def native(ear: Ear) -> Native:
    for name in (".hidden/x", "site-packages/x", "env/pyvenv.cfg", "env/lib/x", "data/deep/x"):
        (ear.root / name).parent.mkdir(parents=True, exist_ok=True)
        (ear.root / name).touch()
    found = Native(str(ear.root))
    found.begin()
    if found.state == "off":
        pytest.skip("fanotify is refused here")
    return found


def test_what_this_process_opens(ear: Ear, native: Native) -> None:
    for name in ("data/deep/x", ".hidden/x", "site-packages/x", "env/lib/x"):
        (ear.root / name).read_text()
    (ear.root / "data/new").write_text("x")
    (ear.root / "data/new").rename(ear.root / "data/renamed")
    (ear.root / "later").mkdir()
    assert told(native) == {
        str(ear.root / "data/deep/x"): 3,
        str(ear.root / "data/new"): 4,
        str(ear.root / "data/renamed"): 4,
    }
    (ear.root / "later/x").write_text("x")
    assert told(native) == {str(ear.root / "later/x"): 4}, "a folder that was made since is marked"
    assert native.state == "on"
    native.close()
    (ear.root / "later/x").read_text()
    assert told(native) == {}


def test_too_many_events_are_told_as_such(ear: Ear, native: Native) -> None:
    limit = int(Path("/proc/sys/fs/fanotify/max_queued_events").read_text())
    if limit > 20_000:
        pytest.skip("the system's queue is long")
    opens = ctypes.CDLL(None)
    for number in range(limit + 10):
        opens.close(opens.open(os.fsencode(ear.root / f"data/{number}"), os.O_CREAT | os.O_RDONLY, 0o600))
    told(native)
    assert native.state == "partly"
    native.close()


@pytest.mark.parametrize(("name", "value"), [("_MOST_FOLDERS", 1), ("_MOST_ENTRIES", 1)])
def test_a_project_that_is_too_large_is_watched_in_part(
    ear: Ear, monkeypatch: pytest.MonkeyPatch, name: str, value: int
) -> None:
    monkeypatch.setattr(f"nbpipeline.stage.audit_native.{name}", value)
    found = Native(str(ear.root))
    found.begin()
    assert found.state in {"partly", "off"}
    found.close()


def test_a_system_without_it(ear: Ear, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "platform", "darwin")
    other = Ear(ear.root)
    other.hears("import", ("pyarrow", None, None, None, None))
    assert other.answer()["native"] == "off"


def test_a_library_begins_it_and_a_crowd_ends_it_for_a_folder(ear: Ear) -> None:
    ear.hears("import", ("os", None, None, None, None))
    assert ear.answer()["native"] == ""
    ear.hears("import", ("pyarrow", None, None, None, None))
    if ear.answer()["native"] == "off":
        pytest.skip("fanotify is refused here")
    assert ear.answer()["native"] == "on"
    for number in range(400):
        ear.opens(f"../data/{number}")
    assert ear.answer()["native"] == "partly"
    (ear.root / "data/x").write_text("x")
    (ear.root / "notebooks/y").write_text("x")
    assert ear.files().keys() - {f"data/{number}" for number in range(400)} == {"notebooks/y"}
    ear.watch.native.close()


def test_a_fork_makes_what_the_system_tells_incomplete(ear: Ear) -> None:
    ear.hears("import", ("pyarrow", None, None, None, None))
    if ear.answer()["native"] == "off":
        pytest.skip("fanotify is refused here")
    ear.hears("os.fork", ())
    assert ear.answer()["native"] == "partly"
    ear.watch.native.close()
