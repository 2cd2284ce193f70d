"""Verdicts of checks that are tried on one file after another: what is wrong is added up."""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from nbpipeline.model import UNTRIED, Check, Verdict
from nbpipeline.validators.examples import rows_of

INTERRUPTED = "interrupted"
"""What is said of checks that nobody waits for any more."""
Outcome = tuple[str, Mapping[str, Any]]
"""What a check complains of (empty where it passes), and its details."""


class Gathering:
    """What was found of some checks so far; one that is written wrongly fails with that, and is not tried."""

    def __init__(
        self,
        paths: Sequence[Path],
        checks: Sequence[Check],
        complaints: Callable[[Check], tuple[str, ...]],
    ) -> None:
        """Look at how the checks are written."""
        self._paths = paths
        self._checks = checks
        self._found = [list(complaints(one)) for one in checks]
        self._details: list[Mapping[str, Any]] = [{} for _ in checks]
        self._sound = [number for number, wrong in enumerate(self._found) if not wrong]

    def tables(self) -> Mapping[str, Sequence[int]]:
        """Give the numbers of the checks that can be tried, by the table that they are about."""
        found: dict[str, list[int]] = {}
        for number in self._sound:
            found.setdefault(self._checks[number].table, []).append(number)
        return found

    def each(
        self, numbers: Sequence[int], tried: Callable[[Path, Sequence[Check]], Sequence[Outcome]]
    ) -> None:
        """Have checks tried on every file, and take what was found."""
        several = len(self._paths) > 1
        for path in self._paths if numbers else ():
            outcomes = tried(path, [self._checks[number] for number in numbers])
            for number, (message, facts) in zip(numbers, outcomes, strict=True):
                if message:
                    self._found[number].append(f"{path.name}: {message}" if several else message)
                before = self._details[number]
                untried = {UNTRIED: True} if UNTRIED in {*facts, *before} else {}
                self._details[number] = {**rows_of(before, facts, path.name), **untried} if several else facts

    def verdicts(self) -> tuple[Verdict, ...]:
        """Give a verdict a check, in order."""
        return tuple(
            Verdict(check=check, passed=not wrong, message="; ".join(wrong), details=facts)
            for check, wrong, facts in zip(self._checks, self._found, self._details, strict=True)
        )


def interrupted(checks: Sequence[Check]) -> tuple[Verdict, ...]:
    """Fail all checks, since they were broken off."""
    return tuple(Verdict(check=one, passed=False, message=INTERRUPTED) for one in checks)
