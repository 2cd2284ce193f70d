"""The DAG as one self-contained HTML page: the drawing, and below it a table of what would run and why.

No script and no outside request; everything from notebooks is escaped.
"""

from collections.abc import Iterator
from html import escape

from nbpipeline.model import Pipeline, Plan
from nbpipeline.report import drawing_svg
from nbpipeline.report.drawing_labels import Label, clean, joined, labels

STYLE = """
:root{color-scheme:light dark}
body{font:15px/1.5 system-ui,-apple-system,"Segoe UI",sans-serif;
margin:2rem auto;max-width:72rem;padding:0 1rem}
.drawing{overflow:auto;border:1px solid #8886;border-radius:8px;padding:.5rem;text-align:center}
table{border-collapse:collapse;width:100%;margin-top:1.5rem}
th,td{text-align:left;vertical-align:top;padding:.35rem .75rem;border-bottom:1px solid #8884}
tr:target{background:#f6e05e44}
td ul{margin:0;padding-left:1.1rem}
a{color:inherit}
""".strip().replace("\n", "")


def draw(pipeline: Pipeline, plan: Plan | None = None) -> str:
    """Write the page."""
    texts = labels(pipeline, plan)
    anchors = {one: f"stage-{number}" for number, one in enumerate(texts, start=1)}
    name = _text(clean(pipeline.project.name))
    picture = drawing_svg.draw(pipeline, plan, links={one: f"#{anchor}" for one, anchor in anchors.items()})
    return "\n".join(
        [
            "<!doctype html>",
            '<html lang="en"><head><meta charset="utf-8">',
            '<meta name="viewport" content="width=device-width,initial-scale=1">',
            f"<title>{name}</title>",
            f"<style>{STYLE}</style></head><body>",
            f"<h1>{name}</h1>",
            f"<p>{_text(_summary(list(texts.values())))}</p>",
            f'<div class="drawing">{picture}</div>',
            "<table><thead><tr><th>stage</th><th>notebook</th><th>after</th>",
            f"{'<th>plan</th>' if plan else ''}</tr></thead><tbody>",
            *_rows(pipeline, plan),
            "</tbody></table></body></html>",
            "",
        ]
    )


def _text(text: str) -> str:
    return escape(text, quote=True)


def _summary(texts: list[Label]) -> str:
    counts: dict[str, int] = {}
    for label in texts:
        if label.status:
            counts[label.status] = counts.get(label.status, 0) + 1
    stages = f"{len(texts)} stage{'' if len(texts) == 1 else 's'}"
    return ", ".join([stages, *(f"{count} {status}" for status, count in counts.items())]) + "."


def _rows(pipeline: Pipeline, plan: Plan | None) -> Iterator[str]:
    texts = labels(pipeline, plan)
    anchors = {one: f"stage-{number}" for number, one in enumerate(texts, start=1)}
    before: dict[str, list[str]] = {}
    for upstream, downstream in joined(pipeline):
        before.setdefault(downstream, []).append(
            f'<a href="#{anchors[upstream]}">{_text(texts[upstream].id)}</a>'
        )
    for one, label in texts.items():
        about = f"<br><small>{_text(label.description)}</small>" if label.description else ""
        yield (
            f'<tr id="{anchors[one]}"><td>{_text(label.id)}{about}</td><td>{_text(label.notebook)}</td>'
            f"<td>{', '.join(before.get(one, []))}</td>{_planned(label) if plan else ''}</tr>"
        )


def _planned(label: Label) -> str:
    reasons = "".join(f"<li>{_text(reason)}</li>" for reason in label.reasons)
    return f"<td>{_text(label.status)}{f'<ul>{reasons}</ul>' if reasons else ''}</td>"
