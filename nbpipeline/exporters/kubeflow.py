"""Kubeflow Pipelines: one file of IR YAML, with what only Kubernetes knows in its second document.

Written after `pipeline_spec.proto` (2.1.0), and after what kfp 2.17 with kfp-kubernetes compiles.
"""

from collections.abc import Callable, Iterable, Mapping
from typing import Any

from nbpipeline.exporters import kubeflow_component, kubeflow_parameters
from nbpipeline.exporters.kubeflow_parameters import INSTANCE, OPENED
from nbpipeline.exporters.rendering import cluster, container, limits
from nbpipeline.exporters.rendering.names import labels
from nbpipeline.exporters.rendering.parameters import Given, masked_text
from nbpipeline.exporters.rendering.source import made_by, yaml_text
from nbpipeline.model import at_name
from nbpipeline.model.exported import ExportGiven, Loss, Task, Workflow

Resources = Callable[[Task], dict[str, Any]]

TITLE = "Kubeflow Pipelines 2 (IR 2.1)"
FOLDER = "deploy/kubeflow"
OPTIONS = cluster.OPTIONS
INSIDE = "by `run-stage`, inside the task's container"
KEEPS: Mapping[str, str] = {
    "order": "`dependentTasks`",
    "parameters": "the pipeline's parameters, typed; JSON in a text where no type of Kubeflow holds all",
    "matrix": "a task an instance, of one component a stage",
    "retries": f"{INSIDE}: Kubeflow's own would try a failed check again",
    "backoff": INSIDE,
    "timeout": f"{INSIDE}; `activeDeadlineSeconds` stands behind it",
    "cpus": "`resources`, requested and limited",
    "memory": "`resources`, requested and limited",
    "gpus": "`resources.accelerator`, `nvidia.com/gpu`",
    "schedule": "the command for a recurring run stands in README.md",
    "secrets": "`secretAsEnv`",
    "env": "`configMapAsEnv`",
    "checks": INSIDE,
    "tracking": INSIDE,
    "executed": "artifact `executed`; `result` has outputs and checks, `metrics` is shown by Kubeflow",
    "fresh": "`run-stage` skips what is fresh; Kubeflow's cache, which sees no file, is off",
    "files": "`run-stage --fetch` brings inputs from the store",
}
OUTPUTS = {"executed": "system.Artifact", "result": "system.Artifact", "metrics": "system.Metrics"}


def losses(workflow: Workflow, given: ExportGiven) -> Iterable[Loss]:
    """Find whether tasks could hand files over."""
    return cluster.unshared(workflow, given)


def render(workflow: Workflow, given: ExportGiven) -> Mapping[str, str]:
    """Give `kubeflow.yaml`, the program of its tasks, a README, and the files of the image."""
    parameters = kubeflow_parameters.given(workflow)
    platform = _platform(workflow, given)
    text = yaml_text(pipeline(workflow, given, parameters, _resources))
    if platform:
        text += "---\n" + yaml_text(platform)
    return {
        "kubeflow.yaml": made_by("kubeflow", workflow.profile) + text,
        "component.py": kubeflow_component.program("kubeflow", workflow, parameters),
        "README.md": kubeflow_component.readme(workflow, given),
        **container.files("kubeflow", workflow, given),
    }


def pipeline(
    workflow: Workflow, given: ExportGiven, parameters: Mapping[str, Given], resources: Resources
) -> dict[str, Any]:
    """Give the pipeline's specification; `resources` writes what a task takes as the service wants it."""
    stages = cluster.stages(workflow)
    names = labels(stages)
    tasks = labels(task.id for task in workflow.tasks)
    defined = {one.name: kubeflow_parameters.definition(one) for one in parameters.values()}
    return {
        "pipelineInfo": {"name": cluster.name_of(workflow), "description": workflow.name},
        "schemaVersion": "2.1.0",
        "sdkVersion": "kfp-2.17.0",
        "root": {
            "dag": {
                "tasks": {
                    tasks[task.id]: _task(task, names[task.stage], tasks, parameters)
                    for task in workflow.tasks
                }
            },
            **({"inputDefinitions": {"parameters": defined}} if defined else {}),
        },
        "components": {f"comp-{names[stage]}": _component(names[stage], parameters) for stage in stages},
        "deploymentSpec": {
            "executors": {
                f"exec-{names[stage]}": {"container": _container(workflow, given, resources(task))}
                for stage, task in stages.items()
            }
        },
    }


