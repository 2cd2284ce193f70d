"""The keys of the header and of pipeline.yaml: one table for the reader, the JSON Schemas and the docs."""

import json
import keyword
import re
from collections.abc import Callable, Collection, Mapping
from pathlib import Path
from typing import Any, Final

from nbpipeline.model import Value
from nbpipeline.reading import quantities
from nbpipeline.reading.place import Place
from nbpipeline.reading.shapes import (
    INVALID,
    Anything,
    Key,
    ListOf,
    MapOf,
    Placed,
    Scalar,
    Short,
    Table,
    shown,
)

NAME: Final = r"[A-Za-z_][A-Za-z0-9_-]*"
NAME_RULE: Final = "a name is made of letters A to Z, digits, `_` and `-`, and begins with a letter or `_`"
IDENTIFIER_RULE: Final = "the name must be one that Python can assign: letters, digits and `_`, no keyword"
EXECUTED_SUFFIXES: Final = (".ipynb", ".html", ".md", ".pdf")

_REFERENCE = re.compile(rf"({NAME})(\[\*\])?\.([^\W\d]\w*)")


def stage_name(value: Value) -> str:
    """Check a stage's name. Raises ValueError, saying the rule."""
    if isinstance(value, str) and re.fullmatch(NAME, value):
        return value
    raise ValueError(NAME_RULE)


def identifier(value: Value) -> str:
    """Check a declared name, which cells assign. Raises ValueError, saying the rule."""
    if isinstance(value, str) and value.isidentifier() and not keyword.iskeyword(value):
        return value
    raise ValueError(IDENTIFIER_RULE)


def reference(value: Value) -> tuple[str, bool, str]:
    """Split `STAGE.OUTPUT` or `STAGE[*].OUTPUT`: stage, whether collected, output. Raises ValueError."""
    match = _REFERENCE.fullmatch(value) if isinstance(value, str) else None
    if not match:
        raise ValueError("no reference")
    return match.group(1), match.group(2) is not None, match.group(3)


def _text(value: Value) -> str:
    if isinstance(value, str) and value.strip() and "\0" not in value:
        return value
    raise ValueError("no text")


def _number(low: float, *, whole: bool = False, over: bool = False) -> Callable[[Value], float]:
    """Make a check for numbers of at least `low` (greater, where `over`)."""

    def convert(value: Value) -> float:
        fits = isinstance(value, int if whole else int | float) and not isinstance(value, bool)
        if not fits or not (low < value if over else low <= value) or value == float("inf"):
            raise ValueError("no such number")
        return float(value) if not whole else value

    return convert


def _plain_number(value: Value) -> float:
    if isinstance(value, int | float) and not isinstance(value, bool):
        return value
    raise ValueError("no number")


def _flag(value: Value) -> bool:
    if isinstance(value, bool):
        return value
    raise ValueError("no flag")


def _choice(*words: str) -> Scalar:
    def convert(value: Value) -> str:
        if isinstance(value, str) and value in words:
            return value
        raise ValueError("none of them")

    return Scalar(
        wants=f"one of {', '.join(words)}",
        example=f"`{words[0]}`",
        convert=convert,
        json={"enum": list(words)},
    )


def _quantity(read: Callable[[str], float]) -> Callable[[Value], float]:
    def convert(value: Value) -> float:
        if isinstance(value, str):
            return read(value)
        return _number(0)(value)

    return convert


def _whole_size(value: Value) -> int:
    return round(_quantity(quantities.size)(value))


def _executed(value: Value) -> str:
    if isinstance(value, str) and value.endswith(EXECUTED_SUFFIXES):
        return value
    raise ValueError("no such ending")


def _reference_text(value: Value) -> str:
    reference(value)
    return str(value)


def _scalar_value(value: Value) -> Value:
    if isinstance(value, bool | int | float) or (isinstance(value, str) and value):
        if isinstance(value, str) and re.search(r"[\[\],=\n]", value):
            raise ValueError("a character that ids need")
        return value
    raise ValueError("no scalar")


def _stage_or_false(value: Value) -> str | bool:
    return value if value is False else stage_name(value)


