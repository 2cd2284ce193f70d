"""What exports write for GitHub and GitLab holds to the schemas that both publish, and to what zizmor knows of attacks."""

import json
import re
import subprocess
from collections.abc import Callable
from pathlib import Path

import parity
import pytest
import yaml
import zoo
from builders import code, header, write_notebook
from gitlab_shell import documents

pytestmark = [pytest.mark.heavy, pytest.mark.timeout(900)]
WORKFLOW = ".github/workflows/nbpipeline.yml"
Change = Callable[[str], str]


@pytest.fixture(scope="module")
def programs() -> Path:
    return parity.environment_of("ci-checkers")


def schema_says(programs: Path, schema: str, *files: Path) -> str:
    """Give the complaints; none where the files hold."""
    words = [str(programs / "check-jsonschema"), "--builtin-schema", f"vendor.{schema}", *map(str, files)]
    done = subprocess.run(words, capture_output=True, text=True, check=False)
    assert (done.returncode == 0) == done.stdout.startswith("ok"), done.stdout + done.stderr
    return "" if done.returncode == 0 else done.stdout


def everything(root: Path) -> None:
    """What changes most of both files: secrets, a schedule, choices, names that look like expressions."""
    zoo.odd(root)
    settings = root / "pipeline.yaml"
    settings.write_text(settings.read_text() + 'schedule: {cron: "0 3 * * 7", timezone: Europe/Berlin}\n')
    write_notebook(
        root / "notebooks/more.ipynb",
        header(
            "outputs: {m: ../m.txt}\nsecrets: [TOKEN]\nenv: [TZ]\n"
            "params: {tier: {default: a, choices: [a, b], help: '${{ secrets.TOKEN }} $[[ x ]]'}}"
        ),
        code("open(m, 'w').write('m')"),
    )


def split(root: Path) -> list[Path]:
    """Both documents of the job's file, each as a file: what the checker takes."""
    found = []
    for name, data in zip(("header", "body"), documents(root / ".gitlab-ci.yml"), strict=True):
        place = root / f"{name}.json"
        place.write_text(json.dumps(data))
        found.append(place)
    return found


def test_the_job_holds_to_gitlabs_schema(root: Path, programs: Path) -> None:
    everything(root)
    parity.exported(root, "gitlab-ci", "--set", "stage=test", "--set", "tags=gpu,big")
    assert schema_says(programs, "gitlab-ci", *split(root)) == ""
    place = root / ".gitlab-ci.yml"
    text = place.read_text()
    for old, new in (
        ("policy: $NBPIPELINE_CACHE", "policy: sometimes"),
        ("when: always\n      policy", "when: perhaps\n      policy"),
        ("type: string", "type: text"),
        ("expand: false", "expand: perhaps"),
        ("after_script:", "afterscript:"),
        ("action: access", "action: look"),
    ):
        assert old in text, old
        place.write_text(text.replace(old, new))
        assert schema_says(programs, "gitlab-ci", *split(root)), new


def test_the_workflow_holds_to_githubs_schema(root: Path, programs: Path) -> None:
    everything(root)
    parity.exported(root, "github-actions", "--set", "secrets=AWS_ACCESS_KEY_ID")
    place = root / WORKFLOW
    assert schema_says(programs, "github-workflows", place) == ""
    text = place.read_text()
    for old, new in (
        ("runs-on: ubuntu-latest", "run-on: ubuntu-latest"),
        ("pull-requests: write", "pull-requests: always"),
        ("pull_request: {}", "pull_requests: {}"),
    ):
        assert old in text, old
        place.write_text(text.replace(old, new))
        assert schema_says(programs, "github-workflows", place), new


def test_the_workflow_opens_no_way_that_zizmor_knows(root: Path, programs: Path) -> None:
    everything(root)
    parity.exported(root, "github-actions", "--set", "secrets=AWS_ACCESS_KEY_ID")
    place = root / WORKFLOW
    assert findings(programs, place) == set()
    text = place.read_text()
    attacks: dict[str, Change] = {
        "unpinned-uses": lambda one: re.sub(r"checkout@\w+ # ", "checkout@", one),
        "dangerous-triggers": lambda one: one.replace("pull_request: {}", "pull_request_target: {}"),
        "artipacked": lambda one: one.replace(
            "        with:\n          persist-credentials: false\n      - uses", "      - uses"
        ),
        "template-injection": lambda one: one.replace(
            'comment.py "$RUNNER_TEMP', 'comment.py "${{ github.event.pull_request.title }}'
        ),
    }
    for name, change in attacks.items():
        assert change(text) != text
        place.write_text(change(text))
        assert name in findings(programs, place), name


def findings(programs: Path, place: Path) -> set[str]:
    """Name what zizmor finds, offline."""
    words = [str(programs / "zizmor"), "--offline", "--no-config", "--format", "json", str(place)]
    done = subprocess.run(words, capture_output=True, text=True, check=False, env={"HOME": str(place.parent)})
    return {one["ident"] for one in json.loads(done.stdout)}


def test_texts_of_the_project_are_no_expressions_of_github(root: Path) -> None:
    everything(root)
    parity.exported(root, "github-actions")
    form = yaml.safe_load((root / WORKFLOW).read_text())["on"]["workflow_dispatch"]["inputs"]
    assert form["tier"]["description"] == "$ {{ secrets.TOKEN }} $[[ x ]]"
    assert form["tier"]["options"] == ["a", "b"]
