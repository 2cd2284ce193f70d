"""A strict look at pipeline definitions for SageMaker, and what their steps ask for once parameters have values.

Requests are held to botocore's own model of CreateProcessingJob: its validator knows types, fields and what may not be left out;
patterns, enumerations and lengths of the same model are held here. References have to lead somewhere, and steps may not wait in a circle.
"""

import functools
import graphlib
import re
from collections.abc import Iterator, Mapping
from typing import Any

TYPES = {"String": str, "Integer": int, "Float": float, "Boolean": bool}
STEP = re.compile(r"[A-Za-z0-9](-*[A-Za-z0-9]){0,63}")
PARAMETER = re.compile(r"[A-Za-z0-9_-]{1,64}")
TOP = {"Version", "Metadata", "Parameters", "Steps"}
FIELDS = {
    "Name",
    "Type",
    "DisplayName",
    "Description",
    "DependsOn",
    "CacheConfig",
    "RetryPolicies",
    "PropertyFiles",
    "Arguments",
}
POLICY = {"ExceptionType", "IntervalSeconds", "BackoffRate", "MaxAttempts"}
EXCEPTIONS = {
    "Step.SERVICE_FAULT",
    "Step.THROTTLING",
    "SageMaker.JOB_INTERNAL_ERROR",
    "SageMaker.CAPACITY_ERROR",
    "SageMaker.RESOURCE_LIMIT",
}
DEPLOYED = {"Role": "arn:aws:iam::123456789012:role/pipelines", "Outputs": "s3://bucket/runs"}
EXECUTION = {"Execution.PipelineExecutionId": "abcdefghijkl"}


def complaints(definition: Mapping[str, Any]) -> list[str]:
    """Name what is wrong with a definition; nothing where all is well."""
    found = [*_top(definition), *_parameters(definition["Parameters"]), *_steps(definition)]
    if not found:
        for name, request in requests(definition).items():
            found += [f"{name}: {one}" for one in request_complaints(request)]
    return found


def requests(definition: Mapping[str, Any], **given: str) -> dict[str, dict[str, Any]]:
    """Give what each step asks CreateProcessingJob for, with the texts that an execution is started with."""
    values: dict[str, Any] = dict(EXECUTION)
    for one in definition["Parameters"]:
        name = one["Name"]
        text = given.get(name)
        value = _typed(text, one["Type"]) if text is not None else one.get("DefaultValue", DEPLOYED.get(name))
        assert value is not None, f"{name} has no value"
        assert "EnumValues" not in one or value in one["EnumValues"], f"{name}: {value}"
        values[f"Parameters.{name}"] = value
    return {one["Name"]: _filled(one["Arguments"], values) for one in definition["Steps"]}


def request_complaints(request: Mapping[str, Any]) -> list[str]:
    """Hold a request to the service's model."""
    from botocore.validate import ParamValidator

    shape = _shape()
    named = {"ProcessingJobName": "pipelines-abcdefghijkl-step", **request}
    report = ParamValidator().validate(named, shape)
    return [*([report.generate_report()] if report.has_errors() else []), *_held(named, shape, "Arguments")]


@functools.cache
def _shape() -> Any:
    import botocore.session

    model = botocore.session.get_session().get_service_model("sagemaker")
    return model.operation_model("CreateProcessingJob").input_shape


def _held(value: Any, shape: Any, where: str) -> Iterator[str]:
    """Find values that the model's lengths, patterns and enumerations do not allow."""
    limits = shape.metadata
    if isinstance(value, str | list | dict) and len(value) > limits.get("max", len(value)):
        yield f"{where}: longer than {limits['max']}"
    if isinstance(value, int | float) and not limits.get("min", value) <= value <= limits.get("max", value):
        yield f"{where}: {value} is beyond {limits}"
    if isinstance(value, str):
        if "pattern" in limits and not re.fullmatch(limits["pattern"], value):
            yield f"{where}: {value!r} is no {limits['pattern']}"
        if limits.get("enum") and value not in limits["enum"]:
            yield f"{where}: {value!r} is none of {shape.name}"
    for key, inner in _inside(value):
        member = {"structure": lambda key=key: shape.members.get(key), "list": lambda: shape.member}.get(
            shape.type_name, lambda: shape.value
        )()
        if member is not None:
            yield from _held(inner, member, f"{where}.{key}")
        if shape.type_name == "map":
            yield from _held(key, shape.key, f"{where}.{key}")


