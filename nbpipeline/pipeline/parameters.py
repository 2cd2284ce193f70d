"""What a stage's parameters are worth: own defaults < pipeline.yaml and profile < command line."""

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import field

from nbpipeline.encoding import canonical
from nbpipeline.errors import Complaint, ExitCode
from nbpipeline.location import Location
from nbpipeline.model import (
    Override,
    Parameter,
    PathValue,
    ProjectSpec,
    StageSpec,
    Value,
    axis_text,
    shell_name,
)
from nbpipeline.pipeline.wording import known, listed, meant, refusal
from nbpipeline.reading import expressions
from nbpipeline.reading.parameters import accepts, parse_value
from nbpipeline.values import dataclass

NO_PROFILE = "default"
"""What `{profile}` in a path gives when no profile was chosen."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Given:
    """Values that a stage's parameters got from elsewhere than the notebook itself."""

    values: Mapping[str, Value] = field(default_factory=dict)
    origins: Mapping[str, Location | str] = field(default_factory=dict)
    """Where each value was said: a file, or the option as it was typed."""


def gather_given(
    project: ProjectSpec, overrides: Sequence[Override]
) -> tuple[Mapping[str, Given], tuple[Complaint, ...]]:
    """Collect for each stage the values from pipeline.yaml and the command line, the last one wins."""
    complaints: list[Complaint] = []
    stages = {stage.name: stage for stage in project.stages}
    values = {name: dict(stage.settings) for name, stage in stages.items()}
    origins: dict[str, dict[str, Location | str]] = {
        name: dict.fromkeys(found, _file(project, stages[name])) for name, found in values.items()
    }
    # What is said for one stage counts more than what is said for all, in whatever order.
    for override in sorted(overrides, key=lambda one: one.stage is not None):
        reached, complaint = _reached(override, stages)
        complaints.extend(complaint)
        for stage in reached:
            complaints.extend(_override(override, stage, values[stage.name], origins[stage.name]))
    given = {name: Given(values=values[name], origins=origins[name]) for name in stages}
    return given, tuple(complaints)


def _unknown(name: str, stage: StageSpec, axes: Collection[str], origin: str) -> Complaint:
    names = _to_give([stage], axes)
    what = f"stage '{stage.name}' has no parameter '{name}'."
    mend = meant(name, names, f"assign {name} in the parameters cell of {stage.notebook.path}")
    return _said(origin, what, mend, known=known("parameters", names))


def _said(origin: Location | str, what: str, mend: str, *, known: str = "") -> Complaint:
    """Complain of a value where it was said: in a file (the DAG) or on the command line (usage)."""
    if isinstance(origin, Location):
        return refusal(origin, what, mend, known=known)
    return refusal(None, f"{origin}: {what}", mend, known=known, exit_code=ExitCode.USAGE)


def _file(project: ProjectSpec, stage: StageSpec) -> Location:
    return Location(path=project.file) if project.file else stage.where


def _to_give(stages: Iterable[StageSpec], axes: Collection[str]) -> list[str]:
    """Every name that can be given a value, once, in the stages' order: parameters that are no axes."""
    names = dict.fromkeys(parameter.name for stage in stages for parameter in stage.parameters)
    return [name for name in names if name not in axes]


def _option(override: Override) -> str:
    name = f"{override.stage}.{override.name}" if override.stage else override.name
    return f"-p {name}={override.text}"


def _reached(
    override: Override, stages: Mapping[str, StageSpec]
) -> tuple[tuple[StageSpec, ...], tuple[Complaint, ...]]:
    """Find the stages that an override speaks of; a complaint where it speaks of none."""
    axes = {axis for stage in stages.values() for axis in stage.matrix}  # consumers inherit them by name
    if override.stage is not None:
        stage = stages.get(override.stage)
        if stage is None:
            what = f"there is no stage '{override.stage}'."
            mend = meant(override.stage, stages, "name a stage of this project")
            return (), (_said(_option(override), what, mend, known=known("stages", stages)),)
        if not _has(stage, override.name):
            return (), (_unknown(override.name, stage, axes, _option(override)),)
        return (stage,), ()
    reached = tuple(stage for stage in stages.values() if _has(stage, override.name))
    if reached:
        return reached, ()
    names = _to_give(stages.values(), axes)
    what = f"no stage has a parameter '{override.name}'."
    mend = meant(override.name, names, f"assign {override.name} in a parameters cell")
    return (), (_said(_option(override), what, mend, known=known("parameters", names)),)


def _has(stage: StageSpec, name: str) -> bool:
    return name in stage.matrix or any(parameter.name == name for parameter in stage.parameters)


def _override(
    override: Override, stage: StageSpec, values: dict[str, Value], origins: dict[str, Location | str]
) -> Iterable[Complaint]:
    """Put the parsed text over the stage's value; complain where it is none of the declared type."""
    option = _option(override)
    declared = next((one for one in stage.parameters if one.name == override.name), None)
    if override.has_type and declared and _says_nothing_new(override.value, declared, values):
        return
    given_type = declared.type if declared else None
    as_it_is = _is_read(override, given_type)
    if override.has_type and isinstance(override.value, str) and declared and given_type is None:
        given_type = _type_of_default(declared)  # forms give numbers as texts
        as_it_is = given_type is None
    try:
        value = override.value if as_it_is else parse_value(override.text, given_type)
    except ValueError as error:
        wanted = declared.type if declared and declared.type else "YAML"
        yield _said(option, f"{error}.", f"write a value of type {wanted} for '{override.name}'")
        return
    values[override.name] = value
    origins[override.name] = option


