"""`%load_ext nbpipeline` and `%nbpipeline`: names that only the header declares, put into the namespace.

In the pipeline the runner has injected them already, and the magic leaves them alone.
"""

from typing import Any

from nbpipeline.errors import NbpipelineError
from nbpipeline.model import StageInstance
from nbpipeline.ui.inside import handed_over, instance_here, parameters_of, plain_paths


def load_ipython_extension(ipython: Any) -> None:
    """Register the magic in the shell that IPython hands in."""

    def nbpipeline_magic(line: str) -> None:
        """`%nbpipeline [STAGE] [AXIS=VALUE]...`: define the names that only the stage's header declares."""
        if handed_over() is not None:
            return
        words = line.split()
        axes = dict(one.split("=", 1) for one in words if "=" in one)
        name = next((one for one in words if "=" not in one), None)
        try:
            _, instance = instance_here(name, axes)
        except NbpipelineError as error:
            print(error)  # noqa: T201 - a magic speaks to the cell's output
            return
        names = header_names(instance)
        ipython.push(names)
        print(f"nbpipeline: {instance.id}: {', '.join(names) or 'the header declares no further names'}")  # noqa: T201

    ipython.register_magic_function(nbpipeline_magic, magic_kind="line", magic_name="nbpipeline")


def header_names(instance: StageInstance) -> dict[str, Any]:
    """Give what the pipeline would inject for the names that no tagged cell assigns."""
    in_cells = {one.name for one in instance.spec.parameters if one.cell is not None}
    values = {name: one for name, one in parameters_of(instance).items() if name not in in_cells}
    artifacts = (*instance.inputs, *instance.outputs)
    values.update({one.name: one.value for one in artifacts if one.spec.cell is None})
    return {name: plain_paths(one) for name, one in values.items()}
