"""events.jsonl: numbered, whole at any moment, and never the reason that a run ends."""

import json
import threading
from pathlib import Path

from pipelines import read_events

from nbpipeline.model import Event, PathValue
from nbpipeline.run.events import EventWriter, encode


def test_a_line_has_every_key():
    event = Event(
        kind="notice", run="r", time=1.5, seq=3, data={"text": "ü\n", "path": PathValue("a/b"), "all": (1,)}
    )
    line = encode(event)
    assert line.endswith("\n")
    assert line.count("\n") == 1
    data = json.loads(line)
    assert list(data) == ["version", "seq", "time", "run", "kind", "stage", "data"]
    assert data["data"]["text"] == "ü\n"
    assert data["data"]["all"] == [1]


def test_numbers_count_from_one_whoever_tells(tmp_path):
    path = tmp_path / "events.jsonl"
    heard = []
    writer = EventWriter(path, "r", heard.append)
    together = threading.Barrier(4)

    def tell():
        together.wait(30)
        for _ in range(50):
            writer(Event(kind="notice", run=""))

    threads = [threading.Thread(target=tell) for _ in range(4)]
    for one in threads:
        one.start()
    for one in threads:
        one.join()
    writer.close()
    assert [one.seq for one in heard] == list(range(1, 201))
    assert list(read_events(path)) == heard
    assert {one.run for one in heard} == {"r"}
    assert all(one.time > 0 for one in heard)


def test_a_full_disk_is_told_and_ends_nothing():
    heard = []
    writer = EventWriter(Path("/dev/full"), "r", heard.append)
    writer.emit("notice", text="one")
    writer.emit("notice", text="two")
    assert writer.trouble == ["events.jsonl ends at event 1: No space left on device"]
    assert [one.data["text"] for one in heard] == ["one", "two"]
    writer.close()
