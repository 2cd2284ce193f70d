"""Values -> what people read: the drawn DAG, the history of runs."""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from nbpipeline.report import (
        comparison,
        data_changes,
        diff_page,
        drawing,
        history,
        lineage,
        run_report,
        wording,
    )

__all__ = [
    "comparison",
    "data_changes",
    "diff_page",
    "drawing",
    "history",
    "lineage",
    "run_report",
    "wording",
]


def __getattr__(name: str) -> Any:
    """Load a module when it is first asked for: a plan does without most of them (PEP 562)."""
    if name not in __all__:
        raise AttributeError(f"module 'nbpipeline.report' has no attribute {name!r}")
    return import_module(f"nbpipeline.report.{name}")
