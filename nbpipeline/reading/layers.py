"""Settings of one stage in layers: defaults < header < pipeline.yaml's stages < profile."""

from collections.abc import Mapping, Sequence

from nbpipeline.model import Value
from nbpipeline.reading.paths import project_path
from nbpipeline.reading.place import Place
from nbpipeline.values import dataclass

_ADDING = frozenset({"env", "secrets", "tags", "pythonpath"})
"""Lists to which each layer adds; any other key of a higher layer takes the lower one's place."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Layer:
    """One source of a stage's keys, read by the table of keys."""

    values: Mapping[str, Value]
    place: Place
    base: str = ""
    """Project folder that its paths start from."""
    header: bool = False
    """Whether it is the notebook's own, which must agree with the notebook's cells."""

    def items(self, key: str) -> list[tuple[str, Value, Place]]:
        """List name, value and place of a mapping's items."""
        values = self.values.get(key)
        if not values:
            return []
        place = self.place.child(key)
        return [(name, value, place.child(name)) for name, value in values.items()]


def effective_cwd(layers: Sequence[Layer]) -> str:
    """Tell which folder paths start from, before any is read."""
    given = [layer.values["cwd"] for layer in layers if layer.values.get("cwd")]
    return given[-1] if given else "notebook"


def merged(layers: Sequence[Layer], keys: frozenset[str], root: str) -> dict[str, Value]:
    """Merge the plain settings of all layers; a null takes back what the lower ones say."""
    found: dict[str, Value] = {}
    for layer in layers:
        for key, value in layer.values.items():
            if key not in keys:
                continue
            if value is None:
                found.pop(key, None)
            else:
                found[key] = _over(found.get(key), key, _located(key, value, layer, root))
    return found


def _located(key: str, value: Value, layer: Layer, root: str) -> Value:
    if key == "pythonpath":
        return tuple(project_path(one, layer.base, root) for one in value)
    return project_path(value, layer.base, root) if key == "executed" else value


def _over(before: Value, key: str, value: Value) -> Value:
    if key in _ADDING:
        return tuple(dict.fromkeys((*(before or ()), *value)))
    if key == "resources":
        both = {**(before or {}), **value}
        return {name: one for name, one in both.items() if one is not None}
    return value
