"""README.md of an export to Azure Machine Learning."""

import shlex
from collections.abc import Iterator

from nbpipeline.exporters import azureml_component
from nbpipeline.exporters.azureml_zones import is_heard
from nbpipeline.exporters.rendering import cluster, cluster_readme
from nbpipeline.exporters.rendering.source import lines, made_by
from nbpipeline.model import Resources
from nbpipeline.model.exported import ExportGiven, Task, Workflow


def readme(workflow: Workflow, given: ExportGiven) -> str:
    """Give `README.md`."""
    return lines(
        [
            f"<!-- {made_by('azureml', workflow.profile, sign='').strip()} -->",
            f"# Pipeline `{cluster.name_of(workflow)}` for Azure Machine Learning",
            "",
            "`pipeline.yml` is the pipeline job: a command job an instance, of one component a stage. Each",
            "runs `nbpipeline run-stage`, which `component.py` in the image calls.",
            "",
            *_image(workflow, given),
            "",
            *_storage(workflow),
            "",
            *_needs(workflow),
            *_secrets(workflow),
            "Then, in the project's root, with the workspace as the CLI's default:",
            "",
            "```console",
            *_commands(workflow, given),
            "```",
            "",
            "Every job leaves the output `results`: `executed.ipynb`, and `result.json` with outputs, checks",
            "and metrics. A failed job stops those that wait for it, and no others. Retries and the skipping",
            "of fresh stages are the command's; Azure's reuse of results is off.",
            "",
            "These files were validated offline, and never run on the service.",
        ]
    )


def _image(workflow: Workflow, given: ExportGiven) -> list[str]:
    if cluster.option("image", "", given):
        return cluster_readme.image_lines(workflow, given)
    source = cluster.option("nbpipeline", "", given)
    return [
        "Azure builds the image, by `environment.yml`. The CLI sends it the whole project, but for what",
        "`.amlignore` in the project's root names:",
        "",
        "```console",
        f"$ cp {_path('Dockerfile.dockerignore', given)} .amlignore",
        "```",
        *([] if source else ["", "**The build needs `--set nbpipeline=WHEEL_OR_URL` at the export.**"]),
    ]


def _storage(workflow: Workflow) -> list[str]:
    if not workflow.store:
        return cluster_readme.lacking_lines()
    return [
        "Jobs share no folder: what a stage makes goes to the pipeline's store, and comes from there. The",
        "image holds the project with its raw inputs. The identity of the compute has to be allowed to read",
        "and write the store.",
    ]


def _needs(workflow: Workflow) -> list[str]:
    rows = [_row(task) for task in cluster.stages(workflow).values() if task.resources != Resources()]
    if not rows:
        return []
    head = ["| stage | cores | memory | GPUs |", "|---|---|---|---|"]
    return [
        "A job has a node of its compute to itself, which needs as much as its stage asks for:",
        "",
        *head,
        *rows,
        "",
    ]


def _secrets(workflow: Workflow) -> list[str]:
    """Say what was lost: who reads the README was perhaps not there when it was allowed."""
    names = ", ".join(f"`{one}`" for one in workflow.secrets)
    return [f"**No job is given the secrets {names}.**", ""] if names else []


def _row(task: Task) -> str:
    asked = task.resources
    memory = f"{asked.memory / 10**9:g} GB" if asked.memory else "-"
    return f"| `{task.stage}` | {asked.cpus:g} | {memory} | {asked.gpus} |"


def _commands(workflow: Workflow, given: ExportGiven) -> Iterator[str]:
    if not cluster.option("image", "", given):
        yield f"$ az ml environment create --file {_path('environment.yml', given)}"
    first = next(iter(azureml_component.parameters(workflow).values()), None)
    setting = f" --set inputs.{first.name}=..." if first else ""
    yield f"$ az ml job create --file {_path('pipeline.yml', given)}{setting}"
    if workflow.schedule is not None and is_heard(workflow.schedule):
        yield f"$ az ml schedule create --file {_path('schedule.yml', given)}"
    yield f"$ az ml job download --name JOB --output-name {azureml_component.RESULTS}"


def _path(name: str, given: ExportGiven) -> str:
    return shlex.quote(f"{cluster.inside(given)}{name}")
