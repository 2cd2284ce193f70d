"""The validator of pandera: `pandera: module:Class`, a schema that a module of the project defines.

A schema is code, so it is imported where data is checked, in a process of its own, from where the stage's
notebook would import it. Fills `ports.Validator`.
"""

from collections.abc import Iterator, Mapping
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from nbpipeline import plugins
from nbpipeline.errors import did_you_mean
from nbpipeline.model import UNTRIED, Check, Verdict
from nbpipeline.validators import schemas
from nbpipeline.validators.examples import EXAMPLES, brief, plain, rows_of, rows_said
from nbpipeline.validators.frames import Frame, read_frame
from nbpipeline.validators.tables import UnreadableTableError

LIBRARY = "pandera"
_SHOWN = 3


def knows(check: Check) -> bool:
    """Whether the check names a schema."""
    return check.name == LIBRARY


def complaints(check: Check) -> tuple[str, ...]:
    """Say what is wrong with the check as written."""
    return schemas.complaints(check)


def require() -> None:
    """Raise MissingPluginError where the library is not installed."""
    if find_spec(LIBRARY) is None:
        raise plugins.missing_library(LIBRARY, "a pandera check")


def prepare() -> None:
    """Import the library."""
    library()


def library() -> Any:
    """Give the library's part for pandas. Raises MissingPluginError."""
    try:
        import pandera.pandas as pa  # noqa: PLC0415 - a second
    except ModuleNotFoundError as error:
        raise plugins.missing_library(error.name or LIBRARY, "a pandera check") from error
    return pa


class NoSchemaError(Exception):
    """There is no schema where a check says; the text says what there is."""


def validate(paths: tuple[Path, ...], checks: tuple[Check, ...]) -> tuple[Verdict, ...]:
    """Try the schemas on the files, each file by itself; one verdict a check, in order."""
    return tuple(_verdict(paths, one) for one in checks)


def _verdict(paths: tuple[Path, ...], check: Check) -> Verdict:
    wrong = list(complaints(check))
    details: Mapping[str, Any] = {}
    for path in () if wrong else paths:
        try:
            message, facts = _tried(read_frame(path, check.table), _schema(check))
        except UnreadableTableError as error:
            message, facts = str(error), {}
        except NoSchemaError as error:  # which says nothing of the data
            message, facts = str(error), {UNTRIED: True}
        if message:
            wrong.append(message if len(paths) == 1 else f"{path.name}: {message}")
        untried = {UNTRIED: True} if UNTRIED in {*facts, *details} else {}
        details = facts if len(paths) == 1 else {**rows_of(details, facts, path.name), **untried}
    return Verdict(check=check, passed=not wrong, message="; ".join(wrong), details=details)


def _schema(check: Check) -> Any:
    """Import the schema that a check names. Raises NoSchemaError."""
    pa = library()
    module_name, name = schemas.schema_of(check)
    try:
        module = import_module(module_name)
    except Exception as error:  # whatever a module of the project raises
        raise NoSchemaError(
            f"the module {module_name} cannot be imported: {type(error).__name__}: {error}"
        ) from error
    found = getattr(module, name, None)
    is_model = isinstance(found, type) and issubclass(found, pa.DataFrameModel)
    if is_model or isinstance(found, pa.DataFrameSchema):
        return found
    known = [key for key in vars(module) if not key.startswith("_")]
    near = did_you_mean(name, known)
    guess = f"; did you mean '{near}'?" if near else ""
    what = "no schema" if hasattr(module, name) else f"not there{guess}"
    raise NoSchemaError(f"{name} in the module {module_name} is {what}")


def _tried(frame: Frame, schema: Any) -> tuple[str, Mapping[str, Any]]:
    pa = library()
    facts: dict[str, Any] = {"rows": len(frame.data), "failed": 0, "examples": []}
    if frame.step > 1:
        facts["sampled"] = {"step": frame.step, "of": frame.rows}
    try:
        schema.validate(frame.data, lazy=True)
    except (pa.errors.SchemaErrors, pa.errors.SchemaError) as error:
        cases = [_Case(one) for one in error.failure_cases.to_dict("records")]
        numbers = sorted({one.row for one in cases if one.row is not None})
        columns = list(dict.fromkeys(one.column for one in cases if one.column in frame.data.columns))
        examples = rows_said(frame.data, numbers[:EXAMPLES], columns)
        facts |= {"failed": len(numbers), "examples": examples}
        told = "; ".join(_told(cases))
        return (f"{told}; {frame.said}" if frame.said else told), facts
    return "", facts


class _Case:
    """One line of pandera's list of failures."""

    def __init__(self, data: Mapping[str, Any]) -> None:
        self.column = "" if data.get("column") is None else str(data["column"])
        self.check = str(data.get("check"))
        self.value = plain(data.get("failure_case"))
        index = plain(data.get("index"))
        self.row = int(index) if isinstance(index, (int, float)) else None
        if data.get("schema_context") != "Column" and not self.column:
            self.column = str(data.get("schema_context") or "")


def _told(cases: list[_Case]) -> Iterator[str]:
    """Say failures by column and check, with the first rows of each."""
    groups: dict[tuple[str, str], list[_Case]] = {}
    for one in cases:
        groups.setdefault((one.column, one.check), []).append(one)
    for (column, check), group in groups.items():
        rows = [one for one in group if one.row is not None]
        if not rows:
            yield f"{column}: {check}: found {brief(group[0].value)}"
            continue
        shown = ", ".join(f"row {one.row} ({brief(one.value)})" for one in rows[:_SHOWN])
        more = ", ..." if len(rows) > _SHOWN else ""
        yield f"'{column}' fails {check} in {len(rows)} row{'' if len(rows) == 1 else 's'}: {shown}{more}"
