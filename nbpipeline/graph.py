"""A small directed graph: order, reach and circles, in the same result for the same input."""

import heapq
from collections.abc import Callable, Hashable, Iterable, Mapping, Sequence
from graphlib import CycleError, TopologicalSorter
from typing import Generic, TypeVar

Node = TypeVar("Node", bound=Hashable)


class Graph(Generic[Node]):
    """Nodes in the order given, edges from what comes first to what comes after; never changed once made."""

    __slots__ = ("_predecessors", "_successors")

    def __init__(self, nodes: Iterable[Node], edges: Iterable[tuple[Node, Node]]) -> None:
        """Take every node and every (upstream, downstream) pair; an edge's ends are nodes too."""
        self._successors: dict[Node, dict[Node, None]] = {node: {} for node in nodes}
        self._predecessors: dict[Node, dict[Node, None]] = {node: {} for node in self._successors}
        for upstream, downstream in edges:
            self._successors.setdefault(upstream, {})[downstream] = None
            self._successors.setdefault(downstream, {})
            self._predecessors.setdefault(downstream, {})[upstream] = None
            self._predecessors.setdefault(upstream, {})

    @property
    def nodes(self) -> tuple[Node, ...]:
        """All nodes, in the order in which they were given."""
        return tuple(self._successors)

    def __contains__(self, node: object) -> bool:
        """Whether the graph has the node."""
        return node in self._successors

    def successors(self, node: Node) -> tuple[Node, ...]:
        """Give what comes directly after; raises KeyError for a stranger."""
        return tuple(self._successors[node])

    def ancestors(self, nodes: Iterable[Node]) -> frozenset[Node]:
        """Everything that comes before any of the nodes; they themselves only where they lie in a circle."""
        return _reached(self._predecessors, nodes)

    def descendants(self, nodes: Iterable[Node]) -> frozenset[Node]:
        """Everything that comes after any of the nodes; they themselves only where they lie in a circle."""
        return _reached(self._successors, nodes)

    def order(self, rank: Callable[[Node], float] | None = None) -> tuple[Node, ...]:
        """Sort so that every edge goes forward; what is free goes by `rank`, by default as given.

        Raises ValueError when there is a circle (`circles` shows it).
        """
        position = {node: index for index, node in enumerate(self._successors)}
        sorter = TopologicalSorter(self._predecessors)
        try:
            sorter.prepare()
        except CycleError as error:
            raise ValueError("the graph has a circle") from error
        key = rank or position.__getitem__
        ready: list[tuple[float, int, Node]] = []
        ordered: list[Node] = []
        while sorter.is_active():
            for node in sorter.get_ready():
                heapq.heappush(ready, (key(node), position[node], node))
            node = heapq.heappop(ready)[2]
            ordered.append(node)
            sorter.done(node)
        return tuple(ordered)

    def circles(self) -> tuple[tuple[Node, ...], ...]:
        """One shortest circle for each knot of nodes that lie in circles.

        Each is a path whose last node is its first one again; knots come in the nodes' order.
        """
        position = {node: index for index, node in enumerate(self._successors)}
        knots = [sorted(knot, key=position.__getitem__) for knot in self._knots()]
        return tuple(self._shortest_circle(knot) for knot in sorted(knots, key=lambda one: position[one[0]]))

    def _knots(self) -> list[list[Node]]:
        """Strongly connected components with a circle in them (Tarjan 1972, without recursion)."""
        walk = _Walk(self._successors)
        for node in self._successors:
            walk.start(node)
        return [
            component
            for component in walk.components
            if len(component) > 1 or component[0] in self._successors[component[0]]
        ]

    def _shortest_circle(self, knot: Sequence[Node]) -> tuple[Node, ...]:
        """Walk in breadth from the knot's first node until it is met again."""
        inside = frozenset(knot)
        start = knot[0]
        came_from: dict[Node, Node] = {}
        queue = [start]
        for node in queue:
            for after in self._successors[node]:
                if after == start:
                    return (*_trail(came_from, start, node), start)
                if after in inside and after not in came_from:
                    came_from[after] = node
                    queue.append(after)
        raise AssertionError("a strongly connected node is met again")


class _Walk(Generic[Node]):
    """Tarjan's bookkeeping: visiting numbers, the stack, the components closed so far."""

    def __init__(self, successors: Mapping[Node, Iterable[Node]]) -> None:
        self.successors = successors
        self.components: list[list[Node]] = []
        self._number: dict[Node, int] = {}
        self._low: dict[Node, int] = {}
        self._stack: list[Node] = []
        self._on_stack: set[Node] = set()

    def start(self, root: Node) -> None:
        """Visit everything that can be reached from `root` and was not visited yet."""
        if root in self._number:
            return
        self._enter(root)
        path = [(root, iter(self.successors[root]))]
        while path:
            node, remaining = path[-1]
            for after in remaining:
                if after not in self._number:
                    self._enter(after)
                    path.append((after, iter(self.successors[after])))
                    break
                if after in self._on_stack:
                    self._low[node] = min(self._low[node], self._number[after])
            else:
                path.pop()
                if path:
                    above = path[-1][0]
                    self._low[above] = min(self._low[above], self._low[node])
                self._close(node)

    def _enter(self, node: Node) -> None:
        self._number[node] = self._low[node] = len(self._number)
        self._stack.append(node)
        self._on_stack.add(node)

    def _close(self, node: Node) -> None:
        """Take the component off the stack if `node` is its root."""
        if self._low[node] != self._number[node]:
            return
        component: list[Node] = []
        while not component or component[-1] != node:
            component.append(self._stack.pop())
        self._on_stack.difference_update(component)
        self.components.append(component)


def _reached(neighbours: Mapping[Node, Iterable[Node]], nodes: Iterable[Node]) -> frozenset[Node]:
    found: set[Node] = set()
    waiting = list(nodes)
    while waiting:
        for after in neighbours[waiting.pop()]:
            if after not in found:
                found.add(after)
                waiting.append(after)
    return frozenset(found)


def _trail(came_from: Mapping[Node, Node], start: Node, end: Node) -> tuple[Node, ...]:
    """Follow the steps of a search back from `end`; gives them from `start` on."""
    trail = [end]
    while trail[-1] != start:
        trail.append(came_from[trail[-1]])
    return tuple(reversed(trail))
