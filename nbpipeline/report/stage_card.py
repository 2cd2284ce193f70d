"""One stage in a run's page: why it ran, what it was given, what it gave, what it cost, how it failed."""

from collections.abc import Iterator, Mapping, Sequence
from itertools import islice
from pathlib import Path
from typing import Any

from nbpipeline.model import Value
from nbpipeline.model.told import CheckLog
from nbpipeline.patterns import regex
from nbpipeline.report.page import (
    Markup,
    joined,
    lines,
    link,
    table,
    tag,
    text,
    value_text,
)
from nbpipeline.report.plots import Plot
from nbpipeline.report.run_facts import ENDED_BADLY, MetricFact, StageFacts
from nbpipeline.report.wording import change, duration, figure, size

MOST = 40
"""Rows of each of a stage's tables; of cells, those that took longest are shown."""
MOST_EXAMPLES = 20
MOST_COLUMNS = 16
LOG_LINES = 25
_LOG_BYTES = 20_000
_LOG_CHARACTERS = 6_000
_ESCAPES = regex(r"\x1b\[[0-9;?]*[ -/]*[@-~]")


def pill(status: str, *, big: bool = False) -> Markup:
    """Show a status as a coloured word."""
    return tag("span", status.replace("_", " "), class_=f"pill{' big' if big else ''} {status}")


def card(
    one: StageFacts, anchor: str, base: Path, plots: Sequence[Plot], told: Sequence[str], *, unfolded: bool
) -> Markup:
    """Write all of a stage; `told` are remarks on its plots."""
    parts = [
        *_head(one, base),
        *_failure(one),
        *_reasons(one),
        *_pictures(one, plots, told),
        titled("Metrics", metrics_table([(one, metric) for metric in one.metrics[:MOST]], named=False)),
        titled("Parameters", _parameters(one.parameters)),
        *_checks(one.checks),
        *_cells(one),
        titled("Outputs", _outputs(one)),
    ]
    return _folded(one, anchor, parts, unfolded=unfolded)


def short_card(one: StageFacts, anchor: str, base: Path) -> Markup:
    """Write the little that there is room for in a page of very many stages."""
    return _folded(
        one, anchor, [*_head(one, base), *_failure(one, log=False), *_reasons(one, 3)], unfolded=False
    )


def titled(title: str, part: Markup) -> Markup:
    """Head a part; nothing where it is empty."""
    return joined([tag("h3", title), part]) if part else part


def _folded(one: StageFacts, anchor: str, parts: Sequence[str], *, unfolded: bool) -> Markup:
    tries = f"{one.attempts} attempts" if one.attempts > 1 else ""
    facts = [duration(one.seconds or None), size(one.peak_memory) if one.peak_memory else "", tries]
    said = " \u00b7 ".join(filter(None, facts))
    summary = tag("summary", tag("b", one.stage), pill(one.status), tag("span", said, class_="soft"))
    body = tag("div", joined(parts), class_="body", id=anchor)
    return tag("details", summary, body, class_="card", open="" if unfolded else None)


def _head(one: StageFacts, base: Path) -> Iterator[Markup]:
    if one.description:
        yield tag("p", one.description)
    many = len(one.notebooks) > 1
    links = []
    for number, path in enumerate(one.notebooks[:MOST], start=1):
        page, said = path.with_suffix(".html"), f"executed notebook{f', attempt {number}' if many else ''}"
        if page.exists():  # which a browser shows
            links.append(link(page, base, said))
            said = ".ipynb"
        links.append(link(path, base, said))
    if one.log:
        links.append(link(one.log, base, "log"))
    source = tag("code", one.notebook) if one.notebook else ""
    parts = [source, *links]
    yield tag("p", joined(filter(None, parts), " \u00b7 "), class_="soft")


def _failure(one: StageFacts, *, log: bool = True) -> Iterator[Markup]:
    if one.failure:
        yield failure_box(one.failure)
    if one.failure and log and one.log is not None and (tail := _tail(one.log)):
        yield titled("Last lines of its log", tag("pre", lines(tail, _LOG_CHARACTERS), tabindex="0"))
    for notice in one.notices[:MOST]:
        yield tag("p", text(notice, 1000), class_="note")


