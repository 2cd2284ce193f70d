"""Apache Airflow: a DAG file with a task an instance, outputs as Assets, and an image for its workers.

Written after Airflow 3.3's task SDK (`airflow.sdk`) and the hooks of its standard provider.
"""

import shlex
from collections.abc import Iterable, Mapping

from nbpipeline.errors import UsageError, did_you_mean
from nbpipeline.exporters import airflow_dag as dag
from nbpipeline.exporters import airflow_texts as texts
from nbpipeline.exporters.rendering import container
from nbpipeline.exporters.rendering.source import lines, made_by
from nbpipeline.model.exported import ExportGiven, Loss, Workflow

TITLE = "Apache Airflow 3.3"
FOLDER = "deploy/airflow"
OPTIONS: Mapping[str, str] = {
    "dag_id": "the DAG's id (default: the pipeline's name, and the profile)",
    "project": "the project's folder on the workers (default: found from the DAG file's own place)",
    "command": "how workers call nbpipeline (default: `nbpipeline`, on their PATH)",
    "executed": "folder for executed notebooks and results (default: `.nbpipeline/executed`, in the project)",
    "assets": "inputs that others make and whose updates start the DAG: `all`, or paths with commas",
    "executor": "`kubernetes`: pods ask for the cores, memory and GPUs of their stage (default: none does)",
    "pool": "the pool that tasks take slots of (default: Airflow's `default_pool`)",
    "secrets": (
        "where secrets come from: `environment` of the workers (default), Airflow's `variables`, "
        "or the passwords of its `connections`, by the same names"
    ),
}
_INSIDE = "by `run-stage`, inside the task"
KEEPS: Mapping[str, str] = {
    "order": "`>>`; outputs are Assets, as `outlets` of their task and `inlets` of others",
    "parameters": "`Param` with type, description, `enum`, `minimum`, `maximum`; passed on with their types",
    "matrix": "a task an instance, in a `TaskGroup` a stage",
    "retries": "`retries` of the task; the command's own where waits grow; a failed check fails at once",
    "backoff": "equal waits: `retry_delay`; growing ones by `run-stage`, as Airflow's own are random",
    "timeout": "by `run-stage`; `execution_timeout`, longer, stands behind it",
    "cpus": "`pool_slots`, rounded up: give the pool as many slots as there are cores",
    "memory": "with `--set executor=kubernetes`: request and limit of the pod; else it is refused",
    "gpus": "with `--set executor=kubernetes`: `nvidia.com/gpu` of the pod; else it is refused",
    "schedule": "`CronTriggerTimetable`, without catching up; one run at a time",
    "timezone": "`CronTriggerTimetable(timezone=)`",
    "secrets": "from the workers' environment, or Airflow's Variables or Connections (`--set secrets=`)",
    "env": "from the workers' environment",
    "checks": f"{_INSIDE}; results as XCom, a failure is not tried again",
    "tracking": _INSIDE,
    "executed": "`DAG/RUN/TASK-TRY.ipynb` in a folder that can be set, named in the task's log and as XCom",
    "fresh": "`run-stage` skips what is fresh: the task is shown as skipped, and updates no Asset",
    "files": "`run-stage --fetch` brings inputs from the store",
}
_SECRETS = ("environment", "variables", "connections")
_ON_PODS = "which only pods can: say --set executor=kubernetes where Airflow has that executor"
_TEXTS = ("project", "command", "executed", "pool", "dag_id")


def losses(workflow: Workflow, given: ExportGiven) -> Iterable[Loss]:
    """Find resources that only pods are given, and numbers that JSON, and so a Param, cannot say."""
    if "executor" not in given.options:
        memory = tuple(task.id for task in workflow.tasks if task.resources.memory)
        gpus = tuple(task.id for task in workflow.tasks if task.resources.gpus)
        for feature, title, tasks in (("memory", "memory a task", memory), ("gpus", "GPUs a task", gpus)):
            if tasks:
                yield Loss(feature=feature, tasks=tasks, what=f"{title}, {_ON_PODS}")
    unsaid = [one.name for one in workflow.settings if not dag.is_json(one.default)]
    if unsaid:
        names = ", ".join(unsaid)
        what = f"no Param can have a default of nan or infinity, so these keep theirs: {names}"
        yield Loss(feature="parameters", tasks=(), what=what)


