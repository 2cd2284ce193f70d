"""Tells the kernels' source what a plan will ask of it."""

from pathlib import Path

from nbpipeline import plugins, validators
from nbpipeline.kernels.resolve import kernel_of
from nbpipeline.model import Action, KernelNeed, Plan
from nbpipeline.plan import Planner
from nbpipeline.stage.environment import expected_environment
from nbpipeline.stage.places import absolute


def expected_validators(plan: Plan) -> tuple[str, ...]:
    """Name the validators with a process of their own that stages which may run want."""
    checks = [
        check
        for step in plan.steps
        if step.action in (Action.RUN, Action.MAYBE)
        for group in step.instance.spec.expect.values()
        for check in group
    ]
    return validators.choice.apart(checks) if checks else ()


def require_validators(plan: Plan) -> None:
    """Raise MissingPluginError where the library of a check that may be tried is not installed."""
    for name in expected_validators(plan):
        plugins.require("validators", name)


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
