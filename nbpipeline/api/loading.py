"""Reads a project as it stands on disk now, every complaint gathered."""

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Any, Self

from nbpipeline import plugins, validators
from nbpipeline.errors import (
    Complaint,
    MissingPluginError,
    NbpipelineError,
    UsageError,
    did_you_mean,
    gather,
)
from nbpipeline.location import STATE_FOLDER, Location, is_url
from nbpipeline.model import Check, Override, Pipeline, ProjectSpec, StageSpec
from nbpipeline.pipeline import build
from nbpipeline.ports import Cache
from nbpipeline.reading.project import read_project
from nbpipeline.reading.remembered import KINDS
from nbpipeline.reading.suites import is_suite
from nbpipeline.stage.places import absolute
from nbpipeline.state.memory import MemoryState
from nbpipeline.state.sqlite import FILE, SqliteState, open_state
from nbpipeline.values import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Loaded:
    """A project as it stands on disk now."""

    spec: ProjectSpec
    pipeline: Pipeline | None
    complaints: tuple[Complaint, ...]

    def sound(self) -> Pipeline:
        """Give the pipeline; raises ReadingError or PipelineError with all complaints where there is none."""
        error = gather(self.complaints)
        if error is not None:
            raise error
        if self.pipeline is None:
            raise RuntimeError("a project without complaints has a pipeline")
        return self.pipeline


def load(root: Path, profile: str | None, given: Sequence[Override], cache: Cache | None = None) -> Loaded:
    """Read everything and link it, as far as it can be; what `cache` has of it is not read again."""
    spec, found = read_project(root, profile=profile, cache=cache)
    complaints = (
        *found,
        *_expectation_complaints(spec.stages),
        *_schema_complaints(spec.stages, root),
        *_comparison_complaints(spec.stages),
        *_tracking_complaints(spec),
    )
    if lacks_a_stage(spec, complaints):
        return Loaded(spec=spec, pipeline=None, complaints=complaints)
    pipeline, more = build(spec, given)
    far = dict.fromkeys(_far_complaints(pipeline)) if pipeline else ()
    return Loaded(spec=spec, pipeline=pipeline, complaints=(*complaints, *more, *far))


def _expectation_complaints(stages: Iterable[StageSpec]) -> Iterator[Complaint]:
    """Refuse checks that no validator knows or that are written wrongly, before anything runs."""
    for one in (one for spec in stages for checks in spec.expect.values() for one in checks):
        for text in validators.choice.complaints(one):
            yield Complaint(
                where=one.where,
                what=f"check '{one.name}': {text}{'' if text.endswith('?') else '.'}",
                mend="write it as the reference says",
            )


def _schema_complaints(stages: Iterable[StageSpec], root: Path) -> Iterator[Complaint]:
    """Refuse checks by a schema that is not there, before a stage runs for the sake of its outputs."""
    for spec in stages:
        named = [
            one for checks in spec.expect.values() for one in checks if one.name == validators.choice.PANDERA
        ]
        around = [absolute(root, one) for one in (spec.working_folder, *spec.pythonpath)] if named else []
        for one in named:
            lack = None if validators.choice.complaints(one) else validators.schema_files.lack(one, around)
            if lack:
                yield Complaint(where=one.where, what=f"check 'pandera': {lack[0]}", mend=lack[1])


def _far_complaints(pipeline: Pipeline) -> Iterator[Complaint]:
    """Refuse checks on what is at a URL: validators read files, and nobody would try them."""
    for instance in pipeline:
        for artifact in (*instance.inputs, *instance.outputs) if instance.spec.expect else ():
            checks = instance.spec.expect.get(artifact.name, ())
            if checks and any(is_url(path) for path in artifact.paths):
                yield Complaint(
                    where=checks[0].where,
                    what=f"checks on '{artifact.name}' cannot be tried: it is at a URL; they read files.",
                    mend="check the copy that a stage makes of it, as that stage's output",
                )


