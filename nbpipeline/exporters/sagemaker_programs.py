"""The programs beside a pipeline for SageMaker: what a step's container runs, what deploys and starts it."""

from nbpipeline.exporters.rendering import cluster, schedule
from nbpipeline.exporters.rendering import program as pieces
from nbpipeline.exporters.rendering.source import made_by, python, text
from nbpipeline.exporters.sagemaker_parameters import (
    IMAGE,
    LONGEST,
    OUTPUTS,
    PREFIX,
    ROLE,
    parameters,
    variables,
)
from nbpipeline.model.exported import ExportGiven, Schedule, Workflow
from nbpipeline.reading.schedule import DAYS

_STEP = '''"""What a step's container runs: the command that it is given, with the pipeline's parameters.

    python3 step.py nbpipeline run-stage train --fetch --result FILE

SageMaker hands parameters over as environment variables; the command gets them as one JSON. The exit code
is the command's.
"""

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

PROJECT = Path(__file__).resolve().parent / {to_root}
MESSAGE = Path("/opt/ml/output/message")
PREFIX = {prefix}
PARAMETERS = {parameters}
"""Name in SageMaker -> the pipeline's name, and its type; JSON: a text that holds it."""
VARIABLES = {variables}
"""Name in SageMaker -> the variable that stages read; its value `null`: not set."""


def main(command):
    values = {{name: os.environ[PREFIX + name] for name in [*PARAMETERS, *VARIABLES]}}
    params = {{setting: typed(values[name], kind) for name, (setting, kind) in PARAMETERS.items()}}
    given = ["--params", json.dumps(params)] if params else []
    os.environ.update({{name: values[one] for one, name in VARIABLES.items() if values[one] != "null"}})
    os.chdir(PROJECT)
    code = run([*command, *given])
    if code:
        explain(code, Path(command[command.index("--result") + 1]))
    return code


{run}

def typed(value, kind):
    if kind == "str":
        return value
    found = json.loads(value.lower() if kind == "bool" else value)
    if kind == "float" or (kind == "number" and not float(found).is_integer()):
        return float(found)
    return int(found) if kind in ("int", "number") else found


def explain(code, result):
    """Say why the job failed where SageMaker shows it: the first KB becomes its ExitMessage."""
    failure = json.loads(result.read_text("utf-8"))["failure"] if result.exists() else None
    parts = [failure["where"], failure["what"]] if failure else ["the job's log says why"]
    MESSAGE.parent.mkdir(parents=True, exist_ok=True)
    MESSAGE.write_bytes(": ".join([f"exit code {{code}}", *filter(None, parts)]).encode()[:1024])


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
'''
_SUBMIT = '''"""Create or update the pipeline in SageMaker; start it, or schedule it: see README.md."""

import argparse
import json
from pathlib import Path

import boto3
from step import PARAMETERS, VARIABLES

NAME = {name}
CRON = {cron}
TIMEZONE = {timezone}
NAMES = {{name: (name, "str") for name in VARIABLES}}
NAMES |= {{name: (name, kind) for name, (_, kind) in PARAMETERS.items()}}
NAMES |= {{variable: (name, "str") for name, variable in VARIABLES.items()}}
NAMES |= {{setting: (name, kind) for name, (setting, kind) in PARAMETERS.items()}}
"""SageMaker's names, and before these the pipeline's; its parameters are before its variables."""


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--region")
    parser.add_argument("--role", required=True, metavar="ARN", help="as whom the pipeline and its jobs run")
    parser.add_argument("--outputs", required=True, metavar="s3://BUCKET/PREFIX", help="for notebooks")
    parser.add_argument("--image", metavar="URI", help="in ECR, in place of pipeline.json's")
    parser.add_argument("--start", action="store_true", help="start it now")
    parser.add_argument("--params", type=json.loads, default={{}}, metavar="JSON", help="for these starts")
    parser.add_argument("--schedule", metavar="ARN", help="have it run by its schedule, started as this role")
    given = parser.parse_args()
    if given.schedule and not CRON:
        parser.error("the pipeline has no schedule")
    if given.params and not (given.start or given.schedule):
        parser.error("--params needs --start or --schedule")
    values = as_texts(given.params, parser)
    sagemaker = boto3.client("sagemaker", region_name=given.region)
    definition = filled({role}=given.role, {outputs}=given.outputs.rstrip("/"), {image}=given.image)
    arn = deploy(sagemaker, definition, given.role)
    print(arn)
    if given.start:
        started = sagemaker.start_pipeline_execution(PipelineName=NAME, PipelineParameters=values)
        print(started["PipelineExecutionArn"])
    if given.schedule:
        scheduler = boto3.client("scheduler", region_name=given.region)
        print(schedule(scheduler, arn, given.schedule, values))


def as_texts(params, parser):
    """Write values as SageMaker takes them: texts, by its own names."""
    values = {{}}
    for setting, value in params.items():
        if setting not in NAMES:
            parser.error(f"--params: no parameter is called {{setting}}")
        name, kind = NAMES[setting]
        if name in values:
            parser.error(f"--params: {{setting}}: {{name}} is given twice")
        text = value if kind == "str" and isinstance(value, str) else json.dumps(value, ensure_ascii=False)
        if not 1 <= len(text) <= {longest}:
            parser.error(f"--params: {{setting}}: a step takes 1 to {longest} characters")
        values[name] = text
    return [{{"Name": name, "Value": text}} for name, text in values.items()]


def filled(**values):
    """Give the definition with the deployment's values as defaults of its parameters."""
    definition = json.loads(Path(__file__).with_name("pipeline.json").read_text("utf-8"))
    for parameter in definition["Parameters"]:
        if values.get(parameter["Name"]):
            parameter["DefaultValue"] = values[parameter["Name"]]
    return json.dumps(definition)


def deploy(sagemaker, definition, role):
    pages = sagemaker.get_paginator("list_pipelines").paginate(PipelineNamePrefix=NAME)
    there = any(one["PipelineName"] == NAME for page in pages for one in page["PipelineSummaries"])
    write = sagemaker.update_pipeline if there else sagemaker.create_pipeline
    return write(PipelineName=NAME, PipelineDefinition=definition, RoleArn=role)["PipelineArn"]


def schedule(scheduler, arn, role, values):
    pages = scheduler.get_paginator("list_schedules").paginate(NamePrefix=NAME, GroupName="default")
    there = any(one["Name"] == NAME for page in pages for one in page["Schedules"])
    write = scheduler.update_schedule if there else scheduler.create_schedule
    return write(
        Name=NAME,
        ScheduleExpression=CRON,
        ScheduleExpressionTimezone=TIMEZONE,
        FlexibleTimeWindow={{"Mode": "OFF"}},
        Target={{
            "Arn": arn,
            "RoleArn": role,
            "SageMakerPipelineParameters": {{"PipelineParameterList": values}},
        }},
    )["ScheduleArn"]


if __name__ == "__main__":
    main()
'''
_DAYS = tuple(one.upper() for one in DAYS)
_DAY, _WEEKDAY = 2, 4


