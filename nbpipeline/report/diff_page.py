"""What differs between two runs as one HTML page that stands alone, with the plots side by side."""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from nbpipeline.ports import State, Store
from nbpipeline.report.comparison import Comparison, Snapshot, compare
from nbpipeline.report.page import Markup, document, joined, link, table, tag, text, value_text
from nbpipeline.report.plot_changes import Pair, plot_changes
from nbpipeline.report.results import reason_words
from nbpipeline.report.run_page import LARGEST_PICTURE, MOST_CARDS, MOST_NAMES, MOST_PICTURES, PICTURES, Purse
from nbpipeline.report.run_report import absolute, written
from nbpipeline.report.stage_card import MOST, figure_of, pill, titled
from nbpipeline.report.wording import change, duration


def write_diff(
    state: State, store: Store, root: Path, before: str | None, after: str | None, project: str, output: Path
) -> Path:
    """Write the page of two runs to `output`; gives its path. Raises UsageError, StorageError."""
    target = absolute(output)
    return written(target, diff_page(compare(state, store, root, before, after), project, target.parent))


def diff_page(compared: Comparison, project: str, base: Path) -> str:
    """Write the page; its links are relative to `base`."""
    data = compared.data
    pictures = Purse(left=PICTURES)
    cards = [_card(one, compared, pictures, base) for one in data["stages"][:MOST_CARDS]]
    more = len(data["stages"]) - len(cards)
    body = [
        tag(
            "header",
            tag("h1", f"{project}: what differs"),
            tag("p", f"{data['before']} \u2192 {data['after']}", class_="soft"),
            joined(_summary(data)),
        ),
        *cards,
        tag("p", f"{more} more stages differ; see `nbpipeline diff`.", class_="note") if more > 0 else "",
    ]
    return document(f"{project}: {data['before']} and {data['after']}", body)


def _summary(data: Mapping[str, Any]) -> Iterator[Markup]:
    changed, same = len(data["stages"]), data["same"]
    compared = changed + same + len(data["unknown"])
    yield tag(
        "p", f"{changed} of {compared} stages differ." if compared else "The runs have no stage in common."
    )
    lists = (
        ("only before", data["only_before"]),
        ("only after", data["only_after"]),
        ("not compared, what they ran with is not on record", data["unknown"]),
    )
    for said, names in lists:
        if names:
            more = f", and {len(names) - MOST_NAMES} more" if len(names) > MOST_NAMES else ""
            shown = joined([text(one) for one in names[:MOST_NAMES]], ", ")
            yield tag("p", tag("b", f"{said}: "), shown, more)


def _card(one: Mapping[str, Any], compared: Comparison, pictures: Purse, base: Path) -> Markup:
    old, new = compared.old[one["stage"]], compared.new[one["stage"]]
    was, now = one["seconds"]
    took = f"{duration(was)} \u2192 {duration(now)}" if was is not None and now is not None else ""
    statuses = joined([pill(one["status"][0]), " \u2192 ", pill(one["status"][1])]) if one["status"] else ""
    parts = [
        tag("h2", joined([text(one["stage"]), " ", statuses, " ", tag("small", took)])),
        _notebooks(old, new, base),
        _reasons(one["changes"]),
        titled("Metrics", _metrics(one["metrics"])),
        titled("Outputs", _outputs(one["outputs"])),
        *_plots(one, compared, pictures),
    ]
    return tag("section", joined(filter(None, parts)))


def _notebooks(old: Snapshot, new: Snapshot, base: Path) -> Markup:
    named = (("before", old.notebook), ("after", new.notebook))
    links = [link(path, base, f"executed notebook {said}") for said, path in named if path and path.is_file()]
    return tag("p", joined(links, " \u00b7 "), class_="soft") if links else Markup("")


def _reasons(changes: Sequence[Mapping[str, Any]]) -> Markup:
    said = [tag("li", reason_words(one)) for one in changes[:MOST]]
    said += [tag("li", f"and {len(changes) - MOST} more")] if len(changes) > MOST else []
    return titled("Code, parameters, data", tag("ul", joined(said)) if said else Markup(""))


def _metrics(metrics: Sequence[Mapping[str, Any]]) -> Markup:
    rows = [
        (
            one["name"],
            value_text(one["before"], 120),
            value_text(one["after"], 120),
            change(one["before"], one["after"]),
        )
        for one in metrics[:MOST]
    ]
    return table(("metric", "before", "after", "change"), rows, class_="still")


def _outputs(outputs: Sequence[Mapping[str, Any]]) -> Markup:
    rows = [
        (
            tag("code", one["path"]),
            *(tag("code", (digest or "none")[:12]) for digest in (one["before"], one["after"])),
        )
        for one in outputs[:MOST]
    ]
    return table(("path", "before", "after"), rows)


def _plots(one: Mapping[str, Any], compared: Comparison, pictures: Purse) -> Iterator[Markup]:
    """Show each plot that differs beside what it was, as far as the page has room."""
    if one["stage"] in compared.data["plots_unknown"]:
        yield tag(
            "p", "Plots were not compared: an executed notebook is gone or cannot be read.", class_="soft"
        )
    if not one["plots"]:
        return
    old, new = compared.old[one["stage"]], compared.new[one["stage"]]
    pairs = plot_changes(old.notebook, new.notebook).pairs
    shown = [pair for pair in pairs[:MOST_PICTURES] if _affordable(pair, pictures)]
    yield titled("Plots", joined(_pair(one["stage"], pair) for pair in shown))
    if len(pairs) > len(shown):
        said = f"{len(pairs) - len(shown)} more differ; they are left out here, for the page's size."
        yield tag("p", said, class_="soft")


def _affordable(pair: Pair, pictures: Purse) -> bool:
    lengths = [plot.uri_length for plot in pair if plot]
    return max(lengths) <= LARGEST_PICTURE and pictures.pays(sum(lengths))


def _pair(stage: str, pair: Pair) -> Markup:
    shown = (figure_of(stage, one) if one else tag("div", "none", class_="absent") for one in pair)
    sides = (tag("div", tag("h3", said), side) for said, side in zip(("before", "after"), shown, strict=True))
    return tag("div", joined(sides), class_="pair")