def _task(
    task: Task, stage: str, tasks: Mapping[str, str], parameters: Mapping[str, Given]
) -> dict[str, Any]:
    name = masked_text(at_name(task.id), OPENED)
    return {
        "taskInfo": {"name": task.id},
        "componentRef": {"name": f"comp-{stage}"},
        "cachingOptions": {"enableCache": False},
        **({"dependentTasks": [tasks[one] for one in task.upstream]} if task.upstream else {}),
        "inputs": {
            "parameters": {
                INSTANCE: {"runtimeValue": {"constant": name}},
                **{one.name: {"componentInputParameter": one.name} for one in parameters.values()},
            }
        },
    }


def _component(stage: str, parameters: Mapping[str, Given]) -> dict[str, Any]:
    """Every task is told all parameters: which result of another task it fetches hangs on that one's, too."""
    return {
        "executorLabel": f"exec-{stage}",
        "inputDefinitions": {
            "parameters": {
                INSTANCE: {"parameterType": "STRING"},
                **{one.name: {"parameterType": one.type, "isOptional": True} for one in parameters.values()},
            }
        },
        "outputDefinitions": {
            "artifacts": {
                name: {"artifactType": {"schemaTitle": title, "schemaVersion": "0.0.1"}}
                for name, title in OUTPUTS.items()
            }
        },
    }


def _container(workflow: Workflow, given: ExportGiven, resources: dict[str, Any]) -> dict[str, Any]:
    paths = [
        word for name in OUTPUTS for word in (f"--{name}", f"{{{{$.outputs.artifacts['{name}'].path}}}}")
    ]
    return {
        "image": cluster.image(workflow, given),
        "command": ["python3", f"{cluster.inside(given)}component.py"],
        "args": ["--like", "kfp.dsl.executor_main", "--executor_input", "{{$}}", *paths],
        **({"resources": resources} if resources else {}),
    }


def _resources(task: Task) -> dict[str, Any]:
    """Say each twice, as kfp does: older services read numbers (cores, 10^9 bytes), newer ones quantities."""
    found: dict[str, Any] = {}
    asked = task.resources
    for end in ("Request", "Limit"):
        if asked.cpus != 1:
            found |= {f"cpu{end}": asked.cpus, f"resourceCpu{end}": cluster.cpus(asked.cpus)}
        if asked.memory:
            found |= {
                f"memory{end}": asked.memory / 10**9,
                f"resourceMemory{end}": cluster.memory(asked.memory),
            }
    if asked.gpus:
        count = str(asked.gpus)
        found["accelerator"] = {
            "type": cluster.GPU,
            "resourceType": cluster.GPU,
            "count": count,
            "resourceCount": count,
        }
    return found


# --- what only Kubernetes knows ----------------------------------------------------------------


def _platform(workflow: Workflow, given: ExportGiven) -> dict[str, Any]:
    stages = cluster.stages(workflow)
    names = labels(stages)
    executors = {
        f"exec-{names[stage]}": found
        for stage, task in stages.items()
        if (found := _on_kubernetes(task, workflow, given))
    }
    return {"platforms": {"kubernetes": {"deploymentSpec": {"executors": executors}}}} if executors else {}


def _on_kubernetes(task: Task, workflow: Workflow, given: ExportGiven) -> dict[str, Any]:
    found: dict[str, Any] = {}
    end = limits.whole(task, tries=task.retries + 1, most=limits.PODS)
    if end is not None:
        found["activeDeadlineSeconds"] = str(end)
    if task.secrets:
        found["secretAsEnv"] = [_secret(task, cluster.resource(workflow, "secret", given))]
    if workflow.env:  # of all tasks: by them it is found what others made
        found["configMapAsEnv"] = [_config(workflow, cluster.resource(workflow, "config", given))]
    claim = cluster.volume(given)
    if claim:
        name = {"runtimeValue": {"constant": claim}}
        found["pvcMount"] = [{"constant": claim, "pvcNameParameter": name, "mountPath": cluster.PROJECT}]
    return found


def _secret(task: Task, name: str) -> dict[str, Any]:
    return {
        "secretName": name,
        "secretNameParameter": {"runtimeValue": {"constant": name}},
        "keyToEnv": [{"secretKey": one, "envVar": one} for one in task.secrets],
        "optional": False,
    }


def _config(workflow: Workflow, name: str) -> dict[str, Any]:
    return {
        "configMapName": name,
        "configMapNameParameter": {"runtimeValue": {"constant": name}},
        "keyToEnv": [{"configMapKey": one, "envVar": one} for one in workflow.env],
        "optional": True,
    }
