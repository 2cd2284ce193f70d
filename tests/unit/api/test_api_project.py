"""nbpipeline.Project: the same answers from Python."""

import json
from pathlib import Path

import pytest
from builders import code, header, write_files, write_notebook

import nbpipeline
from nbpipeline.api.loading import overrides
from nbpipeline.errors import MissingPluginError, PipelineError, ReadingError, UsageError
from nbpipeline.model import Action, Override, Status


def write_stage(root: Path, factor: str = "1") -> None:
    write_notebook(
        root / "notebooks" / "one.ipynb",
        code(f"factor: int = {factor}", "parameters"),
        code('out = "../out.txt"', "outputs"),
        code("open(out, 'w').write(str(factor))"),
    )


def test_plan_run_and_look(root: Path) -> None:
    write_stage(root)
    project = nbpipeline.Project(root)
    assert [one.action for one in project.plan().steps] == [Action.RUN]
    heard: list[str] = []
    result = project.run(on_event=lambda event: heard.append(event.kind), jobs=1)
    assert [one.status for one in result.results] == [Status.SUCCEEDED]
    assert heard[0] == "run_started"
    assert [one.action for one in project.plan().steps] == [Action.SKIP]
    assert project.show(result.run).data["status"] == "succeeded"
    assert project.runs().data["runs"][0]["run"] == result.run
    assert "flowchart" in project.graph("mermaid")
    write_stage(root, "2")
    assert [one.action for one in project.plan().steps] == [Action.RUN], "edits are seen"
    assert project.plan_diff(project.plan()) == "", "a parameter is no cell that counts"
    project.clean(project.cleanable())
    assert not (root / "out.txt").exists()


def test_a_drawing_without_a_plan_leaves_no_trace(root: Path) -> None:
    write_stage(root)
    assert "one" in nbpipeline.Project(root).graph("text", "one", planned=False)
    assert not (root / ".nbpipeline").exists()


def test_parameters_as_a_mapping(root: Path) -> None:
    write_stage(root)
    project = nbpipeline.Project(root, params={"one.factor": 7})
    project.run()
    assert (root / "out.txt").read_text() == "7"


def test_overrides() -> None:
    assert overrides(["train.C=0.5", "year=2014", "a=b=c", "empty="]) == (
        Override(stage="train", name="C", text="0.5"),
        Override(stage=None, name="year", text="2014"),
        Override(stage=None, name="a", text="b=c"),
        Override(stage=None, name="empty", text=""),
    )
    assert overrides({"train.C": 0.5, "names": ["a", "b"], "word": "x"}) == (
        Override(stage="train", name="C", text="0.5", value=0.5, has_type=True),
        Override(stage=None, name="names", text='["a", "b"]', value=["a", "b"], has_type=True),
        Override(stage=None, name="word", text="x", value="x", has_type=True),
    )


def test_a_faulty_project_raises_every_complaint(root: Path) -> None:
    write_stage(root)
    write_notebook(
        root / "notebooks" / "two.ipynb",
        code('out = "../out.txt"', "outputs"),
        code("open(out, 'w').write('2')"),
    )
    project = nbpipeline.Project(root)
    with pytest.raises(PipelineError):
        _ = project.pipeline
    found = project.check()
    assert (found.exit_code, len(found.errors)) == (3, 1)
    write_files(root, {"pipeline.yaml": "nam: x\n"})
    with pytest.raises(ReadingError) as error:
        project.plan()
    assert len(error.value.complaints) >= 2


def test_warnings_are_errors_where_strict(root: Path) -> None:
    write_notebook(
        root / "notebooks" / "one.ipynb",
        header("expect: {out: [{rows: {min: 1}}]}"),
        code('out = "../out.csv"', "outputs"),
        code("open(out, 'w').write(str(undefined_name))"),
    )
    project = nbpipeline.Project(root)
    assert [one.warning for one in project.check().complaints] == [True]
    assert project.check().exit_code == 0
    assert project.check(strict=True).exit_code != 0


def test_an_unknown_check_is_refused_before_anything_runs(root: Path) -> None:
    write_notebook(
        root / "notebooks" / "one.ipynb",
        header("expect: {out: [{rowz: {min: 1}}]}"),
        code('out = "../out.csv"', "outputs"),
        code("open(out, 'w').write('a')"),
    )
    errors = nbpipeline.Project(root).check().errors
    assert len(errors) == 1
    assert "did you mean 'rows'" in errors[0].what
    with pytest.raises(ReadingError, match="did you mean 'rows'"):
        nbpipeline.Project(root).run()
    assert not (root / "out.csv").exists()


