"""Instances while they are being put together."""

from dataclasses import field

from nbpipeline.model import Artifact, BoundArtifact, StageInstance, StageSpec, Value
from nbpipeline.pipeline.scope import Scope
from nbpipeline.values import dataclass


@dataclass(slots=True, kw_only=True)
class Draft:
    """One instance on its way to be a `StageInstance`: axes and parameters known, paths still to be bound."""

    spec: StageSpec
    axes: tuple[tuple[str, Value], ...]
    parameters: dict[str, Value]
    scope: Scope
    inputs: dict[str, BoundArtifact] = field(default_factory=dict)
    outputs: dict[str, BoundArtifact] = field(default_factory=dict)
    executed: str | None = None
    id: str = ""

    def __post_init__(self) -> None:
        """Write the id once; it is asked for often."""
        self.id = StageInstance(spec=self.spec, axes=self.axes).id

    def bound(
        self, artifacts: tuple[Artifact, ...], found: dict[str, BoundArtifact]
    ) -> tuple[BoundArtifact, ...]:
        """Give the bound ones in the order in which the author declared them."""
        return tuple(found[one.name] for one in artifacts if one.name in found)
