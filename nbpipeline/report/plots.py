"""The pictures in an executed notebook: found, told apart by their content, written into a page."""

import base64
import binascii
import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from nbpipeline.content import digest_bytes
from nbpipeline.patterns import regex
from nbpipeline.stage.prepare import MARK
from nbpipeline.values import dataclass

LARGEST_NOTEBOOK = 300_000_000
"""Bytes of an executed notebook up to which pictures are looked for: it is read whole."""
SVG = "image/svg+xml"
_BEGINNINGS: Mapping[str, tuple[bytes, ...]] = {
    "image/png": (b"\x89PNG\r\n\x1a\n",),
    "image/jpeg": (b"\xff\xd8\xff",),
    "image/gif": (b"GIF87a", b"GIF89a"),
}
_HEADING = regex(r"^#{1,6}\s+(.+?)\s*#*$")
_NAMED = regex(r'\bid="([^"]+)"|#([A-Za-z_][\w.:-]*)')
_DATE = regex(r"<dc:date>.*?</dc:date>")


@dataclass(frozen=True, slots=True, kw_only=True)
class Plot:
    """One picture that a cell left."""

    cell: int
    """Index in the source notebook; 0 for an injected cell."""
    number: int
    """The how-manieth of its cell, from 1."""
    kind: str
    """Its MIME type."""
    data: bytes
    digest: str
    """Of what it shows: names and dates that Matplotlib writes anew into each SVG do not count."""
    heading: str = ""
    """The heading above it in the notebook."""

    @property
    def uri(self) -> str:
        """The picture as a `data:` URI: in an `<img>`, an SVG's scripts do not run."""
        return f"data:{self.kind};base64,{base64.b64encode(self.data).decode('ascii')}"

    @property
    def uri_length(self) -> int:
        """Characters that `uri` has, near enough."""
        return len(self.data) * 4 // 3 + 40


@dataclass(frozen=True, slots=True, kw_only=True)
class Plots:
    """What a notebook shows."""

    found: tuple[Plot, ...] = ()
    trouble: str = ""
    """Why nobody could look; empty where somebody did."""


def plots_of(notebook: Path) -> Plots:
    """Find the pictures in a notebook's outputs, in their order; trouble with the file is told."""
    try:
        size = notebook.stat().st_size
        if size > LARGEST_NOTEBOOK:
            return Plots(trouble=f"no plots were looked for: the notebook has {size / 1e6:.0f} MB")
        content = json.loads(notebook.read_bytes())
        return Plots(found=tuple(_pictures(content["cells"])))
    except FileNotFoundError:
        return Plots(trouble="the executed notebook is gone")
    except OSError as error:
        return Plots(trouble=f"the executed notebook cannot be read: {error.strerror or error}")
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
        return Plots(trouble="the executed notebook is damaged")


def _pictures(cells: list[dict[str, Any]]) -> Iterator[Plot]:
    heading = ""
    for place, cell in enumerate(cells, start=1):
        if cell.get("cell_type") == "markdown":
            heading = _heading(_joined(cell.get("source", ""))) or heading
        mark = cell.get("metadata", {}).get(MARK)
        index = mark["cell"] if isinstance(mark, dict) and isinstance(mark.get("cell"), int) else place
        shown = (_shown(output.get("data")) for output in cell.get("outputs", ()))
        for number, (kind, data) in enumerate(filter(None, shown), start=1):
            yield Plot(
                cell=index, number=number, kind=kind, data=data, digest=_digest(kind, data), heading=heading
            )


def _heading(text: str) -> str:
    found = [match[1] for line in text.splitlines() if (match := _HEADING.match(line.strip()))]
    return found[-1] if found else ""


def _joined(value: Any) -> str:
    """Give a text that nbformat may keep as a list of lines."""
    return value if isinstance(value, str) else "".join(one for one in value if isinstance(one, str))


def _shown(data: Any) -> tuple[str, bytes] | None:
    """Give an output's picture, of several forms of one that which stays sharp; None for all else."""
    if not isinstance(data, dict):
        return None
    if SVG in data:
        return SVG, _joined(data[SVG]).encode("utf-8", "replace")
    for kind, beginnings in _BEGINNINGS.items():
        if kind in data:
            try:
                content = base64.b64decode("".join(_joined(data[kind]).split()), validate=True)
            except (binascii.Error, ValueError):
                continue
            if content.startswith(beginnings):
                return kind, content
    return None


def _digest(kind: str, data: bytes) -> str:
    return digest_bytes(_stable(data.decode()).encode() if kind == SVG else data)


def _stable(svg: str) -> str:
    """Name an SVG's parts by their order, and leave out its date: Matplotlib writes both anew each time."""
    names: dict[str, int] = {}
    for match in _NAMED.finditer(svg):
        if match[1]:
            names.setdefault(match[1], len(names))

    def renamed(match: Any) -> str:
        whole, name = str(match[0]), match[1] or match[2]
        return whole.replace(name, f"part-{names[name]}") if name in names else whole

    return _DATE.sub("", _NAMED.sub(renamed, svg))
