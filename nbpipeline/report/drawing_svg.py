"""The DAG as one SVG: no script, no outside request, readable in light and dark."""

from collections.abc import Collection, Iterator, Mapping, Sequence
from html import escape
from itertools import pairwise
from unicodedata import east_asian_width

from nbpipeline.layout import Box, Layout, Point, Spacing, lay_out
from nbpipeline.model import Pipeline, Plan
from nbpipeline.report.drawing_labels import Label, clean, joined, labels, shortened

SPACING = Spacing(height=46, column_gap=26, layer_gap=46, line_gap=18, widest_gap=110)
MARGIN = 16.0
PADDING = 16.0
"""Left and right of a box's text, pixels."""

# Widths in thousandths of the font's size, near enough to any sans-serif; the rest is as wide as most.
_NARROW, _WIDE, _MOST, _CAPITAL = 330, 900, 580, 700

STYLE = """
.nbp text{font-family:system-ui,-apple-system,"Segoe UI","DejaVu Sans",sans-serif;fill:#1f2933}
.nbp .title{font-size:13px;font-weight:600}
.nbp .subtitle{font-size:11px;fill:#52606d}
.nbp rect{fill:#f5f7fa;stroke:#7b8794;stroke-width:1.2}
.nbp .fresh rect{fill:#e3f5e6;stroke:#2f855a}
.nbp .run rect{fill:#ffe8d5;stroke:#c05621}
.nbp .restore rect{fill:#e1effe;stroke:#2b6cb0}
.nbp .maybe rect{fill:#fff9db;stroke:#b7791f;stroke-dasharray:5 3}
.nbp .line{fill:none;stroke:#7b8794;stroke-width:1.4}
.nbp .order{stroke-dasharray:4 4}
.nbp .head{fill:#7b8794}
@media (prefers-color-scheme:dark){
.nbp text{fill:#e4e7eb}
.nbp .subtitle{fill:#b8c2cc}
.nbp rect{fill:#28323c;stroke:#9aa5b1}
.nbp .fresh rect{fill:#1c3a29;stroke:#68d391}
.nbp .run rect{fill:#4a2c17;stroke:#f6ad55}
.nbp .restore rect{fill:#1a3350;stroke:#63b3ed}
.nbp .maybe rect{fill:#463b14;stroke:#f6e05e}
}
""".strip().replace("\n", "")

RUN_STYLE = """
.nbp .succeeded rect{fill:#e3f5e6;stroke:#2f855a}
.nbp .restored rect{fill:#e1effe;stroke:#2b6cb0}
.nbp .failed rect,.nbp .check_failed rect{fill:#fde3e1;stroke:#c53030;stroke-width:2}
.nbp .running rect{fill:#fff3cd;stroke:#b7791f}
.nbp .fresh rect{fill:none;stroke:#9aa5b1}
.nbp .blocked rect,.nbp .cancelled rect,.nbp .cut_off rect,.nbp .waiting rect,.nbp .not_started rect{
stroke-dasharray:5 3}
.nbp .upon rect{stroke-width:3}
.nbp .line.upon{stroke:#1f2933;stroke-width:3}
.nbp .head.upon{fill:#1f2933}
@media (prefers-color-scheme:dark){
.nbp .succeeded rect{fill:#1c3a29;stroke:#68d391}
.nbp .restored rect{fill:#1a3350;stroke:#63b3ed}
.nbp .failed rect,.nbp .check_failed rect{fill:#4a1f1d;stroke:#fc8181}
.nbp .running rect{fill:#463b14;stroke:#f6e05e}
.nbp .fresh rect{fill:none;stroke:#616e7c}
.nbp .line.upon{stroke:#e4e7eb}
.nbp .head.upon{fill:#e4e7eb}
}
""".strip().replace("\n", "")
"""What a run's drawing has more: how each stage ended, and the path that stands out."""

ARROW = (
    '<defs><marker id="nbp-head" viewBox="0 0 8 8" refX="7" refY="4" markerWidth="7" markerHeight="7" '
    'orient="auto"><path class="head" d="M0 0.5 8 4 0 7.5z"/></marker></defs>'
)
UPON_ARROW = (
    '<defs><marker id="nbp-upon" viewBox="0 0 8 8" refX="7" refY="4" markerWidth="4" markerHeight="4" '
    'orient="auto"><path class="head upon" d="M0 0.5 8 4 0 7.5z"/></marker></defs>'
)


