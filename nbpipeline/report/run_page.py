"""The report of a run: one HTML page that stands alone, bounded however large the run was."""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from nbpipeline.report import drawing_svg
from nbpipeline.report.drawing_labels import Label, clean, shortened
from nbpipeline.report.page import Markup, document, joined, tag, text
from nbpipeline.report.plots import Plot, plots_of
from nbpipeline.report.run_facts import DONE, NOT_BEGUN, MetricFact, RunFacts, StageFacts
from nbpipeline.report.stage_card import (
    card,
    check_pill,
    failing_rows,
    failure_box,
    is_bad,
    metrics_table,
    pill,
    short_card,
    titled,
)
from nbpipeline.report.timeline import timeline
from nbpipeline.report.wording import duration, figure, moment
from nbpipeline.values import dataclass

MOST_BOXES = 250
"""Instances that are drawn; of more, a box a stage."""
MOST_CARDS = 1_000
"""Stages that are told of one by one; then those that failed, and those that took longest."""
CARDS = 3_000_000
"""Characters for all of what is told of stages; then a few words must do for each."""
PICTURES = 6_000_000
"""Characters for all plots."""
LARGEST_PICTURE = 1_500_000
MOST_PICTURES = 12
"""Plots of one stage."""
MOST_METRICS = 100
MOST_NAMES = 1_000
MOST_LINKS = 60
UNFOLDED = 12
"""So many stages are shown unfolded; of more, those that failed."""
MOST_FAILING = 10
"""Of one stage: tables of failing rows, one a check."""
SHOWN_FAILURES = 5
_RANK = (
    "failed",
    "check_failed",
    "cut_off",
    "running",
    "blocked",
    "cancelled",
    "not_started",
    "waiting",
    "succeeded",
    "restored",
    "fresh",
)


@dataclass(slots=True, kw_only=True)
class Purse:
    """What is left of a page's room, in characters."""

    left: int
    spent: bool = False
    """Whether something could not be paid."""

    def pays(self, cost: int) -> bool:
        """Take the cost if it is there."""
        if cost > self.left:
            self.spent = True
            return False
        self.left -= cost
        return True


def run_page(facts: RunFacts, base: Path) -> str:
    """Write the page; its links are relative to `base`, the folder in which it will stand."""
    anchors = {one.stage: f"stage-{number}" for number, one in enumerate(facts.stages, start=1)}
    body = [
        _top(facts),
        *_wrong(facts, anchors),
        _section("metrics", "Metrics", _metrics(facts)),
        _section("checks", "Checks", _checks(facts)),
        _section("pipeline", "Pipeline", _pipeline(facts, anchors)),
        _section("timeline", "Timeline", timeline(facts, anchors)),
        _section("critical-path", "Critical path", _critical(facts, anchors)),
        _stages(facts, anchors, base),
        _fresh(facts, anchors),
        tag("footer", f"Made by nbpipeline from {facts.folder} at {moment(facts.now)}."),
    ]
    return document(f"{facts.project}: run {facts.run}, {facts.status}", body)


def _section(anchor: str, title: str, part: Markup) -> Markup:
    return tag("section", tag("h2", title), part, id=anchor) if part else part


# --- the head ------------------------------------------------------------------------------------


def _top(facts: RunFacts) -> Markup:
    ended = facts.end - facts.started
    took = f"{duration(ended)} so far" if facts.finished is None else duration(ended)
    commit = facts.commit
    counted: dict[str, int] = {}
    for one in sorted(facts.stages, key=lambda one: _rank(one.status)):
        counted[one.status] = counted.get(one.status, 0) + 1
    rows = [
        ("started", moment(facts.started) if facts.started else "not known", ""),
        ("took", took if facts.started else "not known", ""),
        (
            "stages",
            ", ".join(f"{number} {status.replace('_', ' ')}" for status, number in counted.items()),
            "",
        ),
        ("commit", f"{commit.id[:12]}{', with changes' if commit.dirty else ''}" if commit else "", ""),
        ("profile", facts.profile, ""),
        ("command", facts.command, "wide"),
    ]
    listed = (
        tag("div", tag("dt", name), tag("dd", said, class_="mono" if wide else None), class_=wide or None)
        for name, said, wide in rows
        if said
    )
    name = tag("div", tag("h1", facts.project), tag("span", f"run {facts.run}", class_="soft"), class_="name")
    return tag(
        "header",
        tag("div", name, pill(facts.status, big=True), class_="top"),
        tag("dl", joined(listed), class_="facts"),
        joined(_remarks(facts)),
        _links(facts),
    )


