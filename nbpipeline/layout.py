"""Where the boxes and lines of a drawn DAG go: layers from top to bottom, few crossings, no overlaps.

The layered method of Sugiyama, Tagawa and Toda (1981): layers by longest path, crossings reduced by
barycentres, then x by least squares under the order (pool adjacent violators). Lines that pass a layer
get a place in it as boxes do, shared by all lines of one source, so that no line runs through a box.
Computed once for terminal, SVG and browser; the same input gives the same picture.
"""

from collections.abc import Iterable, Mapping, Sequence
from itertools import pairwise
from typing import TypeAlias

from nbpipeline.values import dataclass

Point: TypeAlias = tuple[float, float]
_Slot: TypeAlias = tuple[str, int]
"""A node's or a passing line's place in a layer: the node (the line's source) and the layer."""

SWEEPS = 12
"""Passes over all layers while crossings are reduced, and again while x is found."""
SETTLING = 40
"""Passes in which every slot moves between all its neighbours, once the drawing has its shape."""
LARGE = 3_000
"""From so many slots on, two passes must do: nobody sees the difference."""

# How strongly a link pulls its ends under each other, by how many of them are boxes: long lines stay upright,
# and a box stands over the next one rather than over a line that only passes it.
_PULLS = (8, 2, 3)
_DIGITS = 9
"""Of places: what sums leave behind them would put a character one column aside."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Spacing:
    """Sizes and distances, in the unit of the drawing (pixels, or characters)."""

    height: float = 36
    column_gap: float = 28
    layer_gap: float = 52
    line_gap: float = 14
    """Between two lines, and a line and a box, side by side in a layer."""
    widest_gap: float = 120
    """Layers stand farther apart where lines go far to the side, up to this."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Box:
    """A node's place; `x` and `y` are its upper left corner."""

    x: float
    y: float
    width: float
    height: float
    layer: int

    @property
    def center(self) -> float:
        """The middle, from the left edge of the drawing."""
        return self.x + self.width / 2


@dataclass(frozen=True, slots=True, kw_only=True)
class Layout:
    """A whole drawing; the upper left corner is (0, 0)."""

    boxes: Mapping[str, Box]
    routes: Mapping[tuple[str, str], tuple[Point, ...]]
    """From the lower edge of one box to the upper edge of another; upright where a layer is passed."""
    width: float
    height: float


def lay_out(
    nodes: Sequence[str],
    edges: Iterable[tuple[str, str]],
    *,
    widths: Mapping[str, float] | None = None,
    spacing: Spacing | None = None,
) -> Layout:
    """Place the nodes so that every edge goes downward; `widths` defaults to 120 for each.

    Edges must make no circle (ValueError) and join nodes that are given (KeyError).
    """
    space = spacing or Spacing()
    rank = {node: number for number, node in enumerate(nodes)}
    pairs = sorted(dict.fromkeys(edges), key=lambda pair: (rank[pair[0]], rank[pair[1]]))
    layers = _layers(nodes, pairs)
    net = _Net(nodes, pairs, layers)
    net.reduce_crossings()
    sizes = {node: (widths or {}).get(node, 120.0) for node in nodes}
    centers = _centers(net, sizes, space)
    return _placed(net, pairs, sizes, centers, space)


def _layers(nodes: Sequence[str], pairs: Sequence[tuple[str, str]]) -> dict[str, int]:
    """Longest path from the top; what only feeds others then sinks to just above the first that it feeds."""
    after: dict[str, list[str]] = {node: [] for node in nodes}
    waits = dict.fromkeys(nodes, 0)
    for upstream, downstream in pairs:
        after[upstream].append(downstream)
        waits[downstream] += 1
    fed = dict(waits)
    layer = dict.fromkeys(nodes, 0)
    ready = [node for node in nodes if not waits[node]]
    for node in ready:
        for one in after[node]:
            layer[one] = max(layer[one], layer[node] + 1)
            waits[one] -= 1
            if not waits[one]:
                ready.append(one)
    if len(ready) < len(nodes):
        raise ValueError("a drawing in layers needs edges without a circle")
    for node in reversed(ready):
        if after[node] and not fed[node]:
            layer[node] = min(layer[one] for one in after[node]) - 1
    return layer


