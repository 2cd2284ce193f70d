"""Tells the kernels' source what a plan will ask of it."""

from pathlib import Path

from nbpipeline.kernels.resolve import kernel_of
from nbpipeline.model import Action, KernelNeed, Plan
from nbpipeline.plan import Planner
from nbpipeline.stage.environment import expected_environment
from nbpipeline.stage.places import absolute


def expected_kernels(plan: Plan, planner: Planner, root: Path) -> tuple[KernelNeed, ...]:
    """Name the kernels of all stages that may run, in run order."""
    return tuple(
        KernelNeed(
            kernel=kernel_of(spec)[0],
            folder=str(absolute(root, spec.working_folder)),
            environment=expected_environment(spec, root),
            imports=planner.imports(step.instance),
        )
        for step in plan.steps
        if step.action in (Action.RUN, Action.MAYBE)
        for spec in (step.instance.spec,)
    )
