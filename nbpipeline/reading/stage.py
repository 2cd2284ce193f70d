"""One stage: its notebook's cells and header, and what pipeline.yaml says of it -> StageSpec."""

from collections.abc import Mapping, Sequence
from dataclasses import field, replace
from pathlib import Path
from typing import Any

from nbpipeline.location import Location
from nbpipeline.model import (
    Check,
    Notebook,
    Parameter,
    PathValue,
    Resources,
    StageLink,
    StageSpec,
    TestCase,
    Value,
)
from nbpipeline.reading import artifacts, declared_parameters, expressions, yaml12
from nbpipeline.reading.checks import CHECKS
from nbpipeline.reading.files import NoText, read_text
from nbpipeline.reading.header import Header
from nbpipeline.reading.kinds import axis_values
from nbpipeline.reading.layers import Layer, effective_cwd, merged
from nbpipeline.reading.paths import project_path
from nbpipeline.reading.place import Findings, Place, mend_by_name
from nbpipeline.reading.schema import SETTINGS
from nbpipeline.reading.shapes import INVALID
from nbpipeline.reading.tagged_cells import Declarations, read_cells
from nbpipeline.values import dataclass

_PLAIN = frozenset(key.name for key in SETTINGS) | {"description", "executed"}
_RENAMED = {"resources", "cwd"}

