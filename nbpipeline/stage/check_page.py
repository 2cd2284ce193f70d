"""How the checks of a stage went, for who reads them later: checks.json, and a page that opens from disk."""

import html
import json
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from nbpipeline.replacing import replace_text
from nbpipeline.stage.check_files import DATA, PAGE, outcome

_ALLOWED = "default-src 'none'; style-src 'unsafe-inline'"
_STYLE = (
    "body{font:15px/1.5 system-ui,sans-serif;margin:2em auto;max-width:70em;padding:0 1em;color:#222}"
    "h1{font-size:1.4em}h2{font-size:1.1em;margin-top:2em}table{border-collapse:collapse;margin:.5em 0}"
    "td,th{border:1px solid #ccc;padding:.2em .6em;text-align:left;vertical-align:top}th{background:#f4f4f4}"
    ".passed{color:#18722f}.failed{color:#b3261e}.warned{color:#8a5a00}code{font-size:.95em}"
    "@media(prefers-color-scheme:dark){body{background:#181818;color:#ddd}th{background:#2a2a2a}"
    ".passed{color:#6fcf86}.failed{color:#ff8a80}.warned{color:#ffc266}td,th{border-color:#444}}"
)


class Outcomes:
    """The outcomes of a stage's checks, as its events tell them."""

    def __init__(self, stage: str) -> None:
        """Know of none yet."""
        self._stage = stage
        self._found: list[Mapping[str, Any]] = []

    def hear(self, kind: str, data: Mapping[str, Any]) -> None:
        """Take an event, already masked; another attempt makes its outputs anew."""
        if kind == "check_finished":
            self._found.append(data)
        elif kind == "attempt_started":
            self._found = [one for one in self._found if one["side"] == "input"]

    def write(self, folder: Path) -> list[str]:
        """Write both files where anything was checked; gives what is to be told of trouble with it."""
        if not self._found:
            return []
        data = {"version": 1, "stage": self._stage, "checks": self._found}
        try:
            folder.mkdir(parents=True, exist_ok=True)
            replace_text(folder / DATA, json.dumps(data, ensure_ascii=False, default=str) + "\n")
            replace_text(folder / PAGE, page(self._stage, self._found))
        except OSError as error:
            return [f"{PAGE} could not be written: {error.strerror or error}"]
        return []


def page(stage: str, checks: Sequence[Mapping[str, Any]]) -> str:
    """Draw outcomes (the data of events `check_finished`) as one HTML page that asks for nothing else."""
    title = html.escape(f"Checks of {stage}")
    parts = [
        "<!doctype html>",
        '<html lang="en"><head><meta charset="utf-8">',
        f'<meta http-equiv="Content-Security-Policy" content="{_ALLOWED}">',
        f"<title>{title}</title><style>{_STYLE}</style></head><body>",
        f"<h1>{title}</h1><p>{html.escape(_summary(checks))}</p>",
    ]
    groups: dict[tuple[str, str], list[Mapping[str, Any]]] = {}
    for one in checks:
        groups.setdefault((str(one["side"]), str(one["artifact"])), []).append(one)
    for (side, artifact), group in groups.items():
        parts.append(f"<h2>{html.escape(side)} <code>{html.escape(artifact)}</code></h2>")
        parts.append(_table(("check", "arguments", "outcome", "rows", "failing"), map(_cells, group)))
        parts += map(_examples, group)
    return "\n".join([*parts, "</body></html>", ""])


def _summary(checks: Sequence[Mapping[str, Any]]) -> str:
    counts = {word: sum(outcome(one) == word for one in checks) for word in ("passed", "failed", "warned")}
    return ", ".join(f"{count} {word}" for word, count in counts.items() if count)


def _cells(check: Mapping[str, Any]) -> list[str]:
    details = check.get("details") or {}
    word = outcome(check)
    told = f": {html.escape(str(check['message']))}" if check.get("message") else ""
    return [
        f"<code>{html.escape(str(check['check']))}</code>",
        f"<code>{_value(check.get('arguments'))}</code>",
        f'<span class="{word}">{word}</span>{told}',
        _value(details.get("rows", "")),
        _value(details.get("failed", "")),
    ]


def _examples(check: Mapping[str, Any]) -> str:
    """Draw the failing rows that are known; nothing where there are none."""
    rows = [one for one in (check.get("details") or {}).get("examples") or () if isinstance(one, Mapping)]
    if not rows:
        return ""
    names = list(dict.fromkeys(str(name) for row in rows for name in row))
    drawn = _table(
        [html.escape(one) for one in names], ([_value(row.get(n, "")) for n in names] for row in rows)
    )
    title = f"First rows for which <code>{html.escape(str(check['check']))}</code> does not hold"
    return f"<details open><summary>{title}</summary>{drawn}</details>"


def _table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Draw a table of cells that are HTML already."""
    first = "".join(f"<th>{one}</th>" for one in head)
    body = "".join(f"<tr>{''.join(f'<td>{cell}</td>' for cell in row)}</tr>" for row in rows)
    return f"<table><tr>{first}</tr>{body}</table>"


def _value(value: Any) -> str:
    if value is None:
        return "<i>none</i>"
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, default=str)
    return html.escape(text)