def _environment(value: Value) -> Value:
    if value in ("imported", "none"):
        return value
    if isinstance(value, dict) and set(value) == {"lock"} and isinstance(value["lock"], str):
        return value
    raise ValueError("none of them")


TEXT = Scalar(
    wants="text",
    example="a word, in quotes if it looks like a number",
    convert=_text,
    json={"type": "string"},
)
FLAG = Scalar(wants="true or false", example="`true`", convert=_flag, json={"type": "boolean"})
COUNT = Scalar(
    wants="a whole number of at least 0",
    example="`2`",
    convert=_number(0, whole=True),
    json={"type": "integer", "minimum": 0},
)
STAGE_NAME = Scalar(
    wants=f"a stage's name ({NAME_RULE})",
    example="`train_model`",
    convert=stage_name,
    json={"type": "string", "pattern": f"^{NAME}$"},
)
DURATION = Scalar(
    wants="a duration",
    example="`30s`, `10m`, `1h30m` or `24h`",
    convert=_quantity(quantities.seconds),
    json={
        "anyOf": [
            {"type": "string", "pattern": quantities.DURATION_PATTERN},
            {"type": "number", "minimum": 0},
        ]
    },
)
SIZE = Scalar(
    wants="a size",
    example="`512MB`, `2GB` or `2GiB`",
    convert=_whole_size,
    json={
        "anyOf": [{"type": "string", "pattern": quantities.SIZE_PATTERN}, {"type": "number", "minimum": 0}]
    },
)
NUMBER = Scalar(wants="a number", example="`0.5`", convert=_plain_number, json={"type": "number"})
VARIABLE = Scalar(
    wants="the name of an environment variable",
    example="`TZ`",
    convert=identifier,
    json={"type": "string", "pattern": r"^\w+$"},
)
ANY = Anything()

PATHS = ListOf(item=TEXT)


class _PathOrPaths:
    """A path, or a list of them, which stays a list."""

    def read(self, value: Value, place: Place) -> Value:
        """Give text, or a tuple of texts."""
        if isinstance(value, list):
            read = [TEXT.read(item, place.child(number)) for number, item in enumerate(value)]
            return INVALID if INVALID in read else tuple(read)
        return TEXT.read(value, place)

    def schema(self) -> dict[str, Any]:
        """Describe both."""
        return {"anyOf": [{"type": "string"}, {"type": "array", "items": {"type": "string"}}]}


class _Checks:
    """The expectations on one artifact: `exists`, or `{between: {...}}`, in a list or alone."""

    def read(self, value: Value, place: Place) -> Value:
        """Give (name, arguments, location) of each check."""
        items = value if isinstance(value, list) else [value]
        at = [place.child(number) for number in range(len(items))] if isinstance(value, list) else [place]
        read = [_check(item, one) for item, one in zip(items, at, strict=True)]
        return tuple(item for item in read if item is not None)

    def schema(self) -> dict[str, Any]:
        """Describe a check by its form; its arguments are the validator's."""
        one = {"anyOf": [{"type": "string"}, {"type": "object", "minProperties": 1, "maxProperties": 1}]}
        return {"anyOf": [*one["anyOf"], {"type": "array", "items": one}]}


CHECKS: Final = _Checks()


def _check(value: Value, place: Place) -> tuple[str, Value, Any] | None:
    if isinstance(value, str) and value:
        return (value, None, place.where)
    if isinstance(value, dict) and len(value) == 1 and isinstance(next(iter(value)), str):
        return (*next(iter(value.items())), place.where)
    place.complain(
        f"{place.key} is {shown(value)}; a check is one name with its arguments.",
        mend="write each check as its own item: `- not_null: column`.",
    )
    return None


class _AxisValues:
    """A matrix axis: a list of plain values, or `{from_file: FILE}`."""

    _table = Table(
        keys=(Key(name="from_file", shape=TEXT, help="File that lists the values.", nullable=False),)
    )
    _value = Scalar(
        wants="a plain value without any of `[ ] , =`",
        example="`region: [eu, us]`",
        convert=_scalar_value,
        json={"type": ["string", "number", "boolean"]},
    )

    def read(self, value: Value, place: Place) -> Value:
        """Give a tuple of values, or `{"from_file": FILE}`."""
        if isinstance(value, dict):
            read = self._table.read(value, place)
            return read or INVALID
        return axis_values(value, place)

    def schema(self) -> dict[str, Any]:
        """Describe both."""
        values = {"type": "array", "items": self._value.schema(), "minItems": 1, "uniqueItems": True}
        return {"anyOf": [values, self._table.schema()]}


