"""What would certainly go wrong is said before anything runs."""

import dataclasses
from collections.abc import Iterator
from pathlib import Path

from nbpipeline.errors import Complaint, ExitCode, MissingInputError
from nbpipeline.location import is_url
from nbpipeline.model import Action, Plan, Step
from nbpipeline.pipeline import missing_inputs
from nbpipeline.stage.executed import refuse_unknown
from nbpipeline.stage.lock import hold, owner


def refuse_missing_inputs(plan: Plan, root: Path) -> None:
    """Raise MissingInputError where a stage that may run needs a file that nothing will put there."""
    doing = [step for step in plan.steps if step.action in (Action.RUN, Action.MAYBE)]
    if doing:
        complaints = (*_made_by_nobody(plan, doing, root), *_left_out_makers(plan, doing, root))
        if complaints:
            raise MissingInputError(complaints)


def refuse_impossible_copies(plan: Plan) -> None:
    """Raise MissingPluginError, UsageError where a stage that may run wants a copy that cannot be made."""
    for step in plan.steps:
        if step.action in (Action.RUN, Action.MAYBE):
            refuse_unknown(step.instance)


def _made_by_nobody(plan: Plan, doing: list[Step], root: Path) -> Iterator[Complaint]:
    """Find what `check` warns of, among the stages that may run."""
    part = dataclasses.replace(plan.pipeline, instances={step.instance.id: step.instance for step in doing})
    for complaint in missing_inputs(part, str(root)):
        yield dataclasses.replace(complaint, warning=False, exit_code=ExitCode.PIPELINE)


def _left_out_makers(plan: Plan, doing: list[Step], root: Path) -> Iterator[Complaint]:
    """Find missing inputs made by a stage of the pipeline that is not part of this run."""
    planned = {step.instance.id for step in plan.steps}
    steps = {step.instance.id: step for step in doing}
    for edge in plan.pipeline.edges:
        step = steps.get(edge.downstream)
        if step is None or edge.kind != "data" or edge.upstream in planned:
            continue
        if is_url(edge.path) or (root / edge.path).exists():
            continue
        wanted = next((one for one in step.instance.inputs if edge.path in one.paths), None)
        name = wanted.name if wanted else edge.path
        yield Complaint(
            where=wanted.spec.where if wanted else step.instance.spec.where,
            what=f"input '{name}' of '{edge.downstream}' is not there: {edge.path}",
            known=f"made by: {edge.upstream}, which is not part of this run",
            mend=f"run it too: `nbpipeline run +{edge.downstream}`",
            exit_code=ExitCode.PIPELINE,
        )


def refuse_held(plan: Plan, root: Path) -> None:
    """Raise BusyError, saying who, where another run holds a stage that is to run; not for `--wait`."""
    for step in plan.steps:
        if step.action in (Action.RUN, Action.RESTORE) and owner(root, step.instance.id) is not None:
            with hold(root, step.instance.id):
                pass
