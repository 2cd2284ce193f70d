import graphlib
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nbpipeline.graph import Graph

PAIRS = st.lists(st.tuples(st.integers(0, 9), st.integers(0, 9)), max_size=25)
FORWARD = PAIRS.map(lambda pairs: [(min(pair), max(pair)) for pair in pairs if pair[0] != pair[1]])


def reachable(pairs, start):
    found, waiting = set(), [start]
    while waiting:
        node = waiting.pop()
        for before, after in pairs:
            if before == node and after not in found:
                found.add(after)
                waiting.append(after)
    return found


@given(FORWARD, st.permutations(range(10)))
def test_order_takes_every_edge_forward_and_every_node_once(pairs, nodes):
    order = Graph(nodes, pairs).order()
    assert sorted(order) == list(range(10))
    assert all(order.index(before) < order.index(after) for before, after in pairs)


@given(FORWARD)
def test_order_is_the_smallest_there_is_by_rank(pairs):
    # With every edge from a smaller to a larger number, the numbers themselves are the best order.
    assert Graph(reversed(range(10)), pairs).order(rank=float) == tuple(range(10))


def test_order_follows_the_nodes_as_given_where_edges_leave_it_free():
    assert Graph("cab", []).order() == ("c", "a", "b")
    assert Graph("cab", [("b", "c")]).order() == ("a", "b", "c")


@given(PAIRS)
def test_reach_is_what_a_plain_search_finds(pairs):
    graph = Graph(range(10), pairs)
    for node in range(10):
        assert graph.descendants([node]) == reachable(pairs, node)
        assert graph.ancestors([node]) == reachable([(after, before) for before, after in pairs], node)


@given(PAIRS)
def test_circles_are_found_exactly_where_there_are_some_and_are_true_paths(pairs):
    graph = Graph(range(10), pairs)
    circles = graph.circles()
    on_circles = {node for node in range(10) if node in reachable(pairs, node)}
    assert bool(circles) == bool(on_circles)
    for circle in circles:
        assert circle[0] == circle[-1]
        assert len(set(circle)) == len(circle) - 1
        assert all(step in pairs for step in pairwise(circle))
    for node in on_circles:  # every knot is told
        assert any(set(circle) & (reachable(pairs, node)) for circle in circles)


@given(PAIRS)
def test_order_refuses_exactly_what_has_a_circle(pairs):
    graph = Graph(range(10), pairs)
    try:
        list(graphlib.TopologicalSorter({after: {before} for before, after in pairs}).static_order())
        graph.order()
    except (ValueError, graphlib.CycleError):
        assert graph.circles()
    else:
        assert not graph.circles()


def test_a_circle_raises_with_words():
    with pytest.raises(ValueError, match=r"^the graph has a circle$"):
        Graph("ab", [("a", "b"), ("b", "a")]).order()


def test_a_node_that_feeds_itself_is_a_circle_of_one():
    assert Graph("ab", [("a", "a")]).circles() == (("a", "a"),)


def test_two_knots_are_two_circles_in_the_order_of_nodes():
    pairs = [("d", "c"), ("c", "d"), ("b", "a"), ("a", "b"), ("b", "c")]
    assert Graph("abcd", pairs).circles() == (("a", "b", "a"), ("c", "d", "c"))


def test_the_shortest_circle_of_a_knot_is_shown():
    pairs = [("a", "b"), ("b", "c"), ("c", "d"), ("d", "a"), ("b", "a")]
    assert Graph("abcd", pairs).circles() == (("a", "b", "a"),)


def test_neighbours_and_membership():
    graph = Graph("a", [("a", "b"), ("a", "c")])
    assert graph.nodes == ("a", "b", "c")
    assert graph.successors("a") == ("b", "c")
    assert "b" in graph
    assert "z" not in graph
    with pytest.raises(KeyError):
        graph.successors("z")


def test_a_long_chain_needs_no_recursion():
    chain = Graph(range(20_000), ((one, one + 1) for one in range(19_999)))
    assert chain.order() == tuple(range(20_000))
    assert chain.circles() == ()


def test_a_circle_is_told_from_the_node_that_was_given_first():
    assert Graph("zma", [("a", "z"), ("z", "m"), ("m", "a")]).circles() == (("z", "m", "a", "z"),)
