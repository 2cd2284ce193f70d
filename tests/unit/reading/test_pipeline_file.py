"""pipeline.yaml: what is wrong with the file itself, and with single values in it, word for word."""

import os

import pytest
from builders import code, write_notebook

from nbpipeline.pipeline import build
from nbpipeline.reading.project import find_root, read_project


@pytest.fixture
def project(root):
    """A project with one stage and no pipeline.yaml yet."""
    write_notebook(root / "notebooks/train.ipynb", code("x = 1", "parameters"))
    return root


def told(root):
    _, complaints = read_project(root)
    return [str(one) for one in complaints]


# --- the file --------------------------------------------------------------------------------


def test_a_folder_of_that_name_is_told(project):
    (project / "pipeline.yaml").mkdir()
    assert told(project) == [
        "pipeline.yaml: this is a folder; it wants a file.\n  mend: take it away, or give it another name."
    ]


def test_a_link_that_leads_nowhere_is_told(project):
    (project / "pipeline.yaml").symlink_to("/nowhere/pipeline.yaml")
    assert told(project) == [
        (
            "pipeline.yaml: this is a link to nowhere: /nowhere/pipeline.yaml.\n"
            "  mend: bring back what it leads to, or take the link away."
        )
    ]


def test_a_link_to_itself_is_told(project):
    (project / "pipeline.yaml").symlink_to("pipeline.yaml")
    assert told(project) == [
        (
            "pipeline.yaml: this is a link to nowhere: pipeline.yaml.\n"
            "  mend: bring back what it leads to, or take the link away."
        )
    ]


MEND = "\n  mend: name a file that is there, from the project's root, or leave 'environment' out."


def test_a_lock_file_that_is_not_there_is_told(project):
    (project / "pipeline.yaml").write_text("name: a\nenvironment: {lock: requirements.lock}\n")
    assert told(project) == [f"pipeline.yaml, line 2: the lock file 'requirements.lock' is not there.{MEND}"]
    (project / "requirements.lock").write_text("pandas==3.1.1\n")
    assert told(project) == []


def test_a_lock_file_that_is_none_is_told(project):
    (project / "pipeline.yaml").write_text("environment: {lock: notebooks}\n")
    assert told(project) == [
        f"pipeline.yaml, line 1: the lock file 'notebooks' cannot be read: this is a folder; it wants a file.{MEND}"
    ]


def test_the_lock_file_of_the_chosen_profile_counts(project):
    (project / "pipeline.yaml").write_text(
        "environment: {lock: no.lock}\nprofiles:\n  dev: {environment: imported}\n  prod: {environment: {lock: none.lock}}\n"
    )
    assert read_project(project, profile="dev")[1] == ()
    (complaint,) = read_project(project, profile="prod")[1]
    assert str(complaint) == f"pipeline.yaml, line 4: the lock file 'none.lock' is not there.{MEND}"
    assert complaint.exit_code == 2


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="the system has no named pipes")
def test_a_pipe_is_told_and_not_waited_for(project):
    os.mkfifo(project / "pipeline.yaml")
    assert told(project) == [
        "pipeline.yaml: this is no plain file.\n  mend: take it away, or give it another name."
    ]


def test_a_profile_of_a_file_that_is_none(project):
    (project / "pipeline.yaml").mkdir()
    _, complaints = read_project(project, profile="small")
    assert [one.what for one in complaints] == ["this is a folder; it wants a file."]


def test_a_root_whose_file_is_a_link_to_nowhere_is_a_root(project):
    (project / "pipeline.yaml").symlink_to("/nowhere/pipeline.yaml")
    assert find_root(project / "notebooks") == project


def test_an_axis_of_many_values_is_read_in_one_go(project):
    """In the square of its length this would take minutes."""
    text = "stages: [{name: train, matrix: {n: {from_file: all.txt}}}]"
    (project / "pipeline.yaml").write_text(text)
    (project / "all.txt").write_text("".join(f"v{number}\n" for number in range(100_000)))
    spec, complaints = read_project(project)
    assert complaints == ()
    assert len(spec.stages[0].matrix["n"]) == 100_000
    pipeline, complaints = build(spec)
    assert pipeline is None
    assert [one.what for one in complaints] == [
        "matrix: stage 'train' would have 100,000 instances: 100,000 (n)."
    ]


def test_a_notebook_without_tags_is_no_known_stage(project):
    write_notebook(project / "notebooks/nothing.ipynb", code("x = 1"))
    (project / "pipeline.yaml").write_text("stages: [{name: notthing}]")
    assert told(project) == [
        (
            "pipeline.yaml, line 1: the stage 'notthing' has no notebook.\n"
            "  known stages: train\n  mend: did you mean 'nothing'?"
        )
    ]


# --- values ----------------------------------------------------------------------------------

QUOTES = "mend: write, for example, a word, in quotes if it looks like a number."
VALUES = [
    (
        "notebooks: ['']",
        "item 1 of 'notebooks' is ''; it wants some text.\n  mend: write it, or take it out.",
    ),
    ("name: ' '", "'name' is ' '; it wants some text.\n  mend: write it, or take it out."),
    ('name: "a\\0b"', "'name' holds the character NUL.\n  mend: take the character out."),
    ("name: 1", f"'name' is 1; it wants text.\n  {QUOTES}"),
    ("notebooks: [~]", f"item 1 of 'notebooks' is empty; it wants text.\n  {QUOTES}"),
    (
        "defaults: {cwd: projcet}",
        "'cwd' is 'projcet'; it wants one of notebook, project.\n  mend: did you mean 'project'?",
    ),
    (
        "defaults: {cwd: 3}",
        "'cwd' is 3; it wants one of notebook, project.\n  mend: write, for example, `notebook`.",
    ),
    (
        "stages: [{name: train, outputs: {a: {path: a, kind: modle}}}]",
        "'kind' is 'modle'; it wants one of file, directory, model.\n  mend: did you mean 'model'?",
    ),
    (
        "stages: [{name: train, inputs: {a: {path: a, kind: Directory}}}]",
        "'kind' is 'Directory'; it wants one of file, directory.\n  mend: did you mean 'directory'?",
    ),
]


@pytest.mark.parametrize(("text", "words"), VALUES)
def test_values(project, text, words):
    (project / "pipeline.yaml").write_text(text)
    assert f"pipeline.yaml, line 1: {words}" in told(project)
