"""Bytes under keys at an fsspec URL."""

import errno
import os
import threading
from pathlib import Path

import pytest
from buckets import KEYS, Bucket, service

from nbpipeline import plugins
from nbpipeline.errors import MissingPluginError, StorageError
from nbpipeline.stores import patience, remote
from nbpipeline.stores.patience import Pulse
from nbpipeline.stores.remote import Remote, shown


@pytest.fixture(params=["file", "memory"])
def far(request: pytest.FixtureRequest, tmp_path: Path) -> Remote:
    base = tmp_path.as_uri() if request.param == "file" else f"memory://{tmp_path.as_posix()}"
    return Remote(f"{base}/far/")


def test_small_things(far: Remote) -> None:
    assert far.read("records/a/1.json") is None
    assert far.size("records/a/1.json") is None
    assert far.keys("records") == {}
    far.write("records/a/1.json", b"one")
    far.write("records/a/1.json", b"again")
    far.write("records/b/2.json", b"two")
    assert far.read("records/a/1.json") == b"again"
    assert far.size("records/a/1.json") == 5
    assert far.size("records/a") is None, "a folder is none"
    found = far.keys("records")
    assert {name: one.size for name, one in found.items()} == {"records/a/1.json": 5, "records/b/2.json": 3}
    assert found["records/b/2.json"].changed >= found["records/a/1.json"].changed > 0
    far.drop("records/a/1.json")
    far.drop("records/a/1.json")
    assert set(far.keys("records")) == {"records/b/2.json"}


@pytest.mark.parametrize("size", [0, 1, 3 << 20])
def test_files(far: Remote, tmp_path: Path, size: int) -> None:
    moved: list[int] = []
    (tmp_path / "here").write_bytes(b"x" * size)
    assert not far.download("objects/ab/abc", tmp_path / "there")
    far.upload(tmp_path / "here", "objects/ab/abc", moved.append)
    assert far.download("objects/ab/abc", tmp_path / "there", moved.append)
    assert (tmp_path / "there").read_bytes() == b"x" * size
    assert sum(moved) == 2 * size, "also where a file system does not tell of what it moves"


def test_what_breaks_off_leaves_nothing_in_a_folder(tmp_path: Path) -> None:
    far = Remote(f"{tmp_path.as_uri()}/far")
    with pytest.raises(StorageError):
        far.upload(tmp_path / "lacking", "objects/ab/abc")
    assert not [one for one in (tmp_path / "far").rglob("*") if one.is_file()]


class Counted(Pulse):
    """Counts what was seen to move."""

    seen = 0

    def moved(self, count: int) -> None:
        Counted.seen += 1
        super().moved(count)


def test_a_listing_goes_on_while_folders_come(
    far: Remote, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its time counts from the last one, as a file's does from its last bytes."""
    for number in range(10):
        far.write(f"records/{number}/1.json", b"one")
    monkeypatch.setattr(remote, "Pulse", Counted)
    Counted.seen = 0
    assert len(far.keys("records")) == 10
    assert Counted.seen >= 10


def test_a_listing_of_s3_goes_on_while_pages_come(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in KEYS.items():
        monkeypatch.setenv(name, value)
    with service() as endpoint:
        bucket = Bucket(endpoint)
        for number in range(25):
            bucket.write(f"records/{number}/1.json", b"one")
        far = Remote(bucket.url, endpoint=endpoint)
        assert far.keys("nothing") == {}
        events = far._open()[0].s3.meta.events
        asked = []

        def small_pages(params: dict[str, object], **_: object) -> None:
            asked.append(params)
            params["MaxKeys"] = 10

        events.register("provide-client-params.s3.ListObjectsV2", small_pages)
        monkeypatch.setattr(remote, "Pulse", Counted)
        Counted.seen = 0
        assert sorted(far.keys("records")) == sorted(f"records/{number}/1.json" for number in range(25))
        assert Counted.seen == len(asked) >= 3
        Counted.seen = 0
        far.size("records/1/1.json")
        assert Counted.seen == 0, "it is heard while a listing is made alone"


def test_a_listing_that_stands_still_is_given_up(
    far: Remote, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A negative control: nothing comes."""
    still = threading.Event()
    far.write("records/1/1.json", b"one")
    system = far._open()[0]
    monkeypatch.setattr(remote, "ANSWER", 0.2)
    monkeypatch.setattr(system, "walk", lambda *_, **__: still.wait(60) or iter(()), raising=False)
    try:
        with pytest.raises(StorageError, match="does not answer"):
            far.keys("records")
    finally:
        still.set()


def test_passwords_and_options_are_not_shown() -> None:
    assert shown("sftp://ann:secret@host/a/b@c") == "sftp://host/a/b@c"
    assert shown("s3://bucket/a") == "s3://bucket/a"
    assert shown("abfs://container@account/a") == "abfs://container@account/a"
    assert shown("abfs://container:word@account/a") == "abfs://account/a"
    far = Remote(
        "s3://ann:hidden-1@bucket/a", {"key": "hidden-2", "secret": "hidden-3"}, "http://127.0.0.1:1"
    )
    with pytest.raises(StorageError) as caught:
        far.write("records/a", b"")
    assert "the store at s3://bucket/a " in str(caught.value)
    assert "hidden" not in str(caught.value)


def test_a_library_that_is_not_installed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(remote.importlib.util, "find_spec", lambda name: None if name == "s3fs" else name)
    with pytest.raises(MissingPluginError) as caught:
        Remote("s3://bucket/a")
    assert str(caught.value) == (
        "the store at s3://bucket/a needs the library s3fs, which is not installed.\n"
        f"  mend: {plugins.install('s3')}"
    )
    monkeypatch.undo()
    with pytest.raises(MissingPluginError, match="needs the library gcsfs"):
        Remote("gs://bucket/a")
    with pytest.raises(MissingPluginError, match="fsspec knows no protocol 'nowhere'"):
        Remote("nowhere://bucket/a")


def test_the_first_error_of_several_is_raised_and_nothing_more_begun() -> None:
    done: list[int] = []

    def work(number: int) -> None:
        done.append(number)
        if number == 2:
            raise ValueError(number)

    with pytest.raises(ValueError, match="2"):
        patience.side_by_side(work, range(100), threads=1)
    assert done == [0, 1, 2]
    patience.side_by_side(work, [])


@pytest.mark.parametrize(
    ("url", "number", "advice"),
    [
        ("file:///nowhere", errno.ENOSPC, "make room there; "),
        ("file:///nowhere", errno.EACCES, "see that the folder is there, and may be read and written; "),
        ("s3://bucket/x", errno.ECONNREFUSED, "see the address, the network and your credentials; "),
    ],
)
def test_what_is_advised_fits_the_place(url: str, number: int, advice: str) -> None:
    with pytest.raises(StorageError) as raised, Remote(url)._told("objects/ab"):
        raise OSError(number, os.strerror(number))
    assert raised.value.complaints[0].mend == f"{advice}what is not there yet is brought by: nbpipeline push"
