"""The executed notebook on disk, in nbformat's own writing, kept up at a cost that follows what changed.

A cell is written down again only after it changed. A small file is then replaced as a whole. Of a large one
the changed cells are added to a file beside it (`.part`), and it is replaced when they are a good part of
it: all in all a few times its final size is written, however many cells it has. What a death leaves is put
together by `settle`.

The file is the list of its cells' texts between a head and a tail, so that the texts which did not change
are copied as bytes, and only what is new is in memory. Once somebody else has saved or deleted the file, all
of its cells are written down anew.
"""

import json
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import field
from pathlib import Path
from typing import IO, Any

from nbpipeline.masking.secrets import Masker
from nbpipeline.replacing import replaced
from nbpipeline.values import dataclass

WHOLE_BELOW = 1 << 20
"""Bytes up to which a file is replaced at every save."""
SHARE = 0.25
"""A larger one is replaced when this part of it stands beside it."""
_HEAD = b'{\n "cells": ['
_BETWEEN = b","
_END = b"\n ]"
_NO_CELLS = '{\n "cells": []'
_BYTES = 1 << 20
_LONE = "backslashreplace"
"""A lone surrogate has no UTF-8; so written, it is JSON's own way to say it."""

Span = tuple[int, int]
"""Where a cell's text stands: offset and length."""
Mark = tuple[int, int, int]
"""By which a file is known again: inode, mtime_ns, size."""
NO_MARK = (0, 0, 0)


def v4_node(data: Any) -> Any:
    """Turn plain data into nbformat's own type, which its writer wants."""
    from nbformat import from_dict  # noqa: PLC0415 - nbformat is loaded with papermill, where a stage runs

    return from_dict(data)


@dataclass(slots=True)
class _Known:
    """A cell that was written down: where in the file, or what is newer than the file."""

    cell: Any
    """Kept, so that its identity stays its own."""
    span: Span | None = None
    text: bytes | None = None


@dataclass(slots=True)
class NotebookFile:
    """One attempt's executed notebook."""

    path: Path
    masker: Masker
    encoded: int = 0
    """Cells written down so far."""
    written: int = 0
    """Bytes written so far, those copied included."""
    _known: dict[int, _Known] = field(default_factory=dict)
    _changed: dict[int, Any] = field(default_factory=dict)
    _mark: Mark = NO_MARK
    _beside: int = 0

    def touch(self, cell: Any) -> None:
        """Note that a cell has changed since it was written down."""
        self._changed[id(cell)] = cell

    def save(self, notebook: Any) -> None:
        """Bring what is on disk up to the notebook. Raises OSError."""
        if not self._known or mark_of(self.path) != self._mark:
            self.replace(notebook)
            return
        place = {id(cell): index for index, cell in enumerate(notebook["cells"])}
        new = {place[name]: self._write_down(cell) for name, cell in self._changed.items() if name in place}
        self._changed.clear()
        grown = self._beside + sum(map(len, new.values()))
        size = self._mark[-1]
        if size + grown <= WHOLE_BELOW or grown > SHARE * size:
            self.replace(notebook)
        elif new:
            self._add(new, notebook)

    def finish(self, notebook: Any) -> None:
        """Write the file as a whole for the last time. Raises OSError."""
        for cell in notebook["cells"]:
            if not cell.get("outputs"):  # papermill may have changed its mark, and it is short
                self.touch(cell)
        self.replace(notebook)

    def replace(self, notebook: Any) -> None:
        """Write the file as a whole. Raises OSError."""
        cells = notebook["cells"]
        if mark_of(self.path) != self._mark:
            self._known.clear()
        for cell in cells:
            if id(cell) in self._changed or id(cell) not in self._known:
                self._write_down(cell)
        self._changed.clear()
        known = [self._known[id(cell)] for cell in cells]
        parts = [one.text if one.text is not None else one.span for one in known]
        rest = {key: self.masker.anything(value) for key, value in notebook.items() if key != "cells"}
        spans, self._mark = _replaced(self.path, parts, _tail(rest))
        part_of(self.path).unlink(missing_ok=True)
        self.written += self._mark[-1]
        self._beside = 0
        for one, span in zip(known, spans, strict=True):
            one.span, one.text = span, None

    def _write_down(self, cell: Any) -> bytes:
        text = cell_text(masked_cell(cell, self.masker))
        self.encoded += 1
        known = self._known.setdefault(id(cell), _Known(cell))
        known.text = text
        return text

    def _add(self, texts: Mapping[int, bytes], notebook: Any) -> None:
        """Add cells to what stands beside the file."""
        lines = []
        if not self._beside:
            spans = [self._known[id(cell)].span for cell in notebook["cells"]]
            lines.append(json.dumps([self.path.stat().st_ino, spans]))
        lines += [json.dumps([index, text.decode()]) for index, text in texts.items()]
        data = "".join(f"{line}\n" for line in lines).encode()
        with part_of(self.path).open("ab" if self._beside else "wb") as file:
            file.write(data)
        self._beside += len(data)
        self.written += len(data)