def _comparison_complaints(stages: Iterable[StageSpec]) -> Iterator[Complaint]:
    """Refuse checks that compare with an artifact that the stage has not, or has only later."""
    for spec in stages:
        inputs, outputs = ({one.name for one in side} for side in (spec.inputs, spec.outputs))
        for name, checks in spec.expect.items():
            for check in checks:
                for other in validators.choice.compared_with(check):
                    if other not in inputs and (other not in outputs or name not in outputs):
                        yield _not_comparable(check, other, inputs if name in inputs else inputs | outputs)


def _not_comparable(check: Check, other: str, known: set[str]) -> Complaint:
    near = did_you_mean(other, known)
    return Complaint(
        where=check.where,
        what=f"check '{check.name}': '{other}' is no artifact of the stage that is there when it is tried.",
        known=f"known names: {', '.join(sorted(known)) or 'none'}",
        mend=f"did you mean '{near}'?" if near else "name an input, or for a check on an output an output",
    )


def _tracking_complaints(spec: ProjectSpec) -> Iterator[Complaint]:
    """Refuse settings that a tracker does not know; one that is not there is missed when something runs."""
    for name, settings in spec.tracking.items():
        try:
            tracker = plugins.load("trackers", name)
        except MissingPluginError:
            continue
        for what, mend in plugins.trusted("trackers", name, partial(_complained, tracker, settings or {})):
            where = Location(path=spec.file or "")
            yield Complaint(where=where, what=f"tracking: {name}: {what}", mend=mend)


def _complained(tracker: Any, settings: Mapping[str, Any]) -> list[tuple[str, str]]:
    return [(str(what), str(mend)) for what, mend in tracker.complaints(settings)]


class Reading:
    """A project's history, opened before the project is read, for what was read before stands in it.

    Where there is none yet none is made: the folder may be no project. What is read is then remembered
    until the history is there.
    """

    def __init__(self, root: Path) -> None:
        """Open it where it is; what is wrong with it is said when it is needed."""
        folder = root / STATE_FOLDER
        self.state: SqliteState | None = None
        if (folder / FILE).is_file():
            with suppress(NbpipelineError):
                self.state = open_state(folder)
        self.cache: Cache = self.state or MemoryState()

    def __enter__(self) -> Self:
        """Do nothing: it is open."""
        return self

    def __exit__(self, *_: object) -> None:
        """Close the history; it may have been closed before."""
        if self.state is not None:
            self.state.close()

    def hand_over(self, state: Cache) -> None:
        """Remember in the history that was made since what was read without it."""
        if state is not self.state:
            for kind in KINDS:
                entries = self.cache.load(kind)
                if entries:
                    state.save(kind, entries)


def lacks_a_stage(spec: ProjectSpec, complaints: Sequence[Complaint]) -> bool:
    """Whether a notebook could not be read: links to its stage would then be complained of wrongly."""
    known = {one.notebook.path for one in spec.stages} | {spec.file}
    return any(
        not one.warning and one.where and one.where.path not in known and not is_suite(one.where.path)
        for one in complaints
    )


def overrides(params: Mapping[str, Any] | Sequence[str]) -> tuple[Override, ...]:
    """Read `train.C=0.5` and the like. Raises UsageError, all complaints at once."""
    has_type = isinstance(params, Mapping)
    items: list[tuple[str, Any]]
    if isinstance(params, Mapping):
        items = list(params.items())
    else:
        items = [(text.partition("=")[0], text.partition("=")[2] if "=" in text else None) for text in params]
    wrong = [
        Complaint(
            where=None, what=f"'{name}' sets no parameter.", mend="write -p NAME=VALUE or -p STAGE.NAME=VALUE"
        )
        for name, one in items
        if (one is None and not has_type) or not name.rpartition(".")[2]
    ]
    if wrong:
        raise UsageError(wrong)
    return tuple(
        Override(
            stage=name.rpartition(".")[0] or None,
            name=name.rpartition(".")[2],
            text=one if isinstance(one, str) else json.dumps(one),
            value=one if has_type else None,
            has_type=has_type,
        )
        for name, one in items
    )
