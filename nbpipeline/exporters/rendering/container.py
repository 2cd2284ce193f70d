"""The image that tasks run in: a Dockerfile, the lock of what it installs, what stays out of it."""

import json
import shlex
from collections.abc import Mapping
from typing import Literal

from nbpipeline.exporters.rendering.source import lines, made_by
from nbpipeline.location import STATE_FOLDER
from nbpipeline.model.exported import ExportGiven, Workflow

_OURS = "nbpipeline=="
User = Literal["runner", "root", "anyone"]
"""Who tasks run as in the image."""
LOCK = "/tmp/requirements.lock"  # noqa: S108 - a path in the image
_EXACT: Mapping[str, str] = {
    **{one: f"[{one}]" for one in "*?["},
    **{one: f"\\{one}" for one in "$'\""},
    "\\": 4 * "\\",
}
"""What Docker's COPY takes for a pattern, a variable, a quote, an escape -> how it means itself."""


def files(
    target: str, workflow: Workflow, given: ExportGiven, *, source: str = "", user: User = "runner"
) -> Mapping[str, str]:
    """Give `Dockerfile`, `Dockerfile.dockerignore` and `requirements.lock`, to be built from the root.

    The image is pinned, holds the project, and needs no network for itself when it runs: as a `user` without
    rights, but where the service mounts folders that `root` alone may write to; `anyone`: the service may run
    tasks as a user of its own, who has to be able to write there. `Dockerfile.dockerignore` is what BuildKit
    reads beside a Dockerfile of that name. `source` is where nbpipeline comes from if the build does not say.
    """
    place = f"{given.folder}/" if given.folder else ""
    return {
        "Dockerfile": _dockerfile(target, workflow, given, place, source, user),
        "Dockerfile.dockerignore": _ignored(target, workflow),
        "requirements.lock": lock(target, workflow, given),
    }


def _dockerfile(
    target: str, workflow: Workflow, given: ExportGiven, place: str, source: str, user: User
) -> str:
    made = "RUN useradd --create-home --uid 10001 runner && mkdir /project && chown runner /project"
    opened = ["RUN find /project /home/runner -type d -exec chmod a+rwx {} +"] if user == "anyone" else []
    if user == "root":
        made = "RUN mkdir /home/runner /project"
    return lines(
        [
            made_by(target, workflow.profile).rstrip("\n"),
            *build_lines(place, image_name(workflow)),
            f"FROM python:{given.python}-slim",
            "",
            "# Where nbpipeline comes from: a wheel in the project's folder, or a URL that pip takes",
            f"ARG NBPIPELINE={source}" if source else "ARG NBPIPELINE",
            "",
            "ENV PYTHONUNBUFFERED=1 PIP_NO_CACHE_DIR=1 HOME=/home/runner",
            made,
            "WORKDIR /project",
            copy_lock(place),
            f"RUN pip install --no-deps -r {LOCK}",
            "COPY . /project" if user == "root" else "COPY --chown=runner . /project",
            'RUN pip install --no-deps "${NBPIPELINE:?say --build-arg NBPIPELINE=WHEEL_OR_URL}"',
            *opened,
            "USER root" if user == "root" else "USER runner",
            'ENTRYPOINT ["nbpipeline"]',
        ]
    )


def build_lines(place: str, image: str) -> list[str]:
    """Say how an image is built; `place` is the folder of its Dockerfile, with `/` at its end."""
    file = " ".join(shlex.quote(f"{place}Dockerfile").splitlines())
    return [
        "# Build it from the project's root:",
        f"#   docker build -f {file} -t {image} \\",
        "#     --build-arg NBPIPELINE=WHEEL_OR_URL .",
    ]


def copy_lock(place: str) -> str:
    """Copy the lock, whatever its folder is called: what COPY would read in the name means itself."""
    source = f"{place}requirements.lock"
    exact = "".join(_EXACT.get(one, one) for one in source)
    if exact == source and " " not in source and source.isprintable():
        return f"COPY {source} {LOCK}"
    return f"COPY {json.dumps([exact, LOCK], ensure_ascii=False)}"


def env_text(value: str) -> str:
    """Write the value of a variable of the image."""
    return '"' + "".join(f"\\{one}" if one in '"\\$' else one for one in value) + '"'


def _ignored(target: str, workflow: Workflow) -> str:
    """Leave out what is of this machine alone, what runs leave behind, what stages make: it is in the store.

    What a frozen stage once made comes from nowhere else; what stages go on in may come with the project.
    """
    makers = [task for task in workflow.tasks if not task.frozen]
    made = {path for task in makers for path in task.outputs if "://" not in path}
    made -= {path for task in makers for path in task.updated}
    return lines(
        [
            made_by(target, workflow.profile).rstrip("\n"),
            "**/.git",
            "**/.env*",
            "**/.venv",
            "**/__pycache__",
            "**/.ipynb_checkpoints",
            STATE_FOLDER,
            *(_pattern(path) for path in sorted(made) if not path.startswith("/")),
        ]
    )


def _pattern(path: str) -> str:
    """Write a path so that Docker's patterns mean just it."""
    return "".join(f"\\{one}" if one in "*?[]\\!#" else one for one in path.rstrip("/"))


def lock(target: str, workflow: Workflow, given: ExportGiven) -> str:
    """Pin what is installed, but for nbpipeline itself, which comes from where its user says."""
    pinned = [one for one in given.requirements if not one.startswith(_OURS)]
    head = made_by(target, workflow.profile).rstrip("\n")
    lacking = [f"# Needed there, and not installed where it was exported: {one}" for one in given.lacking]
    return lines([head, f"# For Python {given.python} on Linux.", *lacking, *pinned])


def image_name(workflow: Workflow) -> str:
    """Suggest a name for the image: the pipeline's, as registries allow it."""
    kept = "".join(one if one.isascii() and one.isalnum() else "-" for one in workflow.name.lower())
    return "-".join(one for one in kept.split("-") if one) or "pipeline"
