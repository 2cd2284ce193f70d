"""A strict look at manifests of Argo Workflows: what the published JSON schema lets pass, this refuses.

Unknown fields are faults, references have to lead somewhere, quantities, schedules and names have to be ones. It knows of the
fields that exports use, and of no others.
"""

import re
from collections.abc import Iterator, Mapping
from typing import Any
from zoneinfo import ZoneInfo

ARTIFACT = {"name": str, "path": str, "optional": bool, "archive": {"none": {}}}
REFERENCE = {"name": str, "key": str, "optional": bool}
RESOURCES = {"cpu": str, "memory": str, "nvidia.com/gpu": str}
CONTAINER = {
    "image": str,
    "command": [str],
    "args": [str],
    "env": [{"name": str, "valueFrom": {"secretKeyRef": REFERENCE, "configMapKeyRef": REFERENCE}}],
    "resources": {"requests": RESOURCES, "limits": RESOURCES},
    "volumeMounts": [{"name": str, "mountPath": str}],
}
RETRY = {
    "limit": int,
    "retryPolicy": str,
    "expression": str,
    "backoff": {"duration": str, "factor": int},
}
TASK = {
    "name": str,
    "template": str,
    "depends": str,
    "arguments": {"parameters": [{"name": str, "value": str}]},
}
TEMPLATE = {
    "name": str,
    "metadata": {"annotations": dict},
    "activeDeadlineSeconds": int,
    "retryStrategy": RETRY,
    "container": CONTAINER,
    "inputs": {"parameters": [{"name": str}]},
    "dag": {"failFast": bool, "tasks": [TASK]},
    "outputs": {"artifacts": [ARTIFACT]},
}
SPEC = {
    "entrypoint": str,
    "arguments": {"parameters": [{"name": str, "value": str, "description": str, "enum": [str]}]},
    "securityContext": {"runAsNonRoot": bool, "runAsUser": int, "fsGroup": int},
    "volumes": [{"name": str, "persistentVolumeClaim": {"claimName": str}}],
    "templates": [TEMPLATE],
}
KINDS: Mapping[str, Any] = {
    "WorkflowTemplate": SPEC,
    "CronWorkflow": {
        "schedules": [str],
        "timezone": str,
        "concurrencyPolicy": str,
        "workflowSpec": {"workflowTemplateRef": {"name": str}},
    },
}
NEEDED = {"name", "template", "image", "claimName", "mountPath", "path", "key", "entrypoint", "schedules"}
"""Fields that may not be left out where they are known."""
NAME = re.compile(r"[a-z0-9]([-a-z0-9]*[a-z0-9])?")
PARAMETER = re.compile(r"[-A-Za-z0-9_]+")
QUANTITY = re.compile(r"[0-9]+(\.[0-9]+)?(m|k|M|G|T|Ki|Mi|Gi|Ti)?")
DURATION = re.compile(r"[0-9]+(\.[0-9]+)?(ms|s|m|h)")
TAG = re.compile(r"\{\{(.*?)\}\}", re.DOTALL)
USED = re.compile(r"(?:=toJson\((?P<quoted>[^()]+)\)|(?P<plain>[^=]+))")
EXPRESSION = re.compile(r'lastRetry\.exitCode not in \[("[0-9]+"(, )?)+\]')
CRON = ((0, 59), (0, 23), (1, 31), (1, 12), (0, 6))
NAMED = re.compile(r"[a-z]{3}")
POLICIES = {"Always", "OnFailure", "OnError", "OnTransientError"}
LONGEST = {"WorkflowTemplate": 63, "CronWorkflow": 52}


def complaints(*documents: Mapping[str, Any]) -> list[str]:
    """Name what is wrong with manifests that are applied together; nothing where all is well."""
    return [one for document in documents for one in _document(document, documents)]


def _document(document: Mapping[str, Any], all_of_them: tuple[Mapping[str, Any], ...]) -> Iterator[str]:
    kind = document.get("kind")
    if document.get("apiVersion") != "argoproj.io/v1alpha1" or kind not in KINDS:
        yield f"no such kind: {document.get('apiVersion')}, {kind}"
        return
    shape = {
        "apiVersion": str,
        "kind": str,
        "metadata": {"name": str, "annotations": dict},
        "spec": KINDS[kind],
    }
    wrong = [*_shape(document, shape, str(kind))]
    yield from wrong
    if wrong:
        return
    name = document["metadata"]["name"]
    if not NAME.fullmatch(name) or len(name) > LONGEST[kind]:
        yield f"{kind}: no name: {name}"
    yield from _cron(document["spec"], all_of_them) if kind == "CronWorkflow" else _spec(document["spec"])


def _shape(value: Any, shape: Any, where: str) -> Iterator[str]:
    if isinstance(shape, dict):
        if not isinstance(value, dict):
            yield f"{where}: no mapping"
            return
        for key in value.keys() - shape.keys():
            yield f"{where}.{key}: no such field"
        for key in (shape.keys() & NEEDED) - value.keys():
            yield f"{where}.{key}: left out"
        for key in value.keys() & shape.keys():
            yield from _shape(value[key], shape[key], f"{where}.{key}")
    elif isinstance(shape, list):
        if not isinstance(value, list) or not value:
            yield f"{where}: no list with anything in it"
            return
        for number, one in enumerate(value):
            yield from _shape(one, shape[0], f"{where}[{number}]")
    elif type(value) is not shape:
        yield f"{where}: {value!r} is no {shape.__name__}"


