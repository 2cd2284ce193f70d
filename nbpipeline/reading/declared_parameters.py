"""Parameters of one stage: the cell's, the header's, and the values that pipeline.yaml gives them."""

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import replace

from nbpipeline.errors import ExitCode
from nbpipeline.model import Expression, Parameter, Value
from nbpipeline.reading import expressions
from nbpipeline.reading.layers import Layer
from nbpipeline.reading.parameters import accepts
from nbpipeline.reading.place import Place, mend_by_name
from nbpipeline.reading.schema import PARAMETER
from nbpipeline.reading.shapes import INVALID, shown
from nbpipeline.reading.tagged_cells import bare

_DECLARATION_KEYS = frozenset(key.name for key in PARAMETER.keys)


def declared(in_cells: Mapping[str, Parameter], layers: Sequence[Layer]) -> dict[str, Parameter]:
    """Bring the cell's parameters and those of `params` in header and stage entries together."""
    found = dict(in_cells)
    for layer in layers:
        for name, item, place in layer.items("params"):
            table = _declaration(item, place) if not layer.header else item or {}
            if table is not None:
                found[name] = _refined(found.get(name), name, table, place)
    return found


def values(layers: Sequence[Layer]) -> list[tuple[str, Value, Place]]:
    """List the values that stage entries give, less the declarations among them."""
    return [
        (name, item, place)
        for layer in layers
        if not layer.header
        for name, item, place in layer.items("params")
        if not _is_declaration(item)
    ]


def _is_declaration(item: Value) -> bool:
    """In pipeline.yaml a value stands by itself, so only what looks wholly like a declaration is one."""
    return isinstance(item, dict) and bool(item) and set(item) <= _DECLARATION_KEYS


def _declaration(item: Value, place: Place) -> Mapping[str, Value] | None:
    read = PARAMETER.read(item, place) if _is_declaration(item) else INVALID
    return None if read is INVALID else read


def _refined(before: Parameter | None, name: str, table: Mapping[str, Value], place: Place) -> Parameter:
    parameter = before or Parameter(name=name, where=place.where)
    _agree(parameter, table, place)
    bounds = {key: table[key] for key in ("min", "max") if table.get(key) is not None}
    after = replace(
        parameter,
        type=parameter.type or table.get("type"),
        help=table.get("help") or parameter.help,
        choices=tuple(table.get("choices") or parameter.choices),
        **bounds,
    )
    if "default" in table and after.default is None and not after.opaque:
        default = Expression("literal", (table["default"],), place.where.line or 1)
        after = replace(after, default=default, default_in_cell=False)
    _check_default(after, place)
    return after


def _agree(parameter: Parameter, table: Mapping[str, Value], place: Place) -> None:
    """Complain where the cell says one thing and the table another."""
    default = Expression("literal", (table.get("default"),))
    if "default" in table and (parameter.opaque or bare(parameter.default) not in (None, bare(default))):
        _twice(parameter, "default", place)
    if parameter.type and table.get("type") and parameter.type != table["type"]:
        _twice(parameter, "type", place)


def _twice(parameter: Parameter, what: str, place: Place) -> None:
    place.complain(
        f"the {what} of parameter {parameter.name!r} is declared twice, and not alike.",
        known=f"known parameter: {parameter.name} ({parameter.where})",
        mend=f"keep the {what} in the notebook's cell, and take it out here.",
    )


def _check_default(parameter: Parameter, place: Place) -> None:
    default = parameter.default
    if default is None or expressions.names_in(default):
        return
    try:
        value = expressions.evaluate(default, {})
    except ValueError:
        return  # the cell's own trouble, told where it stands
    if value is not None:
        check_value(parameter, value, place, "default")


def check_value(parameter: Parameter, value: Value, place: Place, word: str = "value") -> bool:
    """Complain of a value that the parameter's type, bounds or choices refuse."""
    wants = _wanted(parameter, value)
    if wants:
        place.complain(
            f"the {word} of parameter {parameter.name!r} is {shown(value)}; it wants {wants}.",
            known=f"known parameter: {parameter.name} ({parameter.where})",
            mend="give another value, or change the declaration.",
            exit_code=ExitCode.PIPELINE,
        )
    return not wants


def _wanted(parameter: Parameter, value: Value) -> str:
    if not accepts(parameter.type, value):
        return f"{parameter.type}"
    if parameter.choices and value not in parameter.choices:
        return f"one of {', '.join(map(str, parameter.choices))}"
    number = value if isinstance(value, int | float) else None
    if number is not None and parameter.min is not None and number < parameter.min:
        return f"at least {parameter.min:g}"
    if number is not None and parameter.max is not None and number > parameter.max:
        return f"at most {parameter.max:g}"
    return ""


def settings(
    parameters: Mapping[str, Parameter],
    shared: Iterable[tuple[str, Value, Place]],
    own: Iterable[tuple[str, Value, Place]],
    axes: Collection[str],
) -> dict[str, Value]:
    """Give the value of each parameter that pipeline.yaml sets.

    `shared` reach every stage that declares them; `own` name a parameter of this stage, so an
    unknown one is complained about, and so is an axis. Later ones take the earlier ones' place.
    """
    found = {
        name: value
        for name, value, place in shared
        if name in parameters and name not in axes and check_value(parameters[name], value, place)
    }
    for name, value, place in own:
        if name in axes:
            refuse_axis(name, place)
        elif name not in parameters:
            _unknown(name, place, parameters)
        elif check_value(parameters[name], value, place):
            found[name] = value
    return found


def refuse_axis(name: str, place: Place, stage: str = "") -> None:
    """Complain of one value for an axis, which has all of its own: by the file, as by the command line."""
    of = f" of stage {stage!r}" if stage else ""
    place.complain(
        f"{name!r} is an axis of the matrix{of}, not a parameter.",
        mend=f"write its values under 'matrix': `{name}: [...]`, or select the instances that are to run.",
        exit_code=ExitCode.PIPELINE,
    )


def _unknown(name: str, place: Place, parameters: Mapping[str, Parameter]) -> None:
    place.complain(
        f"unknown parameter {name!r}.",
        known=f"known parameters: {', '.join(sorted(parameters)) or 'none'}",
        mend=mend_by_name(
            name, list(parameters), "declare it in the notebook's 'parameters' cell, or take it out."
        ),
        exit_code=ExitCode.PIPELINE,
    )
