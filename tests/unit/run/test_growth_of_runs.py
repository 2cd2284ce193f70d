"""A run's book-keeping grows with its stages and no faster: counted, never timed."""

from itertools import pairwise

import pytest
from counting import calls_of
from pipelines import RUN, Worker, do, plan_of, statuses

from nbpipeline.run.admission import Room
from nbpipeline.run.board import Board


@pytest.mark.parametrize("wide", [50, 200])
def test_what_waits_for_room_is_not_looked_at_whenever_something_ends(root, monkeypatch, wide):
    asked = []
    admits = Room.admits

    def heard(self, wanted):
        asked.append(wanted)
        return admits(self, wanted)

    monkeypatch.setattr(Room, "admits", heard)
    plan = plan_of({f"s{number:03d}": RUN for number in range(wide)})
    result = do(plan, Worker(), root, jobs=2)
    assert set(statuses(result).values()) == {"succeeded"}
    assert len(asked) <= 4 * wide


@pytest.mark.parametrize("shape", ["chain", "wide", "fan"])
def test_the_loop_is_linear(root, shape):
    def plan(size):
        names = [f"s{number:04d}" for number in range(size)]
        chain = [f"{a}>{b}" for a, b in pairwise(names)]
        fan = [f"{names[0]}>{name}" for name in names[1:]]
        return plan_of(dict.fromkeys(names, RUN), {"chain": chain, "wide": [], "fan": fan}[shape])

    counts = []
    for size in (50, 150, 250):
        made, folder = plan(size), root / str(size)
        folder.mkdir()
        counts.append(calls_of(lambda made=made, folder=folder: do(made, Worker(), folder, jobs=2)))
    first, second, third = counts
    assert third - second < 1.2 * (second - first)


def test_what_was_put_back_comes_in_run_order_and_only_with_room():
    board = Board(plan_of(dict.fromkeys("abcd", RUN)))
    taken = list(board.take_ready())
    assert taken == list("abcd")
    board.put_back("dbc")
    assert list(board.take_ready(lambda: False)) == []
    room = iter([True, True, False])
    assert list(board.take_ready(lambda: next(room))) == ["b", "c"]
    assert list(board.take_ready()) == ["d"]
