"""The export as Microsoft's own SDK reads it, offline; its jobs run as Azure would, each with a folder of its own."""

import json
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import azureml_check
import parity
import pytest
import yaml
import zoo
from builders import code, header, write_files, write_notebook
from serving import ended, heard

from nbpipeline import Project
from nbpipeline.exporters.azureml_zones import NAMES

pytestmark = [pytest.mark.heavy, pytest.mark.xdist_group("target-azureml"), pytest.mark.timeout(900)]
READ = """
import json, logging, sys, warnings
warnings.simplefilter("ignore")
logging.disable(logging.CRITICAL)
from azure.ai.ml import load_component, load_environment, load_job
from azure.ai.ml.constants import TimeZone
from azure.ai.ml.entities._load_functions import load_schedule
from pathlib import Path

def sound(one):
    found = one._validate()
    assert found.passed, found.error_messages
    return one

def read(folder):
    rest = sound(load_job(folder / "pipeline.yml"))._to_rest_object().properties
    for path in sorted((folder / "components").iterdir()):
        sound(load_component(path))
    load_environment(folder / "environment.yml")
    if (folder / "schedule.yml").exists():
        sound(load_schedule(folder / "schedule.yml"))._to_rest_object()
    return {"jobs": len(rest.jobs), "inputs": {name: one.value for name, one in rest.inputs.items()}}

print(json.dumps([one.value for one in TimeZone]))
for folder in sys.argv[1:]:
    try:
        print(json.dumps(read(Path(folder))))
    except Exception as error:
        print(json.dumps(" ".join(repr(error).split())))
"""
SETTINGS = """
name: rich
schedule: {cron: "30 3 * * 1-5", timezone: Europe/Berlin}
"""
RICH = """
outputs: {one: "../one-{region}.txt"}
retries: 2
retry_delay: 1s
timeout: 10m
resources: {cpus: 0.5, memory: 1500MB, gpus: 1}
env: [TZ]
matrix: {region: [eu, us]}
params: {kind: {default: a, choices: [a, b]}, n: {default: 0, type: int, min: 0, max: 9}}
"""
NAMES_OF_DICTS = (
    "items: int = 3\nkeys: str = ''\nvalues: bool = False\nget: float = 0.0\ntype: str = ' '\npath: str = 'p'"
)
BROKEN = [
    ("pipeline.yml", "force_rerun: true", "force_rerun: maybe", "Not a valid boolean"),
    ("pipeline.yml", "timeout: 6002", "timeout: long", "limits.timeout"),
    ("pipeline.yml", "  two:", "  Two:", "valid python identifier"),
    ("pipeline.yml", "      items: ${{", "      item: ${{", "Required input 'items'"),
    ("pipeline.yml", "./components/two.yml", "./components/nosuch.yml", "jobs.two.component"),
    ("pipeline.yml", "default_compute: azureml:cpus", "default_compute:", "settings.default_compute"),
    ("components/two.yml", "type: command", "type: comand", "comand"),
    ("components/two.yml", "command: exec", "commands: exec", "component.command"),
    ("components/two.yml", "environment: azureml:", "environment: ", "Environment"),
    ("components/two.yml", "is_deterministic: false", "is_deterministic: maybe", "is_deterministic"),
    ("environment.yml", "dockerfile_path:", "docker_path:", "docker_path"),
    ("environment.yml", "path: ../..", "path: ../../nosuch", "nosuch"),
    ("schedule.yml", "type: cron", "type: cronn", "cronn"),
    ("schedule.yml", "  expression: 30 3 * * 1-5\n", "", "expression"),
    ("schedule.yml", "./pipeline.yml", "./nosuch.yml", "nosuch.yml"),
]
"""A file, what is replaced in it, and what the SDK then says."""
NASTY = 'it\'s "so" $(touch hacked) `touch hacked` ${HOME} \\ %s *\n; touch hacked #\té 中 \U0001f600 ${{parent.inputs.n}}'


def written(root: Path, store: Path, *, allow_loss: bool = False, **options: str) -> Path:
    """Export a project whose tasks share a store alone."""
    zoo.share(root)
    export = Project(root).exporting.rendered("azureml", options=options, allow_loss=allow_loss)
    Project(root).exporting.written(export)
    zoo.share(root, f"file://{store}")  # which a job's own container would not see
    return export.folder


