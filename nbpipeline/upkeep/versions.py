"""The files of an input or output as they stand now, or as an earlier run left them.

An earlier version is brought from the store to a folder of its own: what stands in the project stays.
"""

import os
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TypeAlias

from nbpipeline.errors import StorageError, UsageError, did_you_mean
from nbpipeline.location import is_url
from nbpipeline.masking.secrets import Masker
from nbpipeline.model import (
    BoundArtifact,
    Check,
    Pipeline,
    StageInstance,
    StageRecord,
    Verdict,
    canonical_id,
    shell_name,
)
from nbpipeline.run.cancel import CancelSwitch
from nbpipeline.run.folder import state_folder
from nbpipeline.stage.around import bound, surroundings
from nbpipeline.stage.backends import Surroundings
from nbpipeline.stage.backing import Backing
from nbpipeline.stage.places import absolute
from nbpipeline.validators.profile import Profile, profile
from nbpipeline.validators.tables import UnreadableTableError
from nbpipeline.values import dataclass

Validate = Callable[[tuple[Path, ...], tuple[Check, ...], Surroundings], tuple[Verdict, ...]]
RecordOf = Callable[[str], StageRecord | None]
_SHOWN = 12


@dataclass(frozen=True, slots=True, kw_only=True)
class Version:
    """One file (or folder) of an artifact."""

    instance: StageInstance
    artifact: BoundArtifact
    path: str
    """Project path."""
    place: Path
    """Where its bytes can be read now."""
    run: str = ""
    """The run that left it; empty for what stands there, whoever wrote it."""
    stands: bool = True
    """Whether they are the bytes that stand at the path."""


def find(pipeline: Pipeline, what: str) -> tuple[tuple[StageInstance, BoundArtifact], ...]:
    """Find `STAGE.NAME`, an input or output, of all of the stage's instances or of the one that is named.

    Raises UsageError where there is none.
    """
    stage, _, name = what.rpartition(".")
    chosen = canonical_id(stage)
    found = tuple(
        (one, artifact)
        for one in pipeline
        if chosen in (one.spec.name, one.id)
        for artifact in (*one.outputs, *one.inputs)
        if artifact.name == name
    )
    if not found:
        known = list(
            dict.fromkeys(
                f"{one.spec.name}.{each.name}" for one in pipeline for each in (*one.outputs, *one.inputs)
            )
        )
        near = did_you_mean(what, known)
        raise UsageError.of(
            f"'{what}' is no input or output.",
            known=f"known: {', '.join(known[:_SHOWN]) or 'none'}",
            mend=f"did you mean '{near}'?" if near else "name one as STAGE.NAME",
        )
    for _, artifact in found:
        if any(map(is_url, artifact.paths)):
            raise UsageError.of(f"'{what}' is at a URL, which is not read.", mend="name one that is a file")
    return found


def standing(pipeline: Pipeline, what: str, root: Path) -> tuple[Version, ...]:
    """Find the files as they stand. Raises UsageError for one that is not there."""
    found = []
    for instance, artifact in find(pipeline, what):
        for path in artifact.paths:
            place = absolute(root, path)
            if not place.exists():
                raise UsageError.of(f"{path} is not there.", mend=_run(instance))
            found.append(Version(instance=instance, artifact=artifact, path=path, place=place))
    return tuple(found)


@contextmanager
def recorded(
    pipeline: Pipeline, what: str, record_of: RecordOf, backing: Backing, root: Path
) -> Iterator[tuple[Version, ...]]:
    """Give the files as successes left them: what stands there, where it is the same bytes, else copies.

    Raises UsageError where nothing is on record, or the store lacks it.
    """
    made = frozenset(path for one in pipeline for output in one.outputs for path in output.paths)
    folder = state_folder(root)
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="versions-", dir=folder) as scratch:
        yield tuple(
            _brought(instance, artifact, path, record_of, backing, root, Path(scratch, str(number)), made)
            for instance, artifact in find(pipeline, what)
            for number, path in enumerate(artifact.paths)
        )


def _brought(
    instance: StageInstance,
    artifact: BoundArtifact,
    path: str,
    record_of: RecordOf,
    backing: Backing,
    root: Path,
    scratch: Path,
    made: frozenset[str],
) -> Version:
    record = record_of(instance.id)
    if record is None:
        raise UsageError.of(f"no success of '{instance.id}' is on record there.", mend=_run(instance))
    digest = _digest(record, path)
    if digest is None:
        raise UsageError.of(f"the success of '{instance.id}' on record had no {path}.", mend=_run(instance))
    place = absolute(root, path)
    if backing.stands(place, digest):
        return Version(instance=instance, artifact=artifact, path=path, place=place, run=record.run)
    copy = scratch.with_name(f"{instance.slug}-{scratch.name}") / place.name
    try:
        held = backing.give(digest, copy)
    except OSError as error:
        raise StorageError.of(
            f"{path} of run {record.run} cannot be brought from the store: {error}", mend="make room"
        ) from error
    if not held:
        raise UsageError.of(
            f"{path} of run {record.run} is no longer what stands there, and the store has no copy of it"
            f"{'' if path in made else ': it keeps what stages make'}.",
            known="; ".join(backing.store.notices),
            mend=f"{_run(instance)}; or name a later run"
            if path in made
            else "compare an output of a stage that reads it; or let a stage bring it, as its output",
        )
    return Version(instance=instance, artifact=artifact, path=path, place=copy, run=record.run, stands=False)


def _digest(record: StageRecord, path: str) -> str | None:
    made = {one.path: one.digest for one in record.outputs}
    return made.get(path) or record.fingerprint.inputs.get(path)


def _run(instance: StageInstance) -> str:
    return f"run it: nbpipeline run {shell_name(instance.id)}"


Profiled: TypeAlias = tuple[tuple[Version, Profile], ...]


def profiled(versions: Sequence[Version], table: str = "", sample: int | None = None) -> Profiled:
    """Read each of the files once. Raises UsageError for one that is no table, with what is wrong with it."""
    return tuple((one, _profile(one, table, sample)) for one in versions)


def _profile(version: Version, table: str, sample: int | None) -> Profile:
    try:
        return profile(version.place, table, sample)
    except UnreadableTableError as error:
        raise UsageError.of(
            f"{version.path} cannot be read as a table: {error}",
            mend="name the table: --table NAME"
            if "holds" in str(error)
            else "see that it is a table, and whole",
        ) from error


def checks_about(version: Version, table: str, root: Path, *, exactly: bool = False) -> tuple[Check, ...]:
    """Give the checks about a file's table (empty: about any), bound to where other artifacts stand."""
    instance = version.instance
    given = instance.spec.expect.get(version.artifact.name, ())
    wanted = [one for one in given if one.table == table or not (table or exactly)]
    standing = {
        one.name: tuple(absolute(root, path) for path in one.paths if not is_url(path))
        for one in (*instance.inputs, *instance.outputs)
    }
    return bound(wanted, standing)


def tried(
    validate: Validate, version: Version, table: str, root: Path, *, exactly: bool
) -> tuple[Verdict, ...]:
    """Try the checks about a file's table on it."""
    return tried_on(validate, version, checks_about(version, table, root, exactly=exactly), root)


def tried_on(
    validate: Validate, version: Version, checks: tuple[Check, ...], root: Path
) -> tuple[Verdict, ...]:
    """Try some checks on a file."""
    spec = version.instance.spec
    masker = Masker.of(spec.secrets, os.environ)
    return validate((version.place,), checks, surroundings(spec, root, CancelSwitch(), masker))