def _remarks(facts: RunFacts) -> Iterator[Markup]:
    if facts.status == "running":
        yield tag(
            "p", f"The run still goes on: this is how far it had come at {moment(facts.now)}.", class_="note"
        )
    if facts.status == "killed":
        yield tag("p", "The run was killed: its process ended without a word.", class_="note")
    if facts.stages and all(one.status == "fresh" for one in facts.stages):
        yield tag("p", "Nothing had to run: all was fresh.", class_="note")
    for said in (*facts.trouble, *facts.notices):
        yield tag("p", text(said, 1000), class_="note")


def _links(facts: RunFacts) -> Markup:
    """Lead to the parts, as far as they are there."""
    there = {
        "metrics": any(one.metrics for one in facts.stages),
        "checks": any(one.checks for one in facts.stages),
        "pipeline": bool(facts.stages),
        "timeline": any(one.span for one in facts.stages),
        "critical-path": bool(facts.path),
        "stages": any(one.status != "fresh" for one in facts.stages),
        "fresh": any(one.status == "fresh" for one in facts.stages),
    }
    links = (
        tag("a", name.replace("-", " "), href=f"#{name}") for name, is_there in there.items() if is_there
    )
    return tag("nav", joined(links), aria_label="parts of this page")


def _wrong(facts: RunFacts, anchors: Mapping[str, str]) -> Iterator[Markup]:
    """Tell first of what failed."""
    bad = [one for one in facts.stages if is_bad(one)]
    if not bad:
        return
    parts = []
    for one in bad[:SHOWN_FAILURES]:
        named = tag("a", one.stage, href=f"#{anchors[one.stage]}")
        parts.append(tag("p", tag("b", named), " ", pill(one.status)))
        if one.failure:
            parts.append(failure_box(one.failure))
        parts += [
            failing_rows(check) for check in one.checks if not check.passed and check.severity != "warn"
        ][:MOST_FAILING]
    if len(bad) > SHOWN_FAILURES:
        parts.append(tag("p", f"{len(bad)} stages failed in all; the others stand below."))
    yield _section("wrong", "What failed", joined(parts))


# --- overviews -----------------------------------------------------------------------------------


def _metrics(facts: RunFacts) -> Markup:
    """Show the metrics of what ran, and folded below them those of what was fresh."""
    rows = [(one, metric) for one in facts.stages for metric in one.metrics]
    new = [row for row in rows if row[0].status != "fresh"]
    old = [row for row in rows if row[0].status == "fresh"]
    if not new:
        return _metric_rows(old)
    summary = tag("summary", f"of stages that were fresh: {len(old)}")
    return joined([_metric_rows(new), tag("details", summary, _metric_rows(old)) if old else ""])


def _metric_rows(rows: Sequence[tuple[StageFacts, MetricFact]]) -> Markup:
    more = len(rows) - MOST_METRICS
    said = tag("p", f"{more} more metrics are left out here.", class_="soft") if more > 0 else ""
    return joined([metrics_table(rows[:MOST_METRICS]), said])


def _checks(facts: RunFacts) -> Markup:
    checks = [(one, check) for one in facts.stages for check in one.checks]
    if not checks:
        return Markup("")
    passed = sum(1 for _, check in checks if check.passed)
    wrong = [(one, check) for one, check in checks if not check.passed]
    said = tag("p", f"{passed} of {len(checks)} passed.")
    rows = (
        tag(
            "li",
            check_pill(check),
            f" {one.stage}: {check.side} {check.artifact}, {check.check}: {check.message}",
        )
        for one, check in wrong[:20]
    )
    return joined([said, tag("ul", joined(rows)) if wrong else ""])


