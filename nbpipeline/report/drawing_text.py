"""The DAG in characters: boxes in layers with lines between them, or a list where that is too wide.

Lines leave a box and enter one in columns of their own (by the column's remainder of four), each enters in
its own, and each source has a track of its own where tracks would touch. So what joins is one source's; where
another line only crosses, `│` stands unbroken over the track.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import field

from nbpipeline.layout import Box, Layout, Spacing, lay_out
from nbpipeline.model import Pipeline, Plan
from nbpipeline.report.drawing_labels import SIGNS, Label, joined, labels, shortened
from nbpipeline.values import dataclass

COLUMNS = 110
"""A drawing wider than this is listed instead."""
NARROWEST = 3
"""Characters in a box: so that it has a column of each remainder."""

_SPACING = Spacing(height=1, column_gap=2, layer_gap=1, line_gap=2, widest_gap=1)
_UP, _DOWN, _LEFT, _RIGHT, _JOINED = 1, 2, 4, 8, 16
_UPRIGHT = _UP | _DOWN
_LINES = {
    _UP | _DOWN: "│", _LEFT | _RIGHT: "─", _DOWN | _RIGHT: "┌", _DOWN | _LEFT: "┐", _UP | _RIGHT: "└",
    _UP | _LEFT: "┘", _UP | _DOWN | _RIGHT: "├", _UP | _DOWN | _LEFT: "┤", _DOWN | _LEFT | _RIGHT: "┬",
    _UP | _LEFT | _RIGHT: "┴", _UP | _DOWN | _LEFT | _RIGHT: "┼",
}  # fmt: skip


def draw(pipeline: Pipeline, plan: Plan | None = None, *, columns: int = COLUMNS) -> str:
    """Draw the DAG; with a plan, signs in the boxes and the reasons below."""
    texts = labels(pipeline, plan)
    edges = joined(pipeline)
    shown = {one: _shown(label) for one, label in texts.items()}
    widths = _widths(shown, edges)
    layout = lay_out(list(texts), edges, widths=widths, spacing=_SPACING)
    if layout.width > columns:
        return "".join(f"{line}\n" for line in _listed(texts, edges))
    lines = [*_picture(layout, list(edges), shown), *_legend(texts)]
    return "".join(f"{line.rstrip()}\n" for line in lines)


def _shown(label: Label) -> str:
    sign = f"{SIGNS[label.status]} " if label.status else ""
    return (sign + shortened(label.id)).center(NARROWEST)


def _widths(shown: Mapping[str, str], edges: Iterable[tuple[str, str]]) -> Mapping[str, float]:
    """Make each box wide enough for its text, and for a column for each line that enters it."""
    entering = dict.fromkeys(shown, 0)
    for _, downstream in edges:
        entering[downstream] += 1
    return {one: float(max(len(text) + 4, 4 * entering[one] + 3)) for one, text in shown.items()}


def _listed(texts: Mapping[str, Label], edges: Iterable[tuple[str, str]]) -> Iterator[str]:
    before: dict[str, list[str]] = {}
    for upstream, downstream in edges:
        before.setdefault(downstream, []).append(texts[upstream].id)
    for one, label in texts.items():
        parents = before.get(one, [])
        more = f", and {len(parents) - 8} more" if len(parents) > 8 else ""  # noqa: PLR2004 - one line's worth
        comes = f"  <- {', '.join(parents[:8])}{more}" if parents else ""
        plan = f"  [{label.subtitle}]" if label.status else ""
        yield f"{label.id}{comes}{plan}"


def _legend(texts: Mapping[str, Label]) -> Iterator[str]:
    statuses = dict.fromkeys(label.status for label in texts.values() if label.status)
    if not statuses:
        return
    yield ""
    yield "   ".join(f"{SIGNS[status]} {status}" for status in statuses)
    for label in texts.values():
        if label.reasons:
            yield f"{label.id}: {', '.join(label.reasons)}"


# --- the picture -----------------------------------------------------------------------------


@dataclass(slots=True)
class _Wire:
    """What runs from one place in a layer to places in the next one."""

    start: int
    ends: list[int] = field(default_factory=list)
    track: int = 0

    @property
    def span(self) -> tuple[int, int]:
        """The columns that its track covers."""
        return min(self.start, *self.ends), max(self.start, *self.ends)

    @property
    def straight(self) -> bool:
        """Whether it needs no track."""
        return self.ends == [self.start]


def _picture(layout: Layout, edges: Sequence[tuple[str, str]], shown: Mapping[str, str]) -> Iterator[str]:
    width = int(layout.width) + 8
    depth = max((box.layer for box in layout.boxes.values()), default=-1)
    wires = _wires(layout, edges)
    for layer in range(depth + 1):
        yield from _row(layout, layer, shown, _passing(wires, layer), width)
        if layer < depth:
            yield from _channel(list(wires[layer].values()), width)


def _wires(layout: Layout, edges: Sequence[tuple[str, str]]) -> list[dict[str, _Wire]]:
    """Wires by layer and source; a line that passes a layer goes on in the column where it came in."""
    entries = _entries(layout, edges)
    rows: list[dict[str, _Wire]] = [{} for _ in layout.boxes]
    for upstream, downstream in edges:
        box = layout.boxes[upstream]
        passed = [int(x) // 2 * 2 + 1 for x, _ in layout.routes[upstream, downstream][1:-1:2]]
        start = _columns(box, 0)[0]
        for layer, to in enumerate([*passed, entries[upstream, downstream]], start=box.layer):
            wire = rows[layer].setdefault(upstream, _Wire(start))
            if to not in wire.ends:
                wire.ends.append(to)
            start = to
    return rows


def _entries(layout: Layout, edges: Sequence[tuple[str, str]]) -> Mapping[tuple[str, str], int]:
    """Choose the column in which each edge enters its box: from left to right as the lines come."""
    entering: dict[str, list[tuple[str, str]]] = {}
    for edge in edges:
        entering.setdefault(edge[1], []).append(edge)
    straight = _straight_pairs(layout, edges)
    found: dict[tuple[str, str], int] = {}
    for downstream, coming in entering.items():
        coming.sort(key=lambda edge: layout.routes[edge][-2][0])
        columns = sorted(_columns(layout.boxes[downstream], 2)[: len(coming)])
        found.update(zip(coming, columns, strict=True))
    return {**found, **{edge: _columns(layout.boxes[edge[0]], 0)[0] for edge in straight}}


def _columns(box: Box, remainder: int) -> list[int]:
    """List the columns of a box that leave this remainder of four, those nearest its middle first."""
    inside = range(int(box.x) + 1, int(box.x) + int(box.width) - 1)
    return sorted((one for one in inside if one % 4 == remainder), key=lambda one: abs(one - int(box.center)))


def _straight_pairs(layout: Layout, edges: Sequence[tuple[str, str]]) -> frozenset[tuple[str, str]]:
    """Edges that are the only ones of both their ends and can go straight down."""
    outs: dict[str, int] = {}
    ins: dict[str, int] = {}
    for upstream, downstream in edges:
        outs[upstream] = outs.get(upstream, 0) + 1
        ins[downstream] = ins.get(downstream, 0) + 1
    found = set()
    for upstream, downstream in edges:
        box, end = layout.boxes[upstream], layout.boxes[downstream]
        column = _columns(box, 0)[0]
        near = int(end.x) < column < int(end.x) + int(end.width) - 1
        if near and end.layer == box.layer + 1 and outs[upstream] == ins[downstream] == 1:
            found.add((upstream, downstream))
    return frozenset(found)


def _passing(wires: Sequence[Mapping[str, _Wire]], layer: int) -> Iterator[int]:
    """Columns of the lines that go through a layer without stopping."""
    if layer:
        above = wires[layer - 1]
        for source, wire in wires[layer].items():
            if source in above and wire.start in above[source].ends:
                yield wire.start


def _row(
    layout: Layout, layer: int, shown: Mapping[str, str], passing: Iterable[int], width: int
) -> Iterator[str]:
    lines = [[" "] * width for _ in range(3)]
    for column in passing:
        for line in lines:
            line[column] = "│"
    for one, box in layout.boxes.items():
        if box.layer == layer:
            inner = int(box.width) - 2
            across = "─" * inner
            drawn = (f"┌{across}┐", f"│{shown[one].center(inner)}│", f"└{across}┘")
            for line, part in zip(lines, drawn, strict=True):
                line[int(box.x) : int(box.x) + len(part)] = part
    yield from ("".join(line) for line in lines)


def _channel(wires: Sequence[_Wire], width: int) -> Iterator[str]:
    """Draw the lines between two layers, each source on a track where it touches no other's."""
    tracks = _tracks([wire for wire in wires if not wire.straight])
    grid = [[0] * width for _ in range(max(len(tracks), 1))]
    for wire in wires:
        _lay(wire, grid)
    for row in grid:
        yield "".join(map(_drawn, row))


