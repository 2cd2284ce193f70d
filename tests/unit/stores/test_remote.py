"""Bytes under keys at an fsspec URL."""

from pathlib import Path

import pytest

from nbpipeline import plugins
from nbpipeline.errors import MissingPluginError, StorageError
from nbpipeline.stores import patience, remote
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


def test_passwords_and_options_are_not_shown() -> None:
    assert shown("sftp://ann:secret@host/a/b@c") == "sftp://host/a/b@c"
    assert shown("s3://bucket/a") == "s3://bucket/a"
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
