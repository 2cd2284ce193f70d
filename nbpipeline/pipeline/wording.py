"""How the DAG's complaints name what is known and what would mend them."""

import posixpath
from collections.abc import Iterable, Sequence

from nbpipeline.errors import Complaint, ExitCode, did_you_mean
from nbpipeline.location import Location
from nbpipeline.model import StageSpec

SHOWN = 12
"""So many names are listed before the rest is counted."""


def refusal(
    where: Location | None, what: str, mend: str, *, known: str = "", exit_code: ExitCode = ExitCode.PIPELINE
) -> Complaint:
    """Make a complaint that keeps the pipeline from being made."""
    return Complaint(where=where, what=what, mend=mend, known=known, exit_code=exit_code)


def listed(names: Sequence[str]) -> str:
    """Names with commas between them; past a dozen only their number."""
    shown = ", ".join(names[:SHOWN])
    return f"{shown}, and {len(names) - SHOWN} more" if len(names) > SHOWN else shown


def known(kind: str, names: Iterable[str]) -> str:
    """`known stages: clean, train`; says so where there is none."""
    return f"known {kind}: {listed(list(names)) or 'none'}"


def known_outputs(stages: Iterable[StageSpec]) -> str:
    """`known outputs: features (clean.ipynb), raw (fetch.ipynb)`."""
    return known(
        "outputs",
        (
            f"{output.name} ({posixpath.basename(stage.notebook.path)})"
            for stage in stages
            for output in stage.outputs
        ),
    )


def meant(word: str, names: Iterable[str], otherwise: str) -> str:
    """Ask whether the nearest known name was meant; where none is near, say the other mend."""
    near = did_you_mean(word, names)
    return f"did you mean '{near}'?" if near else otherwise


def and_joined(names: Sequence[str]) -> str:
    """Write `a`, `a and b`, `a, b and c`."""
    return " and ".join([", ".join(names[:-1]), names[-1]] if len(names) > 1 else names)
