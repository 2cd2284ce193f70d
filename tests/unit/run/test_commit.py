"""The commit of a run, asked of a real git."""

import json
import subprocess
from dataclasses import replace
from pathlib import Path

import pytest
from pipelines import RUN, SKIP, Worker, do, plan_of

from nbpipeline.run.commit import commit_of


def git(root: Path, *words: str) -> str:
    who = ("-c", "user.name=A", "-c", "user.email=a@example.org", "-c", "commit.gpgsign=false")
    done = subprocess.run(["git", "-C", str(root), *who, *words], check=True, capture_output=True, text=True)
    return done.stdout.strip()


def repository(root: Path) -> str:
    root.mkdir(exist_ok=True)
    git(root, "init", "-q")
    (root / "a.txt").write_text("one")
    git(root, "add", ".")
    git(root, "commit", "-q", "-m", "first")
    return git(root, "rev-parse", "HEAD")


def test_no_repository_has_no_commit_and_an_empty_one_neither(tmp_path):
    assert commit_of(tmp_path) is None
    assert commit_of(tmp_path / "nowhere") is None
    git(tmp_path, "init", "-q")
    assert commit_of(tmp_path) is None


def test_a_commit_is_dirty_where_files_under_version_control_differ(tmp_path):
    head = repository(tmp_path)
    (tmp_path / "new.txt").write_text("not under version control")
    found = commit_of(tmp_path)
    assert (found.id, found.dirty) == (head, False)
    (tmp_path / "a.txt").write_text("two")
    assert commit_of(tmp_path).dirty


@pytest.mark.parametrize(
    ("path", "dirty"),
    [
        ("notebooks/new.ipynb", True),
        ("src/features.py", True),
        ("expectations/clean.yml", True),
        ("pipeline.yaml", True),
        ("data/new.csv", False),
        ("ignored/scratch.py", False),
        ("../elsewhere.py", False),
    ],
)
def test_a_source_that_is_not_under_version_control_makes_it_dirty(tmp_path, path, dirty):
    root = tmp_path / "repository/project"
    root.mkdir(parents=True)
    repository(tmp_path / "repository")
    (root / ".gitignore").write_text("ignored/\n")
    (root / path).resolve().parent.mkdir(exist_ok=True)
    (root / path).write_text("new")
    assert commit_of(root).dirty is dirty


def told(plan, root: Path) -> list[dict]:
    here = replace(plan.pipeline, project=replace(plan.pipeline.project, root=str(root), profile="prod"))
    result = do(replace(plan, pipeline=here), Worker(), root)
    lines = (Path(result.folder) / "events.jsonl").read_text().splitlines()
    return [json.loads(line) for line in lines]


def test_a_run_tells_of_its_commit_and_profile(tmp_path):
    head = repository(tmp_path / "project")
    events = told(plan_of({"a": RUN}), tmp_path / "project")
    assert events[0]["data"]["profile"] == "prod"
    assert [one["data"] for one in events if one["kind"] == "commit"] == [{"id": head, "dirty": False}]
    assert (events[0]["kind"], events[-1]["kind"]) == ("run_started", "run_finished")


def test_a_run_with_nothing_to_do_asks_nothing(tmp_path):
    repository(tmp_path / "project")
    events = told(plan_of({"a": SKIP}), tmp_path / "project")
    assert [one["kind"] for one in events] == ["run_started", "run_finished"]


def test_plan_json_has_the_dag_and_the_notebooks(tmp_path):
    result = do(plan_of({"a": RUN, "b": RUN}, ["a>b"]), Worker(), tmp_path)
    kept = json.loads((Path(result.folder) / "plan.json").read_text())
    assert kept["edges"] == [{"upstream": "a", "downstream": "b", "kind": "data", "path": "data/a"}]
    assert [one["notebook"] for one in kept["stages"]] == ["notebooks/a.ipynb", "notebooks/b.ipynb"]
