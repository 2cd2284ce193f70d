"""What is learned from data, and compared: the versions of an input or output, read.

`report` and `upkeep` are named whole, since their modules are loaded when they are first asked for.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path

from nbpipeline import report, upkeep, validators
from nbpipeline.errors import StorageError, UsageError
from nbpipeline.location import Location
from nbpipeline.masking.secrets import Masker
from nbpipeline.model import Check, Pipeline, Verdict
from nbpipeline.worker import Workplace

Opened = Callable[[], AbstractContextManager[tuple[Pipeline, Workplace]]]


class Data:
    """What is known of inputs and outputs. All methods raise what those of `Project` do."""

    def __init__(self, opened: Opened) -> None:
        """Work on the project that `opened` opens."""
        self._opened = opened

    def learned_from(
        self, what: str, *, run: str | None = None, table: str = "", sample: int | None = None
    ) -> upkeep.versions.Profiled:
        """Read the files of `STAGE.NAME` as the last success left them, or as they were after `run`.

        Each with its profile: types, ranges, categories, missing values. Raises UsageError.
        """
        with self._opened() as (pipeline, place):
            return _learned_from(pipeline, place, what, run, table, sample)

    def tried(
        self, what: str, checks: tuple[Check, ...], *, run: str | None = None
    ) -> tuple[tuple[Verdict, ...], ...]:
        """Try checks that are not written yet on what `learned_from` reads: a verdict each for each file."""
        with self._opened() as (pipeline, place), _files(pipeline, place, what, run) as versions:
            root = Path(pipeline.project.root)
            return tuple(upkeep.versions.tried_on(place.validate, one, checks, root) for one in versions)

    def diff(
        self, what: str, *, against: str | None = None, table: str = "", sample: int | None = None
    ) -> report.wording.Page:
        """Compare `STAGE.NAME` as it stands with its checks, or with it after a run. Raises UsageError.

        Values of stages' secrets are masked.
        """
        with self._opened() as (pipeline, place):
            masker = Masker.of({name for one in pipeline for name in one.spec.secrets}, os.environ)
            if against is None:
                found = _since_checks(pipeline, place, what, table, sample)
            else:
                found = _since_run(pipeline, place, what, against, table, sample)
            return report.wording.Page(data=masker.anything(found.data), text=masker.text(found.text))

    def export_checks(self, what: str | None, target: Path) -> Iterator[str]:
        """Write checks, all or those on STAGE.NAME, as a project of Great Expectations; gives a line each.

        Raises UsageError for an unknown name, LossError where nothing is left, MissingPluginError;
        StorageError where the disk refuses.
        """
        with self._opened() as (pipeline, _):
            try:
                yield from validators.export.export(pipeline, what, target, Path(pipeline.project.root))
            except OSError as error:
                raise StorageError.of(
                    f"cannot be written: {error.strerror or error}.",
                    where=Location(path=str(error.filename or target)),
                    mend="make room, or name a folder that may be written to: --to",
                ) from error


def _learned_from(
    pipeline: Pipeline, place: Workplace, what: str, run: str | None, table: str, sample: int | None
) -> upkeep.versions.Profiled:
    """Read the data."""
    with _files(pipeline, place, what, run) as versions:
        return upkeep.versions.profiled(versions, table, sample)


@contextmanager
def _files(
    pipeline: Pipeline, place: Workplace, what: str, run: str | None
) -> Iterator[tuple[upkeep.versions.Version, ...]]:
    """Give the data that the last success left, or that stood after `run`; raw inputs as they stand."""
    root = Path(pipeline.project.root)
    found = upkeep.versions.find(pipeline, what)
    if run is None and all(artifact in instance.inputs for instance, artifact in found):
        yield upkeep.versions.standing(pipeline, what, root)
        return
    record_of = _records(place, root, run)
    with upkeep.versions.recorded(pipeline, what, record_of, place.reach, root) as versions:
        yield versions


def _records(place: Workplace, root: Path, run: str | None) -> upkeep.versions.RecordOf:
    if run is None:
        return place.state.last_record
    return report.comparison.records_after(place.state, place.store, root, run)


def _since_run(
    pipeline: Pipeline, place: Workplace, what: str, run: str, table: str, sample: int | None
) -> report.wording.Page:
    """Compare the data as they stand with those that stood after a run."""
    root = Path(pipeline.project.root)
    now = upkeep.versions.profiled(upkeep.versions.standing(pipeline, what, root), table, sample)
    with upkeep.versions.recorded(pipeline, what, _records(place, root, run), place.reach, root) as versions:
        then = upkeep.versions.profiled(versions, table, sample)
    files = [
        report.data_changes.Then(stage=one.instance.id, path=one.path, before=before, after=after)
        for (one, after), (_, before) in zip(now, then, strict=True)
    ]
    return report.data_changes.since_run(what, run, files)


def _since_checks(
    pipeline: Pipeline, place: Workplace, what: str, table: str, sample: int | None
) -> report.wording.Page:
    """Try the checks that are written about the data on them as they stand. Raises UsageError without any."""
    root = Path(pipeline.project.root)
    versions = upkeep.versions.standing(pipeline, what, root)
    if not any(upkeep.versions.checks_about(one, table, root) for one in versions):
        raise UsageError.of(
            f"no check is written about {what}{f', table {table}' if table else ''}.",
            mend=f"draft some: nbpipeline expect learn {what}; or compare with a run: --against RUN",
        )
    tables = (
        [table]
        if table
        else list(
            dict.fromkeys(
                each.table for one in versions for each in upkeep.versions.checks_about(one, "", root)
            )
        )
    )
    files = [
        report.data_changes.Tried(
            stage=one.instance.id,
            path=f"{one.path}, table {name}" if name else one.path,
            profile=read,
            verdicts=upkeep.versions.tried(place.validate, one, name, root, exactly=not table),
        )
        for name in tables
        for one, read in upkeep.versions.profiled(versions, name, sample)
    ]
    return report.data_changes.since_checks(what, files)