def draw(pipeline: Pipeline, plan: Plan | None = None, *, links: Mapping[str, str] | None = None) -> str:
    """Draw the DAG; with a plan, each box wears its status and first reason. `links`: href by instance id."""
    return picture(clean(pipeline.project.name), labels(pipeline, plan), joined(pipeline), links=links)


def picture(
    name: str,
    texts: Mapping[str, Label],
    edges: Mapping[tuple[str, str], Sequence[str]],
    *,
    links: Mapping[str, str] | None = None,
    upon: Collection[str] = (),
    style: str = STYLE,
) -> str:
    """Draw labelled boxes and what joins them; `edges` with the paths between, none for order alone.

    `upon` are boxes on a path, in its order, that stand out with the lines between them. Raises ValueError
    for a circle.
    """
    widths = {one: _box_width(label) for one, label in texts.items()}
    layout = lay_out(list(texts), edges, widths=widths, spacing=SPACING)
    parts = [
        *([UPON_ARROW] if upon else []),
        *_lines(layout, edges, frozenset(pairwise(upon))),
        *(
            _box(layout.boxes[one], label, (links or {}).get(one), " upon" if one in upon else "")
            for one, label in texts.items()
        ),
    ]
    width, height = layout.width + 2 * MARGIN, layout.height + 2 * MARGIN
    size = f'width="{width:.0f}" height="{height:.0f}" viewBox="0 0 {width:.0f} {height:.0f}"'
    return "\n".join(
        [
            f'<svg xmlns="http://www.w3.org/2000/svg" class="nbp" role="img" {size}>',
            f"<title>{_text(name)}</title>",
            f"<style>{style}</style>",
            ARROW,
            f'<g transform="translate({MARGIN:g} {MARGIN:g})">',
            *parts,
            "</g>",
            "</svg>",
            "",
        ]
    )


def _text(text: str) -> str:
    return escape(text, quote=True)


def _lines(
    layout: Layout, edges: Mapping[tuple[str, str], Sequence[str]], upon: Collection[tuple[str, str]]
) -> Iterator[str]:
    for pair, paths in edges.items():
        kind, head = ("line" if paths else "line order"), "nbp-head"
        if pair in upon:
            kind, head = f"{kind} upon", "nbp-upon"
        title = f"<title>{_text(', '.join(paths) or 'order only')}</title>"
        curve = _curve(layout.routes[pair])
        yield f'<path class="{kind}" d="{curve}" marker-end="url(#{head})">{title}</path>'


def _curve(points: Sequence[Point]) -> str:
    """Go upright through layers and bend only between them, so that no line runs through a box."""
    steps = [f"M{points[0][0]:.1f} {points[0][1]:.1f}"]
    for (x, y), (to_x, to_y) in pairwise(points):
        if abs(x - to_x) < 0.05:  # noqa: PLR2004 - less than a drawing shows
            steps.append(f"L{to_x:.1f} {to_y:.1f}")
        else:
            middle = (y + to_y) / 2
            steps.append(f"C{x:.1f} {middle:.1f} {to_x:.1f} {middle:.1f} {to_x:.1f} {to_y:.1f}")
    return "".join(steps)


def _box(box: Box, label: Label, link: str | None, kind: str = "") -> str:
    lines = [label.id, label.notebook, label.description, label.status, *label.reasons]
    title = _text("\n".join(line for line in lines if line))
    drawn = (
        f'<g class="stage {label.status}{kind}" data-stage="{_text(label.id)}"><title>{title}</title>'
        f'<rect x="{box.x:.1f}" y="{box.y:.1f}" width="{box.width:.1f}" height="{box.height:.1f}" rx="7"/>'
        f'<text class="title" x="{box.center:.1f}" y="{box.y + 19:.1f}" text-anchor="middle">'
        f"{_text(shortened(label.id))}</text>"
        f'<text class="subtitle" x="{box.center:.1f}" y="{box.y + 35:.1f}" text-anchor="middle">'
        f"{_text(shortened(label.subtitle))}</text></g>"
    )
    return f'<a href="{_text(link)}">{drawn}</a>' if link else drawn


def _box_width(label: Label) -> float:
    title, subtitle = shortened(label.id), shortened(label.subtitle)
    return max(72.0, _ems(title) * 15.2, _ems(subtitle) * 12) + 2 * PADDING


def _ems(text: str) -> float:
    """Estimate the text's width, in ems."""
    return sum(map(_thousandths, text)) / 1000


def _thousandths(character: str) -> int:
    if east_asian_width(character) in "WF":
        return 1000
    if character in "ijlftrI.,:;'|![]() ":
        return _NARROW
    if character in "mwMW@%":
        return _WIDE
    return _CAPITAL if character.isupper() else _MOST
