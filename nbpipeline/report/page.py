"""HTML pages that stand alone: no script, no outside request, every text escaped."""

import os
from collections.abc import Iterable, Sequence
from html import escape
from pathlib import Path
from urllib.parse import quote

from nbpipeline.encoding import dumps
from nbpipeline.model import PathValue, Value
from nbpipeline.report.drawing_labels import clean
from nbpipeline.report.wording import figure

STYLE = Path(__file__).with_name("page.css")
POLICY = "default-src 'none'; style-src 'unsafe-inline'; img-src data:; base-uri 'none'; form-action 'none'"
"""What a browser may load for the page: its own styles and pictures, and nothing else, whatever is in it."""
LONGEST = 400
"""Characters of one text from a notebook, a parameter or a check; the rest is cut."""
LONGEST_MESSAGE = 4_000


class Markup(str):
    """Text that is HTML already, and stays as it is."""

    __slots__ = ()


def text(value: str, longest: int = LONGEST) -> Markup:
    """Escape one line; what is no character of a page gets a sign in its place."""
    before, after = (" " if one.isspace() else "" for one in (value[:1], value[-1:]))
    return Markup(escape(f"{before}{clean(_cut(value, longest))}{after}", quote=True))


def lines(value: str, longest: int = LONGEST_MESSAGE) -> Markup:
    """Escape a text of several lines."""
    return Markup("\n".join(escape(clean(one), quote=True) for one in _cut(value, longest).splitlines()))


def _cut(value: str, longest: int) -> str:
    return value if len(value) <= longest else f"{value[:longest]}\u2026 ({len(value)} characters)"


def value_text(value: Value, longest: int = LONGEST) -> Markup:
    """Write a parameter's or metric's value."""
    if isinstance(value, PathValue):
        return text(value.text, longest)
    if value is None or isinstance(value, bool | list | tuple | dict):
        return text(dumps(value), longest)
    return text(figure(value), longest)


def tag(name: str, *inside: str, **attributes: str | None) -> Markup:
    """Write an element; what is inside is escaped unless it is `Markup`. `class_` stands for `class`."""
    given = "".join(
        f' {key.rstrip("_").replace("_", "-")}="{escape(value, quote=True)}"'
        for key, value in attributes.items()
        if value is not None
    )
    body = "".join(one if isinstance(one, Markup) else text(one) for one in inside)
    return Markup(f"<{name}{given}>{body}</{name}>")


def joined(parts: Iterable[str], between: str = "") -> Markup:
    """Put pieces of HTML together."""
    return Markup(between.join(one if isinstance(one, Markup) else text(one) for one in parts))


def table(head: Sequence[str], rows: Iterable[Sequence[str]], *, class_: str | None = None) -> Markup:
    """Write a table that may be scrolled to the side; nothing where it has no row."""
    written = [joined(tag("td", cell) for cell in row) for row in rows]
    if not written:
        return Markup("")
    titles = tag("tr", joined(tag("th", one, scope="col") for one in head))
    whole = tag("table", tag("thead", titles), tag("tbody", joined(tag("tr", one) for one in written)))
    return tag(
        "div", whole, class_=f"scroll {class_ or ''}".strip(), tabindex="0", role="group", aria_label="table"
    )


def link(target: Path, base: Path, said: str) -> Markup:
    """Link to a file relative to the page's folder, so that both may move together."""
    return tag("a", said, href=address(target, base))


def address(target: Path, base: Path) -> str:
    """Give a file's address as seen from the page's folder."""
    try:
        return quote(Path(os.path.relpath(target, base)).as_posix())
    except ValueError:  # on another drive
        return target.as_uri()


def document(title: str, body: Iterable[str]) -> str:
    """Write the whole page."""
    return "\n".join(
        [
            "<!doctype html>",
            '<html lang="en"><head><meta charset="utf-8">',
            f'<meta http-equiv="Content-Security-Policy" content="{POLICY}">',
            '<meta name="viewport" content="width=device-width,initial-scale=1">',
            '<meta name="referrer" content="no-referrer">',
            f"<title>{text(title)}</title>",
            f"<style>{STYLE.read_text(encoding='utf-8')}</style></head><body>",
            *body,
            "</body></html>",
            "",
        ]
    )
