"""A look at Azure Machine Learning's YAML for what Microsoft's own validation lets pass: references, circles, schedules, names."""

import re
from collections.abc import Iterator, Mapping
from graphlib import CycleError, TopologicalSorter
from pathlib import Path
from typing import Any

import yaml

from nbpipeline.exporters.azureml_zones import NAMES

NODE = re.compile(r"[a-z_][a-z0-9_]*")
"""A name of a job, an input, an output, a component: Azure knows no capitals there."""
EXPRESSION = re.compile(r"\$\{\{\s*(.*?)\s*\}\}")
RANGE = r"(?:\*|[0-9]+(?:-[0-9]+)?|[a-z]{3}(?:-[a-z]{3})?)(?:/[0-9]+)?"
CRON = re.compile(rf"(?:{RANGE}(?:,{RANGE})* ){{2}}\* \* {RANGE}(?:,{RANGE})*")
"""Azure ignores days of the month and months, so they have to be `*`."""


def complaints(folder: Path) -> list[str]:
    """Say what is wrong with an export, a line each; nothing where it is sound."""
    pipeline = _read(folder / "pipeline.yml")
    return [*_pipeline(pipeline, folder), *_circle(pipeline), *_schedule(folder)]


def _read(path: Path) -> dict[str, Any]:
    found = yaml.safe_load(path.read_text(encoding="utf-8"))
    assert isinstance(found, dict), path
    return found


def _pipeline(pipeline: Mapping[str, Any], folder: Path) -> Iterator[str]:
    inputs, jobs = pipeline.get("inputs", {}), pipeline["jobs"]
    components = {name: _read(folder / job["component"]) for name, job in jobs.items()}
    for name, value in inputs.items():
        yield from _name(name)
        if value in (None, ""):
            yield f"inputs.{name}: Azure's clients drop what is empty"
        elif EXPRESSION.search(str(value)):
            yield f"inputs.{name}: an expression"
    for name, job in jobs.items():
        yield from _name(name)
        yield from _component(components[name])
        yield from _given(name, job, components[name], inputs, components)


def _name(name: str) -> Iterator[str]:
    if not NODE.fullmatch(name):
        yield f"{name}: no name"


def _component(component: Mapping[str, Any]) -> Iterator[str]:
    for name in (component["name"], *component["inputs"], *component["outputs"]):
        yield from _name(name)
    for one in component["inputs"].values():
        if one.get("optional"):
            yield f"{component['name']}: an input that may be missing orders nothing"
    used = EXPRESSION.findall(component["command"])
    yield from (
        f"{component['name']}: {one} in the command is code"
        for one in used
        if one not in {f"outputs.{name}" for name in component["outputs"]}
    )


def _given(
    name: str,
    job: Mapping[str, Any],
    component: Mapping[str, Any],
    inputs: Mapping[str, Any],
    components: Mapping[str, Any],
) -> Iterator[str]:
    if job["inputs"].keys() != component["inputs"].keys():
        yield f"jobs.{name}: other inputs than its component"
    known = {f"parent.inputs.{one}": "value" for one in inputs}
    known |= {
        f"parent.jobs.{one}.outputs.{output}": "folder"
        for one, other in components.items()
        for output in other["outputs"]
    }
    for one, value in job["inputs"].items():
        kind = "folder" if component["inputs"].get(one, {}).get("type") == "uri_folder" else "value"
        used = EXPRESSION.findall(str(value))
        if (used or kind == "folder") and [known.get(each) for each in used] != [kind]:
            yield f"jobs.{name}.inputs.{one}: {value} leads nowhere"


def _circle(pipeline: Mapping[str, Any]) -> Iterator[str]:
    waits = {
        name: [
            each.split(".")[2]
            for value in job["inputs"].values()
            for each in EXPRESSION.findall(str(value))
            if each.startswith("parent.jobs.")
        ]
        for name, job in pipeline["jobs"].items()
    }
    try:
        TopologicalSorter(waits).prepare()
    except CycleError as error:
        yield f"a circle: {error.args[1]}"


def _schedule(folder: Path) -> Iterator[str]:
    if not (folder / "schedule.yml").exists():
        return
    trigger = _read(folder / "schedule.yml")["trigger"]
    if not CRON.fullmatch(trigger["expression"]):
        yield f"schedule: {trigger['expression']}"
    if trigger["time_zone"] not in NAMES:
        yield f"schedule: no time zone {trigger['time_zone']}"