def _spec(spec: Mapping[str, Any]) -> Iterator[str]:
    templates = {one["name"]: one for one in spec["templates"]}
    if len(templates) != len(spec["templates"]):
        yield "two templates of one name"
    if spec["entrypoint"] not in templates:
        yield f"entrypoint: no template {spec['entrypoint']}"
    parameters = [one["name"] for one in spec.get("arguments", {}).get("parameters", ())]
    yield from (f"no name of a parameter: {one}" for one in parameters if not PARAMETER.fullmatch(one))
    for one in spec.get("arguments", {}).get("parameters", ()):
        yield from (f"parameter {one['name']}: a tag: {tag}" for tag in TAG.findall(one["value"]))
        if "enum" in one and one["value"] not in one["enum"]:
            yield f"parameter {one['name']}: {one['value']} is none of {one['enum']}"
    volumes = {one["name"] for one in spec.get("volumes", ())}
    for name, template in templates.items():
        if not NAME.fullmatch(name) or len(name) > LONGEST["WorkflowTemplate"]:
            yield f"no name of a template: {name}"
        if ("dag" in template) == ("container" in template):
            yield f"{name}: neither a DAG nor a container, or both"
        elif "dag" in template:
            yield from _dag(template["dag"]["tasks"], templates)
        else:
            known = {f"workflow.parameters.{one}" for one in parameters}
            known |= {f"inputs.parameters.{one}" for one in _inputs(template)}
            yield from _container(name, template, known, volumes)


def _inputs(template: Mapping[str, Any]) -> list[str]:
    return [one["name"] for one in template.get("inputs", {}).get("parameters", ())]


def _dag(tasks: list[Mapping[str, Any]], templates: Mapping[str, Any]) -> Iterator[str]:
    names = [one["name"] for one in tasks]
    before: set[str] = set()
    if len({*names}) != len(names):
        yield "two tasks of one name"
    for one in tasks:
        if one["template"] not in templates:
            yield f"{one['name']}: no template {one['template']}"
            continue
        handed = one.get("arguments", {}).get("parameters", ())
        if sorted(each["name"] for each in handed) != sorted(_inputs(templates[one["template"]])):
            yield f"{one['name']}: not the arguments of {one['template']}"
        yield from (f"{one['name']}: a tag: {tag}" for each in handed for tag in TAG.findall(each["value"]))
        for needed in one["depends"].split(" && ") if "depends" in one else ():
            if needed not in names:
                yield f"{one['name']}: no task {needed}"
            elif needed not in before:
                yield f"{one['name']}: depends on {needed}, which comes later: a circle, or no run order"
        before.add(one["name"])


def _container(
    name: str, template: Mapping[str, Any], parameters: set[str], volumes: set[str]
) -> Iterator[str]:
    container = template["container"]
    for word in (*container["command"], *container["args"], container["image"]):
        for tag in TAG.findall(word):
            used = USED.fullmatch(tag)
            if used is None or (used["quoted"] or used["plain"]) not in parameters:
                yield f"{name}: nothing is called {tag}"
    yield from (
        f"{name}: no volume {one['name']}"
        for one in container.get("volumeMounts", ())
        if one["name"] not in volumes
    )
    for one in container.get("env", ()):
        if len(one["valueFrom"]) != 1:
            yield f"{name}: {one['name']} comes from {sorted(one['valueFrom'])}"
    for what, quantities in container.get("resources", {}).items():
        for unit, quantity in quantities.items():
            if not QUANTITY.fullmatch(quantity) or (unit.endswith("gpu") and not quantity.isdigit()):
                yield f"{name}: {what}: {quantity} is no quantity of {unit}"
    if template.get("activeDeadlineSeconds", 1) < 1:
        yield f"{name}: a deadline of {template['activeDeadlineSeconds']} s"
    yield from (f"{name}: {one}" for one in _retry(template.get("retryStrategy")))


def _retry(strategy: Mapping[str, Any] | None) -> Iterator[str]:
    if strategy is None:
        return
    if strategy["limit"] < 1 or strategy["retryPolicy"] not in POLICIES:
        yield f"no strategy: {strategy['limit']} times, {strategy['retryPolicy']}"
    if not EXPRESSION.fullmatch(strategy["expression"]):
        yield f"no expression: {strategy['expression']}"
    wait = strategy.get("backoff")
    if wait is not None and (not DURATION.fullmatch(wait["duration"]) or wait["factor"] < 1):
        yield f"no back-off: {wait}"


def _cron(spec: Mapping[str, Any], all_of_them: tuple[Mapping[str, Any], ...]) -> Iterator[str]:
    wanted = spec["workflowSpec"]["workflowTemplateRef"]["name"]
    if not any(
        one["kind"] == "WorkflowTemplate" and one["metadata"]["name"] == wanted for one in all_of_them
    ):
        yield f"no WorkflowTemplate {wanted}"
    if spec["concurrencyPolicy"] not in {"Allow", "Forbid", "Replace"}:
        yield f"no policy: {spec['concurrencyPolicy']}"
    try:
        ZoneInfo(spec["timezone"])
    except (KeyError, ValueError, OSError):
        yield f"no time zone: {spec['timezone']}"
    for schedule in spec["schedules"]:
        fields = schedule.split(" ")
        if len(fields) != len(CRON):
            yield f"no schedule: {schedule}"
            continue
        for field, (lowest, highest) in zip(fields, CRON, strict=True):
            ends = [end for part in field.split(",") for end in part.partition("/")[0].split("-")]
            wrong = [
                one
                for one in ends
                if one != "*"
                and not NAMED.fullmatch(one)
                and not (one.isdigit() and lowest <= int(one) <= highest)
            ]
            yield from (f"no schedule: {schedule}: {one}" for one in wrong)
