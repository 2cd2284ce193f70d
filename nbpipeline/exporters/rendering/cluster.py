"""What targets share that run each task in a container of its own, on whatever machine of a cluster."""

from collections.abc import Iterator, Mapping

from nbpipeline.errors import UsageError
from nbpipeline.exporters.rendering.container import image_name
from nbpipeline.exporters.rendering.names import labels
from nbpipeline.model.exported import ExportGiven, Loss, Task, Workflow

OPTIONS: Mapping[str, str] = {
    "image": "the image that tasks run in, with its registry, in place of the pipeline's name",
    "secret": "the Secret whose keys are the stages' `secrets`, in place of the pipeline's name",
    "config": "the ConfigMap whose keys are the stages' `env`, in place of the pipeline's name",
    "volume": "a PersistentVolumeClaim (ReadWriteOnce) with the project: needed without a store at a URL",
}
PROJECT = "/project"
"""Where the image, or the volume, has the project."""
USER = 10001
"""Whom the image runs as."""
GPU = "nvidia.com/gpu"


def image(workflow: Workflow, given: ExportGiven) -> str:
    """Name the image. Raises UsageError for what no image is called."""
    return option("image", image_name(workflow), given)


def resource(workflow: Workflow, kind: str, given: ExportGiven) -> str:
    """Name the Secret, the ConfigMap. Raises UsageError for what nothing is called."""
    return option(kind, name_of(workflow), given)


def volume(given: ExportGiven) -> str:
    """Name the claim that holds the project; empty: none does."""
    return option("volume", "", given)


def name_of(workflow: Workflow, longest: int = 50) -> str:
    """Name the pipeline as Kubernetes allows it."""
    return labels([workflow.name], longest=longest)[workflow.name]


def option(name: str, default: str, given: ExportGiven) -> str:
    """Give what `--set` says. Raises UsageError for what nothing is called."""
    value = given.options.get(name, default)
    if name in given.options and (not value.isascii() or not value.isprintable() or {*value} & {*" \"'{}"}):
        raise UsageError.of(f"--set {name}={value}: nothing is called so.", mend=f"write --set {name}=NAME")
    return value


def unshared(workflow: Workflow, given: ExportGiven, *, takes_volume: bool = True) -> Iterator[Loss]:
    """Find that tasks could not hand files over: neither a volume nor a store at a URL has them."""
    if volume(given):
        return
    if workflow.store:
        yield from _unstored(workflow, takes_volume=takes_volume)
        return
    mend = "name a store at a URL in pipeline.yaml (store: {path: 's3://bucket/prefix'}; file:// is a folder)"
    yield Loss(
        feature="files",
        tasks=(),
        what="files between tasks: each has a container of its own, which is gone when the task ends",
        mend=f"{mend}, or say --set volume=CLAIM" if takes_volume else mend,
    )


def _unstored(workflow: Workflow, *, takes_volume: bool) -> Iterator[Loss]:
    """Find files that one task makes for another, and that no store keeps."""
    read = {path for task in workflow.tasks for path in task.inputs}
    makers = [task for task in workflow.tasks if not read.isdisjoint(task.unstored)]
    if makers:
        paths = ", ".join(dict.fromkeys(path for task in makers for path in task.unstored if path in read))
        mend = "take `store: false` out"
        yield Loss(
            feature="files",
            tasks=tuple(task.id for task in makers),
            what=f"files that other tasks read and no store keeps (`store: false`): {paths}",
            mend=f"{mend}, or say --set volume=CLAIM" if takes_volume else mend,
        )


def inside(given: ExportGiven) -> str:
    """Give the export's folder as seen from the project, with `/` at its end; empty: the project itself.

    Raises UsageError where it stands outside, for the image holds the project alone.
    """
    if not given.folder and given.to_root != ".":
        raise UsageError.of(
            "The folder to export to is outside the project; the image holds the project alone.",
            mend="name one inside: -o deploy/NAME",
        )
    return f"{given.folder}/" if given.folder else ""


def memory(size: int) -> str:
    """Write bytes as a quantity of Kubernetes."""
    for unit, factor in (("G", 10**9), ("M", 10**6), ("k", 10**3)):
        if size % factor == 0:
            return f"{size // factor}{unit}"
    return str(size)


def cpus(count: float) -> str:
    """Write cores as a quantity of Kubernetes: whole ones, or thousandths."""
    return f"{count:.0f}" if count == int(count) else f"{max(1, round(count * 1000))}m"


def stages(workflow: Workflow) -> Mapping[str, Task]:
    """Give a task of each stage: what stages say, all their tasks have alike."""
    found: dict[str, Task] = {}
    for task in workflow.tasks:
        found.setdefault(task.stage, task)
    return found