# --- what the SDK says -------------------------------------------------------------------------


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> parity.Place:
    return parity.place_for("azureml", tmp_path_factory.mktemp("place") / "scratch")


def said(place: parity.Place, folders: list[Path]) -> tuple[list[str], list[Any]]:
    """Give the names of time zones, and what the SDK says of each export."""
    words = [str(place.bin / "python"), "-c", READ, *(str(one) for one in folders)]
    done = place.run(*words, cwd=place.scratch)
    assert done.returncode == 0, done.stderr
    zones, *found = [json.loads(line) for line in done.stdout.splitlines()]
    assert len(found) == len(folders)
    return zones, found


@pytest.mark.nightly
def test_the_sdk_takes_exports_and_refuses_broken_ones(place: parity.Place, tmp_path: Path) -> None:
    good = []
    for case in zoo.CASES.values():
        (tmp_path / case.name).mkdir()
        case.write(tmp_path / case.name)
        good.append(written(tmp_path / case.name, tmp_path / "store", allow_loss=bool(case.hidden)))
    root = tmp_path / "rich"
    write_files(root, {"pipeline.yaml": SETTINGS})
    write_notebook(root / "notebooks/one.ipynb", header(RICH), code(NAMES_OF_DICTS, "parameters"))
    write_notebook(root / "notebooks/two.ipynb", header("after: [one]"), code("1"))
    variables = '{"TZ": "UTC"}'
    good.append(written(root, tmp_path / "store", compute="cpus", gpu_compute="gpus", variables=variables))
    bad = [_broken(root, tmp_path / f"broken-{number}", *one) for number, one in enumerate(BROKEN)]
    zones, found = said(place, [*good, *bad])
    assert {*zones} >= NAMES
    taken = found[: len(good)]
    assert [one["jobs"] for one in taken] == [4, 9, 4, 2, 2, 6, 2, 5, 2, 4, 6, 4, 8, 3], taken
    assert taken[-1]["inputs"] == {
        "items": "3",
        "keys": '""',
        "values": "False",
        "get": "0.0",
        "type": " ",
        "path": "p",
        "kind": "a",
        "n": "0",
    }
    for one, (name, _, after, complaint) in zip(found[len(good) :], BROKEN, strict=True):
        assert complaint in one, (name, after, one)


def _broken(root: Path, copy: Path, name: str, before: str, after: str, _complaint: str) -> Path:
    shutil.copytree(root, copy)
    folder = copy / "deploy/azureml"
    text = (folder / name).read_text()
    assert before in text, (name, before)
    (folder / name).write_text(text.replace(before, after))
    return folder


# --- jobs, as Azure would run them ---------------------------------------------------------------


class Jobs:
    """Runs the jobs of an export: each in a copy of the project, its command read by a shell, inputs in the environment."""

    def __init__(self, project: Path, scratch: Path, given: Mapping[str, Any] | None = None) -> None:
        self._project, self._scratch = project, scratch
        self._folder = project / "deploy/azureml"
        assert azureml_check.complaints(self._folder) == []
        pipeline = yaml.safe_load((self._folder / "pipeline.yml").read_text(encoding="utf-8"))
        self._jobs = pipeline["jobs"]
        values = {**pipeline.get("inputs", {}), **(given or {})}
        self._values = {f"parent.inputs.{name}": str(value) for name, value in values.items()}
        self.codes: dict[str, int] = {}

    def run(self) -> None:
        """Run all; one is left out where another that it waits for failed."""
        for name, job in self._jobs.items():
            used = [azureml_check.EXPRESSION.fullmatch(str(value)) for value in job["inputs"].values()]
            waits = [one[1].split(".")[2] for one in used if one and one[1].startswith("parent.jobs.")]
            if all(self.codes.get(one) == 0 for one in waits):
                with ended(self.started(name)) as process:
                    self.codes[name] = process.wait(timeout=300)

    def started(self, name: str) -> subprocess.Popen[bytes]:
        """Start a job in the folder where Azure starts it, which is not the project's."""
        job = self._jobs[name]
        shutil.copytree(self._project, self.project(name))
        (self._scratch / name / "wd").mkdir()
        command = yaml.safe_load((self._folder / job["component"]).read_text(encoding="utf-8"))["command"]
        command = command.replace("/project/", f"{self.project(name)}/")
        return subprocess.Popen(
            ["/bin/bash", "-c", command.replace("${{outputs.results}}", str(self.results(name)))],
            cwd=self._scratch / name / "wd",
            env={
                "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
                "HOME": str(self._scratch),
                **job.get("environment_variables", {}),
                **{
                    f"AZUREML_PARAMETER_{one}": self._filled(str(value))
                    for one, value in job["inputs"].items()
                    if "parent.jobs." not in str(value)
                },
            },
        )

    def _filled(self, value: str) -> str:
        used = azureml_check.EXPRESSION.fullmatch(value)
        return self._values[used[1]] if used else value

    def project(self, name: str) -> Path:
        """Give the folder that is the image's project to the job."""
        return self._scratch / name / "project"

    def results(self, name: str) -> Path:
        """Give the folder of the job's output."""
        return self._scratch / name / "results"

    def result(self, name: str) -> Any:
        """Give what the job left."""
        return json.loads((self.results(name) / "result.json").read_text(encoding="utf-8"))


