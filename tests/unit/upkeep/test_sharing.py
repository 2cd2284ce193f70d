"""`verify` beside a run that trims the store."""

from pathlib import Path

import pytest

from nbpipeline.content import digest_bytes
from nbpipeline.stores.local import LocalStore
from nbpipeline.upkeep import sharing


def put(store: LocalStore, data: bytes, *, damaged: bool = False) -> Path:
    place = store.place("objects", digest_bytes(data))
    place.parent.mkdir(parents=True, exist_ok=True)
    place.write_bytes(b"other" if damaged else data)
    return place


@pytest.mark.parametrize("when", ["before it is read", "after it was read"])
def test_what_a_trim_takes_meanwhile_is_no_damage_and_not_counted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, when: str
) -> None:
    store = LocalStore(tmp_path)
    places = sorted(put(store, str(number).encode()) for number in range(4))
    put(store, b"spoiled", damaged=True)
    real = sharing.digest_file

    def trimming(path: Path) -> str:
        if path == places[0] and when == "before it is read":
            path.unlink()
        found = real(path)
        if path == places[0]:
            path.unlink()
        return found

    monkeypatch.setattr(sharing, "digest_file", trimming)
    found = sharing.verify_near(store, None, {}, fix=True)
    assert (found.checked, [one.done for one in found.damaged]) == (4, ["dropped"])
    assert found.bytes == len("123other")
