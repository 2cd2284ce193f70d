"""Where a value of a YAML document stands, and the complaints that are gathered about it."""

from collections.abc import Mapping
from dataclasses import field

from nbpipeline.errors import Complaint, ExitCode, did_you_mean
from nbpipeline.location import Location
from nbpipeline.reading.yaml12 import KeyPath
from nbpipeline.values import dataclass

Findings = list[Complaint]
"""Complaints as they are gathered; every reader appends, none raises."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """One value of a document: its file, its cell where it has one, the path of keys to it."""

    file: str
    findings: Findings
    cell: int | None = None
    lines: Mapping[KeyPath, int] = field(default_factory=dict)
    """By key path; empty where the document has no lines (a notebook's metadata)."""
    offset: int = 0
    """Lines of the cell that stand before the document."""
    path: KeyPath = ()

    def child(self, key: object) -> "Place":
        """Give the place of a key's value, or of a list's item."""
        # dataclasses.replace takes five times as long, and this is called for every value read.
        return Place(
            file=self.file,
            findings=self.findings,
            cell=self.cell,
            lines=self.lines,
            offset=self.offset,
            path=(*self.path, key),
        )

    @property
    def where(self) -> Location:
        """The location, at the line of the nearest key whose line is known."""
        path = self.path
        while path and path not in self.lines:
            path = path[:-1]
        line = self.lines.get(path)
        return Location(path=self.file, cell=self.cell, line=None if line is None else line + self.offset)

    @property
    def key(self) -> str:
        """The innermost key as messages name it: `'retries'`, `item 2 of 'tags'`."""
        if not self.path:
            return "the document"
        last = self.path[-1]
        names = [str(part) for part in self.path if isinstance(part, str)]
        if isinstance(last, int) and names:
            return f"item {last + 1} of {names[-1]!r}"
        return repr(last)

    def complain(
        self,
        what: str,
        *,
        mend: str,
        known: str = "",
        warning: bool = False,
        exit_code: ExitCode = ExitCode.USAGE,
    ) -> None:
        """Add a complaint about this value."""
        self.findings.append(
            Complaint(
                where=self.where, what=what, known=known, mend=mend, warning=warning, exit_code=exit_code
            )
        )


def mend_by_name(word: str, known: Mapping[str, object] | frozenset[str] | list[str], otherwise: str) -> str:
    """Propose the known word that was meant, or say what to do else."""
    meant = did_you_mean(word, known)
    return f"did you mean {meant!r}?" if meant else otherwise
