"""The whole environment of a stage's kernel."""

import math
import os
from collections.abc import Mapping
from pathlib import Path

from nbpipeline.model import Job
from nbpipeline.stage.places import absolute, staged_value, to_json, write_atomically
from nbpipeline.stage.processes import MARK

THREAD_VARIABLES = (
    "BLIS_NUM_THREADS",
    "MKL_NUM_THREADS",
    "NUMEXPR_NUM_THREADS",
    "OMP_NUM_THREADS",
    "OPENBLAS_NUM_THREADS",
    "VECLIB_MAXIMUM_THREADS",
)
CONTEXT = "NBPIPELINE_CONTEXT"
"""Path of a JSON file with the instance's resolved names, for `nbpipeline.stage()` in the kernel."""


def kernel_environment(
    job: Job, token: str, context: Path, base: Mapping[str, str] | None = None
) -> dict[str, str]:
    """Give all variables of the kernel: those of this process, as in Jupyter, and the stage's own.

    The notebook's path stands in JPY_SESSION_NAME, where JupyterLab puts it too.
    """
    spec = job.instance.spec
    root = Path(job.root)
    inherited = dict(os.environ if base is None else base)
    threads = str(max(1, math.ceil(spec.resources.cpus)))
    own = {
        **dict.fromkeys(THREAD_VARIABLES, threads),
        **_python_path(job, inherited),
        "JPY_SESSION_NAME": str(absolute(root, spec.notebook.path)),
        "NBPIPELINE_RUN": job.run,
        "NBPIPELINE_STAGE": job.instance.id,
        CONTEXT: str(context),
        MARK: token,
    }
    return {**inherited, **own, **job.environment}


def _python_path(job: Job, inherited: Mapping[str, str]) -> dict[str, str]:
    roots = [str(absolute(Path(job.root), path)) for path in job.instance.spec.pythonpath]
    if not roots:
        return {}
    before = inherited.get("PYTHONPATH")
    return {"PYTHONPATH": os.pathsep.join([*roots, *([before] if before else [])])}


def write_context(job: Job, folder: Path) -> Path:
    """Write the instance's names for `nbpipeline.stage()`, paths as cells see them. Raises OSError."""
    instance = job.instance
    outputs = {
        one.name: staged_value(one.value, job.run) if one.spec.publish == "atomic" else one.value
        for one in instance.outputs
    }
    context = {
        "stage": instance.id,
        "axes": dict(instance.axes),
        "parameters": dict(instance.parameters),
        "inputs": {one.name: one.value for one in instance.inputs},
        "outputs": outputs,
    }
    path = folder / "context.json"
    write_atomically(path, to_json(context))
    return path