class _Net:
    """Slots layer by layer, and the links between slots of neighbouring layers."""

    def __init__(
        self, nodes: Sequence[str], pairs: Sequence[tuple[str, str]], layer: Mapping[str, int]
    ) -> None:
        self.layer = layer
        self.rows: list[list[_Slot]] = [[] for _ in range(max(layer.values(), default=-1) + 1)]
        self.above: dict[_Slot, list[_Slot]] = {}
        self.below: dict[_Slot, list[_Slot]] = {}
        for node in nodes:
            self._add((node, layer[node]))
        for upstream, downstream in pairs:
            self._connect(upstream, downstream)

    def is_node(self, slot: _Slot) -> bool:
        """Whether a box stands there, not a passing line."""
        return self.layer[slot[0]] == slot[1]

    def chain(self, upstream: str, downstream: str) -> list[_Slot]:
        """List the slots that an edge passes, its ends included."""
        first, last = self.layer[upstream], self.layer[downstream]
        return [*((upstream, row) for row in range(first, last)), (downstream, last)]

    def _add(self, slot: _Slot) -> None:
        self.rows[slot[1]].append(slot)
        self.above[slot], self.below[slot] = [], []

    def _connect(self, upstream: str, downstream: str) -> None:
        for before, after in pairwise(self.chain(upstream, downstream)):
            if after not in self.above:
                self._add(after)
            if after not in self.below[before]:
                self.below[before].append(after)
                self.above[after].append(before)

    def reduce_crossings(self) -> None:
        """Sort each layer by where its neighbours are, down and up in turn; keep the best order met."""
        large = len(self.above) > LARGE
        best, fewest = [list(row) for row in self.rows], self._crossings()
        for sweep in range(2 if large else SWEEPS):
            if not fewest:
                break
            down = sweep % 2 == 0
            self._sweep(range(1, len(self.rows)) if down else range(len(self.rows) - 2, -1, -1), down=down)
            crossings = self._crossings()
            if crossings < fewest:
                best, fewest = [list(row) for row in self.rows], crossings
        self.rows = best

    def _sweep(self, rows: Iterable[int], *, down: bool) -> None:
        beside = self.above if down else self.below
        for number in rows:
            fixed = {slot: place for place, slot in enumerate(self.rows[number - 1 if down else number + 1])}
            own = {slot: place for place, slot in enumerate(self.rows[number])}
            middle = {
                slot: sum(fixed[one] for one in beside[slot]) / len(beside[slot])
                if beside[slot]
                else float(own[slot])
                for slot in own
            }
            self.rows[number].sort(key=lambda slot: (middle[slot], own[slot]))

    def _crossings(self) -> int:
        return sum(self._crossings_between(upper, lower) for upper, lower in pairwise(self.rows))

    def _crossings_between(self, upper: Sequence[_Slot], lower: Sequence[_Slot]) -> int:
        """Count inversions with a binary indexed tree (Barth, Juenger, Mutzel 2002)."""
        place = {slot: number for number, slot in enumerate(lower)}
        ends = [end for slot in upper for end in sorted(place[one] for one in self.below[slot])]
        tree = [0] * (len(lower) + 1)
        crossings = 0
        for seen, end in enumerate(ends):
            crossings += seen - _sum_to(tree, end + 1)
            _add_at(tree, end + 1)
        return crossings


def _sum_to(tree: Sequence[int], index: int) -> int:
    total = 0
    while index:
        total += tree[index]
        index &= index - 1
    return total


def _add_at(tree: list[int], index: int) -> None:
    while index < len(tree):
        tree[index] += 1
        index += index & -index


def _centers(net: _Net, sizes: Mapping[str, float], space: Spacing) -> dict[_Slot, float]:
    """Find the middle of every slot: near its neighbours', in the layer's order, with room between."""
    gaps = [_gaps(net, row, sizes, space) for row in net.rows]
    centers: dict[_Slot, float] = {}
    for row, gap in zip(net.rows, gaps, strict=True):
        at = 0.0
        for slot, before in zip(row, [0.0, *gap], strict=True):
            at += before
            centers[slot] = at
        for slot in row:
            centers[slot] -= at / 2
    rows = list(zip(net.rows, gaps, strict=True))
    for sweep in range(2 if len(net.above) > LARGE else SWEEPS + SETTLING):
        both = sweep >= SWEEPS
        for row, gap in rows if sweep % 2 == 0 else reversed(rows):
            wanted = [_wanted(net, slot, centers, down=sweep % 2 == 0, both=both) for slot in row]
            weights = [1.0 if net.is_node(slot) else 4.0 for slot in row]
            centers.update(zip(row, _spread(wanted, weights, gap), strict=True))
    return centers


