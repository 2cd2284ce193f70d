"""What every implementation of the Store port must do."""

import os
import socket
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from buckets import Bucket, service

from nbpipeline.errors import StorageError
from nbpipeline.model import Fingerprint, StageRecord, StoredOutput
from nbpipeline.ports import Store
from nbpipeline.state.digests import FileDigests
from nbpipeline.state.memory import MemoryState
from nbpipeline.stores.cached import CachedStore
from nbpipeline.stores.local import LocalStore
from nbpipeline.stores.remote import Remote


@pytest.fixture(scope="module")
def endpoint() -> Iterator[str]:
    with service() as address:
        yield address


def local(folder: Path, _request: pytest.FixtureRequest) -> LocalStore:
    return LocalStore(folder)


def on_s3(folder: Path, request: pytest.FixtureRequest) -> CachedStore:
    """What is here, and a bucket."""
    bucket = Bucket(request.getfixturevalue("endpoint"))
    far = Remote(bucket.url, {"key": "testing", "secret": "testing"}, bucket.endpoint)
    return CachedStore(LocalStore(folder), far)


def in_a_far_folder(folder: Path, _request: pytest.FixtureRequest) -> CachedStore:
    return CachedStore(LocalStore(folder), Remote(f"{folder.as_uri()}-far"))


