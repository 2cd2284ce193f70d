"""The command that every task calls: one instance, by the same code path as a local run."""

from nbpipeline.model import at_name
from nbpipeline.model.exported import ExportGiven, Task, Workflow


def argv(workflow: Workflow, task: Task, *, retries_elsewhere: bool = False) -> tuple[str, ...]:
    """Give the command without the values of parameters; add `--params` and their JSON.

    `retries_elsewhere`: the target itself tries again, so one try fails the task.
    """
    words = ["nbpipeline", "run-stage", at_name(task.id), "--fetch"]
    if retries_elsewhere and task.retries:
        words.append("--no-retries")
    if workflow.profile:
        words += ["--profile", workflow.profile]
    return tuple(words)


def asked(workflow: Workflow, given: ExportGiven) -> tuple[str, ...]:
    """Give the words that an export was asked for with: without them another one would be compared."""
    words = ["--profile", workflow.profile] if workflow.profile else []
    for name, value in given.options.items():
        words += ["--set", f"{name}={value}"]
    return (*words, "--allow-loss") if given.lossy else tuple(words)
