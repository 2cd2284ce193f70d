"""Inputs and outputs of one stage: what cells, header and pipeline.yaml say, brought together."""

from collections.abc import Mapping, Sequence
from dataclasses import replace

from nbpipeline.model import Artifact, Expression, Reference, Value
from nbpipeline.reading import expressions
from nbpipeline.reading.kinds import reference
from nbpipeline.reading.layers import Layer
from nbpipeline.reading.place import Place
from nbpipeline.reading.tagged_cells import Declarations, bare

_ATTRIBUTES = ("kind", "mode", "store", "publish", "allow_outside", "digest")
_REFUSED = Expression("literal", ("",))
"""Stands for a path that was complained about, by its identity: an author may write `""` as well."""


def merge(
    kind: str, cells: Declarations, layers: Sequence[Layer], base: str, place: Place
) -> dict[str, Artifact]:
    """Bring the stage's `inputs` or `outputs` (`kind`) together; `base` is the kernel's folder."""
    in_cells = cells.inputs if kind == "inputs" else cells.outputs
    found = {name: replace(one, base=base) for name, one in in_cells.items()}
    for layer in layers:
        for name, item, at in layer.items(kind):
            before = found.get(name) or Artifact(name=name, where=at.where)
            found[name] = _refined(before, item or {}, at, layer)
    return {
        name: one
        for name, one in found.items()
        if _has_path(one) or (name not in cells.refused and _complain_of_no_path(one, kind, place))
    }


def _refined(before: Artifact, item: Mapping[str, Value], place: Place, layer: Layer) -> Artifact:
    """Put one layer's word over what the lower layers say."""
    given = {name: item[name] for name in _ATTRIBUTES if item.get(name) is not None}
    after = replace(before, **given)
    if item.get("path") is not None and item.get("from") is not None:
        place.complain(
            f"{before.name!r} has both a path and a reference.",
            mend="keep 'from' where a stage makes it, else 'path'.",
        )
        return replace(after, value=_REFUSED)
    both = layer.header and before.cell_value is not None
    if item.get("path") is not None:
        value = _expression(item["path"], place)
        return replace(after, value=value, base=layer.base, reference=None, must_agree=both)
    if item.get("from") is not None:
        stage, collect, output = reference(item["from"])
        made = Reference(stage=stage, output=output, collect=collect)
        return replace(after, value=None, reference=made, must_agree=both)
    return after


def _expression(path: str | tuple[str, ...], place: Place) -> Expression:
    line = place.where.line or 1
    try:
        if isinstance(path, tuple):
            return Expression("list", tuple(expressions.template(one, line) for one in path), line)
        return expressions.template(path, line)
    except ValueError as error:
        place.complain(
            f"the path of {place.path[-1]!r} cannot be read: {error}.",
            mend="write names of axes or parameters in braces, and `{{` for a brace.",
        )
        return _REFUSED


def _has_path(artifact: Artifact) -> bool:
    return artifact.reference is not None or (artifact.value is not None and artifact.value is not _REFUSED)


def _complain_of_no_path(artifact: Artifact, kind: str, place: Place) -> bool:
    """Complain, unless something was complained about there before; gives False."""
    told = any(one.where == artifact.where for one in place.findings)
    if artifact.value is None and not told:
        at = replace(place, cell=artifact.where.cell, file=artifact.where.path, lines=_at(artifact))
        at.complain(
            f"{kind.removesuffix('s')} {artifact.name!r} has no path.",
            mend=f"write `{artifact.name}: PATH`, or assign it in a cell tagged {kind!r}.",
        )
    return False


def _at(artifact: Artifact) -> dict[tuple[()], int]:
    return {(): artifact.where.line} if artifact.where.line else {}


def check_apart(inputs: Mapping[str, Artifact], outputs: Mapping[str, Artifact], place: Place) -> None:
    """Complain of a name that is an input and an output, unless both are the same path."""
    for name in inputs.keys() & outputs.keys():
        one, other = inputs[name], outputs[name]
        if (bare(one.value), one.base) == (bare(other.value), other.base):
            continue
        replace(place, cell=other.where.cell, file=other.where.path, lines=_at(other)).complain(
            f"{name!r} is declared twice, and not alike.",
            known=f"known input: {name} ({one.where})",
            mend="take one of the two out, or rename it.",
        )
