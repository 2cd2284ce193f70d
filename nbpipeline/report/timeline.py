"""When each stage and cell of a run ran, drawn as bars: HTML and CSS alone."""

from collections.abc import Collection, Iterator, Mapping, Sequence

from nbpipeline.report.critical_path import Span
from nbpipeline.report.page import Markup, joined, tag
from nbpipeline.report.run_facts import RunFacts, StageFacts
from nbpipeline.report.wording import duration

MOST_ROWS = 600
"""Bars that are drawn; those left out are the shortest."""
MOST_MARKS = 6_000
"""Cells that are drawn in all of them."""
MOST_CELLS = 80
"""Cells that are drawn in one bar; those left out are the shortest."""
_TICKS = 6
_STEPS = (0.1, 0.2, 0.5, 1, 2, 5, 10, 20, 30, 60, 120, 300, 600, 1200, 1800, 3600, 7200, 14400, 28800, 86400)


def timeline(facts: RunFacts, anchors: Mapping[str, str]) -> Markup:
    """Draw a bar a stage, the cells in it; nothing where nothing is known to have run."""
    spans = [(one, one.span) for one in facts.stages if one.span is not None]
    if not spans:
        return Markup("")
    upon = {link.stage for link in facts.path}
    kept = _kept([one for one, _ in spans], upon)
    began = min(facts.started or spans[0][1].started, *(span.started for _, span in spans))
    length = max(facts.end, *(span.finished for _, span in spans)) - began or 1.0
    rows = sorted(((one, span) for one, span in spans if one.stage in kept), key=lambda row: row[1].started)
    cells = min(MOST_CELLS, MOST_MARKS // len(rows))
    bars = joined(
        _row(one, span, began, length, anchors, " upon" if one.stage in upon else "", cells)
        for one, span in rows
    )
    left_out = len(spans) - len(rows)
    said = f"The {left_out} shortest stages are left out. " if left_out else ""
    return joined(
        [
            tag("ol", _axis(length), bars, class_="gantt"),
            tag(
                "p",
                f"{said}Dark: cells. Light: kernel, checks, saving. Underlined: the critical path.",
                class_="key",
            ),
        ]
    )


def _kept(stages: Sequence[StageFacts], upon: Collection[str]) -> set[str]:
    """Choose what is drawn: what determined the run's time first, then what took longest."""
    ranked = sorted(stages, key=lambda one: (one.stage not in upon, -_length(one)))
    return {one.stage for one in ranked[:MOST_ROWS]}


def _length(one: StageFacts) -> float:
    return one.span.finished - one.span.started if one.span else 0.0


def _row(
    one: StageFacts,
    span: Span,
    began: float,
    length: float,
    anchors: Mapping[str, str],
    kind: str,
    most: int,
) -> Markup:
    took = duration(span.finished - span.started)
    since = duration(span.started - began)
    title = f"{one.stage}: {one.status.replace('_', ' ')}, began after {since}, took {took}"
    place = _place((span.started - began) / length, _length(one) / length)
    bar = tag("span", joined(_marks(one, span, most)), class_="bar", style=place, title=title)
    who = tag("a", one.stage, class_="who", href=f"#{anchors[one.stage]}", title=one.stage)
    return tag(
        "li",
        who,
        tag("span", bar, class_="track"),
        tag("span", took, class_="took"),
        class_=f"{one.status}{kind}",
    )


def _marks(one: StageFacts, span: Span, most: int) -> Iterator[Markup]:
    """Draw the cells that have a time, the longest of them where there are too many."""
    length = span.finished - span.started
    timed = [(cell, cell.finished) for cell in one.cells if cell.finished is not None]
    if length <= 0:
        return
    longest = sorted(timed, key=lambda pair: -pair[0].seconds)[:most]
    for cell, finished in sorted(longest, key=lambda pair: pair[1]):
        start = max(span.started, finished - cell.seconds)
        width = min(finished, span.finished) - start
        if width / length >= 0.002:  # noqa: PLR2004 - less cannot be seen
            name = f"cell {cell.cell}" if cell.cell else "injected parameters"
            title = f"{name}: {duration(cell.seconds)}"
            yield tag("i", style=_place((start - span.started) / length, width / length), title=title)


def _place(left: float, width: float) -> str:
    """Write where a bar stands, in shares of what it stands in; always inside it."""
    left = min(max(left, 0.0), 0.998)
    return f"--l:{left:.4%};--w:{min(max(width, 0.0), 1 - left):.4%}"


def _axis(length: float) -> Markup:
    step = next((one for one in _STEPS if length / one <= _TICKS), _STEPS[-1])
    count = min(int(length / step) + 1, 4 * _TICKS)
    places = [number * step for number in range(count) if number * step <= length * 0.97]
    ticks = (
        tag("b", tag("span", _tick(place)), style=f"--l:{place / length:.4%}", aria_hidden="true")
        for place in places
    )
    return tag("li", tag("div", joined(ticks)), class_="axis", aria_hidden="true")


def _tick(seconds: float) -> str:
    if not seconds:
        return "0"
    if seconds < 60:  # noqa: PLR2004 - a minute
        return f"{seconds:g} s"
    return f"{seconds / 60:g} min" if seconds < 3600 else f"{seconds / 3600:g} h"  # noqa: PLR2004 - an hour
