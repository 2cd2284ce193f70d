"""What would certainly go wrong is said before anything runs."""

import dataclasses
from collections.abc import Iterator
from pathlib import Path

from nbpipeline.errors import Complaint, ExitCode, MissingInputError
from nbpipeline.location import Location, is_url
from nbpipeline.model import Action, Edge, Plan, Step, shell_name
from nbpipeline.pipeline import missing_inputs
from nbpipeline.pipeline.wording import listed
from nbpipeline.stage.executed import refuse_unknown
from nbpipeline.stage.lock import hold, owner


def refuse_missing_inputs(plan: Plan, root: Path) -> None:
    """Raise MissingInputError where a stage that may run needs a file that nothing will put there."""
    complaints = lacking(plan, root)
    if complaints:
        raise MissingInputError(complaints)


def lacking(plan: Plan, root: Path) -> tuple[Complaint, ...]:
    """Say which inputs of stages that may run nothing will put there: for these a run is refused."""
    doing = [step for step in plan.steps if step.action in (Action.RUN, Action.MAYBE)]
    return (*_made_by_nobody(plan, doing, root), *_left_out_makers(plan, doing, root)) if doing else ()


def refuse_impossible_copies(plan: Plan) -> None:
    """Raise MissingPluginError, UsageError where a stage that may run wants a copy that cannot be made."""
    for step in plan.steps:
        if step.action in (Action.RUN, Action.MAYBE):
            refuse_unknown(step.instance)


def _made_by_nobody(plan: Plan, doing: list[Step], root: Path) -> Iterator[Complaint]:
    """Find what `check` warns of, among the stages that may run."""
    for complaint in missing_inputs(plan.pipeline, str(root), {step.instance.id for step in doing}):
        yield dataclasses.replace(complaint, warning=False, exit_code=ExitCode.PIPELINE)


def _left_out_makers(plan: Plan, doing: list[Step], root: Path) -> Iterator[Complaint]:
    """Find missing inputs made by a stage that is not part of this run, once for all instances of both."""
    planned = {step.instance.id for step in plan.steps}
    steps = {step.instance.id: step for step in doing}
    found: dict[tuple[Location, str], list[Edge]] = {}
    for edge in plan.pipeline.edges:
        step = steps.get(edge.downstream)
        if step is None or edge.kind != "data" or edge.upstream in planned:
            continue
        if is_url(edge.path) or (root / edge.path).exists():
            continue
        wanted = next((one for one in step.instance.inputs if edge.path in one.paths), None)
        name = wanted.name if wanted else edge.path
        where = wanted.spec.where if wanted else step.instance.spec.where
        found.setdefault((where, name), []).append(edge)
    for (where, name), edges in found.items():
        yield _left_out(where, name, edges, steps[edges[0].downstream].instance.spec.name)


def _left_out(where: Location, name: str, edges: list[Edge], stage: str) -> Complaint:
    readers, makers, paths = (
        list(dict.fromkeys(found))
        for found in zip(*((one.downstream, one.upstream, one.path) for one in edges), strict=True)
    )
    reader = readers[0] if len(readers) == 1 else stage
    which = "which is" if len(makers) == 1 else "which are"
    return Complaint(
        where=where,
        what=f"input '{name}' of '{reader}' is not there: {listed(paths)}",
        known=f"made by: {listed(makers)}, {which} not part of this run",
        mend=f"run {'it' if len(makers) == 1 else 'them'} too: `nbpipeline run +{shell_name(reader)}`",
        exit_code=ExitCode.PIPELINE,
    )


def refuse_held(plan: Plan, root: Path) -> None:
    """Raise BusyError, saying who, where another run holds a stage that is to run; not for `--wait`."""
    for step in plan.steps:
        if step.action in (Action.RUN, Action.RESTORE) and owner(root, step.instance.id) is not None:
            with hold(root, step.instance.id):
                pass
