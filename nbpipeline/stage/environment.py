"""The whole environment of a stage's kernel."""

import math
import os
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path

from nbpipeline.kernels.marks import MARK, RUN
from nbpipeline.masking.secrets import Masker
from nbpipeline.model import Job, StageSpec
from nbpipeline.replacing import replace_text
from nbpipeline.stage.places import absolute, staged_value, to_json

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
    given = {**inherited, **job.environment}
    own = {
        **_settled(spec, root, inherited),
        "JPY_SESSION_NAME": str(absolute(root, spec.notebook.path)),
        RUN: job.run,
        "NBPIPELINE_STAGE": job.instance.id,
        CONTEXT: str(context),
        MARK: token,
    }
    # PYTHONPATH of `env:` travels to other machines: it comes after the stage's own folders, as here.
    return {**inherited, **own, **job.environment, **_python_path(spec, root, given)}


def expected_environment(spec: StageSpec, root: Path) -> dict[str, str]:
    """Give the variables of a kernel that are known before its attempt begins."""
    return {**os.environ, **_settled(spec, root, os.environ)}


def _settled(spec: StageSpec, root: Path, inherited: Mapping[str, str]) -> dict[str, str]:
    threads = str(max(1, math.ceil(spec.resources.cpus)))
    return {**dict.fromkeys(THREAD_VARIABLES, threads), **_python_path(spec, root, inherited)}


def _python_path(spec: StageSpec, root: Path, inherited: Mapping[str, str]) -> dict[str, str]:
    roots = [str(absolute(root, path)) for path in spec.pythonpath]
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
    replace_text(path, to_json(context))
    return path


def mask_context(path: Path, masker: Masker) -> None:
    """Hide secrets in the names' values once no kernel reads them any more. Raises OSError."""
    with suppress(FileNotFoundError):
        text = path.read_text(encoding="utf-8")
        masked = masker.text(text)
        if masked != text:
            replace_text(path, masked)
