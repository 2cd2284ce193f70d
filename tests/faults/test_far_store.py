"""A store far away that breaks off, goes silent, or is written by two at once."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from buckets import KEYS, Bucket, Wire
from builders import code, command, write_files, write_notebook

from nbpipeline.errors import StorageError
from nbpipeline.model import Fingerprint, StageRecord, StoredOutput
from nbpipeline.state.digests import FileDigests
from nbpipeline.state.memory import MemoryState
from nbpipeline.stores import patience, pushing, remote
from nbpipeline.stores.cached import CachedStore
from nbpipeline.stores.local import LocalStore
from nbpipeline.stores.remote import Remote

pytestmark = pytest.mark.children
OPTIONS = {"key": KEYS["AWS_ACCESS_KEY_ID"], "secret": KEYS["AWS_SECRET_ACCESS_KEY"]}
LARGE = 24 << 20


@pytest.fixture
def wire(endpoint: str) -> Iterator[Wire]:
    found = Wire(endpoint)
    yield found
    found.close()


def open_at(folder: Path, bucket: Bucket, endpoint: str = "") -> CachedStore:
    return CachedStore(LocalStore(folder), Remote(bucket.url, OPTIONS, endpoint or bucket.endpoint))


def kept(store: CachedStore, path: Path, data: bytes) -> StageRecord:
    path.write_bytes(data)
    digest = FileDigests(MemoryState()).of(path)
    assert digest
    output = StoredOutput(path=path.name, digest=digest, size=len(data))
    store.put(path, output)
    return StageRecord(instance=path.name, state="s" * 40, fingerprint=Fingerprint(), outputs=(output,))


def never() -> bool:
    return False


def uploads(bucket: Bucket) -> list[Any]:
    found: list[Any] = bucket.client.list_multipart_uploads(Bucket=bucket.name).get("Uploads", [])
    return found


@pytest.mark.nightly
@pytest.mark.heavy
def test_a_server_that_goes_in_mid_upload_leaves_nothing_half(
    bucket: Bucket, wire: Wire, tmp_path: Path
) -> None:
    wire.limit = LARGE // 2
    store = open_at(tmp_path / "store", bucket, wire.endpoint)
    record = kept(store, tmp_path / "large.bin", os.urandom(LARGE))
    store.put_record(record)
    (line,) = store.finish(never)
    assert wire.reached.is_set()
    assert line.startswith(f"the store at {bucket.url} ")
    assert line.endswith(
        "; 1 result waits in the local store until the next run that makes some, or `nbpipeline push`"
    )
    assert bucket.keys() == [], "a record is shown after all that it names, an object whole or not at all"
    assert store.get(record.outputs[0], tmp_path / "again.bin"), "what is here is here"

    later = open_at(tmp_path / "store", bucket)
    assert [one.instance for one in later.outbox.waiting()] == ["large.bin"]
    later.put_record(kept(later, tmp_path / "small.txt", b"small"))
    assert later.finish(never) == ()
    assert len(bucket.keys("records/")) == 2
    far = open_at(tmp_path / "elsewhere", bucket)
    found = far.get_record(record.instance, record.state)
    assert found == record
    assert far.get(found.outputs[0], tmp_path / "there.bin")
    assert (tmp_path / "there.bin").read_bytes() == (tmp_path / "large.bin").read_bytes()


@pytest.mark.heavy
def test_an_answer_that_is_cut_off_is_not_taken(bucket: Bucket, wire: Wire, tmp_path: Path) -> None:
    store = open_at(tmp_path / "store", bucket)
    record = kept(store, tmp_path / "large.bin", os.urandom(LARGE))
    store.put_record(record)
    assert store.finish(never) == ()
    far = open_at(tmp_path / "elsewhere", bucket, wire.endpoint)
    assert far.get_record(record.instance, record.state) == record
    wire.limit = wire.passed + 1
    assert not far.get(record.outputs[0], tmp_path / "there.bin")
    assert not (tmp_path / "there.bin").exists()
    assert not list((tmp_path / "elsewhere" / "tmp").iterdir())
    assert bucket.url in far.notices[0]
    assert not far.has(record.outputs[0]), "after trouble it is not asked again for a while"
    wire.limit = None
    assert open_at(tmp_path / "elsewhere", bucket, wire.endpoint).get(
        record.outputs[0], tmp_path / "there.bin"
    )


def test_silence_is_waited_for_only_so_long(
    bucket: Bucket, wire: Wire, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    wire.limit, wire.holds = 0, True
    monkeypatch.setattr(remote, "ANSWER", 0.3)
    store = open_at(tmp_path / "store", bucket, wire.endpoint)
    assert store.get_record("a", "s") is None
    assert store.notices == (
        f"the store at {bucket.url} does not answer (no answer in 0.3 s); only what is here is known",
    )
    store.put_record(kept(store, tmp_path / "a.txt", b"a"))
    (line,) = store.finish(never)
    assert "does not answer" in line


def test_a_file_that_moves_slowly_is_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    pulse = patience.Pulse()
    pulse.last -= 10
    with pytest.raises(TimeoutError, match="no answer in 5 s"):
        patience.within(5, lambda: 1, pulse)
    pulse.moved(1)
    assert patience.within(5, lambda: 1, pulse) == 1


def test_two_push_the_same_at_once(bucket: Bucket, tmp_path: Path) -> None:
    stores = [open_at(tmp_path / name, bucket) for name in ("ann", "bob")]
    data = [os.urandom(1000) for _ in range(8)]
    for store in stores:
        for number, one in enumerate(data):
            store.put_record(kept(store, tmp_path / f"{number}.bin", one))
    assert [store.finish(never) for store in stores] == [(), ()]
    assert len(bucket.keys("objects/")) == len(bucket.keys("records/")) == 8
    far = open_at(tmp_path / "far", bucket)
    for number, one in enumerate(data):
        record = far.get_record(f"{number}.bin", "s" * 40)
        assert record
        assert far.get(record.outputs[0], tmp_path / f"far-{number}")
        assert (tmp_path / f"far-{number}").read_bytes() == one


def test_a_later_record_of_the_same_state_is_pushed_too(bucket: Bucket, tmp_path: Path) -> None:
    store = open_at(tmp_path / "store", bucket)
    for data in (b"first", b"later"):
        store.put_record(kept(store, tmp_path / "a.txt", data))
    assert store.finish(never) == ()
    far = open_at(tmp_path / "far", bucket)
    record = far.get_record("a.txt", "s" * 40)
    assert record
    assert far.get(record.outputs[0], tmp_path / "b.txt")
    assert (tmp_path / "b.txt").read_bytes() == b"later"


@pytest.mark.nightly
def test_what_waits_is_not_trimmed(bucket: Bucket, wire: Wire, tmp_path: Path) -> None:
    wire.limit = 0
    store = open_at(tmp_path / "store", bucket, wire.endpoint)
    waits = kept(store, tmp_path / "a.txt", b"a")
    store.put_record(waits)
    store.finish(never)
    spare = kept(store, tmp_path / "b.txt", b"b").outputs[0]
    store.trim(0)
    assert store.near.has(waits.outputs[0])
    assert not store.near.has(spare)


def test_the_cache_gives_up_what_is_far_away_and_has_it_again(bucket: Bucket, tmp_path: Path) -> None:
    store = open_at(tmp_path / "store", bucket)
    record = kept(store, tmp_path / "a.txt", b"a")
    store.put_record(record)
    assert store.finish(never) == ()
    assert store.trim(0) == 1
    assert not store.near.has(record.outputs[0])
    assert store.has(record.outputs[0])
    assert store.sound(record.outputs[0])
    assert store.near.has(record.outputs[0])


def test_a_place_that_may_only_be_read(tmp_path: Path) -> None:
    far = tmp_path / "far"
    far.write_text("no folder")
    store = CachedStore(LocalStore(tmp_path / "store"), Remote(far.as_uri()))
    store.put_record(kept(store, tmp_path / "a.txt", b"a"))
    (line,) = store.finish(never)
    assert "1 result waits" in line
    with pytest.raises(StorageError) as caught:
        Remote(far.as_uri()).write("a", b"a")
    assert caught.value.complaints[0].mend.startswith(
        "see that the folder is there, and may be read and written"
    )


def project(root: Path, bucket: Bucket, endpoint: str) -> None:
    store = json.dumps({"path": bucket.url, "endpoint": endpoint})
    write_files(root, {"pipeline.yaml": f"store: {store}\n"})
    write_notebook(
        root / "notebooks" / "large.ipynb",
        code('large = "../large.bin"', "outputs"),
        code(f"import os\nopen(large, 'wb').write(os.urandom({LARGE}))"),
    )


def started(root: Path, *arguments: str) -> "subprocess.Popen[str]":
    return subprocess.Popen(
        [sys.executable, "-m", "nbpipeline", *arguments],
        cwd=root,
        env={**os.environ, **KEYS},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


@pytest.mark.heavy
def test_a_killed_push_goes_on_where_it_was(bucket: Bucket, wire: Wire, root: Path) -> None:
    project(root, bucket, "http://127.0.0.1:1")
    done = command("run", cwd=root, environment=KEYS)
    assert "1 result waits" in done.stderr, done.stderr
    project(root, bucket, wire.endpoint)
    wire.limit, wire.holds = LARGE // 2, True
    push = started(root, "push")
    assert wire.reached.wait(60)
    push.kill()
    push.communicate()
    assert bucket.keys("records/") == []
    wire.limit = None
    done = command("push", cwd=root, environment=KEYS)
    assert done.returncode == 0, done.stderr
    assert done.stdout == f"1 result at {bucket.url}: 1 new file, 25.2 MB pushed\n"
    assert command("plan", cwd=root, environment=KEYS).stderr == ""


def test_ctrl_c_leaves_the_rest_for_later(bucket: Bucket, wire: Wire, root: Path) -> None:
    project(root, bucket, wire.endpoint)
    wire.limit, wire.holds = LARGE // 2, True
    run = started(root, "run")
    assert wire.reached.wait(60)
    assert run.stderr
    for line in run.stderr:
        if line.startswith("pushing results to"):
            break
    began = time.monotonic()
    run.send_signal(signal.SIGINT)
    out, err = run.communicate(timeout=pushing.PAUSE)
    assert time.monotonic() - began < remote.MOVE, "it does not wait for the silent one"
    assert "1 ran" in out, (out, err, run.returncode)
    assert "1 result waits" in err
    assert (root / "large.bin").stat().st_size == LARGE