def _inside(value: Any) -> list[tuple[Any, Any]]:
    if isinstance(value, dict):
        return [*value.items()]
    return [*enumerate(value)] if isinstance(value, list) else []


# --- the definition --------------------------------------------------------------------------


def _top(definition: Mapping[str, Any]) -> Iterator[str]:
    yield from (f"{one}: no such field" for one in definition.keys() - TOP)
    if definition.get("Version") != "2020-12-01":
        yield f"no version: {definition.get('Version')}"


def _parameters(parameters: list[Mapping[str, Any]]) -> Iterator[str]:
    names = [one["Name"] for one in parameters]
    if len({*names}) != len(names):
        yield "two parameters of one name"
    for one in parameters:
        yield from (
            f"{one['Name']}.{key}: no such field"
            for key in one.keys() - {"Name", "Type", "DefaultValue", "EnumValues"}
        )
        if not PARAMETER.fullmatch(one["Name"]):
            yield f"no name of a parameter: {one['Name']}"
        if one["Type"] not in TYPES:
            yield f"no type: {one['Type']}"
        elif "DefaultValue" in one and type(one["DefaultValue"]) is not TYPES[one["Type"]]:
            yield f"{one['Name']}: {one['DefaultValue']!r} is no {one['Type']}"
        if "EnumValues" in one and (one["Type"] != "String" or one["DefaultValue"] not in one["EnumValues"]):
            yield f"{one['Name']}: {one['DefaultValue']!r} is none of {one['EnumValues']}"


def _steps(definition: Mapping[str, Any]) -> Iterator[str]:
    steps = definition["Steps"]
    names = [one["Name"] for one in steps]
    if len({*names}) != len(names):
        yield "two steps of one name"
    known = {*EXECUTION, *(f"Parameters.{one['Name']}" for one in definition["Parameters"])}
    for one in steps:
        yield from (f"{one['Name']}: {text}" for text in _step(one, known, names))
    try:
        graphlib.TopologicalSorter({one["Name"]: one.get("DependsOn", ()) for one in steps}).prepare()
    except graphlib.CycleError as error:
        yield f"a circle: {error.args[1]}"


def _step(step: Mapping[str, Any], known: set[str], names: list[str]) -> Iterator[str]:
    yield from (f"{one}: no such field" for one in step.keys() - FIELDS)
    if not STEP.fullmatch(step["Name"]) or step["Type"] != "Processing":
        yield "no name of a step, or no type"
    if len(step["DisplayName"]) > 256 or len(step.get("Description", "")) > 3072:
        yield "a text is too long"
    yield from (f"no step {one}" for one in step.get("DependsOn", ()) if one not in names)
    yield from (f"nothing is called {one}" for one in _references(step["Arguments"]) if one not in known)
    outputs = [one["OutputName"] for one in step["Arguments"]["ProcessingOutputConfig"]["Outputs"]]
    yield from (
        f"no output {one['OutputName']}" for one in step["PropertyFiles"] if one["OutputName"] not in outputs
    )
    for one in step.get("RetryPolicies", ()):
        wrong = one.keys() != POLICY or not {*one["ExceptionType"]} <= EXCEPTIONS
        if wrong or one["IntervalSeconds"] < 1 or one["BackoffRate"] < 0 or not 1 <= one["MaxAttempts"] <= 20:
            yield f"no policy: {one}"


def _references(value: Any) -> Iterator[str]:
    if isinstance(value, dict) and value.keys() == {"Get"}:
        yield value["Get"]
    else:
        for _, one in _inside(value):
            yield from _references(one)


# --- values ----------------------------------------------------------------------------------


def _filled(value: Any, values: Mapping[str, Any]) -> Any:
    """Put values into references and joins, as the service does when an execution starts."""
    if isinstance(value, dict) and value.keys() == {"Get"}:
        return values[value["Get"]]
    if isinstance(value, dict) and value.keys() == {"Std:Join"}:
        join = value["Std:Join"]
        return str(join["On"]).join(_text(_filled(one, values)) for one in join["Values"])
    if isinstance(value, dict):
        return {key: _filled(one, values) for key, one in value.items()}
    return [_filled(one, values) for one in value] if isinstance(value, list) else value


def _text(value: Any) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)


def _typed(text: str, type_: str) -> Any:
    assert 1 <= len(text) <= 1024, "StartPipelineExecution takes 1 to 1024 characters"
    if type_ == "Boolean":
        return {"true": True, "false": False}[text.lower()]
    return TYPES[type_](text)
