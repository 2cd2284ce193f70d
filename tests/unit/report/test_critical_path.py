"""The chain of stages that determined how long a run took."""

from hypothesis import given
from hypothesis import strategies as st

from nbpipeline.report.critical_path import Span, critical_path


def spans(**times):
    return {name: Span(started=start, finished=end) for name, (start, end) in times.items()}


def chain(times, upstream, began=0.0):
    return [(one.stage, one.why) for one in critical_path(spans(**times), upstream, began)]


def test_nothing_ran():
    assert critical_path({}, {}, 0.0) == ()


def test_the_slower_of_two_branches_counts():
    times = {"a": (0, 1), "slow": (1.01, 5), "quick": (1.01, 2), "end": (5.02, 6)}
    upstream = {"slow": ["a"], "quick": ["a"], "end": ["quick", "slow"]}
    assert chain(times, upstream) == [("a", ""), ("slow", "output"), ("end", "output")]


def test_a_stage_that_waited_for_room_follows_the_one_that_gave_it():
    """Both could have begun at 1; only one had a place."""
    times = {"a": (0, 1), "first": (1, 4), "second": (4.01, 6)}
    found = critical_path(spans(**times), {"first": ["a"], "second": ["a"]}, 0.0)
    assert [(one.stage, one.why, one.after) for one in found] == [
        ("a", "", ""),
        ("first", "output", "a"),
        ("second", "room", "first"),
    ]
    assert sum(one.seconds for one in found) == 1 + 3 + (6 - 4.01)


def test_what_was_fresh_lets_the_waiting_through():
    times = {"a": (0, 3), "c": (3.1, 4)}
    assert chain(times, {"fresh": ["a"], "c": ["fresh"]}) == [("a", ""), ("c", "output")]


def test_a_wait_that_nothing_explains_is_told_as_one():
    times = {"a": (0, 1), "b": (9, 10)}
    first, second = critical_path(spans(**times), {"b": ["a"]}, 0.0)
    assert (second.why, second.waited) == ("output", 8)
    assert (first.why, first.waited) == ("", 0)
    (alone,) = critical_path(spans(b=(9, 10)), {}, 2.0)
    assert (alone.why, alone.waited) == ("", 7)


def test_a_long_wait_for_room_is_no_wait_for_room():
    times = {"other": (0, 2), "b": (9, 10)}
    assert chain(times, {}) == [("b", "")]


moments = st.tuples(st.floats(0, 50), st.floats(0, 5)).map(lambda pair: (pair[0], pair[0] + pair[1]))


@given(st.lists(moments, min_size=1, max_size=12), st.data())
def test_the_chain_always_ends_and_never_goes_back(times, data):
    names = [f"s{number}" for number in range(len(times))]
    known = {name: Span(started=a, finished=b) for name, (a, b) in zip(names, times, strict=True)}
    upstream = {
        name: data.draw(st.lists(st.sampled_from(names[:number]), unique=True)) if number else []
        for number, name in enumerate(names)
    }
    found = critical_path(known, upstream, 0.0)
    assert found[-1].stage == max(names, key=lambda name: (known[name].finished, name))
    assert len({one.stage for one in found}) == len(found)
    for one in found[1:]:
        assert known[one.after].finished <= known[one.stage].started + 0.005
    assert not found[0].after
