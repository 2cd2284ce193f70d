"""What may run side by side."""

import pytest

from nbpipeline.model import Resources
from nbpipeline.run.admission import FLOOR, Capacity, Room, _container_free, free_memory, visible_gpus

GB = 10**9


def room(free: int | None = 64 * GB, **capacity) -> Room:
    return Room(Capacity(**{"slots": 4, **capacity}), lambda: free)


def test_an_empty_room_takes_anything():
    assert room(free=0).admits(Resources(cpus=100, memory=10**18, gpus=9))


@pytest.mark.parametrize(
    ("held", "wanted", "admitted"),
    [
        (Resources(cpus=1), Resources(cpus=3), True),
        (Resources(cpus=2), Resources(cpus=3), False),
        (Resources(cpus=0.5), Resources(cpus=3.5), True),
        (Resources(memory=6 * GB), Resources(memory=2 * GB), True),
        (Resources(memory=6 * GB), Resources(memory=3 * GB), False),
        (Resources(gpus=1), Resources(gpus=1), True),
        (Resources(gpus=1), Resources(gpus=2), False),
    ],
)
def test_what_fits_beside_what(held, wanted, admitted):
    found = room(memory=8 * GB, gpus=2)
    found.take("a", held)
    assert found.admits(wanted) is admitted
    found.give_back("a")
    assert found.admits(wanted)


def test_small_ones_are_no_more_than_the_slots():
    found = room(slots=2)
    for name in "ab":
        assert found.admits(Resources(cpus=0.1))
        found.take(name, Resources(cpus=0.1))
    assert not found.admits(Resources(cpus=0.1))


def test_memory_that_others_took_keeps_a_stage_waiting():
    for free, wanted, admitted in (
        (2 * GB, Resources(memory=GB), True),
        (2 * GB, Resources(memory=3 * GB), False),
        (FLOOR - 1, Resources(), False),
        (FLOOR, Resources(), True),
        (None, Resources(memory=3 * GB), True),
    ):
        found = room(free=free)
        found.take("a", Resources())
        assert found.admits(wanted) is admitted, (free, wanted)


def test_one_device_is_shared_one_by_one_where_none_can_be_counted():
    found = room(gpus=0)
    found.take("a", Resources(gpus=1))
    assert not found.admits(Resources(gpus=1))
    assert found.admits(Resources())


def test_the_containers_limit_counts_without_the_file_cache(tmp_path):
    (tmp_path / "memory.max").write_text("1000\n")
    (tmp_path / "memory.current").write_text("900\n")
    (tmp_path / "memory.stat").write_text("anon 300\ninactive_file 400\nactive_file 200\n")
    assert _container_free(tmp_path) == 700
    (tmp_path / "memory.max").write_text("max\n")
    assert _container_free(tmp_path) is None
    assert _container_free(tmp_path / "nowhere") is None


def test_the_machine_answers(monkeypatch):
    assert free_memory() > 0
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "0, 2")
    assert visible_gpus() == 2
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "-1")
    assert visible_gpus() == 0