def test_checks_on_what_is_at_a_url_are_refused_and_not_passed_over(root: Path) -> None:
    write_notebook(
        root / "notebooks" / "one.ipynb",
        header("expect: {far: [{rows: {min: 1}}], out: [exists]}"),
        code('far = "https://example.com/a.csv"', "inputs"),
        code('out = "../out.csv"', "outputs"),
        code("open(out, 'w').write('a')"),
    )
    (error,) = nbpipeline.Project(root).check().errors
    assert str(error) == (
        "notebooks/one.ipynb, cell 1, line 3: checks on 'far' cannot be tried: it is at a URL; they read files.\n"
        "  mend: check the copy that a stage makes of it, as that stage's output"
    )


def test_what_nothing_installed_can_do_is_refused_before_anything_runs(root: Path) -> None:
    write_stage(root)
    write_files(root, {"pipeline.yaml": 'store: {path: "nowhere://bucket/prefix"}\n'})
    with pytest.raises(MissingPluginError) as error:
        nbpipeline.Project(root).plan()
    assert str(error.value) == (
        "the store cannot be at nowhere://bucket/prefix: fsspec knows no protocol 'nowhere'.\n"
        "  mend: see the spelling, or pip install the fsspec package that offers it"
    )
    write_files(root, {"pipeline.yaml": "tracking: {nowhere: {}}\n"})
    with pytest.raises(MissingPluginError, match="there is no tracker 'nowhere'"):
        nbpipeline.Project(root).run()
    assert {one.name for one in root.iterdir()} - {".nbpipeline"} == {"notebooks", "pipeline.yaml"}


def test_the_project_is_found_upward(root: Path) -> None:
    write_stage(root)
    write_files(root, {"pipeline.yaml": "name: x\n"})
    assert nbpipeline.Project(root / "notebooks").root == str(root.resolve())
    with pytest.raises(UsageError, match="there is no folder"):
        nbpipeline.Project(root / "nowhere")


def test_a_notebook_that_cannot_be_read_hides_no_stage_falsely(root: Path) -> None:
    write_notebook(root / "notebooks" / "two.ipynb", code('after = ["one"]', "dependencies"))
    (root / "notebooks" / "one.ipynb").write_text("{")
    errors = nbpipeline.Project(root).check().errors
    assert [one.where.path for one in errors if one.where] == ["notebooks/one.ipynb"]


def test_history_can_be_read_whatever_is_wrong_now(root: Path) -> None:
    write_stage(root)
    project = nbpipeline.Project(root)
    run = project.run().run
    (root / "notebooks" / "one.ipynb").write_text("{")
    assert project.show(run).data["run"] == run
    assert json.dumps(project.show("one").data)


def test_a_schema_that_is_not_there_is_refused_before_anything_runs(root: Path) -> None:
    write_notebook(
        root / "notebooks/one.ipynb",
        header("expect: {out: [{pandera: 'nomod:Table'}]}"),
        code('out = "../out.csv"', "outputs"),
        code("open(out, 'w').write('a')"),
    )
    project = nbpipeline.Project(root)
    (found,) = project.check().errors
    assert found.what == "check 'pandera': there is no module nomod."
    with pytest.raises(ReadingError, match="there is no module nomod"):
        project.run()
    assert not (root / "out.csv").exists()


def test_a_tracker_that_nobody_knows_is_told_of_before_a_run(root: Path) -> None:
    write_stage(root)
    write_files(root, {"pipeline.yaml": "name: p\ntracking: {mlfow: {}}\n"})
    project = nbpipeline.Project(root)
    found = project.check()
    assert (found.exit_code, [one.what for one in found.errors]) == (
        5,
        ["tracking: there is no tracker 'mlfow'."],
    )
    assert "did you mean 'mlflow'?" in found.errors[0].mend
    assert any("there is no tracker 'mlfow'. did you mean 'mlflow'?" in one for one in project.plan().notices)
    assert [one.state for one in project.doctor(fix=False) if one.subject == "trackers"] == ["bad"]
    assert project.run(track=False).results[0].status is Status.SUCCEEDED


def test_a_tracker_without_its_library_is_told_of_by_check_and_doctor(root: Path, monkeypatch) -> None:
    write_stage(root)
    write_files(root, {"pipeline.yaml": "name: p\ntracking: {prometheus: {}}\n"})
    project = nbpipeline.Project(root)
    assert project.check().exit_code == 0
    assert [one.what for one in project.doctor(fix=False) if one.subject == "trackers"] == [
        "installed: prometheus"
    ]
    monkeypatch.setattr("nbpipeline.trackers.prometheus.is_installed", lambda _module: False)
    found = project.check()
    assert (found.exit_code, "[prometheus]" in found.errors[0].mend) == (5, True)
