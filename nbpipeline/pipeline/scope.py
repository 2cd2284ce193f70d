"""The names that a declared path may use in one instance, each worked out once."""

from collections.abc import Mapping

from nbpipeline.model import Artifact, Expression, StageSpec, Value
from nbpipeline.pipeline.parameters import NO_PROFILE
from nbpipeline.reading import expressions


class Scope:
    """Parameters, axes, the profile and the declared names of a stage.

    A declared name is evaluated when it is first asked for, whatever the order of the cells, so
    that header and cells may speak of each other; a circle among names is a ValueError.
    """

    def __init__(self, stage: StageSpec, values: Mapping[str, Value], profile: str | None) -> None:
        """Take the instance's parameters, axes among them."""
        self.names: dict[str, Value] = {"profile": profile or NO_PROFILE, **values}
        self._opaque = frozenset(one.name for one in stage.parameters if one.name not in values)
        self._declared = {one.name: one for one in (*stage.outputs, *stage.inputs)}
        self._busy: list[str] = []

    def value(self, artifact: Artifact) -> Value:
        """Evaluate the artifact's right-hand side.

        Raises KeyError for a name that nothing gives a value, ValueError for one that has no value
        before the notebook runs.
        """
        if artifact.value is None:
            raise ValueError(f"'{artifact.name}' is a reference, so it cannot stand in a path")
        return self.evaluate(artifact, artifact.value)

    def evaluate(self, artifact: Artifact, expression: Expression) -> Value:
        """Evaluate an expression of the artifact; raises as `value` does."""
        if expression.kind == "literal":
            return expression.args[0]
        if artifact.name in self._busy:
            raise ValueError(f"it is made of itself: {' -> '.join([*self._busy, artifact.name])}")
        self._busy.append(artifact.name)
        try:
            for used in expressions.names_in(expression):
                self._provide(used, artifact)
            return expressions.evaluate(expression, self.names)
        finally:
            self._busy.pop()

    def _provide(self, name: str, user: Artifact) -> None:
        """Put a declared name's value among the names, unless it is there."""
        if name in self.names:
            return
        if name in self._opaque:
            raise ValueError(f"parameter '{name}' is computed by the notebook, so it cannot stand in a path")
        declared = self._declared.get(name)
        if declared is not None and declared is not user:
            self.names[name] = self.value(declared)
