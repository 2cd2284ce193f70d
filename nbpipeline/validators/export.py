"""Checks -> a project of Great Expectations: a suite and a checkpoint for each artifact.

`great_expectations.get_context(mode="file", project_root_dir=FOLDER)` loads it.
"""

import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from nbpipeline.errors import Complaint, ExitCode, LossError, UsageError, did_you_mean
from nbpipeline.location import is_url
from nbpipeline.model import BoundArtifact, Check, Pipeline
from nbpipeline.validators import choice, expectations
from nbpipeline.validators.arguments import columns_of
from nbpipeline.validators.great_expectations import class_of, library
from nbpipeline.validators.tables.delimited import delimiter_of
from nbpipeline.validators.tables.table import open_text

Keywords = dict[str, Any]
_TYPES: Mapping[str, list[str]] = {
    "int": ["int", "int8", "int16", "int32", "int64", "uint8", "uint16", "uint32", "uint64", "Int64"],
    "float": ["float", "float32", "float64", "int", "int32", "int64", "Float64"],
    "str": ["str", "string", "object"],
    "bool": ["bool", "boolean"],
    "datetime": ["datetime64", "datetime64[ns]", "datetime64[us]", "Timestamp"],
    "date": ["date"],
}
"""A type of the built-in check -> pandas' names."""
_ASSETS: Mapping[str, str] = {
    ".csv": "add_csv_asset",
    ".parquet": "add_parquet_asset",
    ".json": "add_json_asset",
    ".xlsx": "add_excel_asset",
    ".feather": "add_feather_asset",
}


def export(pipeline: Pipeline, what: str | None, target: Path, root: Path) -> Iterator[str]:
    """Write the checks on all artifacts, or on the one named, and tell of each as it is written.

    Raises UsageError for a name that is none, LossError where nothing could be written, and
    MissingPluginError without the library.
    """
    found = dict(_chosen(pipeline, what))
    gx = library()
    target.mkdir(parents=True, exist_ok=True)
    context = gx.get_context(mode="file", project_root_dir=str(target))
    written = 0
    lost: list[str] = []
    for name, (artifact, checks) in found.items():
        made = [() if one.table else _made(gx, one) for one in checks]
        kept = [each for one in made for each in one]
        for one, own in zip(checks, made, strict=True):
            why = f"about the table '{one.table}'" if one.table else "Great Expectations has none like it"
            lost += [] if own else [f"{name}: {one.name}: left out, {why}"]
        if kept:
            written += 1
            yield f"{name}: {_written(gx, context, name, kept, artifact, root)}"
    yield from lost
    if not written:
        raise LossError(
            Complaint(
                where=None,
                what="nothing was written: Great Expectations has no expectation for these checks.",
                known="; ".join(lost),
                mend="name an artifact with other checks",
                exit_code=ExitCode.LOSS,
            )
        )


def _chosen(
    pipeline: Pipeline, what: str | None
) -> Iterator[tuple[str, tuple[BoundArtifact, tuple[Check, ...]]]]:
    """Find artifacts with checks, by STAGE.NAME; of several instances the first stands for all."""
    found: dict[str, tuple[BoundArtifact, tuple[Check, ...]]] = {}
    for instance in pipeline:
        for artifact in (*instance.inputs, *instance.outputs):
            checks = instance.spec.expect.get(artifact.name, ())
            if checks:
                found.setdefault(f"{instance.spec.name}.{artifact.name}", (artifact, checks))
    if what is not None and what not in found:
        near = did_you_mean(what, found)
        raise UsageError.of(
            f"'{what}' is no input or output that has checks.",
            known=f"known: {', '.join(found) or 'none'}",
            mend=f"did you mean '{near}'?" if near else "name one as STAGE.NAME",
        )
    if not found:
        raise UsageError.of("the project has no check.", mend="write some under `expect:` in a header")
    yield from found.items() if what is None else [(what, found[what])]


