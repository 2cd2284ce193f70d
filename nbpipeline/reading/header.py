"""The header of a notebook: YAML front matter in a raw cell, or `metadata.nbpipeline`."""

import re
from collections.abc import Iterator

from nbpipeline.model import Cell, Notebook, Value
from nbpipeline.patterns import regex
from nbpipeline.reading import yaml12
from nbpipeline.reading.place import Findings, Place
from nbpipeline.values import dataclass

KEY = "nbpipeline"
_FRONT_MATTER = regex(r"\A\s*?^---[ \t]*\n(.*?)^(?:---|\.\.\.)\s*\Z", re.MULTILINE | re.DOTALL)
_OPENED = regex(r"\A\s*---[ \t]*\n")
_BARE = regex(r"\A\s*nbpipeline:")


@dataclass(frozen=True, slots=True, kw_only=True)
class Header:
    """What stands under `nbpipeline:`, not yet checked, and where."""

    value: Value
    place: Place
    cell: int | None
    """The raw cell; None for the notebook's metadata."""


def read_header(notebook: Notebook, findings: Findings) -> Header | None:
    """Find the header; complain about what looks like one and cannot be used."""
    in_cells = list(_cell_headers(notebook, findings))
    for extra in in_cells[1:]:
        extra.place.complain(
            "this is a second header.",
            known=f"known header: cell {in_cells[0].cell}",
            mend="move its keys to the first one, and delete the cell.",
        )
    return _agreed(in_cells[0] if in_cells else None, _in_metadata(notebook, findings))


def _agreed(in_cell: Header | None, in_metadata: Header | None) -> Header | None:
    if in_cell and in_metadata and (in_cell.value or {}) != (in_metadata.value or {}):
        in_metadata.place.complain(
            "the notebook's metadata.nbpipeline and its header differ.",
            known=f"known header: cell {in_cell.cell}",
            mend="delete metadata.nbpipeline; the header is enough.",
        )
    return in_cell or in_metadata


def _in_metadata(notebook: Notebook, findings: Findings) -> Header | None:
    if KEY not in notebook.metadata:
        return None
    place = Place(file=notebook.path, findings=findings, path=(KEY,))
    if yaml12.is_too_deep(notebook.metadata[KEY]):
        place.complain(
            f"the notebook's metadata.nbpipeline is nested deeper than {yaml12.MAX_DEPTH} levels.",
            mend="write plain values.",
        )
        return None
    return Header(value=notebook.metadata[KEY], place=place, cell=None)


def _cell_headers(notebook: Notebook, findings: Findings) -> Iterator[Header]:
    """Give every header. The first front matter counts: a header in a later one is complained about."""
    others: int | None = None
    for cell in notebook.cells:
        if cell.kind != "raw":
            continue
        place = Place(file=notebook.path, findings=findings, cell=cell.index)
        match = _FRONT_MATTER.match(cell.source)
        if not match:
            _near_miss(cell, place)
            continue
        found = _parsed(cell, match, place)
        if found and others:
            found.place.complain(
                "this header comes after another front matter, and only the first counts.",
                known=f"known front matter: cell {others}",
                mend=f"move the key 'nbpipeline' to cell {others}.",
            )
        if found is None:
            others = others or cell.index
            continue
        yield found


def _parsed(cell: Cell, match: re.Match[str], place: Place) -> Header | None:
    body = match.group(1)
    offset = cell.source.count("\n", 0, match.start(1))
    try:
        document = yaml12.load(body)
    except yaml12.YamlError as error:
        if KEY in body:
            line = {(): error.line} if error.line else {}
            Place(
                file=place.file, findings=place.findings, cell=cell.index, lines=line, offset=offset
            ).complain(f"the header is no YAML: {error.reason}.", mend="mend the YAML; see the line named.")
        return None
    at = Place(file=place.file, findings=place.findings, cell=cell.index, lines=document.lines, offset=offset)
    if isinstance(document.value, dict):
        if KEY not in document.value:
            return None
        return Header(value=document.value[KEY], place=at.child(KEY), cell=cell.index)
    if KEY in body:
        at.complain(
            f"the header is {'a list' if isinstance(document.value, list) else 'text'}; it wants a mapping.",
            mend="write `nbpipeline:` and its keys indented under it, without a `-` before them.",
        )
    return None


def _near_miss(cell: Cell, place: Place) -> None:
    if _OPENED.match(cell.source) and f"\n{KEY}:" in cell.source:
        place.complain("the header is not closed.", mend="write a line `---` after it, as the cell's last.")
    elif _BARE.match(cell.source):
        place.complain(
            "a raw cell that begins with `nbpipeline:` is no header.",
            mend="write it between two lines `---`.",
            warning=True,
        )
