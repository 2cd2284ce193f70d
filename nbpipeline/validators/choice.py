"""Which validator tries a check: the built-in one, Great Expectations, pandera, a plug-in's."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from nbpipeline import plugins
from nbpipeline.errors import did_you_mean
from nbpipeline.masking.secrets import NO_SECRETS, Masker
from nbpipeline.model import Check, Verdict
from nbpipeline.validators import arguments, expectations, schemas
from nbpipeline.validators.arguments import ARGUMENTS
from nbpipeline.validators.arguments import complaints as own_complaints
from nbpipeline.validators.examples import hiding
from nbpipeline.validators.tables.table import Stop, never

BUILT_IN = "columns"
GREAT_EXPECTATIONS = "great_expectations"
PANDERA = "pandera"
APART: Mapping[str, str] = {GREAT_EXPECTATIONS: "great_expectations", PANDERA: "pandera"}
"""Those of ours that run in a process of their own, with the library that each needs; plug-ins' do, too."""
_PORT = "validators"


def validator_of(check: Check) -> str:
    """Name the validator that tries a check; empty where nobody knows it.

    A name that is built in and Great Expectations' too is the built-in one's, unless what is written is wrong
    for it and right for Great Expectations.
    """
    if check.name in ARGUMENTS:
        theirs = expectations.full_name(check.name) if own_complaints(check) else None
        return GREAT_EXPECTATIONS if theirs and not expectations.complaints(check) else BUILT_IN
    if check.name == PANDERA:
        return PANDERA
    if expectations.full_name(check.name):
        return GREAT_EXPECTATIONS
    return next((name for name in plugins.further(_PORT) if _knows(name, check)), "")


def _knows(validator: str, check: Check) -> bool:
    loaded: Any = plugins.load(_PORT, validator)
    return plugins.trusted(_PORT, validator, lambda: bool(loaded.knows(check)))


def complaints(check: Check) -> tuple[str, ...]:
    """Say what is wrong with a check as it is written; imports no library."""
    chosen = validator_of(check)
    if chosen == BUILT_IN:
        return own_complaints(check)
    if chosen == GREAT_EXPECTATIONS:
        return expectations.complaints(check)
    if chosen == PANDERA:
        return schemas.complaints(check)
    if chosen:
        loaded: Any = plugins.load(_PORT, chosen)
        return plugins.trusted(_PORT, chosen, lambda: tuple(str(one) for one in loaded.complaints(check)))
    names = [*ARGUMENTS, PANDERA, *expectations.short_names(), *expectations.table()]
    near = did_you_mean(check.name, names)
    guess = f"; did you mean '{near}'?" if near else ""
    known = f"built in: {', '.join(ARGUMENTS)}; beside them those of Great Expectations, and pandera"
    return (f"no check is called '{check.name}'; {known}{guess}",)


def compared_with(check: Check) -> tuple[str, ...]:
    """Name the artifacts beside its own that a check looks at."""
    return arguments.compared_with(check) if validator_of(check) == BUILT_IN else ()


def apart(checks: Sequence[Check]) -> tuple[str, ...]:
    """Name the validators with a process of their own that checks need."""
    chosen = {validator_of(one) for one in checks} - {"", BUILT_IN}
    return (*(name for name in APART if name in chosen), *sorted(chosen - APART.keys()))


Asked = Callable[[str, tuple[Path, ...], tuple[Check, ...]], Sequence[Verdict]]


def validate(
    paths: tuple[Path, ...],
    checks: tuple[Check, ...],
    ask: Asked,
    stop: Stop = never,
    masker: Masker = NO_SECRETS,
) -> tuple[Verdict, ...]:
    """Have files checked, each check by its validator; one verdict a check, in order.

    `ask(validator, paths, checks)` has the process of its own try what is not built in, so that it can be
    ended whatever it is at; the built-in validator asks `stop` itself.
    What is said holds nothing of the masker's secrets.
    """
    groups: dict[str, list[int]] = {}
    for number, check in enumerate(checks):
        groups.setdefault(validator_of(check), []).append(number)
    found: dict[int, Verdict] = {}
    for name, numbers in groups.items():
        group = tuple(checks[number] for number in numbers)
        with hiding(masker.text):
            verdicts = _tried(name, paths, group, ask, stop)
        for number, verdict in zip(numbers, verdicts, strict=True):
            masked = _masked(verdict, masker)
            found[number] = replace(masked, validator=name, severity=checks[number].severity)
    return tuple(found[number] for number in range(len(checks)))


def _masked(verdict: Verdict, masker: Masker) -> Verdict:
    """Take out what a library has left of a secret that it shortened."""
    return replace(
        verdict,
        message=masker.shortened(verdict.message),
        details=masker.anything(dict(verdict.details), masker.shortened),
    )


def _tried(
    name: str, paths: tuple[Path, ...], checks: tuple[Check, ...], ask: Asked, stop: Stop
) -> Sequence[Verdict]:
    if not name:
        return [Verdict(check=one, passed=False, message="; ".join(complaints(one))) for one in checks]
    if name != BUILT_IN:
        return ask(name, paths, checks)
    loaded: Any = plugins.load(_PORT, name)
    verdicts: Sequence[Verdict] = loaded.validate(paths, checks, stop)
    return verdicts
