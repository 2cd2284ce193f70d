"""The exported pipeline as moto's service and SageMaker's own SDK take it, and its steps run as jobs are: each in a folder of its own."""

import json
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import buckets
import parity
import pytest
import zoo
from builders import code, header, write_files, write_notebook
from sagemaker_check import requests
from serving import ended, heard

ML = "/opt/ml"
"""SageMaker's folder in a container."""
KEYS = {
    "AWS_ACCESS_KEY_ID": "test",
    "AWS_SECRET_ACCESS_KEY": "test",
    "AWS_DEFAULT_REGION": "eu-west-1",
}


def share(root: Path, store: Path) -> None:
    with (root / "pipeline.yaml").open("a") as file:
        file.write(f"store: {{path: 'file://{store}'}}\n")


# --- steps, run as jobs ----------------------------------------------------------------------


class Jobs:
    """Runs the steps of a definition in their order, each in a copy of the image's project."""

    def __init__(self, project: Path, scratch: Path, **given: str) -> None:
        self._project, self._scratch = project, scratch
        definition = json.loads((project / "deploy/sagemaker/pipeline.json").read_text("utf-8"))
        self._steps = definition["Steps"]
        self._requests = requests(definition, **given)
        self.codes: dict[str, int] = {}

    def run(self) -> None:
        for step in self._steps:
            if all(self.codes.get(one) == 0 for one in step.get("DependsOn", ())):
                with ended(self.start(step["Name"])) as job:
                    self.codes[step["Name"]] = job.wait(300)

    def start(self, step: str) -> subprocess.Popen[bytes]:
        folder, request = self.folder(step), self._requests[step]
        shutil.copytree(self._project, folder / "project")
        program = folder / "project/deploy/sagemaker/step.py"
        program.write_text(program.read_text("utf-8").replace(ML, str(folder / "ml")), "utf-8")
        application = request["AppSpecification"]
        words = [*application["ContainerEntrypoint"], *application["ContainerArguments"]]
        words = [
            one.replace("/project/", f"{folder}/project/").replace(ML, str(folder / "ml")) for one in words
        ]
        path = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
        with (folder / "said.txt").open("wb") as said:
            return subprocess.Popen(
                words,
                cwd=folder,
                env={"PATH": path, "HOME": str(folder), **request.get("Environment", {})},
                stdout=said,
            )

    def folder(self, step: str) -> Path:
        return self._scratch / step

    def left(self, step: str, name: str) -> Any:
        return json.loads((self.folder(step) / "ml/processing/output" / name).read_text("utf-8"))

    def message(self, step: str) -> str:
        return (self.folder(step) / "ml/output/message").read_text("utf-8")


@pytest.mark.heavy
@pytest.mark.timeout(600)
def test_steps_that_share_no_folder_hand_files_over(root: Path, tmp_path: Path) -> None:
    zoo.diamond(root)
    share(root, tmp_path / "store")
    parity.exported(root, "sagemaker", "--allow-loss")  # its own containers would not see that folder
    text = 'it\'s {{ set }} "so"\nand $HOME'
    jobs = Jobs(root, tmp_path / "jobs", factor="7", text=text, flag="True", many="[3]")
    jobs.run()
    assert jobs.codes == dict.fromkeys(("load", "left", "right", "join"), 0)
    joined = (jobs.folder("join") / "project/data/all.json").read_text()
    assert joined == json.dumps([35, text, 0.5, True, [3]]) + "36"
    assert jobs.left("left", "executed.ipynb")["cells"]
    assert jobs.left("left", "result.json")["status"] == "succeeded"
    assert not (jobs.folder("left") / "project/data/right.json").exists()
    assert not (jobs.folder("left") / "ml/output").exists()


@pytest.mark.heavy
@pytest.mark.timeout(600)
def test_a_failed_job_says_why_and_what_it_stands_on_is_blocked(root: Path, tmp_path: Path) -> None:
    write_files(root, {"pipeline.yaml": "name: unchecked\n"})
    head = "outputs: {rows: ../rows.csv}\nexpect: {rows: [{not_null: n}]}\nretries: 1\nenv: [PLACE]"
    write_notebook(
        root / "notebooks/make.ipynb",
        header(head),
        code("import os\nassert os.environ['PLACE'] == 'née'\nopen(rows, 'w').write('n,m\\n,1\\n')"),
    )
    write_notebook(root / "notebooks/use.ipynb", header("inputs: {rows: ../rows.csv}"), code("1"))
    share(root, tmp_path / "store")
    parity.exported(root, "sagemaker", "--allow-loss")  # its own containers would not see that folder
    jobs = Jobs(root, tmp_path / "jobs", env_PLACE="née")
    jobs.run()
    assert jobs.codes == {"make": 4}
    assert jobs.message("make").startswith("exit code 4: ")
    assert "not_null" in jobs.message("make")
    assert len(jobs.message("make").encode()) <= 1024
    assert jobs.left("make", "result.json")["attempts"] == 1
    unset = Jobs(root, tmp_path / "unset")
    unset.run()
    assert unset.codes == {"make": 1}