def _gaps(net: _Net, row: Sequence[_Slot], sizes: Mapping[str, float], space: Spacing) -> list[float]:
    """Give the least distance between the middles of each two neighbours."""
    return [
        (_width(net, left, sizes) + _width(net, right, sizes)) / 2
        + (space.column_gap if net.is_node(left) and net.is_node(right) else space.line_gap)
        for left, right in pairwise(row)
    ]


def _width(net: _Net, slot: _Slot, sizes: Mapping[str, float]) -> float:
    return sizes[slot[0]] if net.is_node(slot) else 0.0


def _wanted(net: _Net, slot: _Slot, centers: Mapping[_Slot, float], *, down: bool, both: bool) -> float:
    """Find the middle of the neighbours: of the layer come from, or of both."""
    beside = net.above[slot] if down else net.below[slot]
    if both or not beside:
        beside = [*net.above[slot], *net.below[slot]]
    if not beside:
        return centers[slot]
    pulls = sorted((centers[one], _PULLS[net.is_node(slot) + net.is_node(one)]) for one in beside)
    return _median(pulls) if net.is_node(slot) else _mean(pulls)


def _mean(pulls: Sequence[tuple[float, int]]) -> float:
    return sum(place * pull for place, pull in pulls) / sum(pull for _, pull in pulls)


def _median(pulls: Sequence[tuple[float, int]]) -> float:
    """Weighted median, which leaves one strong line straight where a mean would bend all of them."""
    half = sum(pull for _, pull in pulls) / 2
    heard = 0
    for number, (place, pull) in enumerate(pulls):
        heard += pull
        if heard > half:
            return place
        if heard == half:
            return (place + pulls[number + 1][0]) / 2
    raise AssertionError("the last one passes the half")


def _spread(wanted: Sequence[float], weights: Sequence[float], gaps: Sequence[float]) -> list[float]:
    """Least squares nearest to `wanted`, each at least `gaps` behind the one before it."""
    offsets = [0.0]
    for gap in gaps:
        offsets.append(offsets[-1] + gap)
    blocks: list[list[float]] = []  # weighted mean, weight, members
    for want, weight, offset in zip(wanted, weights, offsets, strict=False):
        blocks.append([want - offset, weight, 1])
        while len(blocks) > 1 and blocks[-2][0] > blocks[-1][0]:
            mean, heavy, many = blocks.pop()
            other = blocks[-1]
            total = other[1] + heavy
            blocks[-1] = [(other[0] * other[1] + mean * heavy) / total, total, other[2] + many]
    means = [mean for mean, _, many in blocks for _ in range(int(many))]
    return [mean + offset for mean, offset in zip(means, offsets, strict=False)]


def _placed(
    net: _Net,
    pairs: Sequence[tuple[str, str]],
    sizes: Mapping[str, float],
    centers: Mapping[_Slot, float],
    space: Spacing,
) -> Layout:
    left = min((centers[slot] - _width(net, slot, sizes) / 2 for slot in centers), default=0.0)
    right = max((centers[slot] + _width(net, slot, sizes) / 2 for slot in centers), default=0.0)
    tops = _tops(net, centers, space)
    at = {slot: round(center - left, _DIGITS) for slot, center in centers.items()}
    boxes = {
        slot[0]: Box(
            x=round(at[slot] - sizes[slot[0]] / 2, _DIGITS),
            y=tops[slot[1]],
            width=sizes[slot[0]],
            height=space.height,
            layer=slot[1],
        )
        for row in net.rows
        for slot in row
        if net.is_node(slot)
    }
    routes = {
        pair: _route([(at[slot], tops[slot[1]]) for slot in net.chain(*pair)], space.height) for pair in pairs
    }
    height = tops[-1] + space.height if tops else 0.0
    return Layout(boxes=boxes, routes=routes, width=right - left, height=height)


def _tops(net: _Net, centers: Mapping[_Slot, float], space: Spacing) -> list[float]:
    """Give every layer its y: the farther lines go to the side, the more room they get."""
    tops: list[float] = []
    for number, row in enumerate(net.rows):
        if not number:
            tops.append(0.0)
            continue
        farthest = max(
            (abs(centers[slot] - centers[one]) for slot in row for one in net.above[slot]), default=0.0
        )
        gap = min(max(space.layer_gap, farthest / 6), space.widest_gap)
        tops.append(tops[-1] + space.height + gap)
    return tops


def _route(passed: Sequence[Point], height: float) -> tuple[Point, ...]:
    """Points of a line: out of the first, upright through those between, into the last."""
    first, *between, last = passed
    points = [(first[0], first[1] + height)]
    for x, top in between:
        points += [(x, top), (x, top + height)]
    return (*points, last)