def mark_of(path: Path) -> Mark:
    """Give what a file is known again by. Raises OSError, but not where it is gone."""
    try:
        found = path.stat()
    except FileNotFoundError:
        return NO_MARK
    return found.st_ino, found.st_mtime_ns, found.st_size


def part_of(path: Path) -> Path:
    """Where the cells stand that are newer than the file."""
    return path.with_name(f"{path.name}.part")


def settle(folder: Path) -> None:
    """Put together what a death left of the notebooks in a folder, as far as it can be."""
    for part in folder.glob("*.part"):
        with suppress(OSError, ValueError, TypeError, IndexError):
            _put_together(part.with_name(part.name.removesuffix(".part")), part)


def _put_together(path: Path, part: Path) -> None:
    with part.open(encoding="utf-8") as lines:
        inode, spans = json.loads(lines.readline())
        parts: list[bytes | Span | None] = [(int(start), int(length)) for start, length in spans]
        if inode == path.stat().st_ino:  # else the file was replaced after these were added
            with suppress(ValueError):  # the last line was being written
                for line in lines:
                    index, text = json.loads(line)
                    parts[index] = text.encode()
            after = sum(spans[-1])
            with path.open("rb") as file:
                file.seek(after)
                tail = file.read().removeprefix(_END)
            _replaced(path, parts, tail)
    part.unlink()


def _replaced(path: Path, parts: Sequence[bytes | Span | None], tail: bytes) -> tuple[list[Span], Mark]:
    """Replace a file by its cells' texts, new or from the old file, never half written. Raises OSError."""
    with replaced(path) as beside:
        with beside.open("wb") as target:
            if path.exists():
                with path.open("rb") as source:
                    spans = _write(target, parts, source)
            else:
                spans = _write(target, parts, None)
            target.write((_END if parts else b"]") + tail)
        mark = mark_of(beside)
    return spans, mark


def _write(target: IO[bytes], parts: Iterable[bytes | Span | None], source: IO[bytes] | None) -> list[Span]:
    target.write(_HEAD)
    spans: list[Span] = []
    for number, part in enumerate(parts):
        target.write((_BETWEEN if number else b"") + b"\n")
        start = target.tell()
        if isinstance(part, bytes):
            target.write(part)
        elif part is None or source is None:
            raise OSError("the executed notebook was taken away by somebody else")
        else:
            source.seek(part[0])
            _copy(source, target, part[1])
        spans.append((start, target.tell() - start))
    return spans


def _copy(source: IO[bytes], target: IO[bytes], length: int) -> None:
    while length > 0:
        piece = source.read(min(length, _BYTES))
        if not piece:
            raise OSError("the executed notebook was cut short by somebody else")
        target.write(piece)
        length -= len(piece)


def cell_text(cell: Any) -> bytes:
    """Write one cell as nbformat writes it in a notebook."""
    from nbformat import v4  # noqa: PLC0415 - as above

    whole = v4.writes(v4_node({"cells": [cell], "metadata": {}, "nbformat": 4, "nbformat_minor": 5}))
    return str(whole).removeprefix(_HEAD.decode() + "\n").rpartition("\n ],\n")[0].encode(errors=_LONE)


def _tail(rest: Mapping[str, Any]) -> bytes:
    from nbformat import v4  # noqa: PLC0415 - as above

    return f"{str(v4.writes(v4_node({**rest, 'cells': []}))).removeprefix(_NO_CELLS)}\n".encode(errors=_LONE)


def changed_beside(
    message: Mapping[str, Any], cells: Sequence[Any], displays: Mapping[str, Mapping[int, Any]]
) -> list[Any]:
    """Give the earlier cells whose displays a message brings up to date; `displays` is nbclient's map."""
    if message["msg_type"] != "update_display_data":
        return []
    shown = displays.get(message["content"].get("transient", {}).get("display_id"), {})
    return [cells[index] for index in shown]


# --- masking ---------------------------------------------------------------------------------


def masked_cell(cell: Any, masker: Masker) -> Any:
    """Copy a cell with all secrets hidden, also those cut in two by stream chunks."""
    return masker.anything(_whole_streams(cell, masker))


def _whole_streams(cell: Any, masker: Masker) -> Any:
    outputs = cell.get("outputs")
    if not outputs or not masker.needles:
        return cell
    copied = [dict(output) for output in outputs]
    for name in {output["name"] for output in _streams(copied)}:
        chunks = [output for output in _streams(copied) if output["name"] == name]
        texts = masker.chunks([output["text"] for output in chunks])
        for output, text in zip(chunks, texts, strict=True):
            output["text"] = text
    return {**cell, "outputs": copied}


def _streams(outputs: Iterable[Any]) -> list[Any]:
    return [output for output in outputs if output.get("output_type") == "stream"]
