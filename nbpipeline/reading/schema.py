"""The keys of the header and of pipeline.yaml: one table for the reader, the JSON Schemas and the docs."""

import json
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any, Final

from nbpipeline.model import Value
from nbpipeline.reading.alerts import ALERTS
from nbpipeline.reading.checks import CHECKS
from nbpipeline.reading.kinds import (
    ANY,
    AXIS,
    CORES,
    COUNT,
    DURATION,
    ENVIRONMENT,
    EXECUTED,
    FACTOR,
    FLAG,
    KIND,
    NUMBER,
    OUTPUT_KIND,
    PATH_OR_PATHS,
    PATHS,
    REFERENCE,
    SIZE,
    STAGE_NAME,
    STAGE_OR_FALSE,
    TEXT,
    VARIABLE,
    choice,
    identifier,
)
from nbpipeline.reading.schedule import SCHEDULE
from nbpipeline.reading.shapes import Key, ListOf, MapOf, Placed, Short, Table


def _key(name: str, shape: Any, text: str, default: Value = None) -> Key:
    return Key(name=name, shape=shape, help=text, default=default)


INPUT = Table(
    wants="a path, or a mapping",
    keys=(
        _key("path", PATH_OR_PATHS, "Path, relative to the notebook (in pipeline.yaml: to the root)."),
        _key(
            "from",
            REFERENCE,
            "Another stage's output: STAGE.OUTPUT, or STAGE[*].OUTPUT for all of a matrix.",
        ),
        _key("kind", KIND, "Whether it is one file, or a folder with all that is in it.", "file"),
        _key("digest", TEXT, "Pinned content digest, for a URL."),
    ),
)
OUTPUT = Table(
    wants="a path, or a mapping",
    keys=(
        _key("path", PATH_OR_PATHS, "Path, relative to the notebook (in pipeline.yaml: to the root)."),
        _key(
            "kind",
            OUTPUT_KIND,
            "Whether it is one file, a folder with all that is in it, or a model, which trackers register.",
            "file",
        ),
        _key("mode", choice("write", "update"), "`update`: several ordered stages may write it.", "write"),
        _key("store", FLAG, "Whether the content store keeps its bytes, so that it can be restored.", True),
        _key(
            "publish",
            choice("direct", "atomic"),
            "`atomic`: written beside and swapped in at the end.",
            "direct",
        ),
        _key("allow_outside", FLAG, "Whether it may be outside the project.", False),
    ),
)
PARAMETER = Table(
    wants="a value, or a mapping",
    keys=(
        Key(name="default", shape=ANY, help="Value where none is given.", nullable=True),
        _key("type", TEXT, "Type, as a Python annotation: float, int | None, Literal['a', 'b']."),
        _key("min", NUMBER, "Least value."),
        _key("max", NUMBER, "Greatest value."),
        _key("choices", ListOf(item=ANY), "Allowed values."),
        _key("help", TEXT, "What it means."),
    ),
)
RESOURCES = Table(
    keys=(
        _key(
            "cpus",
            CORES,
            "Cores; also the BLAS and OpenMP threads of the kernel.",
            1,
        ),
        _key("memory", SIZE, "Memory."),
        _key("gpus", COUNT, "Devices.", 0),
    ),
)
TEST = Table(
    keys=(
        _key("inputs", MapOf(item=PATH_OR_PATHS, name=identifier), "Paths that replace the inputs."),
        _key("params", MapOf(item=ANY, name=identifier), "Values that replace the parameters."),
    ),
)

STORE = Table(
    keys=(
        _key("path", TEXT, "Folder, or URL (`s3://bucket/prefix`) that a folder here is a cache of."),
        _key("max_size", SIZE, "The folder is kept under that, least used out first."),
        _key("remote", TEXT, "URL that only `push`, `pull` and `verify --remote` talk to."),
        _key("endpoint", TEXT, "Address of the service behind the URL, where it is not the usual one."),
        _key("options", MapOf(item=ANY), "Options of the URL's fsspec file system; no secrets."),
    )
)