def _pipeline(facts: RunFacts, anchors: Mapping[str, str]) -> Markup:
    upon = [link.stage for link in facts.path]
    if len(facts.stages) <= MOST_BOXES:
        texts = {one.stage: _label(one) for one in facts.stages}
        links = {one: f"#{anchor}" for one, anchor in anchors.items()}
        said, edges = "", facts.edges
    else:
        texts, edges, links = *_gathered(facts), {}
        upon, said = [], "A box stands for all instances of a stage. "
    if not texts:
        return Markup("")
    if len(texts) > MOST_BOXES:
        return tag("p", f"{len(texts)} stages are too many to draw.")
    try:
        picture = drawing_svg.picture(
            clean(facts.project),
            texts,
            edges,
            links=links,
            upon=upon,
            style=drawing_svg.STYLE + drawing_svg.RUN_STYLE,
        )
    except ValueError:  # stages whose instances wait for each other by turns make a circle of boxes
        return tag("p", f"{len(facts.stages)} instances are too many to draw.")
    marked = "Thick: the critical path." if upon else ""
    drawing = tag(
        "div", Markup(picture), class_="drawing", tabindex="0", role="group", aria_label="the drawn pipeline"
    )
    return joined([drawing, tag("p", f"{said}{marked}", class_="key") if said or marked else ""])


def _label(one: StageFacts) -> Label:
    facts = [one.status.replace("_", " "), duration(one.seconds) if one.status in DONE or is_bad(one) else ""]
    numbers = [_short(metric) for metric in one.metrics if isinstance(metric.value, int | float)]
    note = ", ".join(filter(None, [*facts, *numbers[:1]]))
    reasons = tuple(clean(reason) for reason in one.reasons[:5])
    return Label(
        id=clean(one.stage),
        notebook=clean(one.notebook),
        description=clean(one.description),
        status=one.status,
        reasons=reasons,
        note=shortened(clean(note)),
    )


def _short(metric: MetricFact) -> str:
    value = metric.value
    return f"{metric.name} {value:.3g}" if isinstance(value, float) else f"{metric.name} {figure(value)}"


def _rank(status: str) -> int:
    return _RANK.index(status) if status in _RANK else 0


def _gathered(facts: RunFacts) -> tuple[dict[str, Label], dict[tuple[str, str], tuple[str, ...]]]:
    """Draw a box for all instances of a stage: its worst status, and how many there are of each."""
    found: dict[str, dict[str, int]] = {}
    for one in sorted(facts.stages, key=lambda one: _rank(one.status)):
        counted = found.setdefault(_family(one.stage), {})
        counted[one.status] = counted.get(one.status, 0) + 1
    texts = {}
    for name in dict.fromkeys(_family(one.stage) for one in facts.stages):
        said = ", ".join(f"{number} {status.replace('_', ' ')}" for status, number in found[name].items())
        texts[name] = Label(
            id=clean(name), notebook="", description="", status=next(iter(found[name])), note=shortened(said)
        )
    edges: dict[tuple[str, str], tuple[str, ...]] = {}
    for (above, below), paths in facts.edges.items():
        pair = (_family(above), _family(below))
        if pair[0] != pair[1]:
            edges[pair] = edges.get(pair) or paths[:1]
    return texts, edges


def _family(instance: str) -> str:
    return instance.partition("[")[0]


