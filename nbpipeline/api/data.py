"""What is learned from data, and compared: the versions of an input or output, read.

`report` and `upkeep` are named whole, since their modules are loaded when they are first asked for.
"""

from __future__ import annotations

from pathlib import Path

from nbpipeline import report, upkeep
from nbpipeline.errors import UsageError
from nbpipeline.location import is_url
from nbpipeline.model import Check, Pipeline
from nbpipeline.run.cancel import CancelSwitch
from nbpipeline.stage.around import bound, surroundings
from nbpipeline.stage.places import absolute
from nbpipeline.worker import Workplace


def learned_from(
    pipeline: Pipeline, place: Workplace, what: str, run: str | None, table: str, sample: int | None
) -> upkeep.versions.Profiled:
    """Read the data that the last success left, or that stood after `run`; raw inputs as they stand."""
    root = Path(pipeline.project.root)
    found = upkeep.versions.find(pipeline, what)
    if run is None and all(artifact in instance.inputs for instance, artifact in found):
        return upkeep.versions.profiled(upkeep.versions.standing(pipeline, what, root), table, sample)
    record_of = _records(place, root, run)
    with upkeep.versions.recorded(pipeline, what, record_of, place.backing, root) as versions:
        return upkeep.versions.profiled(versions, table, sample)


def _records(place: Workplace, root: Path, run: str | None) -> upkeep.versions.RecordOf:
    if run is None:
        return place.state.last_record
    return report.comparison.records_after(place.state, place.store, root, run)


def since_run(
    pipeline: Pipeline, place: Workplace, what: str, run: str, table: str, sample: int | None
) -> report.wording.Page:
    """Compare the data as they stand with those that stood after a run."""
    root = Path(pipeline.project.root)
    now = upkeep.versions.profiled(upkeep.versions.standing(pipeline, what, root), table, sample)
    with upkeep.versions.recorded(
        pipeline, what, _records(place, root, run), place.backing, root
    ) as versions:
        then = upkeep.versions.profiled(versions, table, sample)
    files = [
        report.data_changes.Then(stage=one.instance.id, path=one.path, before=before, after=after)
        for (one, after), (_, before) in zip(now, then, strict=True)
    ]
    return report.data_changes.since_run(what, run, files)


def since_checks(
    pipeline: Pipeline, place: Workplace, what: str, table: str, sample: int | None
) -> report.wording.Page:
    """Try the checks that are written about the data on them as they stand. Raises UsageError without any."""
    root = Path(pipeline.project.root)
    versions = upkeep.versions.standing(pipeline, what, root)
    if not any(_checks(one, table, root) for one in versions):
        raise UsageError.of(
            f"no check is written about {what}{f', table {table}' if table else ''}.",
            mend=f"draft some: nbpipeline expect learn {what}; or compare with a run: --against RUN",
        )
    tables = (
        [table]
        if table
        else list(dict.fromkeys(each.table for one in versions for each in _checks(one, "", root)))
    )
    files = [
        report.data_changes.Tried(
            stage=one.instance.id,
            path=f"{one.path}, table {name}" if name else one.path,
            profile=read,
            verdicts=place.validate(
                (one.place,),
                _checks(one, name, root, exactly=not table),
                surroundings(one.instance.spec, root, CancelSwitch()),
            ),
        )
        for name in tables
        for one, read in upkeep.versions.profiled(versions, name, sample)
    ]
    return report.data_changes.since_checks(what, files)


def _checks(
    version: upkeep.versions.Version, table: str, root: Path, *, exactly: bool = False
) -> tuple[Check, ...]:
    """Give the checks about a file's table (empty: about any), bound to where other artifacts stand."""
    instance = version.instance
    given = instance.spec.expect.get(version.artifact.name, ())
    wanted = [one for one in given if one.table == table or not (table or exactly)]
    standing = {
        one.name: tuple(absolute(root, path) for path in one.paths if not is_url(path))
        for one in (*instance.inputs, *instance.outputs)
    }
    return bound(wanted, standing)