def dead(folder: Path, _request: pytest.FixtureRequest) -> CachedStore:
    """Nobody listens at a port that has just been free."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        address = f"http://127.0.0.1:{free.getsockname()[1]}"
    return CachedStore(LocalStore(folder), Remote("s3://b/p", {"key": "k", "secret": "s"}, address))


STORES: dict[str, Callable[[Path, pytest.FixtureRequest], Any]] = {
    "local": local,
    "s3": on_s3,
    "far-folder": in_a_far_folder,
    "dead-s3": dead,
}
only_here = pytest.mark.parametrize("store", ["local", "dead-s3"], indirect=True)
"""A store that is shared drops nothing far away: with one, what was dropped here is there."""


@pytest.fixture(params=STORES)
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Any]:
    found = STORES[request.param](tmp_path / "store", request)
    yield found
    found.finish(lambda: True)


def output(path: Path, **more: Any) -> StoredOutput:
    digest = FileDigests(MemoryState()).of(path)
    assert digest is not None
    return StoredOutput(path=path.name, digest=digest, **more)


def write(path: Path, data: bytes) -> StoredOutput:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data)
    return output(path)


def record(instance: str, state: str) -> StageRecord:
    return StageRecord(instance=instance, state=state, fingerprint=Fingerprint(code={"cell 1": "x"}))


def test_fills_the_port(store: Any) -> None:
    assert isinstance(store, Store)


def test_what_is_not_there(store: Any, tmp_path: Path) -> None:
    lacking = StoredOutput(path="a", digest="0" * 64)
    assert not store.has(lacking)
    assert not store.get(lacking, tmp_path / "a")
    assert not (tmp_path / "a").exists()
    assert not store.sound(lacking)
    assert store.get_text("0" * 32) is None
    assert store.get_record("a", "s") is None
    assert store.trim(0) == 0


@pytest.mark.parametrize("data", [b"", b"hello", os.urandom(2 << 20)], ids=["empty", "small", "large"])
def test_a_file_comes_back(store: Any, tmp_path: Path, data: bytes) -> None:
    kept = write(tmp_path / "a.bin", data)
    store.put(tmp_path / "a.bin", kept)
    (tmp_path / "a.bin").unlink()
    assert store.has(kept)
    assert store.sound(kept)
    assert store.get(kept, tmp_path / "b.bin")
    assert (tmp_path / "b.bin").read_bytes() == data
    assert sorted(one.name for one in tmp_path.iterdir() if one.is_file()) == ["b.bin"]


def test_the_stored_bytes_are_apart_from_both_files(store: Any, tmp_path: Path) -> None:
    kept = write(tmp_path / "a", b"first")
    store.put(tmp_path / "a", kept)
    (tmp_path / "a").write_bytes(b"later")
    assert store.get(kept, tmp_path / "b")
    (tmp_path / "b").write_bytes(b"other")
    assert store.get(kept, tmp_path / "c")
    assert (tmp_path / "c").read_bytes() == b"first"


def test_a_folder_comes_back(store: Any, tmp_path: Path) -> None:
    folder = tmp_path / "folder"
    write(folder / "sub" / "ä 'b'.txt", b"b")
    write(folder / "a.txt", b"a")
    (folder / "empty").mkdir()
    (folder / "link").symlink_to("sub")
    kept = output(folder, kind="directory")
    store.put(folder, kept)
    assert store.has(kept)
    assert store.get(kept, tmp_path / "again")
    assert output(tmp_path / "again").digest == kept.digest
    assert (tmp_path / "again" / "link").readlink() == Path("sub")
    assert (tmp_path / "again" / "empty").is_dir()


def test_an_existing_target_is_left_alone(store: Any, tmp_path: Path) -> None:
    kept = write(tmp_path / "a", b"first")
    store.put(tmp_path / "a", kept)
    (tmp_path / "a").write_bytes(b"mine")
    with pytest.raises(FileExistsError):
        store.get(kept, tmp_path / "a")
    assert (tmp_path / "a").read_bytes() == b"mine"


@pytest.mark.parametrize("folder", [False, True], ids=["file", "folder"])
def test_bytes_that_are_not_the_digests_are_refused(store: Any, tmp_path: Path, folder: bool) -> None:
    place = tmp_path / "x"
    kept = write(place / "a" if folder else place, b"first")
    kept = output(place)
    (place / "a" if folder else place).write_bytes(b"other")
    with pytest.raises(StorageError) as caught:
        store.put(place, kept)
    assert str(caught.value) == (
        f"{place} changed while it was put into the store.\n"
        "  mend: see that nothing else writes it, then run the stage again."
    )
    assert not store.has(kept)


def test_texts(store: Any) -> None:
    store.put_text("abc123", "x = 'ä'\n")
    store.put_text("abc123", "x = 'ä'\n")
    assert store.get_text("abc123") == "x = 'ä'\n"


def test_records_by_instance_and_state(store: Any) -> None:
    names = ["train", "train[region=eu]", "train[region=us]", "a/../../b", "-x", "ä"]
    for name in names:
        for state in ("s1", "s2"):
            store.put_record(record(name, state))
    for name in names:
        for state in ("s1", "s2"):
            assert store.get_record(name, state) == record(name, state)
    assert store.get_record("train", "s3") is None


@only_here
def test_trim_drops_the_least_recently_used(store: Any, tmp_path: Path) -> None:
    kept = []
    for number in range(5):
        one = write(tmp_path / f"{number}", bytes([number]) * 1000)
        store.put(tmp_path / f"{number}", one)
        kept.append(one)
    assert store.get(kept[0], tmp_path / "again"), "using it makes it the newest"
    assert store.trim(None) == 0
    assert store.trim(5000) == 0
    assert store.trim(3000, keep=[kept[1].digest]) == 2000
    assert [store.has(one) for one in kept] == [True, True, False, False, True]
    assert store.trim(0) == 3000
    assert not any(map(store.has, kept))


@only_here
def test_trim_keeps_what_a_kept_folder_holds(store: Any, tmp_path: Path) -> None:
    write(tmp_path / "folder" / "a", b"a" * 500)
    folder = output(tmp_path / "folder")
    store.put(tmp_path / "folder", folder)
    other = write(tmp_path / "other", b"o" * 500)
    store.put(tmp_path / "other", other)
    store.trim(0, keep=[folder.digest])
    assert store.has(folder)
    assert not store.has(other)


@only_here
def test_a_folder_with_a_lost_file_is_lacking(store: Any, tmp_path: Path) -> None:
    member = write(tmp_path / "folder" / "a", b"a")
    folder = output(tmp_path / "folder")
    store.put(tmp_path / "folder", folder)
    store.trim(0, keep=[])
    store.put(tmp_path / "folder", folder)
    assert store.has(folder)
    store.trim(0)
    assert not store.has(folder)
    assert not store.get(folder, tmp_path / "again")
    assert not (tmp_path / "again").exists()
    assert not store.has(member)


def test_several_threads_put_and_get_the_same(store: Any, tmp_path: Path) -> None:
    data = os.urandom(100_000)
    kept = write(tmp_path / "a", data)
    wrong = []

    def work(number: int) -> None:
        for turn in range(10):
            store.put(tmp_path / "a", kept)
            target = tmp_path / f"{number}-{turn}"
            if not store.get(kept, target) or target.read_bytes() != data:
                wrong.append(target)
            store.put_record(record("a", "s"))
            if store.get_record("a", "s") is None:
                wrong.append(target)

    threads = [threading.Thread(target=work, args=(number,)) for number in range(6)]
    for one in threads:
        one.start()
    for one in threads:
        one.join()
    assert wrong == []


def test_the_part_that_is_here_is_a_store_itself(store: Any, tmp_path: Path) -> None:
    kept = write(tmp_path / "a", b"a")
    store.put(tmp_path / "a", kept)
    assert isinstance(store.near, Store)
    assert store.near.has(kept)
    assert store.near.near is store.near
    assert store.near.notices == ()


def test_nothing_put_is_nothing_to_wait_for(store: Any) -> None:
    assert store.finish() == ()
    assert store.notices == ()
