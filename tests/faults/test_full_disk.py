"""A disk that fills, at each step of a stage: the words are clear, and the old output stands."""

import re
import resource
import signal
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import pytest
from builders import code, command, write_notebook
from one_stage import build, left_behind, run, word_in
from stages import Bench, artifact, bench, instance

from nbpipeline.model import StageRecord, Status
from nbpipeline.state.memory import MemoryState

MODEL = artifact("model", "small/m.txt")


@contextmanager
def small_disk(folder: Path, size: str = "256k") -> Iterator[None]:
    """Mount a small file system in memory."""
    folder.mkdir(parents=True)
    done = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", f"size={size}", "tmpfs", folder], capture_output=True, check=False
    )
    if done.returncode:
        pytest.skip(f"this machine lets nobody mount: {done.stderr.decode().strip()}")
    try:
        yield
    finally:
        subprocess.run(["umount", "-l", folder], check=True)


@pytest.fixture
def at(root: Path) -> Iterator[Bench]:
    with bench(root) as made:
        yield made


def test_the_notebook_fills_the_output_s_disk(at: Bench) -> None:
    with small_disk(at.root / "small"):
        at.write("small/m.txt", "previous")
        result = at.run(instance(["open('../small/m.txt', 'w').write('x' * 1_000_000)"], outputs=[MODEL]))
        assert result.failure.kind == "storage"
        assert result.failure.what == "the cell raised OSError: [Errno 28] No space left on device"
        assert at.text("small/m.txt") == "previous"
        assert at.leftovers() == []


def test_the_state_folder_s_disk_is_full_from_the_start(at: Bench) -> None:
    with small_disk(at.root / ".nbpipeline"):
        at.write("small/m.txt", "previous")
        job = at.job(instance(["open('../small/m.txt', 'w').write('new')"], outputs=[MODEL]))
        (at.root / ".nbpipeline/journals").mkdir()
        _fill(at.root / ".nbpipeline")
        at.last = job
        from nbpipeline.stage import execute

        result = execute(job, at.backends, at.events.append, at.switch)
        assert result.failure.kind == "storage"
        assert "No space left on device" in result.failure.what
        assert at.text("small/m.txt") == "previous"
        assert not list((at.root / "small").glob(".*"))


def test_the_state_folder_s_disk_fills_while_the_notebook_runs(at: Bench) -> None:
    with small_disk(at.root / ".nbpipeline"):
        at.write("small/m.txt", "previous")
        cells = ["open('../small/m.txt', 'w').write('new')", "print('x' * 1_000_000)"]
        result = at.run(instance(cells, outputs=[MODEL]))
        assert result.failure.kind == "storage"
        assert "No space left on device" in result.failure.what
        assert result.failure.mend == "make room on that file system, then run the stage again"
        assert at.text("small/m.txt") == "previous"
        assert not list((at.root / "small").glob(".*"))


def test_the_store_s_disk_is_full(at: Bench) -> None:
    with small_disk(at.root / ".nbpipeline/store", "64k"):
        at.write("small/m.txt", "previous")
        result = at.run(instance(["open('../small/m.txt', 'w').write('x' * 1_000_000)"], outputs=[MODEL]))
        assert result.status is Status.FAILED
        assert result.failure.kind == "storage"
        assert "No space left on device" in result.failure.what
        assert at.text("small/m.txt") == "previous"
        assert at.backends.state.last_record("train") is None
        assert at.leftovers() == []


class FullState(MemoryState):
    """A history on a full disk."""

    def add_record(self, record: StageRecord) -> None:
        raise OSError(28, "No space left on device")


@pytest.mark.parametrize("publish", ["direct", "atomic"])
def test_the_history_cannot_be_written(at: Bench, publish: str) -> None:
    at.backends = replace(at.backends, state=FullState())
    at.write("small/m.txt", "previous")
    model = artifact("model", "small/m.txt", publish=publish, cell=1)
    cells = ["model = '../small/m.txt'", "open(model, 'w').write('new')"]
    result = at.run(instance(cells, outputs=[model]))
    assert result.failure.what == "the stage could not be recorded: No space left on device"
    assert at.text("small/m.txt") == "previous"
    assert at.leftovers() == []


def test_a_read_only_folder(at: Bench) -> None:
    folder = at.root / "small"
    with small_disk(folder):
        at.write("small/m.txt", "previous")
        subprocess.run(["mount", "-o", "remount,ro", folder], check=True)
        result = at.run(instance(["x = 1"], outputs=[MODEL]))
        assert result.failure.kind == "storage"
        assert result.failure.what.startswith(
            "the outputs' places could not be prepared: Read-only file system: "
        )
        assert result.failure.mend == "make the place writable for this user, or name another path"
        assert at.text("small/m.txt") == "previous"


def test_a_limit_on_the_size_of_files(at: Bench) -> None:
    """RLIMIT_FSIZE of the runner: its own files (the executed notebook) may not grow past it."""
    at.write("small/m.txt", "previous")
    cells = ["open('../small/m.txt', 'w').write('new')", "print('x' * 2_000_000)"]
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    ignored = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1_000_000, before[1]))
    try:
        result = at.run(instance(cells, outputs=[MODEL]))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
        signal.signal(signal.SIGXFSZ, ignored)
    assert result.failure.kind == "storage"
    assert "File too large" in result.failure.what
    assert at.text("small/m.txt") == "previous"
    assert at.leftovers() == []