def failure_box(failure: Mapping[str, Any]) -> Markup:
    """Say in its parts why a stage failed."""
    where, what, known, mend = (str(failure.get(key) or "") for key in ("where", "what", "known", "mend"))
    place = f"{where}: " if where else ""
    parts = [
        tag("p", tag("b", joined([text(place), lines(what)]))),
        tag("p", lines(known)) if known else "",
        tag("p", joined(["mend: ", lines(mend)])) if mend else "",
    ]
    return tag("div", joined(filter(None, parts)), class_="wrong")


def _tail(log: Path) -> str:
    """Give the last lines of a log, without what would colour a terminal."""
    try:
        with log.open("rb") as file:
            file.seek(max(0, file.seek(0, 2) - _LOG_BYTES))
            told = file.read().decode("utf-8", "replace")
    except OSError:
        return ""
    return "\n".join(_ESCAPES.sub("", told).splitlines()[-LOG_LINES:])


def _reasons(one: StageFacts, most: int = MOST) -> Iterator[Markup]:
    if not one.reasons:
        return
    more = len(one.reasons) - most
    said = [tag("li", reason) for reason in one.reasons[:most]]
    said += [tag("li", f"and {more} more")] if more > 0 else []
    why = (
        "Why it was to run"
        if one.status in ("blocked", "cancelled", "waiting", "not_started")
        else "Why it ran"
    )
    yield titled(why, tag("ul", joined(said)))


def _pictures(one: StageFacts, plots: Sequence[Plot], told: Sequence[str]) -> Iterator[Markup]:
    if plots:
        yield titled(
            "Plots", tag("div", joined(figure_of(one.stage, plot) for plot in plots), class_="plots")
        )
    for said in told:
        yield tag("p", said, class_="soft")


def figure_of(stage: str, plot: Plot, missing: str = "") -> Markup:
    """Show a plot with its place."""
    place = f"cell {plot.cell}" if plot.cell else "injected cell"
    said = f"{plot.heading}, {place}" if plot.heading else place
    numbered = f"{said}, plot {plot.number}" if plot.number > 1 else said
    picture = Markup(f'<img alt="{text(f"{stage}: {numbered}")}" src="{plot.uri}">')
    shown = tag("div", missing, class_="absent") if missing else picture
    return tag("figure", shown, tag("figcaption", numbered))


# --- metrics -------------------------------------------------------------------------------------


def metrics_table(rows: Sequence[tuple[StageFacts, MetricFact]], *, named: bool = True) -> Markup:
    """Write metrics with what they were, and how they went; `named`: with the stage of each."""
    written = []
    for one, metric in rows:
        since = value_text(metric.before, 60) if metric.before_run else Markup("")
        cells = [metric.name, value_text(metric.value, 120), since, _moved(metric), trail(metric.trail)]
        written.append([one.stage, *cells] if named else cells)
    head = ["metric", "value", "before", "change", "in the last runs"]
    return table(["stage", *head] if named else head, written, class_="still")


def _moved(metric: MetricFact) -> str:
    if not metric.before_run:
        return "new"
    if figure(metric.before) == figure(metric.value):
        return "="
    moved = change(metric.before, metric.value)
    sign = "\u25b2" if moved.startswith("+") else "\u25bc"
    return f"{sign} {moved}" if moved else "changed"


def trail(values: Sequence[float]) -> Markup:
    """Draw how a metric went: a line, and a dot for this run."""
    if len(values) < 2:  # noqa: PLR2004 - one value makes no line
        return Markup("")
    low, high = min(values), max(values)
    width, height, edge = 90, 22, 3
    step = (width - 2 * edge) / (len(values) - 1)
    spread = high - low
    points = [
        (
            edge + number * step,
            height / 2 if not spread else height - edge - (value - low) / spread * (height - 2 * edge),
        )
        for number, value in enumerate(values)
    ]
    line = "M" + "L".join(f"{x:.1f} {y:.1f}" for x, y in points)
    dot = f'<circle cx="{points[-1][0]:.1f}" cy="{points[-1][1]:.1f}" r="2.5"/>'
    said = text(", ".join(figure(value) for value in values))
    return Markup(
        f'<svg class="trail" viewBox="0 0 {width} {height}" role="img" aria-label="{said}">'
        f'<title>{said}</title><path d="{line}"/>{dot}</svg>'
    )


