"""What every implementation of the Digests port must do."""

import os
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from blake3 import blake3

from nbpipeline.ports import Cache, Digests
from nbpipeline.state.digests import FileDigests
from nbpipeline.state.memory import MemoryState
from nbpipeline.state.sqlite import open_state


def with_memory(folder: Path) -> Digests:
    return FileDigests(MemoryState())


def with_sqlite(folder: Path) -> Digests:
    return FileDigests(open_state(folder / "state"))


@pytest.fixture(params=[with_memory, with_sqlite])
def digests(request: pytest.FixtureRequest, tmp_path: Path) -> Digests:
    make: Callable[[Path], Digests] = request.param
    return make(tmp_path)


def age(path: Path, seconds: float = 10.0) -> None:
    """Set the time of change back; ctime cannot be, so tests move the clock instead."""
    past = time.time() - seconds
    os.utime(path, (past, past))


def test_fills_the_port(digests: Digests) -> None:
    assert isinstance(digests, Digests)


def test_a_file_by_its_bytes(digests: Digests, tmp_path: Path) -> None:
    path = tmp_path / "a.txt"
    path.write_bytes(b"hello")
    assert digests.of_file(path) == blake3(b"hello").hexdigest() == digests.of(path)
    assert digests.of_tree(path) is None


def test_a_large_file_by_its_bytes(digests: Digests, tmp_path: Path) -> None:
    data = os.urandom(3 << 20)
    (tmp_path / "big").write_bytes(data)
    assert digests.of(tmp_path / "big") == blake3(data).hexdigest()


def test_nothing_where_nothing_is(digests: Digests, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    (tmp_path / "broken").symlink_to("nowhere")
    for name in ("none", "file/below", "broken"):
        assert digests.of(tmp_path / name) is None
        assert digests.of_file(tmp_path / name) is None
        assert digests.of_tree(tmp_path / name) is None


def test_a_pipe_is_not_read(digests: Digests, tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    assert digests.of(tmp_path / "pipe") is None


def test_a_same_size_rewrite_at_once_is_seen(digests: Digests, tmp_path: Path) -> None:
    path = tmp_path / "a.txt"
    seen = set()
    for text in ("aa", "bb", "cc", "dd"):
        path.write_text(text)
        seen.add(digests.of(path))
    assert len(seen) == 4


def test_a_rewrite_with_its_time_restored_is_seen(digests: Digests, tmp_path: Path) -> None:
    path = tmp_path / "a.txt"
    path.write_text("aa")
    found = path.stat()
    first = digests.of(path)
    path.write_text("bb")
    os.utime(path, ns=(found.st_atime_ns, found.st_mtime_ns))
    assert digests.of(path) != first


def test_a_folder_by_names_and_contents(digests: Digests, tmp_path: Path) -> None:
    for name in ("one", "two"):
        (tmp_path / name / "sub" / "empty").mkdir(parents=True)
        (tmp_path / name / "sub" / "b.txt").write_text("b")
        (tmp_path / name / "a.txt").write_text("a")
    first = digests.of_tree(tmp_path / "one")
    assert first is not None
    assert first == digests.of_tree(tmp_path / "two") == digests.of(tmp_path / "two")
    assert digests.of_file(tmp_path / "one") is None
    (tmp_path / "two" / "sub" / "b.txt").write_text("c")
    second = digests.of_tree(tmp_path / "two")
    (tmp_path / "two" / "sub" / "b.txt").write_text("b")
    (tmp_path / "two" / "a.txt").rename(tmp_path / "two" / "c.txt")
    third = digests.of_tree(tmp_path / "two")
    (tmp_path / "two" / "c.txt").rename(tmp_path / "two" / "a.txt")
    (tmp_path / "two" / "sub" / "empty").rmdir()
    fourth = digests.of_tree(tmp_path / "two")
    assert len({first, second, third, fourth}) == 4


def test_what_does_not_count_in_a_folder(digests: Digests, tmp_path: Path) -> None:
    folder = tmp_path / "folder"
    folder.mkdir()
    (folder / "a").write_text("a")
    first = digests.of(folder)
    (folder / ".ipynb_checkpoints").mkdir()
    (folder / ".ipynb_checkpoints" / "a").touch()
    (folder / ".nbpipeline-aside").touch()
    assert digests.of(folder) == first


def test_a_link_to_itself_leads_to_nothing(digests: Digests, tmp_path: Path) -> None:
    (tmp_path / "loop").symlink_to("loop")
    assert digests.of(tmp_path / "loop") is None
    first = digests.of(tmp_path)
    (tmp_path / "loop").unlink()
    assert first is not None
    assert digests.of(tmp_path) != first


def test_links_in_a_folder(digests: Digests, tmp_path: Path) -> None:
    folder = tmp_path / "folder"
    folder.mkdir()
    (tmp_path / "data").write_text("a")
    (folder / "file").symlink_to(tmp_path / "data")
    (folder / "circle").symlink_to(folder)
    (folder / "broken").symlink_to("nowhere")
    first = digests.of(folder)
    (tmp_path / "data").write_text("b")
    second = digests.of(folder)
    (folder / "circle").unlink()
    (folder / "circle").symlink_to("..")
    assert len({first, second, digests.of(folder)}) == 3


@pytest.mark.parametrize("state", [MemoryState, lambda: None], ids=["memory", "sqlite"])
def test_settled_files_are_remembered_and_young_ones_not(tmp_path: Path, state: Callable) -> None:
    cache: Cache = state() or open_state(tmp_path / "state")
    path = tmp_path / "a.txt"
    path.write_text("a")
    young = FileDigests(cache)
    young.of(path)
    assert cache.load("file") == {}
    settled = FileDigests(cache, now=lambda: time.time() + 3)
    digest = settled.of(path)
    (entry,) = cache.load("file").values()
    assert entry.endswith(f" {digest}")
    cache.save("file", {str(path): entry.replace(str(digest), "remembered")})
    assert FileDigests(cache).of(path) == "remembered", "an unchanged file costs a stat"
    path.write_text("b")
    assert FileDigests(cache).of(path) == blake3(b"b").hexdigest()


def test_an_unreadable_file_is_told(
    digests: Digests, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from nbpipeline.errors import StorageError
    from nbpipeline.state import digests as module

    path = tmp_path / "a.txt"
    path.write_text("a")

    def refuse(*_: object) -> str:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(module, "digest_file", refuse)
    with pytest.raises(StorageError) as caught:
        digests.of(path)
    assert str(caught.value) == (
        f"{path} cannot be read: Permission denied.\n  mend: make it readable for this user, then try again."
    )
