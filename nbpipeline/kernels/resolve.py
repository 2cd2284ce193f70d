"""Which kernel a stage runs in: the header's, else the notebook's if installed, else our own Python."""

import sys

from nbpipeline.fingerprint.kernels import find_kernel
from nbpipeline.model import StageSpec


def kernel_of(spec: StageSpec) -> tuple[str, tuple[str, ...]]:
    """Name the kernelspec (empty: the Python that runs nbpipeline), and say where it is not what was asked.

    A kernel that the header names is taken at its word: `Kernels.manager` refuses one that is not installed.
    """
    if spec.kernel:
        return spec.kernel, ()
    saved = spec.notebook.kernel
    found = find_kernel(saved, spec.notebook.language)
    if not found.argv:
        return saved or spec.notebook.language, ()
    name = "" if found.argv[0] == sys.executable and found.name == "python3" else found.name
    if not found.fallback:
        return name, ()
    stands_in = f"kernel '{name}'" if name else "the Python that runs nbpipeline"
    return name, (f"kernel '{saved}' of {spec.notebook.path} is not installed; {stands_in} is used instead",)
