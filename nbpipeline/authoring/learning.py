"""`expect learn`: checks drafted from data that a good run left, as a suite for its author to review."""

import difflib
import os
from collections.abc import Mapping, Sequence
from pathlib import Path

from nbpipeline.api import Project
from nbpipeline.authoring.drafting import Found, draft, is_writable
from nbpipeline.errors import StorageError, UsageError
from nbpipeline.location import Location
from nbpipeline.masking.secrets import Masker
from nbpipeline.model import Check, canonical_id
from nbpipeline.reading.place import Findings
from nbpipeline.reading.suites import FOLDER, of_text
from nbpipeline.reading.yaml12 import YamlError
from nbpipeline.replacing import replace_text
from nbpipeline.upkeep.versions import Version
from nbpipeline.validators.profile import Profile
from nbpipeline.values import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Draft:
    """A suite that is not yet written."""

    path: str
    """Project path of its file."""
    text: str
    before: str | None
    """What stands in the file; None where there is none."""
    checks: int
    rows: int
    notices: tuple[str, ...] = ()
    wrong: str = ""
    """Why it would disable the project."""

    @property
    def difference(self) -> str:
        """Show what writing it would change; empty where nothing, or where there is no file."""
        if self.before is None:
            return ""
        lines = difflib.unified_diff(
            self.before.splitlines(), self.text.splitlines(), self.path, f"{self.path} (learned)", lineterm=""
        )
        return "\n".join(lines)


def learn(
    project: Project,
    what: str,
    *,
    run: str | None = None,
    table: str = "",
    sample: int | None = None,
    tolerance: float = 0.1,
) -> Draft:
    """Draft checks for `STAGE.NAME` from its last success, or from the version of `run`.

    The draft is read back, and tried on all the data that it was learned from; a check that does not hold
    there, or would write a secret down, is left out. Of a sample nobody knows whether it holds for the rest.
    Raises UsageError where there is no such output, nothing on record, or no table.
    """
    found = project.data.learned_from(what, run=run, table=table, sample=sample)
    stage, _, name = what.rpartition(".")
    artifact = f"{canonical_id(stage).partition('[')[0]}.{name}"
    files = [Found(source=_source(version), profile=read) for version, read in found]
    checks, text = draft(artifact, table, files, tolerance)
    path = f"{FOLDER}/{artifact}{f'.{_safe(table)}' if table else ''}.yml"
    written, wrong = _read_back(text, path)
    trouble = _troubles(project, what, run, written, found, whole=sample is None)
    if trouble:
        checks, text = draft(artifact, table, files, tolerance, trouble)
        wrong = "" if checks else "no check is left"
    return Draft(
        path=path,
        text=text,
        before=_text(Path(project.root, path)),
        checks=checks,
        rows=sum(read.rows for _, read in found),
        notices=(*_notices(found), *trouble.values()),
        wrong=wrong,
    )


def _read_back(text: str, path: str) -> tuple[tuple[Check, ...], str]:
    """Give the checks of a draft as the next command will read them, and what it will complain of."""
    findings: Findings = []
    try:
        suite = of_text(text, path, findings)
    except YamlError as error:
        return (), error.reason
    told = [one.what for one in findings if not one.warning]
    return (suite.checks if suite and not told else ()), "; ".join(told)


def _troubles(
    project: Project,
    what: str,
    run: str | None,
    checks: tuple[Check, ...],
    learned: Sequence[tuple[Version, Profile]],
    *,
    whole: bool,
) -> Mapping[int, str]:
    """Say by number which checks are better left out, and why."""
    found: dict[int, str] = {}
    secrets = Masker.of({name for one, _ in learned for name in one.instance.spec.secrets}, os.environ)
    for number, one in enumerate(checks):
        if secrets.anything(one.arguments) != one.arguments:
            found[number] = f"a check `{one.name}` was left out: it would hold a secret"
    for verdicts in project.data.tried(what, checks, run=run) if checks and whole else ():
        for number, verdict in enumerate(verdicts):
            if not verdict.passed:
                why = f"it does not hold on the data: {verdict.message}"
                found.setdefault(number, f"a check `{verdict.check.name}` was left out: {why}")
    return found


def _source(version: Version) -> str:
    run = f"run {version.run}" if version.run else "as it stands"
    return f"{version.path} ({run})"


def _notices(found: Sequence[tuple[Version, Profile]]) -> list[str]:
    told = [
        f"{one.path} is no longer as run {one.run} left it; learned from the store's copy"
        for one, _ in found
        if not one.stands
    ]
    told += [
        f"{one.path}: {read.looked} of {read.rows} rows were looked at" for one, read in found if read.sampled
    ]
    odd = {name for _, read in found for name in read.columns if not is_writable(name)}
    if odd:
        told.append(f"left out: {len(odd)} column(s) whose names no file can hold")
    return told


def _safe(table: str) -> str:
    return "".join(one if one.isalnum() or one in "_-" else "_" for one in table)


def _text(path: Path) -> str | None:
    try:
        return path.read_text(encoding="utf-8")
    except FileNotFoundError:
        return None
    except (OSError, ValueError) as error:
        raise StorageError.of(
            f"the file that is there cannot be read: {error}",
            where=Location(path=f"{FOLDER}/{path.name}"),
            mend="move it away, or give yourself the right to read it",
        ) from error


def write(project: Project, drafted: Draft, *, force: bool) -> None:
    """Write a draft; over what is there only with `force`. What cannot be read again is not written.

    Raises UsageError, StorageError.
    """
    where = Location(path=drafted.path)
    if drafted.wrong:
        raise UsageError.of(
            f"the draft could not be read again: {drafted.wrong}; nothing was written.",
            where=where,
            mend="--stdout prints it: write by hand what of it you want",
        )
    if drafted.before is not None and not force:
        raise UsageError.of(
            "is there already, and differs from what was learned; nothing was written.",
            where=where,
            mend="--force writes over it; --stdout prints the whole draft",
        )
    path = Path(project.root, drafted.path)
    try:
        path.parent.mkdir(exist_ok=True)
        replace_text(path, drafted.text)
    except OSError as error:
        raise StorageError.of(
            f"cannot be written: {error.strerror or error}.",
            where=where,
            mend="make room, or give yourself the right to write there",
        ) from error
