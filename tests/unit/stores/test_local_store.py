"""The local store's own matters: damage, permissions, what a killed process leaves."""

import json
import os
import stat
import time
from pathlib import Path

import pytest

from nbpipeline.content import TREE_HEAD, digest_bytes, digest_file, digest_text, tree_listing
from nbpipeline.errors import StorageError
from nbpipeline.model import Fingerprint, StageRecord, StoredOutput
from nbpipeline.stores import local
from nbpipeline.stores.local import LocalStore


@pytest.fixture
def store(tmp_path: Path) -> LocalStore:
    return LocalStore(tmp_path / "store")


@pytest.fixture
def kept(store: LocalStore, tmp_path: Path) -> StoredOutput:
    (tmp_path / "a").write_bytes(b"good")
    output = StoredOutput(path="a", digest=digest_bytes(b"good"))
    store.put(tmp_path / "a", output)
    return output


def objects(store: LocalStore) -> list[Path]:
    return [one for one in store._folder.rglob("*") if one.is_file()]


def test_an_object_that_another_process_has_put_meanwhile_stays(
    store: LocalStore, kept: StoredOutput, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (place,) = objects(store)
    real, seen = Path.is_file, []

    def looked_before(path: Path) -> bool:
        return real(path) and path != place

    def copied(source: Path, target: Path) -> None:
        seen.append(place.exists())
        local_copy(source, target)

    local_copy = local.copy_file
    monkeypatch.setattr(Path, "is_file", looked_before)
    monkeypatch.setattr(local, "copy_file", copied)
    (tmp_path / "again").write_bytes(place.read_bytes())
    store.put(tmp_path / "again", kept)
    assert seen == [True]


def test_only_this_user_reads_it(store: LocalStore, kept: StoredOutput) -> None:
    (place,) = objects(store)
    assert place == store._folder / "objects" / kept.digest[:2] / kept.digest
    assert stat.S_IMODE(place.stat().st_mode) == 0o600
    assert {stat.S_IMODE(one.stat().st_mode) for one in (store._folder, *place.parents[:2])} == {0o700}


def test_what_comes_out_has_ordinary_permissions(
    store: LocalStore, kept: StoredOutput, tmp_path: Path
) -> None:
    before = os.umask(0o027)
    try:
        assert store.get(kept, tmp_path / "b")
    finally:
        os.umask(before)
    assert stat.S_IMODE((tmp_path / "b").stat().st_mode) == 0o640


@pytest.mark.parametrize("damage", [b"evil", b"", b"good and more"])
def test_a_damaged_object_is_never_served_and_dropped(
    store: LocalStore, kept: StoredOutput, tmp_path: Path, damage: bytes
) -> None:
    (place,) = objects(store)
    place.write_bytes(damage)
    assert store.has(kept)
    assert not store.get(kept, tmp_path / "b")
    assert not (tmp_path / "b").exists()
    assert not store.has(kept)
    store.put(tmp_path / "a", kept)
    assert store.get(kept, tmp_path / "b")


def test_a_damaged_object_is_not_sound_and_dropped(
    store: LocalStore, kept: StoredOutput, tmp_path: Path
) -> None:
    (tmp_path / "folder").mkdir()
    (tmp_path / "folder/a").write_bytes((tmp_path / "a").read_bytes())
    digest = digest_text(tree_listing(tmp_path / "folder", digest_file))
    folder = StoredOutput(path="folder", digest=digest, kind="directory")
    store.put(tmp_path / "folder", folder)
    assert store.sound(kept)
    assert store.sound(folder)
    (place,) = [one for one in objects(store) if one.name == kept.digest]
    place.chmod(0o600)
    place.write_bytes(b"evil")
    assert not store.sound(folder)
    assert not store.has(kept)
    assert not store.sound(kept)


def test_a_damaged_listing_is_dropped(store: LocalStore, tmp_path: Path) -> None:
    from nbpipeline.state.digests import FileDigests
    from nbpipeline.state.memory import MemoryState

    (tmp_path / "folder").mkdir()
    (tmp_path / "folder" / "x").write_text("x")
    digest = FileDigests(MemoryState()).of(tmp_path / "folder")
    output = StoredOutput(path="folder", digest=str(digest), kind="directory")
    store.put(tmp_path / "folder", output)
    place = next((store._folder / "trees").glob("*/*"))
    place.write_text(place.read_text().replace("x", "../y"))
    assert not store.get(output, tmp_path / "again")
    assert not place.exists()
    assert not store.has(output)


@pytest.mark.parametrize("name", ["away/x", "./away/x", "away//x", "../x", "/x", "a/../../x", ""])
def test_a_listing_writes_nothing_elsewhere(store: LocalStore, tmp_path: Path, name: str) -> None:
    """Not through a link that it makes itself, either: a store may be shared with others."""
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    (tmp_path / "x").write_text("x")
    store.put(tmp_path / "x", StoredOutput(path="x", digest=digest_file(tmp_path / "x")))
    lines = [["link", str(elsewhere), "away"], ["file", digest_file(tmp_path / "x"), name]]
    listing = TREE_HEAD + "".join(f"{json.dumps(line)}\n" for line in lines)
    (tmp_path / "x").unlink()
    store.write(store.place("trees", digest_text(listing)), listing)
    output = StoredOutput(path="folder", digest=digest_text(listing), kind="directory")
    assert not store.get(output, tmp_path / "folder")
    assert not list(elsewhere.iterdir())
    assert not (tmp_path / "x").exists()
    assert not store.has(output)


@pytest.mark.parametrize("text", ["", "{", "[]", '{"instance": "b"}', "\udcff"])
def test_a_damaged_record_is_dropped(store: LocalStore, text: str) -> None:
    store.put_record(StageRecord(instance="a", state="s", fingerprint=Fingerprint()))
    (place,) = objects(store)
    place.write_bytes(text.encode("utf-8", "surrogateescape"))
    assert store.get_record("a", "s") is None
    assert not place.exists()


def test_a_record_of_another_state_is_not_taken_for_it(store: LocalStore) -> None:
    store.put_record(StageRecord(instance="a", state="s", fingerprint=Fingerprint()))
    (place,) = objects(store)
    place.rename(place.with_name("t.json"))
    assert store.get_record("a", "t") is None


def test_what_a_killed_process_left_is_swept_after_a_day(store: LocalStore, kept: StoredOutput) -> None:
    old, new = store._folder / "tmp" / "old", store._folder / "tmp" / "new"
    for one in (old, new):
        one.write_bytes(b"half")
    os.utime(old, (time.time() - 90000,) * 2)
    assert store.trim(None) == 0
    assert not old.exists()
    assert new.exists()


def test_a_disk_that_fills_leaves_no_half_object(
    store: LocalStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "a").write_bytes(b"good")
    output = StoredOutput(path="a", digest=digest_bytes(b"good"))

    def full(source: Path, target: Path) -> None:
        target.write_bytes(b"go")
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(local, "copy_file", full)
    with pytest.raises(StorageError) as caught:
        store.put(tmp_path / "a", output)
    assert str(caught.value) == (
        f"{tmp_path / 'a'} cannot be kept in or taken from the store: No space left on device.\n"
        f"  mend: see that {tmp_path / 'store'} is writable for this user and that the disk has room."
    )
    assert objects(store) == []
    assert not store.has(output)


def test_a_file_where_the_folder_should_be(tmp_path: Path) -> None:
    (tmp_path / "store").write_text("in the way")
    with pytest.raises(StorageError):
        LocalStore(tmp_path / "store").put_text("abc", "text")


def test_copies_share_nothing_with_their_source(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(b"x" * 10_000)
    local.copy_file(tmp_path / "a", tmp_path / "b")
    (tmp_path / "a").write_bytes(b"y")
    assert (tmp_path / "b").read_bytes() == b"x" * 10_000
    with pytest.raises(FileExistsError):
        local.copy_file(tmp_path / "a", tmp_path / "b")


def test_a_name_with_slashes_stays_inside(store: LocalStore) -> None:
    store.put_text("../../outside", "text")
    assert store.get_text("../../outside") == "text"
    assert all(store._folder in one.parents for one in objects(store))
