"""Bars as SVG: panels beside each other, one row a runner, the value written at its end."""

from collections.abc import Mapping, Sequence
from html import escape

LABEL, PANEL, ROW, TOP, GAP, NUMBER = 150, 240, 22, 46, 14, 62
OURS_COLOUR, PEER_COLOUR, FLOOR_COLOUR = "#c2410c", "#64748b", "#cbd5e1"


def text(x: float, y: float, words: str, *, anchor: str = "start", weight: str = "normal") -> str:
    """Draw words."""
    return (
        f'<text x="{x:g}" y="{y:g}" text-anchor="{anchor}" font-weight="{weight}" '
        f'dominant-baseline="middle">{escape(words)}</text>'
    )


def figure(value: float) -> str:
    """Write a number with as many digits as are worth reading."""
    return f"{value:,.0f}" if value >= 100 else f"{value:.1f}" if value >= 10 else f"{value:.2f}"  # noqa: PLR2004


def panel(x: float, title: str, values: Sequence[float | None], colours: Sequence[str]) -> list[str]:
    """Draw one panel; a row without a value says so."""
    longest = max((value for value in values if value is not None), default=1.0) or 1.0
    drawn = [text(x, TOP - 16, title, weight="bold")]
    for row, (value, colour) in enumerate(zip(values, colours, strict=True)):
        y = TOP + row * ROW + ROW / 2
        if value is None:
            drawn.append(text(x, y, "failed"))
            continue
        width = max(1.0, value / longest * (PANEL - NUMBER))
        drawn.append(f'<rect x="{x:g}" y="{y - 7:g}" width="{width:.1f}" height="14" fill="{colour}"/>')
        drawn.append(text(x + width + 4, y, figure(value)))
    return drawn


def chart(title: str, names: Sequence[str], panels: Mapping[str, Sequence[float | None]]) -> str:
    """Draw all panels; the names that begin with nbpipeline stand out, one script is faint."""
    width = LABEL + len(panels) * (PANEL + GAP)
    height = TOP + len(names) * ROW + 12
    colours = [
        OURS_COLOUR
        if name.startswith("nbpipeline")
        else FLOOR_COLOUR
        if name == "one script"
        else PEER_COLOUR
        for name in names
    ]
    drawn = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" role="img"',
        f' width="{width}" height="{height}" font-family="sans-serif" font-size="12" fill="#0f172a">',
        f"<title>{escape(title)}</title>",
        f'<rect width="{width}" height="{height}" fill="#ffffff"/>',
    ]
    drawn += [
        text(LABEL - 8, TOP + row * ROW + ROW / 2, name, anchor="end") for row, name in enumerate(names)
    ]
    for number, (name, values) in enumerate(panels.items()):
        drawn += panel(LABEL + number * (PANEL + GAP), name, values, colours)
    return "\n".join((*drawn, "</svg>")) + "\n"
