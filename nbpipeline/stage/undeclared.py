"""Which of the files that a kernel was seen to open count as undeclared reads and writes."""

from collections.abc import Mapping
from pathlib import Path, PurePosixPath

from nbpipeline.model import Job
from nbpipeline.stage.places import relative

_CODE = (".py", ".pyc", ".pyi", ".so", ".pyd", ".ipynb")
_INSTALLED = ("site-packages", "dist-packages", "__pycache__", "node_modules")


def files(job: Job, opened: Mapping[str, bool]) -> tuple[str, ...]:
    """Project paths that were opened, still are there, and are neither declared nor code."""
    root = Path(job.root)
    declared = {
        path.rstrip("/")
        for artifact in (*job.instance.inputs, *job.instance.outputs)
        for path in artifact.paths
    }
    found = set()
    for name in opened:
        path = relative(root, Path(name))
        if not _passed_over(path, job) and not _covered(path, declared) and Path(name).is_file():
            found.add(path)
    return tuple(sorted(found))


def _passed_over(path: str, job: Job) -> bool:
    """Whether it is code (which the fingerprint follows), hidden, or installed rather than data."""
    parts = PurePosixPath(path).parts
    if path == "pipeline.yaml" or path in job.fingerprint.modules or path.endswith(_CODE):
        return True
    return any(part.startswith(".") or part in _INSTALLED for part in parts)


def _covered(path: str, declared: set[str]) -> bool:
    """Whether the path is declared, or stands in a declared folder."""
    return path in declared or any(str(parent) in declared for parent in PurePosixPath(path).parents)