def axis_values(value: Value, place: Place) -> Value:
    """Read the values of an axis, from YAML or from a file: at least one, each once."""
    if not isinstance(value, list) or not value:
        place.complain(
            f"{place.key} is {shown(value)}; an axis wants a list of at least one value.",
            mend="write, for example, `region: [eu, us]`.",
        )
        return INVALID
    shape = _AxisValues._value  # noqa: SLF001 - the class stands above
    read = [shape.read(item, place.child(number)) for number, item in enumerate(value)]
    if INVALID in read:
        return INVALID
    twice = next((item for number, item in enumerate(read) if item in read[:number]), None)
    if twice is not None:
        place.complain(
            f"the axis {place.key} has the value {shown(twice)} twice.", mend="take one of them out."
        )
        return INVALID
    return tuple(read)


def _key(name: str, shape: Any, text: str, default: Value = None) -> Key:
    return Key(name=name, shape=shape, help=text, default=default)


_REFERENCE_SHAPE = Scalar(
    wants="a reference STAGE.OUTPUT or STAGE[*].OUTPUT",
    example="`{from: prepare.encoder}`",
    convert=_reference_text,
    json={"type": "string", "pattern": rf"^{NAME}(\[\*\])?\.\w+$"},
)
INPUT = Table(
    wants="a path, or a mapping",
    keys=(
        _key("path", _PathOrPaths(), "Path, relative to the notebook (in pipeline.yaml: to the root)."),
        _key(
            "from",
            _REFERENCE_SHAPE,
            "Another stage's output: STAGE.OUTPUT, or STAGE[*].OUTPUT for all of a matrix.",
        ),
        _key("kind", TEXT, "`file`, `directory`, or a kind that a plug-in knows.", "file"),
        _key("digest", TEXT, "Pinned content digest, for a URL."),
    ),
)
OUTPUT = Table(
    wants="a path, or a mapping",
    keys=(
        _key("path", _PathOrPaths(), "Path, relative to the notebook (in pipeline.yaml: to the root)."),
        _key("kind", TEXT, "`file`, `directory`, or a kind that a plug-in knows.", "file"),
        _key("mode", _choice("write", "update"), "`update`: several ordered stages may write it.", "write"),
        _key("store", FLAG, "Whether the content store keeps its bytes, so that it can be restored.", True),
        _key(
            "publish",
            _choice("direct", "atomic"),
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
            Scalar(
                wants="a number over 0",
                example="`2`",
                convert=_number(0, over=True),
                json={"type": "number", "exclusiveMinimum": 0},
            ),
            "Cores; also the BLAS and OpenMP threads of the kernel.",
            1,
        ),
        _key("memory", SIZE, "Memory."),
        _key("gpus", COUNT, "Devices.", 0),
    ),
)
TEST = Table(
    keys=(
        _key("inputs", MapOf(item=_PathOrPaths(), name=identifier), "Paths that replace the inputs."),
        _key("params", MapOf(item=ANY, name=identifier), "Values that replace the parameters."),
    ),
)

