"""The validator of Great Expectations: all of its expectations, under short names and full ones.

What is named and written is told by a table (`expectations`); the library itself is imported where data is
checked, which is a process of its own. Fills `ports.Validator`.
"""

import os
from collections.abc import Mapping, Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from nbpipeline import plugins
from nbpipeline.errors import did_you_mean
from nbpipeline.model import Check, Verdict
from nbpipeline.patterns import regex
from nbpipeline.validators import expectations
from nbpipeline.validators.examples import EXAMPLES, brief, first_line, hidden, plain, rows_said
from nbpipeline.validators.frames import Frame, read_frame
from nbpipeline.validators.gathering import Gathering, Outcome
from nbpipeline.validators.tables import UnreadableTableError

LIBRARY = "great_expectations"
_NO_COLUMN = regex(r'The column "(.*)" in BatchData does not exist')
_NUMBER = "nbpipeline"
"""Key of an expectation's `meta`: results come back in another order."""


def knows(check: Check) -> bool:
    """Whether the check's name is an expectation's."""
    return expectations.full_name(check.name) is not None


def complaints(check: Check) -> tuple[str, ...]:
    """Say what is wrong with the check as written."""
    return expectations.complaints(check)


def require() -> None:
    """Raise MissingPluginError where the library is not installed."""
    if find_spec(LIBRARY) is None:
        raise plugins.missing_library(LIBRARY, "a check of Great Expectations")


def prepare() -> None:
    """Import the library, which takes seconds."""
    library()


def library() -> Any:
    """Give the library, which then tells nobody that it is used. Raises MissingPluginError."""
    os.environ["GX_ANALYTICS_ENABLED"] = "False"
    try:
        import great_expectations as gx  # noqa: PLC0415 - seconds
    except ModuleNotFoundError as error:
        raise plugins.missing_library(error.name or LIBRARY, "a check of Great Expectations") from error
    return gx


def validate(paths: tuple[Path, ...], checks: tuple[Check, ...]) -> tuple[Verdict, ...]:
    """Try the checks on the files, each file by itself; one verdict a check, in order."""
    found = Gathering(paths, checks, complaints)
    for numbers in found.tables().values():
        found.each(numbers, _tried)
    return found.verdicts()


def _tried(path: Path, checks: Sequence[Check]) -> list[Outcome]:
    gx = library()
    try:
        frame = read_frame(path, checks[0].table)
    except UnreadableTableError as error:
        return [(str(error), {})] * len(checks)
    context = gx.get_context(mode="ephemeral")
    context.variables.progress_bars = {"globally": False}
    asset = context.data_sources.add_pandas("files").add_dataframe_asset("file")
    batch = asset.add_batch_definition_whole_dataframe("all").get_batch({"dataframe": frame.data})
    classes = [_expectation(gx, number, one) for number, one in enumerate(checks)]
    found: dict[int, Outcome] = {
        number: (one, {}) for number, one in enumerate(classes) if isinstance(one, str)
    }
    sound = [one for one in classes if not isinstance(one, str)]
    results = batch.validate(
        gx.ExpectationSuite(name="checks", expectations=sound),
        result_format={"result_format": "SUMMARY", "partial_unexpected_count": EXAMPLES},
    ).results
    for one in results:
        number = one.expectation_config.meta[_NUMBER]
        found[number] = _outcome(one, checks[number], frame)
    return [found[number] for number in range(len(checks))]


def _expectation(gx: Any, number: int, check: Check) -> Any:
    """Make the library's own of a check; a text that says why it refuses."""
    full = expectations.full_name(check.name) or check.name
    try:
        return class_of(gx, full)(**expectations.keywords(check), meta={_NUMBER: number})
    except ValueError as error:  # pydantic's is one
        lines = [line.strip() for line in hidden(str(error)).splitlines() if line.strip()]
        return f"Great Expectations refuses its arguments: {' '.join(lines[1:]) or lines[0]}"


def class_of(gx: Any, full: str) -> Any:
    """Give the class of an expectation by its full name, of those that the table has."""
    return next(
        one
        for name, one in vars(gx.expectations.core).items()
        if name.startswith("Expect") and (getattr(one, "expectation_type", "") or _snake(name)) == full
    )


_CAPITAL = regex(r"(?<!^)(?=[A-Z])")