SETTINGS: tuple[Key, ...] = (
    _key("retries", COUNT, "How often a failed attempt is tried again.", 0),
    _key("retry_delay", DURATION, "Wait before the first retry.", "0s"),
    _key(
        "retry_backoff",
        FACTOR,
        "Factor by which the wait grows.",
        1,
    ),
    _key(
        "timeout",
        DURATION,
        "Longest time of an attempt with the checks on its outputs; those on inputs have as long before it.",
    ),
    _key("cell_timeout", DURATION, "Longest time of a cell."),
    _key("resources", RESOURCES, "What an instance takes while it runs."),
    _key("kernel", TEXT, "Name of the kernelspec."),
    _key(
        "cwd",
        choice("notebook", "project"),
        "Folder that paths start from and that the kernel runs in.",
        "notebook",
    ),
    _key("pythonpath", PATHS, "Folders of further modules."),
    _key("env", ListOf(item=VARIABLE), "Environment variables that count in the fingerprint."),
    _key("secrets", ListOf(item=VARIABLE), "Environment variables that are handed on and masked everywhere."),
    _key("fresh_for", DURATION, "Stale again after that time."),
    _key("cache", FLAG, "`false`: always run.", True),
    _key("frozen", FLAG, "`true`: never run.", False),
    _key("tags", ListOf(item=TEXT), "Words to select stages by: `run tag:weekly`."),
)
DECLARATIONS: tuple[Key, ...] = (
    _key("description", TEXT, "What the stage does."),
    _key(
        "inputs",
        MapOf(item=Short(table=INPUT, key="path", short=PATH_OR_PATHS), name=identifier),
        "Files that the stage reads, by name.",
    ),
    _key(
        "outputs",
        MapOf(item=Short(table=OUTPUT, key="path", short=PATH_OR_PATHS), name=identifier),
        "Files that the stage writes, by name.",
    ),
    _key("after", ListOf(item=STAGE_NAME), "Stages that must have run before (order only)."),
    _key("dependencies", ListOf(item=STAGE_NAME), "Stages that must have run before; stale with them."),
    _key(
        "params",
        MapOf(item=Short(table=PARAMETER, key="default", short=ANY), name=identifier),
        "Parameters, by name.",
    ),
    _key("matrix", MapOf(item=AXIS, name=identifier), "Axes: an instance of the stage for each value."),
    _key(
        "expect",
        MapOf(item=CHECKS, name=identifier),
        "Checks on inputs before and on outputs after, by name.",
    ),
    _key(
        "executed",
        EXECUTED,
        "Where the executed notebook is also kept.",
    ),
    _key("test", TEST, "What `nbpipeline test` runs the stage on."),
)
_STAGE = Key(
    name="stage",
    shape=STAGE_OR_FALSE,
    help="Name of the stage; `false`: the notebook is none.",
)


def _plugin_keys(names: Collection[str]) -> tuple[Key, ...]:
    return tuple(
        Key(name=name, shape=ANY, help="Read by a plug-in.", owner="plug-in") for name in sorted(names)
    )


def header_table(plugin_keys: Collection[str] = ()) -> Table:
    """Give the keys under `nbpipeline:` in a notebook's header."""
    moved = {"name": "did you mean 'stage'?", "parameters": "did you mean 'params'?"}
    return Table(keys=(_STAGE, *DECLARATIONS, *SETTINGS, *_plugin_keys(plugin_keys)), elsewhere=moved)


def entry_table(plugin_keys: Collection[str] = ()) -> Table:
    """Give the keys of an item of pipeline.yaml's `stages`."""
    own = (
        Key(name="name", shape=STAGE_NAME, help="Name of the stage.", nullable=False),
        _key("notebook", TEXT, "Its notebook; default: the one found under that name."),
    )
    values = MapOf(item=ANY, name=identifier)
    declared = tuple(
        Key(name="params", shape=values, help="Values of its parameters, or their declarations.")
        if key.name == "params"
        else key
        for key in DECLARATIONS
    )
    moved = {"stage": "did you mean 'name'?", "parameters": "did you mean 'params'?"}
    return Table(keys=(*own, *declared, *SETTINGS, *_plugin_keys(plugin_keys)), elsewhere=moved)