def render(workflow: Workflow, given: ExportGiven) -> Mapping[str, str]:
    """Give the DAG's file, the workers' image, and how to deploy them."""
    _refuse(given)
    name = _dag_id(workflow, given)
    awaited = _awaited(workflow, given)
    plan = dag.Rendered(dag_id=name, awaited=awaited, options=given.options, to_root=given.to_root)
    image = container.files("airflow", workflow, given)
    return {
        f"{texts.file_name(name)}": dag.dag_file(workflow, plan),
        "README.md": texts.readme(workflow, given, name, awaited),
        **image,
        "Dockerfile": texts.dockerfile(workflow, given, head=lines([made_by("airflow", workflow.profile)])),
    }


def _refuse(given: ExportGiven) -> None:
    """Raise UsageError for an option's value that makes no sense."""
    for name, known in (("secrets", _SECRETS), ("executor", ("kubernetes",))):
        chosen = given.options.get(name, known[0])
        if chosen not in known:
            raise UsageError.of(
                f"--set {name}={chosen}: that is none that is known.",
                known=f"known: {', '.join(known)}",
                mend=f"did you mean '{did_you_mean(chosen, known) or known[0]}'?",
            )
    for name in _TEXTS:
        value = given.options.get(name)
        if value is not None and (not value.strip() or not value.isprintable()):
            raise UsageError.of(f"--set {name}={value!r} names nothing.", mend="give a name, or leave it out")
    try:
        shlex.split(given.options.get("command", ""))
    except ValueError as error:
        raise UsageError.of(f"--set command: {error}.", mend="write it as a shell reads it") from error


def _dag_id(workflow: Workflow, given: ExportGiven) -> str:
    """Give the DAG's id: letters, digits, `_`, `-`, `.`, as Airflow asks. Raises UsageError."""
    wanted = given.options.get("dag_id")
    if wanted is None:
        named = f"{workflow.name}-{workflow.profile}" if workflow.profile else workflow.name
        return dag.key(named)
    if dag.key(wanted) != wanted:
        raise UsageError.of(
            f"--set dag_id={wanted}: no DAG can be called so.",
            mend=f"write {dag.key(wanted)}: ASCII letters, digits, `_`, `-`, `.`, at most {dag.LONGEST}",
        )
    return wanted


def _awaited(workflow: Workflow, given: ExportGiven) -> tuple[str, ...]:
    """Name the inputs whose updates start the DAG. Raises UsageError for one that no stage reads."""
    written = given.options.get("assets")
    if written is None:
        return ()
    raw = raw_inputs(workflow)
    chosen = raw if written == "all" else tuple(one.strip() for one in written.split(","))
    known = f"inputs that no stage makes: {', '.join(raw) or 'none'}"
    for one in chosen:
        if one not in raw:
            near = did_you_mean(one, raw)
            mend = f"did you mean '{near}'?" if near else "name one of them, or write assets=all"
            raise UsageError.of(
                f"--set assets: '{one}' is no input that others make.", known=known, mend=mend
            )
    if not chosen:
        raise UsageError.of("--set assets=all: stages read nothing that others make.", mend="leave it out")
    return tuple(dict.fromkeys(chosen))


def raw_inputs(workflow: Workflow) -> tuple[str, ...]:
    """Name what stages read and no stage makes; not the project's own code."""
    made = {path for task in workflow.tasks for path in task.outputs}
    code = {path for task in workflow.tasks for path in (*task.modules, task.notebook)}
    found = (path for task in workflow.tasks for path in task.inputs)
    return tuple(dict.fromkeys(path for path in found if path not in made and path not in code))
