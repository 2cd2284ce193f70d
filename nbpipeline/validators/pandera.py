"""The validator of pandera: `pandera: module:Class`, a schema that a module of the project defines.

A schema is code, so it is imported where data is checked, in a process of its own, from where the stage's
notebook would import it. Fills `ports.Validator`.
"""

from collections.abc import Mapping, Sequence
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from nbpipeline import plugins
from nbpipeline.errors import did_you_mean
from nbpipeline.model import UNTRIED, Check, Verdict
from nbpipeline.validators import schemas
from nbpipeline.validators.cases import listing_few, outcome
from nbpipeline.validators.frames import Frame, read_frame
from nbpipeline.validators.gathering import Gathering, Outcome
from nbpipeline.validators.tables import UnreadableTableError

LIBRARY = "pandera"


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
    found = Gathering(paths, checks, complaints)
    for numbers in found.tables().values():
        found.each(numbers, _tried)
    return found.verdicts()


def _tried(path: Path, checks: Sequence[Check]) -> list[Outcome]:
    """Try all schemas about one table, which is read once."""
    try:
        frame = read_frame(path, checks[0].table)
    except UnreadableTableError as error:
        return [(str(error), {})] * len(checks)
    return [_outcome(frame, one) for one in checks]


def _schema(check: Check) -> Any:
    """Import the schema that a check names. Raises NoSchemaError."""
    pa = library()
    module_name, name = schemas.schema_of(check)
    try:
        module = import_module(module_name)
    except (Exception, SystemExit, KeyboardInterrupt) as error:  # whatever a module of the project raises
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


def _outcome(frame: Frame, check: Check) -> Outcome:
    pa = library()
    facts: Mapping[str, Any] = {"rows": len(frame.data), "failed": 0, "examples": []}
    if frame.step > 1:
        facts = {**facts, "sampled": {"step": frame.step, "of": frame.rows}}
    try:
        schema = listing_few(_schema(check))
        schema.validate(frame.data, lazy=True)
    except NoSchemaError as error:
        return str(error), {UNTRIED: True}  # which says nothing of the data
    except (pa.errors.SchemaErrors, pa.errors.SchemaError) as error:
        told, found = outcome(error, frame)
        return (f"{told}; {frame.said}" if frame.said else told), {**facts, **found}
    return "", facts