# --- the rest ------------------------------------------------------------------------------------


def _parameters(parameters: Mapping[str, Value]) -> Markup:
    shown = [
        (name, tag("span", value_text(value), class_="long mono"))
        for name, value in islice(parameters.items(), MOST)
    ]
    more = len(parameters) - len(shown)
    return joined([table(("name", "value"), shown), _left_out(more, "parameters")])


def _left_out(more: int, what: str) -> Markup:
    return tag("p", f"{more} more {what} are left out.", class_="soft") if more > 0 else Markup("")


def _checks(checks: Sequence[CheckLog]) -> Iterator[Markup]:
    """Show the checks, those that do not hold first, each with its failing rows."""
    ranked = sorted(checks, key=lambda one: (bool(one.passed), one.severity == "warn"))
    shown = ranked[:MOST]
    rows = [
        (
            check_pill(one),
            f"{one.side} {one.artifact}",
            tag("span", joined([tag("code", str(one.check)), " ", _arguments(one.arguments)]), class_="long"),
            tag("span", lines(str(one.message), 1000), class_="long"),
        )
        for one in shown
    ]
    yield titled(
        "Checks",
        joined([table(("", "on", "check", "found"), rows), _left_out(len(ranked) - len(shown), "checks")]),
    )
    for one in shown:
        if not one.passed and (rows_of := failing_rows(one)):
            yield rows_of


def check_pill(one: CheckLog) -> Markup:
    """Show how a check went."""
    if one.passed:
        return tag("span", "passed", class_="pill succeeded")
    warned = one.severity == "warn"
    return tag("span", "warning" if warned else "failed", class_="pill warned" if warned else "pill failed")


def _arguments(arguments: Value) -> Markup:
    return Markup("") if arguments in (None, {}, []) else value_text(arguments)


def failing_rows(one: CheckLog) -> Markup:
    """Write the rows that a check names as a table: the first of them, and the first columns."""
    details = one.details if isinstance(one.details, Mapping) else {}
    examples = details.get("examples")
    rows = [row for row in examples if isinstance(row, Mapping)] if isinstance(examples, list | tuple) else []
    rows = rows[:MOST_EXAMPLES]
    columns = list(dict.fromkeys(str(key) for row in rows for key in row))[:MOST_COLUMNS]
    if not columns:
        return Markup("")
    named = [{str(key): value for key, value in row.items()} for row in rows]
    written = [[value_text(row[key], 80) if key in row else "" for key in columns] for row in named]
    failed = details.get("failed")
    of = f" of {failed}" if isinstance(failed, int) and failed > len(rows) else ""
    rows_said = f"{len(rows)}{of} failing row{'s' if of or len(rows) != 1 else ''}"
    said = f"{one.side} {one.artifact}, {one.check}: {rows_said}"
    return joined([tag("h3", said), table(columns, written, class_="rows")])


def _cells(one: StageFacts) -> Iterator[Markup]:
    if not one.cells:
        return
    longest = max(cell.seconds for cell in one.cells) or 1.0
    chosen = sorted(range(len(one.cells)), key=lambda place: -one.cells[place].seconds)[:MOST]
    rows = []
    for place in sorted(chosen):
        cell = one.cells[place]
        share = tag("span", "", class_="share", style=f"--w:{cell.seconds / longest:.2%}")
        name = str(cell.cell) if cell.cell else "injected"
        rows.append(
            (name, duration(cell.seconds), tag("span", share, class_="shares"), size(cell.peak_memory))
        )
    more = len(one.cells) - len(rows)
    told = f"{len(one.cells)} cells, {duration(sum(cell.seconds for cell in one.cells))}"
    cells = joined([table(("cell", "took", "", "memory"), rows), _left_out(more, "cells, which took less,")])
    yield titled("Cells", tag("details", tag("summary", told), cells))


def _outputs(one: StageFacts) -> Markup:
    rows = [
        (tag("code", output.path), size(output.size), tag("code", output.digest[:12]))
        for output in one.outputs[:MOST]
    ]
    return joined(
        [table(("path", "size", "digest"), rows), _left_out(len(one.outputs) - len(rows), "outputs")]
    )


def is_bad(one: StageFacts) -> bool:
    """Whether a reader wants to see it first."""
    return one.status in ENDED_BADLY
