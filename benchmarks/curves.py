"""Growth as SVG: both axes logarithmic, a line a command, the value written beside each point."""

import math
from collections.abc import Iterator, Mapping, Sequence

from benchmarks.bars import OURS_COLOUR, figure, text

Points = Mapping[int, float]

LEFT, TOP, PLOT_WIDTH, PLOT_HEIGHT, RIGHT, BOTTOM = 60, 40, 560, 320, 150, 76
ROOM = 30  # below the lowest decade, for labels
APART = 13  # points between two labels
COLOURS = (OURS_COLOUR, "#0369a1", "#15803d", "#7e22ce", "#64748b")
GRID, GOAL = "#e2e8f0", "#94a3b8"


def decades(values: Sequence[float]) -> tuple[int, int]:
    """Give the powers of ten between which all values lie."""
    low = math.floor(math.log10(min(values)) + 1e-9)
    high = math.ceil(math.log10(max(values)) - 1e-9)
    return low, max(high, low + 1)


class Axes:
    """Where a value is drawn."""

    def __init__(self, xs: Sequence[float], ys: Sequence[float]) -> None:
        """Span the values; at least a decade each way."""
        self.across, self.up = decades(xs), decades(ys)

    def x(self, value: float) -> float:
        """Give the place across."""
        low, high = self.across
        return LEFT + (math.log10(value) - low) / (high - low) * PLOT_WIDTH

    def y(self, value: float) -> float:
        """Give the place down."""
        low, high = self.up
        return TOP + PLOT_HEIGHT - (math.log10(value) - low) / (high - low) * PLOT_HEIGHT

    def grid(self) -> Iterator[str]:
        """Draw a line a decade, with its value."""
        for power in range(self.across[0], self.across[1] + 1):
            x = self.x(10.0**power)
            yield f'<path d="M{x:.1f} {TOP}v{PLOT_HEIGHT + ROOM}" stroke="{GRID}"/>'
            yield text(round(x, 1), TOP + PLOT_HEIGHT + ROOM + 14, f"{10**power:,}", anchor="middle")
        for power in range(self.up[0], self.up[1] + 1):
            y = self.y(10.0**power)
            yield f'<path d="M{LEFT} {y:.1f}h{PLOT_WIDTH}" stroke="{GRID}"/>'
            yield text(LEFT - 6, round(y, 1), f"{10.0**power:,g}", anchor="end")


def line(points: Points, axes: Axes, colour: str) -> str:
    """Draw the points of one command and what joins them."""
    places = [(axes.x(x), axes.y(y)) for x, y in sorted(points.items())]
    path = "L".join(f"{x:.1f} {y:.1f}" for x, y in places)
    dots = "".join(f'<circle cx="{x:.1f}" cy="{y:.1f}" r="3.5" fill="{colour}"/>' for x, y in places)
    return f'<path d="M{path}" fill="none" stroke="{colour}" stroke-width="1.5"/>{dots}'


def spaced(places: Sequence[float]) -> list[float]:
    """Push labels apart, downward, so that none covers another; from top to bottom."""
    found: list[float] = []
    for place in places:
        found.append(max(place, found[-1] + APART) if found else place)
    return found


def labels(series: Mapping[str, Points], axes: Axes) -> Iterator[str]:
    """Write each value below its point and to the right, where no rising line passes, in its colour."""
    colours = dict(zip(series, COLOURS, strict=False))
    for x in sorted({x for points in series.values() for x in points}):
        here = sorted((axes.y(points[x]), name) for name, points in series.items() if x in points)
        for y, (_, name) in zip(spaced([place + APART for place, _ in here]), here, strict=True):
            words = text(round(axes.x(x) + 4, 1), round(y, 1), f"{figure(series[name][x])} s")
            yield words.replace("<text ", f'<text fill="{colours[name]}" class="label" ', 1)


def goal_marks(goals: Mapping[str, Points], axes: Axes) -> Iterator[str]:
    """Draw what a command should take at most: a short line above its point."""
    for points in goals.values():
        for x, y in points.items():
            yield f'<path d="M{axes.x(x) - 9:.1f} {axes.y(y):.1f}h18" stroke="{GOAL}" stroke-width="2"/>'


def legend(names: Sequence[str], *, goals: bool) -> Iterator[str]:
    """Name the lines, at the right of the plot."""
    x = LEFT + PLOT_WIDTH + 64
    marks = [*zip(names, COLOURS, strict=False), *([("goal, at most", GOAL)] if goals else [])]
    for row, (name, colour) in enumerate(marks):
        y = TOP + 10 + row * 20
        yield f'<rect x="{x - 14}" y="{y - 2}" width="10" height="4" fill="{colour}"/>{text(x, y, name)}'


def growth(title: str, series: Mapping[str, Points], goals: Mapping[str, Points], axis: str) -> str:
    """Draw all lines; a command without a point is left out."""
    drawn = {name: points for name, points in series.items() if points}
    width, height = LEFT + PLOT_WIDTH + RIGHT + 40, TOP + PLOT_HEIGHT + BOTTOM
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" role="img"',
        f' width="{width}" height="{height}" font-family="sans-serif" font-size="12" fill="#0f172a">',
        f"<title>{title}</title>",
        f'<rect width="{width}" height="{height}" fill="#ffffff"/>',
        text(LEFT, 18, title, weight="bold"),
    ]
    if drawn:
        meant = [*drawn.values(), *(goals[name] for name in drawn if name in goals)]
        axes = Axes([x for one in meant for x in one], [y for one in meant for y in one.values()])
        parts += axes.grid()
        parts += goal_marks({name: goals[name] for name in drawn if name in goals}, axes)
        parts += [line(points, axes, COLOURS[place]) for place, points in enumerate(drawn.values())]
        parts += labels(drawn, axes)
        parts += legend(list(drawn), goals=any(name in goals for name in drawn))
        parts.append(text(LEFT + PLOT_WIDTH / 2, height - 10, axis, anchor="middle"))
    return "\n".join((*parts, "</svg>")) + "\n"
