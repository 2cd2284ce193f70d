"""What is handed over by a target means what the notebook means by itself."""

import json
from pathlib import Path

import pytest
import yaml
from builders import code, command, header, write_files, write_notebook

from nbpipeline import Project
from nbpipeline.errors import ReadingError, UsageError
from nbpipeline.exporters.rendering.source import yaml_text
from nbpipeline.reading import yaml12

DEFAULTS = {
    "tag: str": None,
    "n: int": None,
    "suffix: str | None": "",
    "year: int | str": "2013",
    "flag: bool | str": "true",
    "weights": {0: 1.0, 1: 5.0},
    "sizes": (64, 32),
    "pair: tuple[int, int]": (1, 2),
    "rate: float": 1,
    "text": "12e4567",
}
SHOW = "open(o, 'w').write(repr([tag, n, suffix, year, flag, weights, sizes, pair, rate, text, folder]))"


@pytest.fixture
def project(root: Path) -> Path:
    rows = [f"{name} = {value!r}" for name, value in DEFAULTS.items()]
    source = "from pathlib import Path\n" + "\n".join(rows) + "\nfolder = Path('../data')"
    write_notebook(
        root / "notebooks/a.ipynb", header("outputs: {o: ../o.txt}"), code(source, "parameters"), code(SHOW)
    )
    return root


def settings_of(project: Path) -> dict[str, object]:
    return {one.name: one.default for one in Project(project).exporting.workflow().settings}


def test_untouched_defaults_change_nothing(project: Path) -> None:
    """As orchestrators do: all of them, as JSON."""
    assert command("run", cwd=project).returncode == 0
    local = (project / "o.txt").read_text()
    given = json.dumps(settings_of(project))
    again = command("run-stage", "a", "--params", given, cwd=project)
    assert again.returncode == 0, again.stderr
    assert "all fresh" in again.stdout
    forced = command("run-stage", "a", "--force", "--params", given, cwd=project)
    assert forced.returncode == 0
    assert (project / "o.txt").read_text() == local


def test_what_is_set_keeps_its_type(project: Path) -> None:
    given = {"year": "2014", "suffix": "null", "n": 5, "pair": [3, 4], "folder": "../other"}
    done = command("run-stage", "a", "--params", json.dumps(given), cwd=project)
    assert done.returncode == 0, done.stderr
    found = (project / "o.txt").read_text()
    assert "5, 'null', '2014'" in found
    assert "(3, 4)" in found


def test_an_axis_elsewhere_leaves_a_parameter_its_stage(root: Path) -> None:
    write_notebook(
        root / "notebooks/train.ipynb",
        header("matrix: {region: [eu, us]}\noutputs: {m: '../{region}.txt'}"),
        code("open(m, 'w').write(region)"),
    )
    write_notebook(
        root / "notebooks/sum.ipynb",
        header("inputs: {all: {from: 'train[*].m'}}\noutputs: {o: ../o.txt}"),
        code("region = 'all'", "parameters"),
        code("open(o, 'w').write(region)"),
    )
    settings = settings_of(root)
    assert settings == {"sum.region": "all"}
    assert Project(root, params=settings).pipeline
    with pytest.raises(ReadingError, match="is an axis of stage"):
        assert Project(root, params={"region": "all"}).pipeline


@pytest.mark.parametrize(
    "text", ["12e4567", "1e5", "0o17", "null", "~", "true", "1_000", ".inf", "2013-01-01"]
)
def test_texts_that_look_like_something_else_are_quoted(text: str) -> None:
    written = yaml_text({"a": text})
    assert yaml12.load(written).value == {"a": text}
    assert yaml.safe_load(written) == {"a": text}


def test_a_setting_named_like_a_stage(root: Path) -> None:
    for name, source in (("split", "seed: int = 1\nshare: float = 0.1"), ("use", "split: float = 0.2")):
        write_notebook(
            root / f"notebooks/{name}.ipynb",
            header(f"outputs: {{o: ../{name}.txt}}"),
            code(source, "parameters"),
            code("open(o, 'w').write('x')"),
        )
    write_notebook(
        root / "notebooks/more.ipynb",
        header("outputs: {o: ../m.txt}"),
        code("seed: int = 2", "parameters"),
        code("open(o, 'w').write('x')"),
    )
    files = Project(root).exporting.rendered("dvc", allow_loss=True).files
    params = yaml12.load(files["params.yaml"]).value
    assert params == {"share": 0.1, "split": {"seed": 1}, "use": {"split": 0.2}, "more": {"seed": 2}}
    for place in ("dvc.yaml", "../x.yaml", "/etc/x.yaml"):
        with pytest.raises(UsageError, match="that is no place for parameters"):
            Project(root).exporting.rendered("dvc", options={"params": place})


