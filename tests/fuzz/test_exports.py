"""Hostile workflows through every exporter: what goes in as data comes back as data."""

import math
from dataclasses import replace

import exports
import pytest
from hypothesis import given, settings
from oracle import Breach

from nbpipeline import plugins
from nbpipeline.errors import UsageError
from nbpipeline.exporters import dagster
from nbpipeline.exporters.rendering.names import identifiers, snake
from nbpipeline.model.exported import ExportGiven, Schedule, Setting, Task, Workflow

pytestmark = pytest.mark.no_cover  # the tracer would take half of the time
FEW = 8
"""Examples a target; `fuzz.py --target exports` tries thousands, nightly."""


def of(**setting) -> Workflow:
    """A workflow of one task with one setting."""
    one = Setting(**{"name": "C", "stages": ("a",), "types": (), "default": None} | setting)
    task = Task(id="a", stage="a", notebook="a.ipynb", settings=(one.name,))
    return Workflow(name="x", tasks=(task,), settings=(one,), store="s3://b/x")


def test_every_exporter_is_read() -> None:
    assert {*exports.READ} == set(plugins.BUILT_IN["exporters"])


@pytest.mark.parametrize("target", sorted(exports.READ))
@settings(max_examples=FEW, deadline=None)
@given(workflow=exports.workflows(), given_=exports.GIVENS)
def test_what_goes_in_comes_back(target: str, workflow, given_) -> None:
    exports.judge(target, workflow, given_)


# --- what was found once ---------------------------------------------------------------------

FOUND = {
    "a bound without an end": of(default=1.0, types=("float",), min=-math.inf, max=math.inf),
    "a name that Python writes otherwise": of(name="\u00b5", default=1),
    "no number": of(default=math.nan, types=("float",)),
    "a number without an end": of(default=math.inf, types=("float",)),
    "a number that no double holds": of(default=2**60 + 1, types=("int",)),
    "a text that is None": of(types=("str",)),
    "keys that were numbers": of(default={"1": 2, "None": 3}, types=("dict",)),
    "a line of another kind": of(default="a\u2028b\x85c\x0bd", types=("str",)),
}


@pytest.mark.parametrize("case", FOUND)
@pytest.mark.parametrize("target", sorted(exports.READ))
def test_what_was_found_once(target: str, case: str) -> None:
    exports.judge(target, FOUND[case], ExportGiven())


@pytest.mark.parametrize("target", ["dvc", "sagemaker", "snakemake"])
def test_half_a_surrogate_pair_is_refused_where_no_file_can_hold_it(target: str) -> None:
    exporter = plugins.load("exporters", target)
    with pytest.raises(UsageError) as caught:
        exporter.render(of(default="a\ud800", types=("str",)), ExportGiven())
    told = str(caught.value)
    assert "a\\ud800" in told
    assert told.endswith(
        " holds half of a surrogate pair, which the target's files cannot hold.\n"
        "  mend: take it out of the notebook, or of pipeline.yaml"
    )


def test_half_a_surrogate_pair_in_the_name_is_refused() -> None:
    when = Schedule(cron="0 3 * * *")
    for target in exports.READ:
        exports.judge(target, replace(of(), name="a\ud800", schedule=when), ExportGiven())


def test_names_of_anything_can_be_told_apart() -> None:
    assert len(set(identifiers(["a[x=\ud800]", "a[x=\udfff]"], snake).values())) == 2


# --- planted: exporters that do it wrongly ------------------------------------------------------


@pytest.mark.parametrize(
    ("right", "wrong"),
    [
        ("dg_field(1.5", "dg_field(1"),
        ("dg_field(1.5", "dg_field(number"),
        ("C: float", "class: float"),
        ('"run-stage", "a"', '"run-stage", "b"'),
    ],
)
def test_the_judge_sees(monkeypatch: pytest.MonkeyPatch, right: str, wrong: str) -> None:
    workflow = of(default=1.5, types=("float",))
    files = dict(dagster.render(workflow, ExportGiven()))
    assert right in files["definitions.py"]
    files["definitions.py"] = files["definitions.py"].replace(right, wrong)
    monkeypatch.setattr(dagster, "render", lambda *_: files)
    with pytest.raises((AssertionError, SyntaxError)):
        exports.judge("dagster", workflow, ExportGiven())


@pytest.mark.parametrize(
    ("target", "path", "right", "wrong"),
    [
        ("azureml", "pipeline.yml", "c: 1.5", "c: 1"),
        ("azureml", "pipeline.yml", "instance: a", "instance: b"),
        ("azureml", "pipeline.yml", "display_name: a", "display_name: ${{ secrets.T }}"),
        ("azureml", "component.py", '("C", "float")', '("D", "float")'),
        ("gitlab-ci", ".gitlab-ci.yml", "default: 1.5", "default: 1"),
        ("gitlab-ci", ".gitlab-ci.yml", "$[[ inputs.C ]]", "$[[ inputs.params ]]"),
        ("gitlab-ci", ".gitlab-ci.yml", "expand: false", "expand: true"),
        ("gitlab-ci", ".gitlab/nbpipeline/inputs.json", "1.5", "1"),
    ],
)
def test_the_judge_of_services_sees(
    monkeypatch: pytest.MonkeyPatch, target: str, path: str, right: str, wrong: str
) -> None:
    workflow, exporter = of(default=1.5, types=("float",)), plugins.load("exporters", target)
    files = dict(exporter.render(workflow, ExportGiven()))
    assert right in files[path]
    files[path] = files[path].replace(right, wrong)
    monkeypatch.setattr(exporter, "render", lambda *_: files)
    with pytest.raises((AssertionError, KeyError)):
        exports.judge(target, workflow, ExportGiven())


def test_the_fuzzer_tells_a_breach(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_: object) -> None:
        raise AssertionError("planted")

    monkeypatch.setattr(exports, "judge", broken)
    with pytest.raises(Breach, match="planted"):
        exports.tried(bytes(600))