SETTINGS: tuple[Key, ...] = (
    _key("retries", COUNT, "How often a failed attempt is tried again.", 0),
    _key("retry_delay", DURATION, "Wait before the first retry.", "0s"),
    _key(
        "retry_backoff",
        Scalar(
            wants="a number of at least 1",
            example="`2`",
            convert=_number(1),
            json={"type": "number", "minimum": 1},
        ),
        "Factor by which the wait grows.",
        1,
    ),
    _key("timeout", DURATION, "Longest time of an attempt."),
    _key("cell_timeout", DURATION, "Longest time of a cell."),
    _key("resources", RESOURCES, "What an instance takes while it runs."),
    _key("kernel", TEXT, "Name of the kernelspec."),
    _key(
        "cwd",
        _choice("notebook", "project"),
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
        MapOf(item=Short(table=INPUT, key="path", short=_PathOrPaths()), name=identifier),
        "Files that the stage reads, by name.",
    ),
    _key(
        "outputs",
        MapOf(item=Short(table=OUTPUT, key="path", short=_PathOrPaths()), name=identifier),
        "Files that the stage writes, by name.",
    ),
    _key("after", ListOf(item=STAGE_NAME), "Stages that must have run before (order only)."),
    _key("dependencies", ListOf(item=STAGE_NAME), "Stages that must have run before; stale with them."),
    _key(
        "params",
        MapOf(item=Short(table=PARAMETER, key="default", short=ANY), name=identifier),
        "Parameters, by name.",
    ),
    _key(
        "matrix", MapOf(item=_AxisValues(), name=identifier), "Axes: an instance of the stage for each value."
    ),
    _key(
        "expect",
        MapOf(item=CHECKS, name=identifier),
        "Checks on inputs before and on outputs after, by name.",
    ),
    _key(
        "executed",
        Scalar(
            wants=f"a path that ends in {', '.join(EXECUTED_SUFFIXES)}",
            example="`../out/train.html`",
            convert=_executed,
            json={"type": "string"},
        ),
        "Where the executed notebook is also kept.",
    ),
    _key("test", TEST, "What `nbpipeline test` runs the stage on."),
)
_STAGE = Key(
    name="stage",
    shape=Scalar(
        wants=f"a stage's name, or false ({NAME_RULE})",
        example="`stage: train_model`",
        convert=_stage_or_false,
        json={"anyOf": [{"type": "string", "pattern": f"^{NAME}$"}, {"const": False}]},
    ),
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


def project_table(plugin_keys: Collection[str] = ()) -> Table:
    """Give the keys of pipeline.yaml."""
    defaults = Table(keys=(*SETTINGS, *_plugin_keys(plugin_keys)))
    moved = {key.name: f"write it under 'defaults:' ({key.name} is a stage's key)." for key in SETTINGS}
    layered = (
        _key("params", MapOf(item=ANY, name=identifier), "Values for every stage that declares them."),
        _key("defaults", defaults, "Settings of every stage that does not say otherwise."),
        _key(
            "stages",
            ListOf(item=Placed(item=entry_table(plugin_keys))),
            "Adds to and overrides what is discovered.",
        ),
        _key(
            "schedule",
            Table(keys=(_key("cron", TEXT, "When."), _key("timezone", TEXT, "Where.", "UTC"))),
            "When an orchestrator runs it.",
        ),
        _key(
            "environment",
            Scalar(
                wants="imported, none, or {lock: FILE}",
                example="`environment: {lock: requirements.lock}`",
                convert=_environment,
                json=_ENVIRONMENT_SCHEMA,
            ),
            "What of the kernel's environment makes stale.",
            "imported",
        ),
        _key(
            "store",
            Table(
                keys=(
                    _key("path", TEXT, "Folder or URL."),
                    _key("max_size", SIZE, "Kept under that, least used out first."),
                )
            ),
            "The content store.",
        ),
        _key("tracking", MapOf(item=ANY), "Trackers, by name; each reads its own keys."),
        *_plugin_keys(set(plugin_keys) - {"tracking"}),
    )
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


_ENVIRONMENT_SCHEMA: Final[Mapping[str, Any]] = {
    "anyOf": [
        {"enum": ["imported", "none"]},
        {
            "type": "object",
            "properties": {"lock": {"type": "string"}},
            "required": ["lock"],
            "additionalProperties": False,
        },
    ]
}


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
    """Describe pipeline.yaml."""
    return {"$schema": _DRAFT, "title": "pipeline.yaml of nbpipeline", **project_table(plugin_keys).schema()}


def schema_files() -> dict[str, str]:
    """Give the text of each shipped schema by its file's name."""
    both = {"stage.json": stage_schema(), "project.json": project_schema()}
    return {name: json.dumps(schema, indent=2) + "\n" for name, schema in both.items()}
