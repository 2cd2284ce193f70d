"""What single values of header and pipeline.yaml may be: names, durations, paths, checks, axes."""

import keyword
import re
from collections import Counter
from collections.abc import Callable, Mapping
from typing import Any, Final

from nbpipeline.model import Value, axis_text
from nbpipeline.patterns import regex
from nbpipeline.reading import quantities
from nbpipeline.reading.place import Place
from nbpipeline.reading.shapes import (
    INVALID,
    Anything,
    Key,
    ListOf,
    Scalar,
    Table,
    Text,
    shown,
)

NAME: Final = r"[A-Za-z_][A-Za-z0-9_-]*"
NAME_RULE: Final = "a name is made of letters A to Z, digits, `_` and `-`, and begins with a letter or `_`"
IDENTIFIER_RULE: Final = "the name must be one that Python can assign: letters, digits and `_`, no keyword"
EXECUTED_SUFFIXES: Final = (".ipynb", ".html", ".md", ".pdf")

_REFERENCE = regex(rf"({NAME})(\[\*\])?\.([^\W\d]\w*)")


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


def _number(low: float, *, whole: bool = False, over: bool = False) -> Callable[[Value], float]:
    """Make a check for numbers of at least `low` (greater, where `over`)."""

    def convert(value: Value) -> float:
        fits = isinstance(value, int if whole else int | float) and not isinstance(value, bool)
        if not fits or not (low < value if over else low <= value) or value == float("inf"):
            raise ValueError("no such number")
        return value if whole else _float(value)

    return convert


def _float(value: float) -> float:
    try:
        return float(value)
    except OverflowError as error:  # of more than 308 digits
        raise ValueError("too great") from error


def _plain_number(value: Value) -> float:
    if isinstance(value, int | float) and not isinstance(value, bool):
        _float(value)
        return value
    raise ValueError("no number")


def _flag(value: Value) -> bool:
    if isinstance(value, bool):
        return value
    raise ValueError("no flag")


def choice(*words: str) -> Scalar:
    """Make the kind of a value that is one of some words."""

    def convert(value: Value) -> str:
        if isinstance(value, str) and value in words:
            return value
        raise ValueError("none of them")

    return Scalar(
        wants=f"one of {', '.join(words)}",
        example=f"`{words[0]}`",
        convert=convert,
        json={"enum": list(words)},
        words=words,
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


TEXT = Text()
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


CORES = Scalar(
    wants="a number over 0",
    example="`2`",
    convert=_number(0, over=True),
    json={"type": "number", "exclusiveMinimum": 0},
)

FACTOR = Scalar(
    wants="a number of at least 1",
    example="`2`",
    convert=_number(1),
    json={"type": "number", "minimum": 1},
)

EXECUTED = Scalar(
    wants=f"a path that ends in {', '.join(EXECUTED_SUFFIXES)}",
    example="`../out/train.html`",
    convert=_executed,
    json={"type": "string"},
)

ENVIRONMENT = Scalar(
    wants="imported, none, or {lock: FILE}",
    example="`environment: {lock: requirements.lock}`",
    convert=_environment,
    json=_ENVIRONMENT_SCHEMA,
)

REFERENCE = Scalar(
    wants="a reference STAGE.OUTPUT or STAGE[*].OUTPUT",
    example="`{from: prepare.encoder}`",
    convert=_reference_text,
    json={"type": "string", "pattern": rf"^{NAME}(\[\*\])?\.\w+$"},
)

STAGE_OR_FALSE = Scalar(
    wants=f"a stage's name, or false ({NAME_RULE})",
    example="`stage: train_model`",
    convert=_stage_or_false,
    json={"anyOf": [{"type": "string", "pattern": f"^{NAME}$"}, {"const": False}]},
)
KIND = choice("file", "directory")
OUTPUT_KIND = choice("file", "directory", "model")
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


PATH_OR_PATHS: Final = _PathOrPaths()


class _AxisValues:
    """A matrix axis: a list of plain values, or `{from_file: FILE}`."""

    _table = Table(
        keys=(Key(name="from_file", shape=TEXT, help="File that lists the values.", nullable=False),)
    )
    value = Scalar(
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
        values = {"type": "array", "items": self.value.schema(), "minItems": 1, "uniqueItems": True}
        return {"anyOf": [values, self._table.schema()]}


AXIS: Final = _AxisValues()


def axis_values(value: Value, place: Place) -> Value:
    """Read the values of an axis, from YAML or from a file: at least one, each once."""
    if not isinstance(value, list) or not value:
        place.complain(
            f"{place.key} is {shown(value)}; an axis wants a list of at least one value.",
            mend="write, for example, `region: [eu, us]`.",
        )
        return INVALID
    shape = AXIS.value
    read = [shape.read(item, place.child(number)) for number, item in enumerate(value)]
    if INVALID in read:
        return INVALID
    times = Counter(axis_text(item) for item in read)
    again = next((item for item in read if times[axis_text(item)] > 1), None)
    if again is not None:
        place.complain(
            f"the axis {place.key} has the value {shown(again)} twice.", mend="take one of them out."
        )
        return INVALID
    return tuple(read)