def _snake(name: str) -> str:
    return str(_CAPITAL.sub("_", name)).lower()


WHOLE = frozenset(
    {
        "expect_column_sum_to_be_between",
        "expect_column_unique_value_count_to_be_between",
        "expect_column_proportion_of_unique_values_to_be_between",
        "expect_column_values_to_be_unique",
        "expect_column_values_to_be_increasing",
        "expect_column_values_to_be_decreasing",
        "expect_column_distinct_values_to_contain_set",
        "expect_column_distinct_values_to_equal_set",
        "expect_compound_columns_to_be_unique",
        "expect_table_row_count_to_be_between",
        "expect_table_row_count_to_equal",
    }
)
"""What some of the rows do not tell of all."""


def _outcome(result: Any, check: Check, frame: Frame) -> Outcome:
    full = expectations.full_name(check.name) or check.name
    if frame.step > 1 and full in WHOLE:
        mend = "the built-in `rows` and `unique` look at all rows"
        return f"it cannot be tried, for it is about all rows, and {frame.said}; {mend}", {}
    raised = _raised(result.exception_info)
    if raised:
        return _of_error(raised, frame), {}
    found: Mapping[str, Any] = result.result or {}
    facts: dict[str, Any] = {"rows": len(frame.data)}
    if frame.step > 1:
        facts["sampled"] = {"step": frame.step, "of": frame.rows}
    if "unexpected_count" in found and "element_count" in found:
        facts["failed"] = int(found["unexpected_count"])
        numbers = list(found.get("partial_unexpected_index_list") or ())[:EXAMPLES]
        facts["examples"] = rows_said(frame.data, numbers, _columns(check))
    observed = _observed(found)
    if observed is not None:
        facts["observed"] = observed
    return ("" if result.success else _message(found, facts, check, frame)), facts


def _raised(info: Any) -> str:
    """Find what an expectation raised: told flat, or by metric."""
    if not isinstance(info, Mapping):
        return ""
    flat = "raised_exception" in info
    infos = [info] if flat else [one for one in info.values() if isinstance(one, Mapping)]
    told = [str(one.get("exception_message") or "an error") for one in infos if one.get("raised_exception")]
    return min(told, key=lambda one: _NO_COLUMN.search(one) is None) if told else ""


def _of_error(message: str, frame: Frame) -> str:
    match = _NO_COLUMN.search(message)
    if match is None:
        return f"Great Expectations could not try it: {first_line(message)}"
    names = [str(one) for one in frame.data.columns]
    near = did_you_mean(match.group(1), names)
    guess = f"; did you mean '{near}'?" if near else ""
    return f"column '{match.group(1)}' missing; known columns: {', '.join(names[:40])}{guess}"


def _columns(check: Check) -> list[str]:
    given = expectations.keywords(check)
    named = [given.get(key) for key in ("column", "column_A", "column_B")]
    return [*(one for one in named if isinstance(one, str)), *(given.get("column_list") or ())]


def _observed(found: Mapping[str, Any]) -> Any:
    if "observed_value" in found and found["observed_value"] is not None:
        return plain(found["observed_value"])
    if "unexpected_count" in found and "element_count" not in found:  # of distinct values
        return plain(found.get("partial_unexpected_list"))
    return None


def _message(found: Mapping[str, Any], facts: Mapping[str, Any], check: Check, frame: Frame) -> str:
    given = expectations.keywords(check)
    said = ", ".join(f"{name} {brief(value)}" for name, value in given.items())
    told = f"{said}: does not hold" if said else "does not hold"
    if "failed" in facts:
        shown = "; ".join(_row(one) for one in facts["examples"][:3])
        more = ", ..." if facts["failed"] > 3 else ""  # noqa: PLR2004 - as many as are shown
        told = f"{told} in {facts['failed']} of {facts['rows']} rows: {shown}{more}"
    elif "observed" in facts:
        told = f"{told}, found {brief(facts['observed'])}"
    elif found.get("details"):
        told = f"{told}: {brief(plain(found['details']))}"
    return f"{told}; {frame.said}" if frame.said else told


def _row(example: Mapping[str, Any]) -> str:
    shown = [f"{name} {brief(value)}" for name, value in list(example.items())[1:4]]
    return f"row {example['row']} ({', '.join(shown)})" if shown else f"row {example['row']}"
