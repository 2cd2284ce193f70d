"""How the DAG's complaints name what is known and what would mend them."""

import posixpath
from collections.abc import Iterable, Sequence

from nbpipeline.errors import Complaint, ExitCode, did_you_mean
from nbpipeline.location import Location
from nbpipeline.model import Pipeline, StageSpec
from nbpipeline.pipeline.paths import Places

SHOWN = 12
"""So many names are listed before the rest is counted."""

LOOKED_AT = 1_000
"""So many paths are compared with one that is not there."""


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


class Made:
    """What the stages of a pipeline make, in the words that tell of it."""

    def __init__(self, pipeline: Pipeline) -> None:
        """Gather every output of every instance."""
        self.names = known_outputs(pipeline.project.stages)
        self.by_path: dict[str, str] = {}
        """Path -> name of the output."""
        self.notebooks: dict[str, str] = {}
        """Path -> project path of the notebook that makes it."""
        for instance in pipeline:
            for output in instance.outputs:
                for path in output.paths:
                    self.by_path[path] = output.name
                    self.notebooks[path] = instance.spec.notebook.path
        told = (f"{path} ({posixpath.basename(where)})" for path, where in self.notebooks.items())
        self.paths = known("outputs", told)


def missing(where: Location, name: str, paths: Sequence[str], made: Made, places: Places | None) -> Complaint:
    """Warn of an input that nobody makes and that is not there: `paths` are all of it that is missing.

    With `places` it says what may have been meant, which is nothing that the notebook makes itself.
    """
    like = did_you_mean(name, made.by_path.values()) if places else None
    others = [one for one in made.by_path if made.notebooks[one] != where.path]
    path = _slip_of(paths[0], others, places) if places else None
    what = f"input '{name}' is made by no stage"
    if like not in (None, name) and path in (
        None,
        *(one for one in made.by_path if made.by_path[one] == like),
    ):
        return _warning(where, f"{what}.", f"did you mean '{like}'?", made.names)
    if len(paths) == 1:
        what = f"{what}, and {paths[0]} is not there."
        mend = f"put the file at {paths[0]}, or declare it as an output of the stage that makes it"
    else:
        what = f"{what}, and {listed(paths)} are not there."
        mend = "put the files there, or declare them as outputs of the stage that makes them"
    return _warning(where, what, f"did you mean '{path}'? Else {mend}" if path else mend, made.paths)


def _warning(where: Location, what: str, mend: str, listing: str) -> Complaint:
    return Complaint(
        where=where, what=what, mend=mend, known=listing, warning=True, exit_code=ExitCode.PIPELINE
    )


def _slip_of(path: str, made: Sequence[str], places: Places) -> str | None:
    """Find the path that was meant: the same name in another folder, or one like it in the same folder."""
    folder, name = posixpath.split(path)
    elsewhere = [one for one in made if posixpath.basename(one) == name]
    if elsewhere:
        return did_you_mean(path, elsewhere[:LOOKED_AT])
    stem, suffix = posixpath.splitext(name)
    beside = [one for one in made if posixpath.dirname(one) == folder]
    beside += [posixpath.join(folder, one) for one in places.names(folder, LOOKED_AT)]
    stems: dict[str, str] = {}
    for one in beside[:LOOKED_AT]:
        its, other = posixpath.splitext(posixpath.basename(one))
        if _letters(its) != _letters(stem) or its == stem:  # with other figures it is other data, no slip
            stems[its] = one if other == suffix else stems.get(its, one)
    near = did_you_mean(stem, stems)
    return stems[near] if near else None


def _letters(text: str) -> str:
    return "".join(one for one in text if not one.isdigit())


def meant(word: str, names: Iterable[str], otherwise: str) -> str:
    """Ask whether the nearest known name was meant; where none is near, say the other mend."""
    near = did_you_mean(word, names)
    return f"did you mean '{near}'?" if near else otherwise


def and_joined(names: Sequence[str]) -> str:
    """Write `a`, `a and b`, `a, b and c`."""
    return " and ".join([", ".join(names[:-1]), names[-1]] if len(names) > 1 else names)