@pytest.mark.heavy
@pytest.mark.timeout(600)
def test_a_stopped_job_ends_as_a_stopped_run(root: Path, tmp_path: Path) -> None:
    write_files(root, {"pipeline.yaml": "name: long\n"})
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    write_notebook(
        root / "notebooks/wait.ipynb",
        header("outputs: {o: ../o.txt}"),
        code(f"open({str(pipe)!r}, 'w').write('x')\nopen({str(pipe)!r})"),
    )
    share(root, tmp_path / "store")
    parity.exported(root, "sagemaker", "--allow-loss")  # its own containers would not see that folder
    with ended(Jobs(root, tmp_path / "jobs").start("wait")) as job:
        heard(pipe, job)  # the cell is at work
        job.send_signal(signal.SIGTERM)
        assert job.wait(60) == 130


# --- moto's service --------------------------------------------------------------------------


@pytest.fixture(scope="module")
def service() -> Iterator[str]:
    with buckets.service() as endpoint:
        yield endpoint


def client(endpoint: str, name: str) -> Any:
    import boto3

    return boto3.client(
        name,
        endpoint_url=endpoint,
        region_name=KEYS["AWS_DEFAULT_REGION"],
        aws_access_key_id="test",
        aws_secret_access_key="test",
    )


def role(endpoint: str, name: str) -> str:
    iam = client(endpoint, "iam")
    made = iam.create_role(RoleName=name, AssumeRolePolicyDocument=json.dumps({"Version": "2012-10-17"}))
    return str(made["Role"]["Arn"])


@pytest.mark.heavy
@pytest.mark.timeout(300)
def test_the_script_creates_starts_and_schedules(root: Path, service: str) -> None:
    everything(root)
    folder = parity.exported(root, "sagemaker")
    arn = role(service, "pipelines")

    def submit(*words: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "submit.py", "--role", arn, "--outputs", "s3://bucket/runs/", *words],
            cwd=folder,
            env={"PATH": os.environ["PATH"], "AWS_ENDPOINT_URL": service, **KEYS},
            capture_output=True,
            text=True,
            check=False,
        )

    sagemaker, scheduler = client(service, "sagemaker"), client(service, "scheduler")
    first = submit()
    assert first.returncode == 0, first.stderr
    described = sagemaker.describe_pipeline(PipelineName="all-of-it")
    assert described["PipelineArn"] == first.stdout.strip()
    assert described["RoleArn"] == arn
    deployed = json.loads(described["PipelineDefinition"])
    defaults = {one["Name"]: one["DefaultValue"] for one in deployed["Parameters"]}
    assert (defaults["Role"], defaults["Outputs"], defaults["Image"]) == (
        arn,
        "s3://bucket/runs",
        "all-of-it",
    )
    assert deployed["Steps"] == json.loads((folder / "pipeline.json").read_text("utf-8"))["Steps"]

    params = {"rate": 1.5, "name": 'it\'s "so"\n', "deep": 4, "TZ": "Europe/Berlin"}
    image = "123456789012.dkr.ecr.eu-west-1.amazonaws.com/all:1"
    started = submit("--image", image, "--start", "--params", json.dumps(params))
    assert started.returncode == 0, started.stderr
    deployed = json.loads(sagemaker.describe_pipeline(PipelineName="all-of-it")["PipelineDefinition"])
    assert {"Name": "Image", "Type": "String", "DefaultValue": image} in deployed["Parameters"]
    (execution,) = sagemaker.list_pipeline_executions(PipelineName="all-of-it")["PipelineExecutionSummaries"]
    assert started.stdout.splitlines()[1] == execution["PipelineExecutionArn"]
    values = sagemaker.list_pipeline_parameters_for_execution(
        PipelineExecutionArn=execution["PipelineExecutionArn"]
    )["PipelineParameters"]
    assert {one["Name"]: one["Value"] for one in values} == {
        "rate": "1.5",
        "name": 'it\'s "so"\n',
        "deep": "4",
        "env_TZ": "Europe/Berlin",
    }
    for hour in ("30 3", "30 4"):  # the second changes the schedule that is there
        text = (folder / "submit.py").read_text("utf-8").replace("cron(30 3", f"cron({hour}")
        (folder / "submit.py").write_text(text, "utf-8")
        scheduled = submit("--schedule", role(service, f"scheduler-{hour[3:]}"), "--params", '{"rate": 2.5}')
        assert scheduled.returncode == 0, scheduled.stderr
        found = scheduler.get_schedule(Name="all-of-it")
        assert found["ScheduleExpression"] == f"cron({hour} ? * MON,TUE,WED,THU,FRI *)"
        assert found["ScheduleExpressionTimezone"] == "Europe/Berlin"
        assert found["Target"]["Arn"] == described["PipelineArn"]
        assert found["Target"]["SageMakerPipelineParameters"] == {
            "PipelineParameterList": [{"Name": "rate", "Value": "2.5"}]
        }


