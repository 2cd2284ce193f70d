"""What deploys an exported flow: prefect.yaml, the image for pools that run containers, how to use them."""

import json
from collections.abc import Mapping
from typing import Any

from nbpipeline.exporters.rendering import container
from nbpipeline.exporters.rendering.names import kebab, labels
from nbpipeline.exporters.rendering.source import lines, made_by, yaml_text
from nbpipeline.model.exported import ExportGiven, Workflow

POOL = "nbpipeline"
PREFECT = "3.8.8"
"""Whose image is the base; tests run with the same."""


def files(
    workflow: Workflow, given: ExportGiven, function: str, parameters: Mapping[str, str]
) -> Mapping[str, str]:
    """Give `prefect.yaml`, `README.md`, `Dockerfile` with its lock and what stays out of it."""
    image = container.files("prefect", workflow, given)
    return {
        "prefect.yaml": _deployment(workflow, given, function, parameters),
        "README.md": _readme(workflow, given),
        **image,
        "Dockerfile": _dockerfile(workflow, given),
    }


def deployment_name(workflow: Workflow) -> str:
    """Name the deployment after the profile."""
    return kebab(workflow.profile) if workflow.profile else "default"


def _deployment(workflow: Workflow, given: ExportGiven, function: str, parameters: Mapping[str, str]) -> str:
    image = given.options.get("image", "")
    deployment: dict[str, Any] = {
        "name": deployment_name(workflow),
        "entrypoint": f"flow.py:{function}",
        "tags": ["nbpipeline"],
        "parameters": {
            parameters[one.name]: one.default
            for one in workflow.settings
            if "{{" not in json.dumps(one.default)  # Prefect would fill it in; the flow has the same default
        },
        "schedules": [
            {"cron": one.cron, "timezone": one.timezone, "active": True}
            for one in (workflow.schedule,)
            if one is not None
        ],
        "concurrency_limit": {"limit": 1, "collision_strategy": "ENQUEUE"},
        "work_pool": {
            "name": given.options.get("work-pool") or POOL,
            "job_variables": {"image": image} if image else {},
        },
    }
    whole: dict[str, Any] = {"name": container.image_name(workflow)}
    if image:
        step = "prefect.deployments.steps.set_working_directory"
        whole["pull"] = [{step: {"directory": f"/project/{given.folder}".rstrip("/")}}]
    head = made_by("prefect", workflow.profile) + _HEAD + ("" if image else _NO_PULL)
    return head + yaml_text({**whole, "deployments": [deployment]})


_HEAD = """# Deploy it from this folder: prefect deploy --all
# One flow run at a time, since runs of one project's folder would wait for each other's stages.
"""
_NO_PULL = "# No `pull`: the worker runs the flow in the folder that it was deployed from.\n"
_IN_IMAGE = ("The worker runs containers of the image that `Dockerfile` builds (see its head).",)
_IN_FOLDER = (
    "The worker runs the flow in this folder, so it stands on a machine with the project; `nbpipeline` has",
    "to be on its PATH, in an environment with what the notebooks import (`requirements.lock`).",
)


def _dockerfile(workflow: Workflow, given: ExportGiven) -> str:
    place = f"{given.folder}/" if given.folder else ""
    return lines(
        [
            made_by("prefect", workflow.profile).rstrip("\n"),
            *container.build_lines(place, container.image_name(workflow)),
            f"FROM prefecthq/prefect:{PREFECT}-python{given.python}",
            "",
            "# Where nbpipeline comes from: a wheel in the project's folder, or a URL that pip takes",
            "ARG NBPIPELINE",
            "",
            "# Stages have their own environment: what they import may not agree with what Prefect needs.",
            "ENV PYTHONUNBUFFERED=1 PIP_NO_CACHE_DIR=1 HOME=/home/runner PATH=$PATH:/opt/stages/bin",
            "RUN useradd --create-home --uid 10001 runner && mkdir /project && chown runner /project",
            "WORKDIR /project",
            container.copy_lock(place),
            "RUN python -m venv /opt/stages",
            f"RUN /opt/stages/bin/pip install --no-deps -r {container.LOCK}",
            "COPY --chown=runner . /project",
            "RUN /opt/stages/bin/pip install --no-deps \\",
            '  "${NBPIPELINE:?say --build-arg NBPIPELINE=WHEEL_OR_URL}"',
            "USER runner",
        ]
    )


def _readme(workflow: Workflow, given: ExportGiven) -> str:
    pool = given.options.get("work-pool") or POOL
    image = given.options.get("image", "")
    kind = "docker" if image else "process"
    blocks = labels(workflow.secrets)
    limits = given.options.get("limits", "")
    parts = [
        made_by("prefect", workflow.profile, "").rstrip("\n"),
        "",
        "# Deploy the flow",
        "",
        "```console",
        f"$ prefect work-pool create --type {kind} {pool}    # once",
        "$ prefect deploy --all",
        f"$ prefect worker start --pool {pool}",
        "```",
        "",
        f"deploys it as `{deployment_name(workflow)}`. `prefect deployment run` or the UI trigger it, with",
        "other values of its parameters where you want them.",
        "",
        *(_IN_IMAGE if image else _IN_FOLDER),
    ]
    if limits:
        parts += ["", "Slots that its tasks take, once for all flow runs together:", "", "```console"]
        parts += [f"$ prefect gcl create {limits}-cores --limit 8"]
        parts += [f"$ prefect gcl create {limits}-memory-mb --limit 32000"]
        parts += [f"$ prefect gcl create {limits}-gpus --limit 1", "```"]
    if workflow.secrets:
        parts += ["", "Secrets come from the worker's environment, or else from Secret blocks:", ""]
        parts += [f"- `{name}`, or the block `{blocks[name]}`" for name in workflow.secrets]
    return lines(parts)