def test_jobs_that_share_no_folder_hand_files_over(root: Path, tmp_path: Path) -> None:
    zoo.diamond(root)
    written(root, tmp_path / "store")
    jobs = Jobs(root, tmp_path / "jobs", {"factor": 7, "text": NASTY, "flag": True, "many": "[3]"})
    jobs.run()
    assert jobs.codes == dict.fromkeys(("load", "left", "right", "join"), 0)
    joined = (jobs.project("join") / "data/all.json").read_text()
    assert joined == json.dumps([35, NASTY, 0.5, True, [3]]) + "36"
    assert not [*(tmp_path / "jobs").rglob("hacked")]
    assert json.loads((jobs.results("left") / "executed.ipynb").read_text())["cells"]
    assert jobs.result("left")["status"] == "succeeded"
    assert jobs.result("left")["parameters"]["text"] == NASTY


def test_a_value_in_the_command_itself_would_be_run(tmp_path: Path) -> None:
    """What the exported command keeps from: the control of the test above."""
    command = f"echo {NASTY} >/dev/null"
    subprocess.run(["/bin/bash", "-c", command], cwd=tmp_path, check=False, capture_output=True)
    quoted = 'echo "$(touch hacked)" >/dev/null'
    subprocess.run(["/bin/bash", "-c", quoted], cwd=tmp_path, check=False)
    assert (tmp_path / "hacked").exists()


def test_odd_names_arrive(root: Path, tmp_path: Path) -> None:
    write_files(root, {"pipeline.yaml": "name: odd\n"})
    kinds = json.dumps(['$(id) `id` it\'s "so"', "${{parent.inputs.n}}"])
    head = f"outputs: {{o: '../o-{{kind}}.txt'}}\nmatrix: {{kind: {kinds}}}"
    write_notebook(root / "notebooks/a.ipynb", header(head), code("open(o, 'w').write(kind)"))
    written(root, tmp_path / "store")
    jobs = Jobs(root, tmp_path / "jobs")
    jobs.run()
    assert [*jobs.codes.values()] == [0, 0]
    assert [jobs.result(name)["parameters"]["kind"] for name in jobs.codes] == json.loads(kinds)


def test_a_failed_check_ends_with_its_code_and_leaves_the_notebook(root: Path, tmp_path: Path) -> None:
    zoo.failing_check(root)
    written(root, tmp_path / "store")
    jobs = Jobs(root, tmp_path / "jobs")
    jobs.run()
    assert jobs.codes == {"make": 4}
    assert jobs.result("make")["attempts"] == 1
    assert (jobs.results("make") / "executed.ipynb").exists()


def test_a_job_that_is_ended_ends_in_order(root: Path, tmp_path: Path) -> None:
    write_files(root, {"pipeline.yaml": "name: long\n"})
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    body = f"open({str(pipe)!r}, 'w').write('x')\nopen({str(pipe)!r})"
    write_notebook(root / "notebooks/a.ipynb", header("outputs: {o: ../o.txt}"), code(body))
    written(root, tmp_path / "store")
    jobs = Jobs(root, tmp_path / "jobs")
    with ended(jobs.started("a")) as process:
        heard(pipe, process)  # the cell is at work
        process.send_signal(signal.SIGTERM)
        assert process.wait(timeout=60) == 130
    assert jobs.result("a")["exit_code"] == 130