def _critical(facts: RunFacts, anchors: Mapping[str, str]) -> Markup:
    """Tell the chain of stages that made the run take as long as it did."""
    if not facts.path:
        return Markup("")
    whole = max(facts.end - facts.started, 1e-9)
    worked = sum(one.seconds for one in facts.path)
    shown = facts.path[-MOST_LINKS:]
    rows = []
    for one in shown:
        share = tag(
            "span",
            tag("span", "", class_="share", style=f"--w:{min(one.seconds / whole, 1):.2%}"),
            class_="shares",
        )
        named = tag("a", one.stage, href=f"#{anchors[one.stage]}")
        waited = f" after {duration(one.waited)}" if one.waited >= 0.5 else ""  # noqa: PLR2004 - what one notices
        why = {
            "output": f"began{waited} when {one.after} had ended, which it needs",
            "room": f"began{waited} when {one.after} had ended and left its place",
        }.get(one.why, f"began{waited or ' at once'}")
        rows.append(
            tag(
                "li",
                share,
                " ",
                tag("b", named),
                f" {duration(one.seconds)} ",
                tag("span", why, class_="soft"),
            )
        )
    first = f"the last {len(shown)} of " if len(shown) < len(facts.path) else ""
    many = f"{len(facts.path)} stages, one after the other," if len(facts.path) > 1 else "1 stage"
    said = f"{first}{many} took {duration(worked)} of the run's {duration(whole)}."
    return joined([tag("p", said[0].upper() + said[1:]), tag("ol", joined(rows), class_="chain")])


# --- stages --------------------------------------------------------------------------------------


def _stages(facts: RunFacts, anchors: Mapping[str, str], base: Path) -> Markup:
    """Tell of each stage that was not fresh, in run order; in a large run less of those that went well."""
    told = [one for one in facts.stages if one.status != "fresh"]
    if not told:
        return Markup("")
    ranked = sorted(told, key=lambda one: (_rank(one.status) >= _rank("blocked"), -(one.seconds or 0.0)))
    room, pictures = Purse(left=CARDS), Purse(left=PICTURES)
    few = len(told) <= UNFOLDED
    cards: dict[str, Markup] = {}
    for one in ranked[:MOST_CARDS]:
        anchor = anchors[one.stage]
        if not room.spent:
            plots, remarks = _affordable(one, pictures)
            unfolded = is_bad(one) or (few and one.status not in NOT_BEGUN)
            whole = card(one, anchor, base, plots, remarks, unfolded=unfolded)
            if room.pays(len(whole) - sum(plot.uri_length for plot in plots)):
                cards[one.stage] = whole
                continue
        cards[one.stage] = short_card(one, anchor, base)
    rest = [one.stage for one in told if one.stage not in cards]
    parts = [cards[one.stage] for one in told if one.stage in cards]
    if room.spent or rest:
        said = "The run is large: of stages that went well and were quick, not all is told."
        parts.insert(0, tag("p", said, class_="note"))
    names = titled(f"{len(rest)} more stages", _names(rest, anchors)) if rest else ""
    return joined([tag("h2", "Stages", id="stages"), *parts, names])


def _affordable(one: StageFacts, pictures: Purse) -> tuple[Sequence[Plot], Sequence[str]]:
    """Choose the plots of a stage's last attempt that there is room for; says what was left out."""
    if not one.notebooks or one.status in NOT_BEGUN:
        return (), ()
    plots = plots_of(one.notebooks[-1])
    if plots.trouble:
        return (), (f"{plots.trouble[0].upper()}{plots.trouble[1:]}.",)
    kept = [
        plot
        for plot in plots.found[:MOST_PICTURES]
        if plot.uri_length <= LARGEST_PICTURE and pictures.pays(plot.uri_length)
    ]
    more = len(plots.found) - len(kept)
    if not more:
        return kept, ()
    said = "1 plot is" if more == 1 else f"{more} plots are"
    return kept, (f"{said} left out here, for the page's size: see the executed notebook.",)


def _fresh(facts: RunFacts, anchors: Mapping[str, str]) -> Markup:
    fresh = [one.stage for one in facts.stages if one.status == "fresh"]
    if not fresh:
        return Markup("")
    many = f"{len(fresh)} stages were as earlier runs had left them."
    said = "1 stage was as an earlier run had left it." if len(fresh) == 1 else many
    return _section("fresh", "Fresh", joined([tag("p", said), _names(fresh, anchors)]))


def _names(names: Sequence[str], anchors: Mapping[str, str]) -> Markup:
    listed = (tag("li", name, id=anchors[name]) for name in names[:MOST_NAMES])
    more = f"and {len(names) - MOST_NAMES} more" if len(names) > MOST_NAMES else ""
    return joined([tag("ul", joined(listed), class_="names"), tag("p", more) if more else ""])
