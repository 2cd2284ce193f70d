"""What a README says of a cluster: the image, how files come from task to task, what has to be there."""

import shlex

from nbpipeline.exporters.rendering import cluster
from nbpipeline.exporters.rendering.container import image_name
from nbpipeline.model.exported import ExportGiven, Workflow

_ACCESS = "The store's credentials belong among the\n`secrets`, or to the service account."


def image_lines(workflow: Workflow, given: ExportGiven) -> list[str]:
    """Say how the image is made."""
    file = shlex.quote(f"{cluster.inside(given)}Dockerfile")
    name = cluster.image(workflow, given)
    named = "" if name != image_name(workflow) else " (`--set image=REGISTRY/NAME:TAG` puts its name in)"
    return [
        f"Build the image from the project's root, and push it to where the cluster pulls from{named}:",
        "",
        "```console",
        f"$ docker build -f {file} -t {name} --build-arg NBPIPELINE=WHEEL_OR_URL .",
        f"$ docker push {name}",
        "```",
    ]


def storage_lines(workflow: Workflow, given: ExportGiven, access: str = _ACCESS) -> list[str]:
    """Say how files come from task to task; `access`: by what a container may use the store."""
    claim = cluster.volume(given)
    if claim:
        return [
            f"Tasks share the PersistentVolumeClaim `{claim}`, at `{cluster.PROJECT}`: copy the project",
            f"there first, for user {cluster.USER}, and again when notebooks change. Its access mode has",
            "to be ReadWriteOnce, so that all tasks run on one node: what is on record is in an SQLite",
            "file, which no network drive can share.",
        ]
    if workflow.store:
        return [
            "Tasks share no folder: what a stage makes goes to the pipeline's store, and comes from there.",
            f"The image holds the project with its raw inputs. {access}",
        ]
    return lacking_lines()


def lacking_lines() -> list[str]:
    """Say that files do not come from task to task."""
    return ["**Tasks share no folder, and no store is at a URL: what a stage makes is lost.**"]


def needed_lines(workflow: Workflow, given: ExportGiven) -> list[str]:
    """Say what the namespace has to hold."""
    found = []
    if workflow.secrets:
        secret = cluster.resource(workflow, "secret", given)
        found += [f"Secret `{secret}` has to have the keys {_listed(workflow.secrets)}.", ""]
    if workflow.env:
        config = cluster.resource(workflow, "config", given)
        found += [f"ConfigMap `{config}` may have the keys {_listed(workflow.env)}.", ""]
    return found


def _listed(names: tuple[str, ...]) -> str:
    return ", ".join(f"`{one}`" for one in names)
