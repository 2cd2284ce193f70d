"""`expectations/*.yml`: checks in files of their own, each on one input or output of a stage."""

import os
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

from nbpipeline.model import Check, StageSpec, Value
from nbpipeline.patterns import regex
from nbpipeline.reading import checks
from nbpipeline.reading.files import NoText, read_text
from nbpipeline.reading.place import Findings, Place, mend_by_name
from nbpipeline.reading.remembered import Memory
from nbpipeline.reading.shapes import shown
from nbpipeline.reading.yaml12 import YamlError, load
from nbpipeline.values import dataclass

FOLDER = "expectations"
"""From the project's root."""
SUFFIXES = (".yml", ".yaml")
KEYS = ("artifact", "description", "severity", "table", "meta", "expect")
_ARTIFACT = regex(r"([A-Za-z_][A-Za-z0-9_-]*)\.([^\W\d]\w*)")


@dataclass(frozen=True, slots=True, kw_only=True)
class Suite:
    """One file's checks."""

    stage: str
    artifact: str
    checks: tuple[Check, ...]
    place: Place
    """Where it names what they are about."""


def is_suite(path: str) -> bool:
    """Whether a project path is that of a suite."""
    return path == FOLDER or (path.startswith(f"{FOLDER}/") and path.endswith(SUFFIXES))


def read_suites(root: Path, findings: Findings, memory: Memory) -> tuple[Suite, ...]:
    """Read every suite; complain of what is wrong, and go on with the rest."""
    try:
        with os.scandir(root / FOLDER) as entries:
            names = sorted(one.name for one in entries if one.name.endswith(SUFFIXES))
    except (FileNotFoundError, NotADirectoryError):
        return ()
    except OSError as error:
        Place(file=FOLDER, findings=findings).complain(
            f"the folder cannot be read: {error.strerror}.", mend="give yourself the right to read it."
        )
        return ()
    found = (_suite(name, root, findings, memory) for name in names if not name.startswith("."))
    return tuple(one for one in found if one is not None)


def _suite(name: str, root: Path, findings: Findings, memory: Memory) -> Suite | None:
    place = Place(file=f"{FOLDER}/{name}", findings=findings)
    try:
        text = read_text(root / FOLDER / name, NoText("the file is not there.", "make it again."))
        document = memory.document(place.file, text)
    except NoText as error:
        place.complain(error.what, mend=error.mend)
        return None
    except YamlError as error:
        lines = {(): error.line} if error.line else {}
        replace(place, lines=lines).complain(
            f"the file is no YAML: {error.reason}.", mend="mend the line named, or the one before it."
        )
        return None
    return _of_document(document.value, replace(place, lines=document.lines), Path(name).stem)


def of_text(text: str, file: str, findings: Findings) -> Suite | None:
    """Read a suite that is not yet in its file; complain of what is wrong. Raises YamlError."""
    document = load(text)
    place = Place(file=file, findings=findings, lines=document.lines)
    return _of_document(document.value, place, Path(file).stem)


def _of_document(value: Value, place: Place, stem: str) -> Suite | None:
    if not isinstance(value, dict):
        place.complain(
            f"the file holds {shown(value)}; it wants a mapping with {', '.join(KEYS)}.",
            mend="write `artifact: STAGE.NAME`, and under `expect:` a list of checks.",
        )
        return None
    for key in value:
        if key not in KEYS:
            place.child(key).complain(
                f"unknown key {str(key)!r}.",
                known=f"known keys: {', '.join(KEYS)}",
                mend=mend_by_name(str(key), list(KEYS), "take the key out."),
            )
    named = value.get("artifact", stem)
    match = _ARTIFACT.fullmatch(named) if isinstance(named, str) else None
    at = place.child("artifact")
    if match is None:
        at.complain(
            f"the file is about {shown(named)}; it wants an input or output, as STAGE.NAME.",
            mend="write, for example, `artifact: clean.features`, or name the file clean.features.yml.",
        )
        return None
    return Suite(stage=match.group(1), artifact=match.group(2), checks=_checks(value, place), place=at)


def _checks(value: dict[str, Value], place: Place) -> tuple[Check, ...]:
    """Read the list of checks, with what the file says of all of them."""
    severity = checks.severity(value.get("severity"), place)
    table = checks.table(value.get("table"), place)
    at = place.child("expect")
    if not value.get("expect"):
        at.complain("the file lists no check.", mend="write checks under `expect:`, or take the file out.")
        return ()
    found: tuple[Check, ...] = checks.CHECKS.read(value["expect"], at)
    return tuple(
        replace(
            one,
            severity=severity if _says_nothing(value["expect"], number) else one.severity,
            table=one.table or table,
        )
        for number, one in enumerate(found)
    )


def _says_nothing(items: Value, number: int) -> bool:
    """Whether a check leaves its severity to the file."""
    item = items[number] if isinstance(items, list) and number < len(items) else items
    if not isinstance(item, dict):
        return True
    inner = [one for one in item.values() if isinstance(one, dict)]
    return not any("severity" in one for one in (item, *inner))


def with_suites(
    stages: Sequence[StageSpec], suites: Sequence[Suite], *, complete: bool
) -> tuple[StageSpec, ...]:
    """Give the stages with the checks of suites after their own.

    `complete`: all stages could be read, so that one which is not there is complained about.
    """
    if not suites:
        return tuple(stages)
    known = {one.name: one for one in stages}
    for suite in suites:
        if suite.stage in known:
            known[suite.stage] = _with(known[suite.stage], suite)
        elif complete:
            _unknown(suite, list(_artifacts(stages)))
    return tuple(known.values())


def _with(spec: StageSpec, suite: Suite) -> StageSpec:
    names = [one.name for one in (*spec.outputs, *spec.inputs)]
    if suite.artifact not in names:
        _unknown(suite, [f"{spec.name}.{name}" for name in names])
        return spec
    own = spec.expect.get(suite.artifact, ())
    return replace(spec, expect={**spec.expect, suite.artifact: (*own, *suite.checks)})


def _artifacts(stages: Sequence[StageSpec]) -> Iterator[str]:
    return (f"{one.name}.{each.name}" for one in stages for each in (*one.outputs, *one.inputs))


def _unknown(suite: Suite, known: list[str]) -> None:
    name = f"{suite.stage}.{suite.artifact}"
    suite.place.complain(
        f"the checks are about {name!r}, which no stage has.",
        known=f"known names: {', '.join(known[:12]) or 'none'}",
        mend=mend_by_name(name, known, "name an input or output of a stage, as STAGE.NAME."),
    )
