from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nbpipeline.layout import Spacing, lay_out

EDGES = st.lists(st.tuples(st.integers(0, 11), st.integers(0, 11)), max_size=30).map(
    lambda pairs: [(str(min(pair)), str(max(pair))) for pair in pairs if pair[0] != pair[1]]
)
NODES = [str(number) for number in range(12)]
WIDTHS = st.fixed_dictionaries({node: st.floats(20, 300) for node in NODES})


@given(EDGES, WIDTHS)
def test_no_two_boxes_overlap_and_all_lie_in_the_drawing(edges, widths):
    space = Spacing()
    layout = lay_out(NODES, edges, widths=widths)
    boxes = list(layout.boxes.values())
    assert set(layout.boxes) == set(NODES)
    for number, one in enumerate(boxes):
        assert one.x >= -1e-6
        assert one.y >= 0
        assert one.x + one.width <= layout.width + 1e-6
        assert one.y + one.height <= layout.height + 1e-6
        for other in boxes[number + 1 :]:
            beside = (
                one.x + one.width + space.column_gap <= other.x + 1e-6
                or other.x + other.width + space.column_gap <= one.x + 1e-6
            )
            assert beside if one.layer == other.layer else abs(one.y - other.y) >= one.height


@given(EDGES, WIDTHS)
def test_every_edge_goes_downward_from_box_to_box(edges, widths):
    layout = lay_out(NODES, edges, widths=widths)
    assert set(layout.routes) == set(edges)
    for (upstream, downstream), route in layout.routes.items():
        start, end = layout.boxes[upstream], layout.boxes[downstream]
        assert route[0] == pytest.approx((start.center, start.y + start.height))
        assert route[-1] == pytest.approx((end.center, end.y))
        assert all(y <= to_y for (_, y), (_, to_y) in pairwise(route))


@given(EDGES, WIDTHS)
def test_no_line_runs_through_a_box(edges, widths):
    """Within a layer a line is upright, and stands clear of the layer's boxes."""
    layout = lay_out(NODES, edges, widths=widths)
    for route in layout.routes.values():
        for (x, y), (to_x, to_y) in pairwise(route):
            for box in layout.boxes.values():
                if y < box.y + box.height and to_y > box.y:
                    assert x == to_x
                    assert x <= box.x + 1e-6 or x >= box.x + box.width - 1e-6


@given(EDGES)
def test_the_same_input_gives_the_same_picture(edges):
    assert lay_out(NODES, edges) == lay_out(NODES, list(reversed(edges)))


def test_a_chain_stands_upright():
    layout = lay_out("abc", [("a", "b"), ("b", "c")], widths={"b": 200})
    assert {round(box.center, 6) for box in layout.boxes.values()} == {100}
    assert [box.layer for box in layout.boxes.values()] == [0, 1, 2]


def test_a_fan_is_centred_under_its_source():
    layout = lay_out("abcd", [("a", "b"), ("a", "c"), ("a", "d")])
    assert layout.boxes["a"].center == pytest.approx(layout.boxes["c"].center)


def test_crossings_that_need_not_be_are_taken_away():
    layout = lay_out(["a", "b", "x", "y"], [("a", "y"), ("b", "x")])
    assert layout.boxes["a"].x < layout.boxes["b"].x
    assert layout.boxes["y"].x < layout.boxes["x"].x


def test_what_feeds_a_late_stage_alone_stands_just_above_it():
    layout = lay_out("abcs", [("a", "b"), ("b", "c"), ("s", "c")])
    assert layout.boxes["s"].layer == 1


def test_a_circle_is_refused():
    with pytest.raises(ValueError, match=r"^a drawing in layers needs edges without a circle$"):
        lay_out("ab", [("a", "b"), ("b", "a")])


def test_an_edge_to_a_stranger_is_refused():
    with pytest.raises(KeyError):
        lay_out("ab", [("a", "z")])


def test_nothing_gives_an_empty_drawing():
    layout = lay_out([], [])
    assert (layout.boxes, layout.routes, layout.width, layout.height) == ({}, {}, 0.0, 0.0)
