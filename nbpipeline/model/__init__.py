"""The frozen types that everything else passes along.

What the author wrote (`StageSpec`), what it means (`StageInstance`, `Pipeline`), what is to be
done (`Step`, `Plan`), what was done (`StageRecord`, `StageResult`, `Event`). Nothing here reads
a file, and nothing holds both a spec and its status.

Paths: a *project path* is a string with `/`, relative to the project's root; a file outside the
project is absolute; a URL is left as it is.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from nbpipeline.model.cells import Cell, SavedCells, cells_text
from nbpipeline.model.declared import (
    Artifact,
    Check,
    Expression,
    Notebook,
    Parameter,
    PathValue,
    ProjectSpec,
    Reference,
    Resources,
    StageLink,
    StageSpec,
    TestCase,
    Value,
)
from nbpipeline.model.done import (
    UNTRIED,
    CellProfile,
    Event,
    Failure,
    Imported,
    Job,
    KernelNeed,
    RunResult,
    StageResult,
    Status,
    Verdict,
)
from nbpipeline.model.planned import (
    BY_BYTES,
    EXECUTED,
    Action,
    Fingerprint,
    Plan,
    Reason,
    ReasonKind,
    StageRecord,
    Step,
    StoredOutput,
    Usage,
)
from nbpipeline.model.resolved import (
    BoundArtifact,
    Edge,
    Injection,
    Override,
    Pipeline,
    StageInstance,
    at_name,
    axis_text,
    canonical_id,
    shell_name,
    slug_of,
)

if TYPE_CHECKING:
    from nbpipeline.model import exported

__all__ = [
    "BY_BYTES",
    "EXECUTED",
    "UNTRIED",
    "Action",
    "Artifact",
    "BoundArtifact",
    "Cell",
    "CellProfile",
    "Check",
    "Edge",
    "Event",
    "Expression",
    "Failure",
    "Fingerprint",
    "Imported",
    "Injection",
    "Job",
    "KernelNeed",
    "Notebook",
    "Override",
    "Parameter",
    "PathValue",
    "Pipeline",
    "Plan",
    "ProjectSpec",
    "Reason",
    "ReasonKind",
    "Reference",
    "Resources",
    "RunResult",
    "SavedCells",
    "StageInstance",
    "StageLink",
    "StageRecord",
    "StageResult",
    "StageSpec",
    "Status",
    "Step",
    "StoredOutput",
    "TestCase",
    "Usage",
    "Value",
    "Verdict",
    "at_name",
    "axis_text",
    "canonical_id",
    "cells_text",
    "exported",
    "shell_name",
    "slug_of",
]


def __getattr__(name: str) -> Any:
    """Load what only exports need when it is first asked for (PEP 562)."""
    if name != "exported":
        raise AttributeError(f"module 'nbpipeline.model' has no attribute {name!r}")
    return import_module("nbpipeline.model.exported")