def test_what_can_be_done_while_the_state_folder_s_disk_is_full(root: Path) -> None:
    """One can look, and make room; what would write says why it cannot."""
    state = root / ".nbpipeline"
    with small_disk(state, "2m"):
        notebook = root / "notebooks" / "a.ipynb"
        for number in (1, 2):
            made = code(f"open(table, 'w').write('{number}' * 100_000)")
            write_notebook(notebook, code("table = '../table.txt'", "outputs"), made)
            assert command("run", cwd=root).returncode == 0
        control = max((state / "runs").iterdir()) / "control.json"
        control.write_text(control.read_text().replace('"finished": 1', '"finished": null, "was": 1'))
        _fill(state)

        looked = command("doctor", cwd=root)
        assert looked.returncode == 1, looked.stderr
        assert "ok    history: 1 stages on record\n" in looked.stdout
        assert (
            "BAD   runs: refused: No space left on device\n"
            "      mend: make room, or give yourself the right to write there; then nbpipeline doctor\n"
        ) in looked.stdout
        assert "note  disk: 0.0 GB free\n" in looked.stdout
        planned = command("plan", cwd=root)
        assert planned.stdout == "all fresh: 1 stage, nothing to run\n", planned.stderr
        refused = command("run", "--force", cwd=root)
        assert refused.returncode == 2
        assert refused.stderr == (
            ".nbpipeline/runs: cannot be written: No space left on device.\n"
            "  mend: make room or give yourself the right to write there; no output was touched\n"
        )
        cleaned = command("clean", "--store", "--yes", cwd=root)
        assert cleaned.returncode == 0, cleaned.stderr
        assert re.search(r"^removed 1\d\d(\.\d)? kB of the store$", cleaned.stdout, re.MULTILINE)
        again = command("run", "--force", cwd=root)
        assert again.returncode == 0, again.stdout + again.stderr


@pytest.mark.timeout(1200)
@pytest.mark.parametrize(
    "step",
    [pytest.param(44, marks=pytest.mark.heavy), pytest.param(4, marks=pytest.mark.nightly)],
)
def test_a_disk_that_fills_at_any_of_the_runs_writes(root: Path, step: int) -> None:
    """Ever less room for the state folder, so that another write is refused each time.

    Events, plan, journal, executed notebook, store, record, history: whichever it is, the run says so, one
    version of the output stands whole (the new one where the run had said that the stage is done), and with
    room all is as if nothing had been.
    """
    build(root, "print('x' * 30_000)")
    state = root / ".nbpipeline"
    refused = []
    rooms = range(0, 176 + step, step)
    for number, room in enumerate(rooms):
        before, word = f"b{number:03}", f"w{number:03}"
        with small_disk(state, "8m"):
            assert run(root, before).returncode == 0
            used = sum(one.stat().st_blocks for one in state.rglob("*")) * 512
            _resize(state, used + room * 1024)
            done = run(root, word)
            told = done.stdout + done.stderr
            assert done.returncode in (0, 1, 2), told
            assert "bug of nbpipeline" not in told
            if done.returncode:
                refused.append(room)
                assert "No space left on device" in told or "disk is full" in told, told
            _resize(state, 8 << 20)
            mended = command("doctor", cwd=root)
            assert mended.returncode == 0, mended.stdout + mended.stderr
            ended = "a: done in" in told
            assert ended or done.returncode, told
            assert word_in(root) == (word if ended else before), (room, told)
            assert run(root, word).returncode == 0
            assert word_in(root) == word
            assert left_behind(root) == []
        state.rmdir()
    assert 2 <= len(refused) < len(rooms), refused


@pytest.mark.parametrize(("settings", "said"), [
    ("size=64k,nr_inodes=1", "nbpipeline: what it needs is refused: No space left on device: "),
    ("size=4k,nr_inodes=99", "the kernel did not start: [Errno 28] No space left on device\n"),
])  # fmt: skip
def test_the_folder_of_sockets_is_full(root: Path, tmp_path: Path, settings: str, said: str) -> None:
    build(root)
    assert run(root, "aaaa").returncode == 0
    sockets = tmp_path / "sockets"
    with small_disk(sockets, settings.removeprefix("size=")):
        _fill(sockets)
        done = run(root, "bbbb", environment={"XDG_RUNTIME_DIR": str(sockets)})
    assert done.returncode in (1, 2), done.stdout
    assert said in done.stdout + done.stderr
    assert "  mend: make room" in done.stdout + done.stderr
    assert word_in(root) == "aaaa"
    assert left_behind(root) == []
    assert run(root, "bbbb").returncode == 0


def _resize(folder: Path, size: int) -> None:
    subprocess.run(["mount", "-o", f"remount,size={size}", folder], check=True)


def _fill(folder: Path) -> None:
    try:
        with (folder / "filler").open("wb", buffering=0) as file:
            while True:
                file.write(b"x" * 4096)
    except OSError:
        return