def everything(root: Path) -> None:
    settings = """
    name: all of it
    schedule: {cron: "30 3 * * 1-5", timezone: Europe/Berlin}
    store: {path: "s3://bucket/store"}
    """
    head = """
    outputs: {one: "../one-{region}.csv"}
    retries: 2
    timeout: 10m
    resources: {cpus: 2, memory: 2GB, gpus: 1}
    env: [TZ]
    matrix: {region: [eu, us]}
    params: {kind: {default: x, type: str, choices: [x, "y z"]}}
    description: The first
    """
    write_files(root, {"pipeline.yaml": settings})
    cell = code(
        "rate: float = 0.5\nname: str = 'x'\ndeep: int | None = None\nflag: bool = True\nn: int = 3",
        "parameters",
    )
    write_notebook(root / "notebooks/one.ipynb", header(head), cell, code("kind = 'x'", "parameters"))
    write_notebook(root / "notebooks/two.ipynb", header("after: [one]"), code("1"))


@pytest.fixture(scope="module")
def unscheduled(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("unscheduled")
    everything(root)
    (root / "pipeline.yaml").write_text("name: n\nstore: {path: 's3://bucket/store'}\n")
    return parity.exported(root, "sagemaker")


@pytest.mark.heavy
@pytest.mark.parametrize(
    ("words", "complaint"),
    [
        (["--params", "{}x"], "argument --params: invalid"),
        (["--params", '{"rate": 1}'], "--params needs --start or --schedule"),
        (["--start", "--params", '{"nosuch": 1}'], "--params: no parameter is called nosuch"),
        (["--start", "--params", '{"name": ""}'], "--params: name: a step takes 1 to 256 characters"),
        (["--schedule", "arn"], "the pipeline has no schedule"),
    ],
)
def test_what_the_script_cannot_do_is_said_before_anything_is_sent(
    words: list[str], complaint: str, unscheduled: Path
) -> None:
    done = subprocess.run(
        [sys.executable, "submit.py", "--role", "arn", "--outputs", "s3://b/p", *words],
        cwd=unscheduled,
        env={"PATH": os.environ["PATH"], "AWS_ENDPOINT_URL": "http://127.0.0.1:9", **KEYS},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 2
    assert complaint in done.stderr


@pytest.mark.heavy
def test_the_service_refuses_what_it_does_not_know(service: str) -> None:
    from botocore.exceptions import ClientError, ParamValidationError

    sagemaker = client(service, "sagemaker")
    with pytest.raises(ClientError, match="Could not find pipeline"):
        sagemaker.start_pipeline_execution(PipelineName="nosuch")
    with pytest.raises(ParamValidationError):
        sagemaker.create_pipeline(PipelineName="n", PipelineDefinition={}, RoleArn="arn")


# --- the SDK ---------------------------------------------------------------------------------

SDK = """
import json, logging, sys
import boto3
from sagemaker.core.processing import Processor
from sagemaker.core.shapes import ProcessingOutput, ProcessingS3Output
from sagemaker.core.workflow import parameters as kinds
from sagemaker.core.workflow.execution_variables import ExecutionVariables
from sagemaker.core.workflow.functions import Join
from sagemaker.core.workflow.pipeline_context import PipelineSession
from sagemaker.core.workflow.properties import PropertyFile
from sagemaker.mlops.workflow.pipeline import Pipeline
from sagemaker.mlops.workflow.retry import SageMakerJobExceptionTypeEnum, SageMakerJobStepRetryPolicy
from sagemaker.mlops.workflow.steps import CacheConfig, ProcessingStep

logging.disable(logging.CRITICAL)
session = PipelineSession(boto_session=boto3.Session(), default_bucket="bucket")
EXCEPTIONS = {one.value: one for one in SageMakerJobExceptionTypeEnum}  # called, it takes any


def parameter(one):
    more = {"enum_values": one["EnumValues"]} if "EnumValues" in one else {}
    return getattr(kinds, "Parameter" + one["Type"])(one["Name"], default_value=one.get("DefaultValue"), **more)


def value(one, known):
    if isinstance(one, dict) and "Get" in one:
        kind, name = one["Get"].split(".")
        return known[name] if kind == "Parameters" else ExecutionVariables.PIPELINE_EXECUTION_ID
    if isinstance(one, dict):
        values = [value(each, known) for each in one["Std:Join"]["Values"]]
        on = one["Std:Join"]["On"]
        return values[0].to_string() if on == "" else Join(on=on, values=values)
    return one


def policy(one):
    return SageMakerJobStepRetryPolicy(
        exception_types=[EXCEPTIONS[each] for each in one["ExceptionType"]],
        interval_seconds=one["IntervalSeconds"],
        backoff_rate=one["BackoffRate"],
        max_attempts=one["MaxAttempts"],
    )


def step(one, known):
    asked = one["Arguments"]
    cluster = asked["ProcessingResources"]["ClusterConfig"]
    processor = Processor(
        role=value(asked["RoleArn"], known),
        image_uri=value(asked["AppSpecification"]["ImageUri"], known),
        entrypoint=asked["AppSpecification"]["ContainerEntrypoint"],
        instance_count=cluster["InstanceCount"],
        instance_type=cluster["InstanceType"],
        volume_size_in_gb=cluster["VolumeSizeInGB"],
        max_runtime_in_seconds=asked["StoppingCondition"]["MaxRuntimeInSeconds"],
        env={name: value(each, known) for name, each in asked["Environment"].items()},
        sagemaker_session=session,
    )
    outputs = [
        ProcessingOutput(
            output_name=each["OutputName"],
            s3_output=ProcessingS3Output(
                s3_uri=value(each["S3Output"]["S3Uri"], known),
                local_path=each["S3Output"]["LocalPath"],
                s3_upload_mode=each["S3Output"]["S3UploadMode"],
            ),
        )
        for each in asked["ProcessingOutputConfig"]["Outputs"]
    ]
    return ProcessingStep(
        name=one["Name"],
        display_name=one["DisplayName"],
        description=one.get("Description"),
        depends_on=one.get("DependsOn"),
        retry_policies=[policy(each) for each in one.get("RetryPolicies", ())],
        cache_config=CacheConfig(enable_caching=one["CacheConfig"]["Enabled"]),
        property_files=[
            PropertyFile(name=each["PropertyFileName"], output_name=each["OutputName"], path=each["FilePath"])
            for each in one["PropertyFiles"]
        ],
        step_args=processor.run(arguments=asked["AppSpecification"]["ContainerArguments"], outputs=outputs),
    )


def built(definition):
    known = {one["Name"]: parameter(one) for one in definition["Parameters"]}
    steps = [step(one, known) for one in definition["Steps"]]
    pipeline = Pipeline(
        name="p",
        parameters=[*known.values()],
        steps=steps,
        sagemaker_session=session,
        pipeline_experiment_config=None,
    )
    found = json.loads(pipeline.definition())
    return {name: each for name, each in found.items() if each is not None}


for path in sys.argv[1:]:
    definition = json.loads(open(path, encoding="utf-8").read())
    try:
        print("same" if built(definition) == definition else "another")
    except Exception as error:
        print(repr(error))
"""
BROKEN = [
    ('"DefaultValue": 0.5', '"DefaultValue": "0.5"', "TypeError"),
    ('"Type": "Float"', '"Type": "Number"', "AttributeError"),
    ('"one-region-us"\n      ],', '"nosuch"\n      ],', "do not contain the step of name: nosuch"),
    ('"MaxAttempts": 2', '"MaxAttempts": 21', "max_attempts must in range"),
    ('"SageMaker.CAPACITY_ERROR"', '"AlgorithmError"', "AlgorithmError"),
    ('"DisplayName": "two"', '"DisplayName": "two", "Displayed": "two"', "another"),
    ('"StoppingCondition": {', '"StoppingConditions": {}, "StoppingCondition": {', "another"),
]


@pytest.mark.nightly
@pytest.mark.xdist_group("target-sagemaker")
@pytest.mark.timeout(1800)
def test_the_sdk_writes_the_same_definition_and_refuses_broken_ones(root: Path, tmp_path: Path) -> None:
    everything(root)
    file = parity.exported(root, "sagemaker") / "pipeline.json"
    text = file.read_text("utf-8")
    files = [file]
    for number, (before, after, _) in enumerate(BROKEN):
        assert before in text
        files.append(tmp_path / f"broken-{number}.json")
        files[-1].write_text(text.replace(before, after), "utf-8")
    place = parity.place_for("sagemaker", tmp_path / "scratch")
    words = ["-W", "ignore", "-c", SDK, *(str(one) for one in files)]
    done = place.run(str(place.bin / "python"), *words, cwd=tmp_path, timeout=900, **KEYS)
    assert done.returncode == 0, done.stderr
    good, *bad = done.stdout.splitlines()
    assert good == "same", done.stdout + done.stderr
    assert len(bad) == len(BROKEN)
    for line, (_, _, complaint) in zip(bad, BROKEN, strict=True):
        assert complaint in line