def step(workflow: Workflow, given: ExportGiven) -> str:
    """Give `step.py`."""
    body = _STEP.format(
        to_root=text(given.to_root),
        prefix=text(PREFIX),
        parameters=pieces.table(parameters(workflow)),
        variables=python(variables(workflow)),
        run=pieces.RUN,
    )
    return made_by("sagemaker", workflow.profile) + body


def submit(workflow: Workflow) -> str:
    """Give `submit.py`."""
    when = workflow.schedule
    body = _SUBMIT.format(
        name=text(cluster.name_of(workflow)),
        cron=text(expression(when) if when else ""),
        timezone=text(when.timezone if when else ""),
        role=ROLE,
        outputs=OUTPUTS,
        image=IMAGE,
        longest=LONGEST,
    )
    return made_by("sagemaker", workflow.profile) + body


def expression(when: Schedule) -> str:
    """Write a schedule as EventBridge reads it; empty where that cannot say it.

    There one of the days of the month and of the week has to be `?`; crontab takes either of both.
    Weekdays are written by name, since EventBridge counts from 1, and steps as lists.
    """
    fields = when.cron.split(" ")
    if fields[_DAY] != "*" and fields[_WEEKDAY] != "*":
        return ""
    minute, hour, day, month, weekday = (_field(one, place) for place, one in enumerate(fields))
    if fields[_WEEKDAY] == "*":
        weekday = "?"
    else:
        day, weekday = "?", ",".join(_DAYS[one] for one in schedule.weekdays(fields[_WEEKDAY]))
    return f"cron({minute} {hour} {day} {month} {weekday} *)"


def _field(field: str, place: int) -> str:
    return field if field == "*" else ",".join(str(one) for one in schedule.expanded(field, place))
