"""What a pipeline may ask for, and which of it a target would lose.

An exporter says in `KEEPS` how it keeps each feature; what is used and not kept is a loss, which is refused
unless the user allows it. The table of targets in the docs is made from the same words.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import NamedTuple

from nbpipeline.errors import Complaint, ExitCode, LossError
from nbpipeline.model import shell_name
from nbpipeline.model.exported import Loss, Task, Workflow

_SHOWN = 5

Users = Callable[[Workflow], tuple[str, ...] | None]
"""Names the tasks that use a feature; None where the workflow does not, empty where it does as a whole."""


class Feature(NamedTuple):
    """Something that a pipeline may ask of a target."""

    title: str
    used: Users


def _tasks(wants: Callable[[Task], object]) -> Users:
    """Make of a question to a task one to the workflow."""

    def used(workflow: Workflow) -> tuple[str, ...] | None:
        return tuple(task.id for task in workflow.tasks if wants(task)) or None

    return used


def _whole(wants: Callable[[Workflow], object]) -> Users:
    return lambda workflow: () if wants(workflow) else None


FEATURES: Mapping[str, Feature] = {
    "order": Feature("order of tasks, data edges", _whole(lambda workflow: len(workflow.tasks) > 1)),
    "parameters": Feature(
        "typed parameters, set when it is triggered", _whole(lambda workflow: workflow.settings)
    ),
    "matrix": Feature("matrix: an instance a task", _tasks(lambda task: task.axes)),
    "retries": Feature("retries", _tasks(lambda task: task.retries)),
    "backoff": Feature(
        "waits between retries, growing",
        _tasks(lambda task: task.retries and (task.retry_delay or task.retry_backoff != 1)),
    ),
    "timeout": Feature("time limits", _tasks(lambda task: task.timeout)),
    "cpus": Feature("cores a task", _tasks(lambda task: task.resources.cpus != 1)),
    "memory": Feature("memory a task", _tasks(lambda task: task.resources.memory)),
    "gpus": Feature("GPUs a task", _tasks(lambda task: task.resources.gpus)),
    "schedule": Feature("schedule", _whole(lambda workflow: workflow.schedule)),
    "timezone": Feature(
        "the schedule's time zone",
        _whole(lambda workflow: workflow.schedule and workflow.schedule.timezone != "UTC"),
    ),
    "secrets": Feature("secrets", _tasks(lambda task: task.secrets)),
    "env": Feature("variables that count", _tasks(lambda task: task.env)),
    "checks": Feature("checks on data; a failed one blocks what follows", _tasks(lambda task: task.checks)),
    "tracking": Feature("trackers are told", _whole(lambda workflow: workflow.trackers)),
    "executed": Feature("executed notebook as an artifact", _whole(lambda _workflow: True)),
    "fresh": Feature("fresh stages are skipped", _whole(lambda _workflow: True)),
    "files": Feature(
        "tasks on several machines without a shared folder", _whole(lambda workflow: workflow.store)
    ),
}
"""In the order of the docs' table."""


def losses(workflow: Workflow, keeps: Mapping[str, str]) -> Iterator[Loss]:
    """Find what the workflow uses and a target has no word for."""
    for name, feature in FEATURES.items():
        users = None if name in keeps else feature.used(workflow)
        if users is not None:
            yield Loss(feature=name, tasks=users, what=f"{feature.title}: not to be had there")


def refuse(target: str, found: Iterable[Loss]) -> None:
    """Raise LossError where something would be lost."""
    complaints = [
        Complaint(
            where=None,
            what=f"{target} cannot keep what the pipeline says: {line(one)}.",
            mend=f"{one.mend or 'take it out of the pipeline'}, or say --allow-loss to export without it",
            exit_code=ExitCode.LOSS,
        )
        for one in found
    ]
    if complaints:
        raise LossError(complaints)


def line(loss: Loss) -> str:
    """Say a loss and whom it concerns on one line."""
    names = [shell_name(one) for one in loss.tasks[:_SHOWN]]
    more = len(loss.tasks) - len(names)
    of = f" ({', '.join(names)}{f' and {more} more' if more else ''})" if names else ""
    return f"{loss.what}{of}"