def _says_nothing_new(value: Value, declared: Parameter, values: Mapping[str, Value]) -> bool:
    """Whether a value with a type is what the parameter has anyway, as JSON can hold it.

    Whoever hands all parameters over, as orchestrators do, must not so turn a tuple into a list.
    """
    try:
        present = values[declared.name] if declared.name in values else _literal(declared)
    except (KeyError, ValueError):
        return False
    return canonical(as_json(present)) == canonical(value)


def _literal(declared: Parameter) -> Value:
    if declared.default is None:
        raise KeyError(declared.name)
    return expressions.evaluate(declared.default, {})


def as_json(value: Value) -> Value:
    """Give a value as JSON has it: paths as texts, tuples as lists, keys as texts."""
    if isinstance(value, PathValue):
        return str(value)
    if isinstance(value, Mapping):
        return {key if isinstance(key, str) else str(key): as_json(one) for key, one in value.items()}
    if isinstance(value, list | tuple):
        return [as_json(one) for one in value]
    return value


def _is_read(override: Override, type_: str | None) -> bool:
    """Whether a value need not be read as text: it has its type, and that is, or allows, the declared one."""
    if not override.has_type:
        return False
    if type_ is None:
        return True
    plain = override.value is None or isinstance(override.value, str)
    return plain and "Path" not in type_ and accepts(type_, override.value)


def _type_of_default(parameter: Parameter) -> str | None:
    """Name a literal number's type; a text may stay what it is."""
    default = parameter.default
    value = default.args[0] if default is not None and default.kind == "literal" else None
    return f"{type(value).__name__} | str" if isinstance(value, int | float) else None


def refuse_fixed_axes(
    stage: StageSpec, given: Given, axes: Mapping[str, Sequence[Value]], shared: Collection[str] = ()
) -> Iterable[Complaint]:
    """Complain of an axis that is to hold one value: that is what selecting is for.

    The command line may name any; pipeline.yaml one that the stage inherits, unless that stands among the
    `shared` values: those, and the stage's own axes, are refused where they are read.
    """
    for axis, values in axes.items():
        origin = given.origins.get(axis)
        if origin is None or (isinstance(origin, Location) and axis in shared):
            continue
        texts = [axis_text(value) for value in values]
        meant_one = axis_text(given.values[axis])
        to_select = [meant_one] if meant_one in texts else texts
        names = listed([shell_name(f"{stage.name}[{axis}={text}]") for text in to_select])
        what = f"'{axis}' is an axis of stage '{stage.name}'."
        mend = f"select {'the' if len(to_select) == 1 else 'an'} instance: {names}"
        yield _said(origin, what, mend, known=f"values of '{axis}': {listed(texts)}")


def evaluate(
    stage: StageSpec, given: Given, axes: Mapping[str, Value], profile: str | None
) -> tuple[dict[str, Value], tuple[Complaint, ...]]:
    """Resolve every parameter that has a value; axes stand first, and count as parameters.

    A default may use the parameters before it; one that uses an opaque one is opaque itself.
    """
    values: dict[str, Value] = dict(axes)
    names: dict[str, Value] = {"profile": profile or NO_PROFILE, **axes}
    complaints: list[Complaint] = []
    for parameter in stage.parameters:
        if parameter.name in axes:
            continue
        try:
            found = _value(parameter, given, names)
        except ValueError as error:
            what = f"parameter '{parameter.name}': {error}."
            complaints.append(refusal(parameter.where, what, "assign a literal or a name declared before it"))
            continue
        except KeyError:
            continue  # an opaque value, or what is made of one: known to the notebook alone
        values[parameter.name] = names[parameter.name] = found
    return values, tuple(complaints)


def _value(parameter: Parameter, given: Given, names: Mapping[str, Value]) -> Value:
    """Resolve one; KeyError where only the notebook knows, ValueError where the default makes no sense."""
    if parameter.name in given.values:
        return given.values[parameter.name]
    if parameter.default is None:
        raise KeyError(parameter.name)
    return expressions.evaluate(parameter.default, names)


def check(stage: StageSpec, given: Given, values: Mapping[str, Value]) -> Iterable[Complaint]:
    """Complain of values that are missing, of another type than declared, or out of bounds."""
    for parameter in stage.parameters:
        origin = given.origins.get(parameter.name, parameter.where)
        label = f"parameter '{parameter.name}' of stage '{stage.name}'"
        if parameter.name not in values:
            if not parameter.opaque and parameter.default is None:
                yield refusal(
                    parameter.where,
                    f"{label} has no value.",
                    f"give it a default, or say `-p {stage.name}.{parameter.name}=...`",
                )
            continue
        if values[parameter.name] is None and parameter.name not in given.values:
            continue  # the usual way to say in Python that a value comes later
        wrong = _wrong(parameter, values[parameter.name])
        if wrong:
            yield _said(origin, f"{label} is {values[parameter.name]!r}, {wrong[0]}.", wrong[1])


def _wrong(parameter: Parameter, value: Value) -> tuple[str, str] | None:
    """Say what is wrong with a value, and the mend; None where it is right."""
    if parameter.type != type(value).__name__ and not accepts(parameter.type, value):
        return f"not {parameter.type}", f"give a value of type {parameter.type}"
    if parameter.choices and value not in parameter.choices:
        choices = ", ".join(repr(one) for one in parameter.choices)
        return f"none of {choices}", f"choose one of {choices}"
    if isinstance(value, int | float):
        if parameter.min is not None and value < parameter.min:
            return f"less than {parameter.min:g}", f"give at least {parameter.min:g}"
        if parameter.max is not None and value > parameter.max:
            return f"more than {parameter.max:g}", f"give at most {parameter.max:g}"
    return None