def _drawn(cell: int) -> str:
    """One character; a line that only crosses a track goes over it."""
    if not cell & _JOINED and cell & _UPRIGHT and cell & (_LEFT | _RIGHT):
        return _LINES[_UPRIGHT]
    return _LINES.get(cell & ~_JOINED, " ")


def _tracks(wires: Sequence[_Wire]) -> list[list[tuple[int, int]]]:
    """Give each wire the first track free over its span, below those that start where it ends."""
    tracks: list[list[tuple[int, int]]] = []
    placed: list[_Wire] = []
    for wire in _upper_first(wires):
        low, high = wire.span
        track = max((one.track + 1 for one in placed if one.start in wire.ends), default=0)
        while track < len(tracks) and any(low <= right and left <= high for left, right in tracks[track]):
            track += 1
        tracks.extend([] for _ in range(track + 1 - len(tracks)))
        tracks[track].append((low, high))
        wire.track = track
        placed.append(wire)
    return tracks


def _upper_first(wires: Sequence[_Wire]) -> list[_Wire]:
    """Order wires so that one comes after those that start where it ends, from left to right else."""
    starting: dict[int, list[_Wire]] = {}
    for wire in wires:
        starting.setdefault(wire.start, []).append(wire)
    order: dict[int, _Wire] = {}
    seen: set[int] = set()

    def visit(wire: _Wire) -> None:
        if id(wire) not in seen:  # a circle of wires is cut where it was entered
            seen.add(id(wire))
            for end in sorted(wire.ends):
                for other in starting.get(end, ()):
                    visit(other)
            order[id(wire)] = wire

    for wire in sorted(wires, key=lambda one: one.span):
        visit(wire)
    return list(order.values())


def _lay(wire: _Wire, grid: list[list[int]]) -> None:
    if wire.straight:
        for row in grid:
            row[wire.start] |= _UPRIGHT
        return
    for row in grid[: wire.track]:
        row[wire.start] |= _UPRIGHT
    track = grid[wire.track]
    track[wire.start] |= _UP | _JOINED
    low, high = wire.span
    for column in range(low, high + 1):
        track[column] |= (_LEFT if column > low else 0) | (_RIGHT if column < high else 0)
    for end in wire.ends:
        track[end] |= _DOWN | _JOINED
        for row in grid[wire.track + 1 :]:
            row[end] |= _UPRIGHT
