"""What stands beside a DAG file: the image of the workers, and how to deploy."""

from nbpipeline.exporters.airflow_dag import EXECUTED
from nbpipeline.exporters.rendering import container
from nbpipeline.exporters.rendering.names import snake
from nbpipeline.exporters.rendering.source import lines, made_by
from nbpipeline.model.exported import ExportGiven, Workflow

VERSION = "3.3.2"


def file_name(dag_id: str) -> str:
    """Name the DAG's file, so that Python can import it."""
    return f"{snake(dag_id)}_dag.py"


def dockerfile(workflow: Workflow, given: ExportGiven, head: str) -> str:
    """Write the image of Airflow's own processes; the stages' packages have an environment of their own."""
    place = f"{given.folder}/" if given.folder else ""
    return lines(
        [
            head.rstrip("\n"),
            "# Airflow's scheduler, processor of DAGs, server and workers.",
            *container.build_lines(place, f"{container.image_name(workflow)}-airflow"),
            f"FROM apache/airflow:{VERSION}-python{given.python}",
            "",
            "# Where nbpipeline comes from: a wheel in the project's folder, or a URL that pip takes",
            "ARG NBPIPELINE",
            "",
            "USER root",
            "RUN mkdir /opt/stages /project && chown airflow /opt/stages /project",
            "USER airflow",
            "",
            "# The stages' packages stay out of the environment that Airflow runs in.",
            "ENV PIP_NO_CACHE_DIR=1",
            "RUN python -m venv /opt/stages && ln -s /opt/stages/bin/nbpipeline /home/airflow/.local/bin/",
            container.copy_lock(place),
            f"RUN /opt/stages/bin/pip install --no-deps -r {container.LOCK}",
            "WORKDIR /project",
            "COPY --chown=airflow:0 . /project",
            'RUN /opt/stages/bin/pip install --no-deps "${NBPIPELINE:?say --build-arg NBPIPELINE=...}"',
            f"ENV AIRFLOW__CORE__DAGS_FOLDER={container.env_text('/project/' + (given.folder or '.'))}",
        ]
    )


def readme(workflow: Workflow, given: ExportGiven, dag_id: str, awaited: tuple[str, ...]) -> str:
    """Say how to deploy, trigger, and find what a run has left."""
    first = workflow.settings[0].name if workflow.settings else ""
    text = _README.format(
        made=made_by("airflow", workflow.profile, sign="").strip(),
        dag_id=dag_id,
        version=VERSION,
        file=file_name(dag_id),
        project=given.options.get("project", "found from the file's own place"),
        command=given.options.get("command", "nbpipeline"),
        conf=f""" --conf '{{"{first}": ...}}'""" if first else "",
        pool=given.options.get("pool", "default_pool"),
        executed=given.options.get("executed", EXECUTED),
    )
    return lines([text.rstrip("\n"), *_needs(workflow, given, awaited)])


_README = """<!-- {made} -->
# DAG `{dag_id}` for Airflow {version}

`{file}` is the DAG: a task an instance, each `nbpipeline run-stage`. Its workers need

- the project's folder: {project} (`nbpipeline export airflow --set project=`);
- `{command}` (`--set command=`) with what the stages import, `requirements.lock`, in its own environment;
- Airflow with its standard provider, which comes with it.

## Deploy

- **Workers that see the project**: make this folder the `dags_folder` or a DAG bundle; or copy `{file}`
  to where your DAGs are, and export with `--set project=`. A bundle from git has a folder for each version,
  so it needs `--set project=`, too: outputs, and what is known of them, belong in one place.
- **An image**: `Dockerfile` is Airflow's own image with the project in `/project`. Workers that share no
  folder need a store at a URL (`store:` in pipeline.yaml).

```console
$ airflow dags list-import-errors --local
$ airflow dags unpause {dag_id}
$ airflow dags trigger {dag_id}{conf}
```

## What it needs, and what it leaves

- Executed notebooks and results: `{executed}/DAG/RUN/TASK-TRY.ipynb` and `.json`, seen from the project's
  folder. A task's log names its own; XCom has `metrics`, `checks`, `notebook`, `status`.
- A task that is shown as skipped was fresh: its result stands. A failed check is not tried again.
- Pool `{pool}`: a task takes a slot a core, so give it as many slots as the workers have cores.
"""


def _needs(workflow: Workflow, given: ExportGiven, awaited: tuple[str, ...]) -> list[str]:
    rows = []
    where = {
        "environment": "in the workers' environment",
        "variables": "as Airflow Variables of these names",
        "connections": "as passwords of Airflow Connections of these ids",
    }[given.options.get("secrets", "environment")]
    if workflow.secrets:
        rows.append(f"- Secrets, {where}: {_listed(workflow.secrets)}.")
    if workflow.env:
        rows.append(f"- Variables that count, in the workers' environment: {_listed(workflow.env)}.")
    if awaited:
        rows.append(f"- It starts when all of these have been updated by other DAGs: {_listed(awaited)}.")
    return rows


def _listed(names: tuple[str, ...]) -> str:
    return ", ".join(f"`{' '.join(one.split())}`" for one in names)