def _written(
    gx: Any, context: Any, name: str, kept: Sequence[Any], artifact: BoundArtifact, root: Path
) -> str:
    """Write a suite, and a checkpoint where the library can read the file by itself."""
    suite = context.suites.add_or_update(gx.ExpectationSuite(name=name, expectations=list(kept)))
    told = f"{len(kept)} expectation{'' if len(kept) == 1 else 's'}"
    path = artifact.paths[0]
    add = _ASSETS.get(Path(path).suffix.lower())
    if add is None or is_url(path) or len(artifact.paths) > 1:
        return f"{told}, no checkpoint: Great Expectations wants one table of its own kinds"
    file = root / path
    folder = Path(os.path.abspath(file.parent))  # noqa: PTH100 - else it would start from where it is loaded
    folder.mkdir(parents=True, exist_ok=True)  # the library wants it there
    source = context.data_sources.add_or_update_pandas_filesystem(name=name, base_directory=folder)
    given = {"sep": _separator(file)} if file.suffix.lower() == ".csv" else {}
    batches = getattr(source, add)(name=name, **given).add_batch_definition_path(name=name, path=file.name)
    definition = gx.ValidationDefinition(name=name, data=batches, suite=suite)
    definition = context.validation_definitions.add_or_update(definition)
    context.checkpoints.add_or_update(gx.Checkpoint(name=name, validation_definitions=[definition]))
    return f"{told} and a checkpoint"


def _separator(file: Path) -> str:
    """Find what separates the fields of a CSV file; a comma where it is not there yet."""
    try:
        with open_text(file) as opened:
            return delimiter_of(opened.readline())
    except (OSError, UnicodeDecodeError):
        return ","


def _made(gx: Any, check: Check) -> list[Any]:
    """Give a check as the library's expectations; none where it has none."""
    return [class_of(gx, full)(**{**keywords, **_beside(check, full)}) for full, keywords in _spoken(check)]


def _beside(check: Check, full: str) -> Keywords:
    mostly = check.mostly if expectations.table()[full]["mostly"] else None
    severity = "warning" if check.severity == "warn" else "critical"
    return {"severity": severity, **({} if mostly is None else {"mostly": mostly})}


def _spoken(check: Check) -> Iterator[tuple[str, Keywords]]:
    """Say a check in full names and arguments."""
    if choice.validator_of(check) == choice.GREAT_EXPECTATIONS:
        yield expectations.full_name(check.name) or check.name, expectations.keywords(check)
    elif check.name in BUILT_IN:
        yield from BUILT_IN[check.name](check.arguments)


def _rows(arguments: Any) -> Iterator[tuple[str, Keywords]]:
    bounds = {"min_value": arguments.get("min"), "max_value": arguments.get("max")}
    yield "expect_table_row_count_to_be_between", bounds


def _columns(arguments: Any) -> Iterator[tuple[str, Keywords]]:
    given = arguments if isinstance(arguments, Mapping) else {"required": arguments}
    for name in given.get("required") or ():
        yield "expect_column_to_exist", {"column": name}
    if given.get("only"):
        exact = {"column_set": list(given["only"]), "exact_match": True}
        yield "expect_table_columns_to_match_set", exact


def _types(arguments: Any) -> Iterator[tuple[str, Keywords]]:
    for column, kind in arguments.items():
        yield (
            "expect_column_values_to_be_in_type_list",
            {"column": column, "type_list": _TYPES[kind]},
        )


def _names(arguments: Any) -> list[str]:
    given = columns_of(arguments)
    return [given] if isinstance(given, str) else list(given)


def _not_null(arguments: Any) -> Iterator[tuple[str, Keywords]]:
    for column in _names(arguments):
        yield "expect_column_values_to_not_be_null", {"column": column}


def _between(arguments: Any) -> Iterator[tuple[str, Keywords]]:
    bounds = {"min_value": arguments.get("min"), "max_value": arguments.get("max")}
    yield "expect_column_values_to_be_between", {"column": arguments["column"], **bounds}


def _in_set(arguments: Any) -> Iterator[tuple[str, Keywords]]:
    values = {"column": arguments["column"], "value_set": list(arguments["values"])}
    yield "expect_column_values_to_be_in_set", values


def _unique(arguments: Any) -> Iterator[tuple[str, Keywords]]:
    names = _names(arguments)
    if len(names) == 1:
        yield "expect_column_values_to_be_unique", {"column": names[0]}
    else:
        missing = {"ignore_row_if": "any_value_is_missing"}  # as the built-in check has it
        yield "expect_compound_columns_to_be_unique", {"column_list": names, **missing}


BUILT_IN: Mapping[str, Callable[[Any], Iterator[tuple[str, Keywords]]]] = {
    "rows": _rows,
    "columns": _columns,
    "types": _types,
    "not_null": _not_null,
    "between": _between,
    "in_set": _in_set,
    "unique": _unique,
}
"""Built-in checks that the library can say; `exists` is none: it only sees what is there."""