def _layered(plugin_keys: Collection[str]) -> tuple[Key, ...]:
    """Give the keys that stand in pipeline.yaml and in a profile of it."""
    defaults = Table(keys=(*SETTINGS, *_plugin_keys(plugin_keys)))
    return (
        _key("params", MapOf(item=ANY, name=identifier), "Values for every stage that declares them."),
        _key("defaults", defaults, "Settings of every stage that does not say otherwise."),
        _key(
            "stages",
            ListOf(item=Placed(item=entry_table(plugin_keys))),
            "Adds to and overrides what is discovered.",
        ),
        _key(
            "schedule",
            SCHEDULE,
            "When an orchestrator runs it.",
        ),
        _key(
            "environment",
            ENVIRONMENT,
            "What of the kernel's environment makes stale.",
            "imported",
        ),
        _key(
            "kernels",
            choice("fork", "plain"),
            "How kernels start: forked from a process that has imported what stages need, or each anew.",
        ),
        _key("store", STORE, "The content store."),
        _key(
            "executor",
            Table(
                keys=(
                    _key("name", TEXT, "`local` (threads here), `dask`, or a plug-in's.", "local"),
                    _key("address", TEXT, "Of its scheduler (`tcp://host:8786`); default: one started here."),
                    _key("wait", DURATION, "How long a run goes on without any worker.", "1m"),
                    _key("settings", MapOf(item=ANY), "What a plug-in's executor takes beside."),
                )
            ),
            "Where stages run.",
        ),
        _key("tracking", MapOf(item=ANY), "Trackers, by name; each reads its own keys."),
        _key("alerts", ALERTS, "Who is told by mail, chat or push of a run that failed, or works again."),
        *_plugin_keys(set(plugin_keys) - {"tracking", "alerts"}),
    )


def project_table(plugin_keys: Collection[str] = ()) -> Table:
    """Give the keys of pipeline.yaml."""
    moved = {key.name: f"write it under 'defaults:' ({key.name} is a stage's key)." for key in SETTINGS}
    layered = _layered(plugin_keys)
    own = (
        _key("name", TEXT, "Name of the pipeline; default: the folder's."),
        _key("notebooks", PATHS, "Patterns of the notebooks to look at.", ["notebooks/*.ipynb"]),
        _key("exclude", PATHS, "Patterns of notebooks that are no stages."),
        _key(
            "profiles",
            MapOf(item=Table(keys=layered, elsewhere=moved)),
            "Named sets of keys that `--profile` puts over the rest.",
        ),
    )
    return Table(keys=(*own, *layered), elsewhere=moved)


# --- JSON Schema -----------------------------------------------------------------------------

_DRAFT: Final = "https://json-schema.org/draft/2020-12/schema"
SCHEMAS: Final = Path(__file__).parent / "schemas"
"""The shipped schemas: stage.json and project.json."""


def stage_schema(plugin_keys: Collection[str] = ()) -> dict[str, Any]:
    """Describe a notebook's front matter; keys beside `nbpipeline` are other tools'."""
    table = header_table(plugin_keys).schema()
    return {
        "$schema": _DRAFT,
        "title": "Header of an nbpipeline stage",
        "type": "object",
        "properties": {"nbpipeline": {"anyOf": [table, {"type": "null"}]}},
    }


def project_schema(plugin_keys: Collection[str] = ()) -> dict[str, Any]:
    """Describe pipeline.yaml; what profiles repeat stands once, under `$defs`."""
    definitions = {
        "stage": entry_table(plugin_keys).schema(),
        "defaults": Table(keys=(*SETTINGS, *_plugin_keys(plugin_keys))).schema(),
    }
    table = _referring(project_table(plugin_keys).schema(), definitions)
    return {"$schema": _DRAFT, "title": "pipeline.yaml of nbpipeline", **table, "$defs": definitions}


def _referring(schema: Any, definitions: Mapping[str, Any]) -> Any:
    """Put a reference wherever one of the definitions stands."""
    for name, definition in definitions.items():
        if schema == definition:
            return {"$ref": f"#/$defs/{name}"}
    if isinstance(schema, dict):
        return {key: _referring(value, definitions) for key, value in schema.items()}
    if isinstance(schema, list):
        return [_referring(item, definitions) for item in schema]
    return schema


def schema_files() -> dict[str, str]:
    """Give the text of each shipped schema by its file's name."""
    both = {"stage.json": stage_schema(), "project.json": project_schema()}
    return {name: json.dumps(schema, indent=2) + "\n" for name, schema in both.items()}
