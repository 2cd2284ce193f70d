"""The workflow of GitHub Actions that is rendered: what its own steps ask for, where it stands."""

import shlex
from pathlib import Path
from typing import Any

import pytest
import yaml
import zoo
from builders import code, command, header, write_notebook

from nbpipeline import Project
from nbpipeline.errors import LossError

FILE = ".github/workflows/nbpipeline.yml"
LOCK = ".github/nbpipeline/requirements.lock"


def steps_of(file: Path) -> dict[str, dict[str, Any]]:
    """Steps by name, or by the action that they use, without its version."""
    workflow = yaml.safe_load(file.read_text(encoding="utf-8"))
    return {
        one.get("name") or one["uses"].partition("@")[0]: one for one in workflow["jobs"]["pipeline"]["steps"]
    }


def check_line(file: Path) -> list[str]:
    run = steps_of(file)["Check"]["run"]
    return next(shlex.split(line)[1:] for line in run.split("\n") if " --check" in line)


def test_its_own_check_compares_what_was_asked_for(root: Path) -> None:
    zoo.diamond(root)
    cells = header("outputs: {g: ../g.txt}\nresources: {gpus: 1}"), code("open(g, 'w').write('g')")
    write_notebook(root / "notebooks/gpu.ipynb", *cells)
    asked = ["github-actions", "--allow-loss", "--set", "branch=it's trunk", "--set", "runs-on=big"]
    assert command("export", *asked, cwd=root).returncode == 0
    done = command(*check_line(root / FILE), cwd=root)
    assert (done.returncode, done.stdout) == (0, "3 files in .: up to date\n")
    bare = command("export", "github-actions", "--check", "--allow-loss", cwd=root)
    assert bare.returncode == 1, "or the words would not matter"


def test_the_action_that_caches_packages_is_told_of_the_lock(root: Path) -> None:
    """It fails where a repository has neither requirements.txt nor pyproject.toml."""
    zoo.diamond(root)
    files = Project(root).exporting.rendered("github-actions").files
    steps = yaml.safe_load(files[FILE])["jobs"]["pipeline"]["steps"]
    (python,) = [one for one in steps if one.get("uses", "").startswith("actions/setup-python@")]
    assert python["with"]["cache-dependency-path"] == LOCK
    assert LOCK in files


def test_a_folder_in_a_repository_is_no_place_for_it(tmp_path: Path) -> None:
    (tmp_path / ".git").mkdir()
    project = tmp_path / "ml/delays"
    zoo.diamond(project)
    with pytest.raises(
        LossError, match=r"(?s)root of a repository alone.*-o with that root: \.\./\.\."
    ) as refused:
        Project(project).exporting.rendered("github-actions")
    assert refused.value.exit_code == 6
    (tmp_path / ".git").rmdir()
    assert FILE in Project(project).exporting.rendered("github-actions").files


def test_at_the_repositorys_root_it_works_in_the_projects_folder(tmp_path: Path) -> None:
    (tmp_path / ".git").mkdir()
    project = tmp_path / "ml/delays"
    zoo.diamond(project)
    assert command("export", "github-actions", "-o", "../..", cwd=project).returncode == 0
    file = tmp_path / ".github/workflows/nbpipeline-diamond.yml"
    lock = ".github/nbpipeline/diamond/requirements.lock"
    workflow = yaml.safe_load(file.read_text(encoding="utf-8"))
    assert workflow["jobs"]["pipeline"]["defaults"]["run"]["working-directory"] == "ml/delays"
    assert command(*check_line(file), cwd=project).returncode == 0
    steps = steps_of(file)
    assert f"-r ../../{lock}\n" in steps["Install what the stages import"]["run"]
    assert steps["actions/cache/save"]["with"]["path"].split("\n")[0] == "ml/delays/.nbpipeline/store"
    assert "ml/delays/report.html" in steps["actions/upload-artifact"]["with"]["path"].split("\n")


def test_workflows_of_one_repository_keep_apart(tmp_path: Path) -> None:
    """What GitHub knows by a name alone: groups that wait for each other, caches, and the comment by its mark."""
    (tmp_path / ".git").mkdir()
    zoo.diamond(tmp_path / "ml")
    own = Project(tmp_path / "ml").exporting.rendered("github-actions", tmp_path).files
    workflow = yaml.safe_load(own[".github/workflows/nbpipeline-diamond.yml"])
    assert workflow["concurrency"]["group"].startswith("nbpipeline-diamond-$")
    steps = workflow["jobs"]["pipeline"]["steps"]
    (key,) = [one["with"]["restore-keys"] for one in steps if "restore-keys" in one.get("with", {})]
    assert key == "nbpipeline-diamond-"
    checkout, _, comment = workflow["jobs"]["comment"]["steps"]
    assert comment["run"].startswith("python3 -I .github/nbpipeline/diamond/comment.py ")
    assert comment["run"].endswith('/summary.md" diamond')
    assert checkout["with"]["sparse-checkout"] == ".github/nbpipeline/diamond"
    assert checkout["with"]["sparse-checkout"] + "/comment.py" in own


@pytest.mark.parametrize(
    ("store", "cached"),
    [
        ("s3://bucket/x", None),
        ("file:///srv/store", "/srv/store"),
        ("local://kept", "kept"),
        ("memory://x", ".nbpipeline/store"),
    ],
)
def test_what_runners_do_not_share_is_in_the_cache(root: Path, store: str, cached: str | None) -> None:
    zoo.diamond(root)
    zoo.share(root, store)
    files = Project(root).exporting.rendered("github-actions").files
    steps = yaml.safe_load(files[FILE])["jobs"]["pipeline"]["steps"]
    saves = [one["with"]["path"] for one in steps if "actions/cache/save" in one.get("uses", "")]
    assert [one.split("\n")[0] for one in saves] == ([cached] if cached else [])