def test_folders_that_begin_with_a_dot_and_ways_upward(root: Path) -> None:
    write_notebook(root / "notebooks/a.ipynb", header("outputs: {o: ../o.txt}"), code("1"))
    hidden = Project(root).exporting.rendered("dagster", root / ".deploy/x")
    assert "COPY .deploy/x/requirements.lock" in hidden.files["Dockerfile"]
    outside = Project(root).exporting.rendered("dagster", root / "a/../../other")
    assert "other" not in outside.files["Dockerfile"]
    assert outside.folder == root.parent / "other"


def test_secrets_of_a_workflow_reach_the_steps_that_need_them_alone(root: Path) -> None:
    write_notebook(
        root / "notebooks/a.ipynb",
        header("outputs: {o: ../o.txt}\nsecrets: [TOKEN]\nenv: [HOME, TZ]"),
        code("1"),
    )
    workflow = yaml.safe_load(
        Project(root).exporting.rendered("github-actions").files[".github/workflows/nbpipeline.yml"]
    )
    job = workflow["jobs"]["pipeline"]
    assert set(job["env"]) == {"NBPIPELINE", "NBPIPELINE_PARAMS"}
    users = [step["name"] for step in job["steps"] if "secrets.TOKEN" in json.dumps(step)]
    assert users == ["Check", "Run what is stale"]
    run = next(step for step in job["steps"] if step.get("name") == "Run what is stale")["run"]
    assert '[ -z "$NBPIPELINE_VARIABLE_HOME" ] || export HOME="$NBPIPELINE_VARIABLE_HOME"\n' in run


def test_a_result_holds_no_secret(root: Path, tmp_path: Path) -> None:
    write_notebook(
        root / "notebooks/a.ipynb",
        header("outputs: {o: ../o.txt}\nsecrets: [TOKEN]"),
        code("url: str = ''", "parameters"),
        code("open(o, 'w').write('x')"),
    )
    secret = "s3cr3t-of-forty-characters-0123456789abc"
    done = command(
        "run-stage",
        "a",
        "-p",
        f"url=postgres://u:{secret}@h/d",
        "--result",
        str(tmp_path / "r.json"),
        cwd=root,
        environment={"TOKEN": secret},
    )
    assert done.returncode == 0
    assert secret not in (tmp_path / "r.json").read_text()
    assert "[masked]" in (tmp_path / "r.json").read_text()


def test_stages_that_may_expire_are_asked_every_time(root: Path) -> None:
    write_files(root, {"pipeline.yaml": "name: x\n"})
    write_notebook(root / "notebooks/a.ipynb", header("outputs: {o: ../o.txt}\nfresh_for: 1h"), code("1"))
    files = Project(root).exporting.rendered("snakemake").files
    assert "        asked=lambda wildcards: time.time()," in files["Snakefile"]
    assert "import time\n" in files["Snakefile"]
    assert yaml.safe_load(Project(root).exporting.rendered("dvc").files["dvc.yaml"])["stages"]["a"][
        "always_changed"
    ]


CHOICES = {
    "airflow": 'enum=["mean", "median"]',
    "argo": "enum: - mean - median",
    "azureml": "enum: - mean - median",
    "github-actions": "type: choice options: - mean - median",
    "gitlab-ci": "options: - mean - median",
    "prefect": 'Literal["mean", "median"]',
    "sagemaker": '"EnumValues": [ "mean", "median" ]',
}


@pytest.mark.parametrize("target", CHOICES)
def test_a_literal_s_values_are_choices(target: str, root: Path) -> None:
    write_files(root, {"pipeline.yaml": "name: one\nstore: {path: 's3://bucket/one'}\n"})
    write_notebook(
        root / "notebooks/a.ipynb",
        header("outputs: {o: ../o.txt}"),
        code("from typing import Literal\nmethod: Literal['mean', 'median'] = 'mean'", "parameters"),
    )
    files = Project(root).exporting.rendered(target).files
    assert CHOICES[target] in " ".join("\n".join(files.values()).split())
