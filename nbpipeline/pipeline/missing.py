"""Inputs that no stage makes and that are not there, with what may have been meant."""

import posixpath
from collections.abc import Collection, Sequence

from nbpipeline.errors import Complaint, ExitCode, did_you_mean
from nbpipeline.location import Location
from nbpipeline.model import Pipeline
from nbpipeline.pipeline.paths import Places
from nbpipeline.pipeline.wording import known, known_outputs, listed

MOST_GUESSED = 20
"""So many missing inputs are compared with what there is; beyond, it is no slip of the pen."""
LOOKED_AT = 1_000
"""So many paths are compared with one that is not there."""


def missing_inputs(
    pipeline: Pipeline, root: str, among: Collection[str] | None = None
) -> tuple[Complaint, ...]:
    """Warn of every input that no stage makes and that is not there, once for all instances.

    `among` are the ids of the instances that are looked at; None: all.
    """
    places = Places(str(root))
    lacking: dict[tuple[Location, str], dict[str, None]] = {}
    for instance in pipeline:
        if among is not None and instance.id not in among:
            continue
        made = {edge.path for edge in pipeline.upstream(instance.id) if edge.kind == "data"}
        for bound in instance.inputs:
            gone = [path for path in bound.paths if path not in made and not places.exists(path)]
            if gone:
                lacking.setdefault((bound.spec.where, bound.name), {}).update(dict.fromkeys(gone))
    if not lacking:
        return ()
    made_by = Made(pipeline)
    return tuple(
        _missing(where, name, tuple(paths), made_by, places if number < MOST_GUESSED else None)
        for number, ((where, name), paths) in enumerate(lacking.items())
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


def _missing(
    where: Location, name: str, paths: Sequence[str], made: Made, places: Places | None
) -> Complaint:
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
