"""The cells of a notebook, at hand or as the text that they are kept in."""

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import field
from typing import Any, overload

from nbpipeline.values import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Cell:
    """One cell as the author saved it, without its outputs."""

    index: int
    """Counts every cell of the notebook from 1."""
    kind: str
    """`code`, `markdown` or `raw`."""
    source: str
    id: str = ""
    tags: frozenset[str] = frozenset()
    execution_count: int | None = None
    metadata: Mapping[str, Any] = field(default_factory=dict)
    attachments: Mapping[str, Any] = field(default_factory=dict)


class SavedCells(Sequence[Cell]):
    """Cells that are made of their text when they are first asked for; a plan of fresh stages needs none."""

    __slots__ = ("_cells", "_text", "digest")

    def __init__(self, text: str, digest: str) -> None:
        """Hold the text that `cells_text` gave, and the digest of the notebook's content."""
        self._text = text
        self._cells: tuple[Cell, ...] | None = None
        self.digest = digest

    @overload
    def __getitem__(self, index: int) -> Cell: ...
    @overload
    def __getitem__(self, index: slice) -> Sequence[Cell]: ...
    def __getitem__(self, index: int | slice) -> Cell | Sequence[Cell]:
        """Give one cell, or some."""
        return self._all()[index]

    def __len__(self) -> int:
        """Count the cells."""
        return len(self._all())

    def __iter__(self) -> Iterator[Cell]:
        """Walk the cells in order."""
        return iter(self._all())

    def __eq__(self, other: object) -> bool:
        """Compare as a tuple of cells does."""
        return self._all() == (other._all() if isinstance(other, SavedCells) else other)

    def __hash__(self) -> int:
        """Hash as a tuple of cells does."""
        return hash(self._all())

    def __repr__(self) -> str:
        """Show the cells as a tuple."""
        return repr(self._all())

    def _all(self) -> tuple[Cell, ...]:
        if self._cells is None:
            self._cells = tuple(_cell(*one) for one in json.loads(self._text))
        return self._cells


def cells_text(cells: Sequence[Cell]) -> str:
    """Write cells as `SavedCells` keeps them; raises TypeError or ValueError for what JSON cannot hold."""
    return json.dumps(
        [
            [
                one.index,
                one.kind,
                one.source,
                one.id,
                sorted(one.tags),
                one.execution_count,
                one.metadata,
                one.attachments,
            ]
            for one in cells
        ]
    )


def _cell(
    index: int,
    kind: str,
    source: str,
    name: str,
    tags: list[str],
    count: int | None,
    metadata: Mapping[str, Any],
    attachments: Mapping[str, Any],
) -> Cell:
    return Cell(
        index=index,
        kind=kind,
        source=source,
        id=name,
        tags=frozenset(tags),
        execution_count=count,
        metadata=metadata,
        attachments=attachments,
    )
