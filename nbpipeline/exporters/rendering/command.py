"""The command that every task calls: one instance, by the same code path as a local run."""

from nbpipeline.model import shell_name
from nbpipeline.model.exported import Task, Workflow


def instance_name(task: Task) -> str:
    """Write a task's id as `run-stage` takes it from any shell: `train@region=eu`, unquoted."""
    stage, bracket, axes = task.id.partition("[")
    return f"{stage}@{axes.removesuffix(']')}" if bracket else task.id


def argv(workflow: Workflow, task: Task, *, retries_elsewhere: bool = False) -> tuple[str, ...]:
    """Give the command without the values of parameters; add `--params` and their JSON.

    `retries_elsewhere`: the target itself tries again, so one try fails the task.
    """
    words = ["nbpipeline", "run-stage", instance_name(task), "--fetch"]
    if retries_elsewhere and task.retries:
        words.append("--no-retries")
    if workflow.profile:
        words += ["--profile", workflow.profile]
    return tuple(words)


def shell(words: tuple[str, ...]) -> str:
    """Write words as a POSIX shell reads them."""
    return " ".join(shell_name(one) if one.isidentifier() else _quoted(one) for one in words)


def _quoted(word: str) -> str:
    import shlex  # noqa: PLC0415 - a plan has no use for it

    return shlex.quote(word)