Values = Sequence[tuple[str, Value, Place]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Sources:
    """All that is said of one stage, from the weakest to the strongest."""

    notebook: Notebook
    name: str
    root: str
    """The project's absolute path."""
    defaults: tuple[Layer, ...] = ()
    header: Header | None = None
    header_values: Mapping[str, Value] = field(default_factory=dict)
    entries: tuple[Layer, ...] = ()
    """Items of pipeline.yaml's `stages`, those of the profile last."""
    params: Values = ()
    """Project-wide values of parameters, those of the profile last."""
    plugin_keys: frozenset[str] = frozenset()
    """Keys that plug-ins own."""

    @property
    def reads_files(self) -> bool:
        """Whether an axis' values stand in a file of their own."""
        layers = (*self._header_layer(""), *self.entries)
        return any(isinstance(item, dict) for layer in layers for _, item, _ in layer.items("matrix"))

    def layers(self) -> tuple[Layer, ...]:
        """Order the layers, once it is known which folder the header's paths start from."""
        header = self._header_layer("")
        cwd = effective_cwd([*self.defaults, *header, *self.entries])
        base = "" if cwd == "project" else self.notebook.folder
        return (*self.defaults, *self._header_layer(base), *self.entries)

    def _header_layer(self, base: str) -> tuple[Layer, ...]:
        if self.header is None:
            return ()
        return (Layer(values=self.header_values, place=self.header.place, base=base, header=True),)


def build(sources: Sources, findings: Findings) -> StageSpec:
    """Bring all layers together; what is wrong is complained about and left out."""
    layers = sources.layers()
    own = [layer for layer in layers if layer not in sources.defaults]
    base = "" if effective_cwd(layers) == "project" else sources.notebook.folder
    cells = read_cells(sources.notebook, findings, _header_names(own))
    where = _where(sources, cells)
    place = Place(file=where.path, findings=findings, cell=where.cell)
    inputs = artifacts.merge("inputs", cells, own, base, place)
    outputs = artifacts.merge("outputs", cells, own, base, place)
    artifacts.check_apart(inputs, outputs, place)
    matrix = _matrix(own, sources.root)
    parameters = declared_parameters.declared(cells.parameters, own)
    given = declared_parameters.settings(parameters, sources.params, declared_parameters.values(own), matrix)
    plain = merged(layers, _PLAIN | sources.plugin_keys, sources.root)
    _check_kernel(sources.notebook, plain.get("kernel"), findings)
    return StageSpec(
        name=sources.name,
        notebook=sources.notebook,
        where=where,
        parameters=tuple(parameters.values()),
        settings=given,
        inputs=tuple(inputs.values()),
        outputs=tuple(outputs.values()),
        links=_links(cells, own),
        expect=_expectations(cells, own, {**inputs, **outputs}, _known_values(parameters, given), findings),
        matrix=matrix,
        test=_test_case(own, inputs, parameters, sources.root),
        plugins={name: plain[name] for name in sources.plugin_keys if name in plain},
        resources=Resources(**plain.get("resources", {})),
        cwd=plain.get("cwd", "notebook"),
        **{name: plain[name] for name in _PLAIN - _RENAMED if name in plain},
    )


def _check_kernel(notebook: Notebook, kernel: str | None, findings: Findings) -> None:
    """Warn of an `.ipynb` without a kernel; a text notebook has none by custom."""
    if kernel is None and notebook.kernel is None and notebook.format == "ipynb":
        Place(file=notebook.path, findings=findings).complain(
            "the notebook names no kernel; the Python that runs nbpipeline will run it.",
            mend="choose a kernel in JupyterLab and save, or write `kernel: python3` in the header.",
            warning=True,
        )


def _where(sources: Sources, cells: Declarations) -> Location:
    if sources.header and sources.header.cell:
        return replace(sources.header.place.where, line=None)
    if cells.first:
        return cells.first
    return sources.entries[0].place.where if sources.entries else Location(path=sources.notebook.path)


def _header_names(layers: Sequence[Layer]) -> frozenset[str]:
    keys = ("params", "matrix", "inputs", "outputs")
    return frozenset(name for layer in layers for key in keys for name, _, _ in layer.items(key))


# --- matrix ----------------------------------------------------------------------------------


def _matrix(layers: Sequence[Layer], root: str) -> dict[str, tuple[Value, ...]]:
    found: dict[str, tuple[Value, ...]] = {}
    for layer in layers:
        for name, item, place in layer.items("matrix"):
            values = (
                _from_file(item["from_file"], place, layer.base, root) if isinstance(item, dict) else item
            )
            if values is not INVALID:
                found[name] = values
    return found


def _from_file(file: str, place: Place, base: str, root: str) -> Value:
    """Read an axis' values from a YAML or JSON list, or from the lines of any other file."""
    shown = project_path(file, base, root)
    at = Place(file=shown, findings=place.findings, path=place.path[-1:])
    try:
        text = read_text(Path(root, shown), NoText("it is not there.", ""))
    except NoText as error:
        place.complain(
            f"the file {file!r} of axis {place.path[-1]!r} cannot be read: {error.what}",
            mend="name a file that lists the values, one a line or as YAML.",
        )
        return INVALID
    if not shown.endswith((".yaml", ".yml", ".json")):
        return axis_values([yaml12.plain(line.strip()) for line in text.splitlines() if line.strip()], at)
    try:
        return axis_values(yaml12.load(text).value, at)
    except yaml12.YamlError as error:
        lines = {(): error.line} if error.line else {}
        replace(at, lines=lines).complain(
            f"the file is no YAML: {error.reason}.", mend="mend the line named."
        )
        return INVALID


# --- links, expectations, test ---------------------------------------------------------------


def _links(cells: Declarations, layers: Sequence[Layer]) -> tuple[StageLink, ...]:
    found = {(link.stage, link.stale_with): link for link in cells.links}
    for layer in layers:
        for key, stale_with in (("after", False), ("dependencies", True)):
            for number, stage in enumerate(layer.values.get(key) or ()):
                place = layer.place.child(key).child(number)
                link = StageLink(stage=stage, where=place.where, stale_with=stale_with)
                found.setdefault((stage, stale_with), link)
    return tuple(found.values())


def _known_values(parameters: Mapping[str, Parameter], given: Mapping[str, Value]) -> dict[str, Value]:
    """Work out the parameters that have a value without the command line."""
    found: dict[str, Value] = {}
    for name, parameter in parameters.items():
        if name in given:
            found[name] = given[name]
        elif parameter.default is not None:
            try:
                found[name] = expressions.evaluate(parameter.default, found)
            except (KeyError, ValueError):
                continue
    return found


def _expectations(
    cells: Declarations,
    layers: Sequence[Layer],
    known: Mapping[str, Any],
    names: Mapping[str, Value],
    findings: Findings,
) -> dict[str, tuple[Check, ...]]:
    found: dict[str, tuple[Check, ...]] = {}
    for name, (expression, where) in cells.expectations.items():
        place = Place(
            file=where.path, findings=findings, cell=where.cell, lines={(): where.line or 1}, path=(name,)
        )
        try:
            value = _plain(expressions.evaluate(expression, names))
        except (KeyError, ValueError) as error:
            place.complain(
                f"the expectations of {name!r} are not known before the run: {error}.",
                mend="write them with plain values and parameters that have one.",
            )
            continue
        _add(found, name, CHECKS.read(value, place), place, known)
    for layer in layers:
        for name, checks, place in layer.items("expect"):
            _add(found, name, checks, place, known)
    return found


def _add(
    found: dict[str, tuple[Check, ...]], name: str, checks: Value, place: Place, known: Mapping[str, Any]
) -> None:
    if name not in known:
        place.complain(
            f"the expectations of {name!r} are about no input or output.",
            known=f"known names: {', '.join(sorted(known)) or 'none'}",
            mend=mend_by_name(name, list(known), "declare it as an input or output, or take them out."),
        )
        return
    found[name] = (*found.get(name, ()), *checks)


def _plain(value: Value) -> Value:
    """Give a cell's value as YAML would: lists for tuples, text for paths."""
    if isinstance(value, PathValue):
        return value.text
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    if isinstance(value, dict):
        return {key: _plain(item) for key, item in value.items()}
    return value


def _test_case(
    layers: Sequence[Layer], inputs: Mapping[str, Any], parameters: Mapping[str, Parameter], root: str
) -> TestCase:
    paths: dict[str, Value] = {}
    params: dict[str, Value] = {}
    for layer in layers:
        test = Layer(values=layer.values.get("test") or {}, place=layer.place.child("test"), base=layer.base)
        for name, value, place in test.items("inputs"):
            if _known_name("input", name, inputs, place):
                paths[name] = _test_path(value, layer.base, root)
        for name, value, place in test.items("params"):
            known = _known_name("parameter", name, parameters, place)
            if known and declared_parameters.check_value(parameters[name], value, place):
                params[name] = value
    return TestCase(inputs=paths, params=params)


def _test_path(value: Value, base: str, root: str) -> Value:
    if isinstance(value, tuple):
        return tuple(project_path(one, base, root) for one in value)
    return project_path(value, base, root)


def _known_name(kind: str, name: str, known: Mapping[str, Any], place: Place) -> bool:
    if name not in known:
        place.complain(
            f"'test' replaces the {kind} {name!r}, which the stage has not.",
            known=f"known {kind}s: {', '.join(sorted(known)) or 'none'}",
            mend=mend_by_name(name, list(known), "take it out."),
        )
    return name in known
