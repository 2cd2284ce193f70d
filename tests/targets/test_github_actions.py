"""The exported workflow on pull requests, of the repository's own branches and of forks."""

import json
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import parity
import pytest
import yaml
import zoo
from builders import code, command, header, write_files, write_notebook
from forges import ME, SOMEBODY, TOKEN, Forge, forge
from workflow_shell import Done, Expression, run_job

pytestmark = pytest.mark.heavy
INSTALL = "Install what the stages import"
RUN = "Run what is stale"
COMMENT = "Comment on the pull request"


def pull_request(*, fork: bool) -> dict[str, Any]:
    name = "mallory/flights" if fork else "team/flights"
    event = {"pull_request": {"number": 7, "head": {"repo": {"full_name": name}}}}
    return {
        "github": {
            "event_name": "pull_request",
            "event": event,
            "token": TOKEN,
            "repository": "team/flights",
        },
        "secrets": {},
        "vars": {},
    }


@pytest.fixture
def place(tmp_path: Path) -> parity.Place:
    return parity.place_for("github-actions", tmp_path / "scratch")


def job(project: Path, place: parity.Place, contexts: dict[str, Any], name: str = "pipeline") -> Done:
    workflow = project / ".github/workflows/nbpipeline.yml"
    return run_job(workflow, name, project, contexts, place.environment, without=frozenset({INSTALL}))


def told(project: Path, place: parity.Place, hub: Forge) -> Done:
    """Run the job that comments, with the artifact that it wants."""
    taken = place.scratch / "nbpipeline/summary.md"
    taken.parent.mkdir(parents=True, exist_ok=True)
    shutil.copy2(project / "summary.md", taken)
    variables = {"GITHUB_API_URL": hub.address, "GITHUB_REPOSITORY": "team/flights"}
    variables["RUNNER_TEMP"] = str(place.scratch)
    own = parity.Place(place.bin, place.scratch, {**place.environment, **variables})
    return job(project, own, pull_request(fork=False), "comment")


def test_a_pull_request_is_told_and_a_failed_check_refuses_it(root: Path, place: parity.Place) -> None:
    zoo.failing_check(root)
    parity.exported(root, "github-actions")
    done = job(root, place, pull_request(fork=False))
    assert not done.ok
    assert done.steps[RUN].returncode == 4
    assert "failed check `between`" in done.summary
    assert any(one.startswith("actions/upload-artifact@") for one in done.used)
    assert (root / "report.html").exists()
    with forge("github") as hub:
        hub.say("Looks good.", SOMEBODY)
        hub.say("Coverage: 93 %", ME)
        assert told(root, place, hub).ok
        assert [one["body"] for one in hub.comments[2:]] == [f"<!-- nbpipeline -->\n{done.summary}"]
        zoo.diamond(root)
        shutil.rmtree(root / "notebooks")
        zoo.diamond(root)
        parity.exported(root, "github-actions")
        (root / "report.html").unlink()
        assert job(root, place, pull_request(fork=False)).ok
        assert told(root, place, hub).ok
        assert [one["body"] for one in hub.comments[:2]] == ["Looks good.", "Coverage: 93 %"]
        assert "succeeded" in hub.comments[2]["body"]
        assert len(hub.comments) == 3
        hub.status = 403
        refused = told(root, place, hub)
    assert not refused.ok
    assert "The summary is no comment: HTTP Error 403" in refused.steps[COMMENT].stderr


def test_a_fork_reads_the_shared_store_and_writes_nothing(
    root: Path, place: parity.Place, tmp_path: Path
) -> None:
    zoo.diamond(root)
    store = tmp_path / "store"
    with (root / "pipeline.yaml").open("a") as file:
        file.write(f"store: {{path: 'file://{store}'}}\n")
    parity.exported(root, "github-actions")
    fork = tmp_path / "fork"
    shutil.copytree(root, fork)
    changed = fork / "notebooks/join.ipynb"
    changed.write_text(changed.read_text().replace("+ Path(right)", "+ '!' + Path(right)"))
    assert job(root, place, {"github": {"event_name": "push", "event": {}}}).ok
    before = sorted(str(one) for one in store.rglob("*"))
    assert len(before) > 8
    done = job(fork, place, pull_request(fork=True))
    assert done.ok
    assert "3 restored" in done.steps[RUN].stdout
    assert "1 ran" in done.steps[RUN].stdout
    assert sorted(str(one) for one in store.rglob("*")) == before
    assert job(fork, place, pull_request(fork=True), "comment").left_out
    assert command("run", "--no-push", cwd=fork).returncode == 0
    assert command("run", cwd=root).returncode == 0


def test_what_is_committed_but_not_up_to_date_is_refused(root: Path, place: parity.Place) -> None:
    zoo.diamond(root)
    parity.exported(root, "github-actions")
    (root / "pipeline.yaml").write_text("name: another\n")
    done = job(root, place, pull_request(fork=False))
    assert not done.ok
    assert "not up to date: .github/workflows/nbpipeline.yml" in done.steps["Check"].stdout
    assert RUN in done.skipped
    assert done.summary == "nbpipeline ran nothing: the log of the job says why.\n"


def test_the_summary_of_an_earlier_run_is_not_told_again(root: Path, place: parity.Place) -> None:
    zoo.diamond(root)
    parity.exported(root, "github-actions")
    assert command("run", cwd=root).returncode == 0  # as if what is on record came from the cache
    fresh = job(root, place, pull_request(fork=False))
    assert fresh.ok
    assert "4 stages were fresh" in fresh.summary
    (root / "report.html").unlink()
    write_notebook(root / "notebooks/new.ipynb", header("retires: 2"), code("1"))
    refused = job(root, place, pull_request(fork=False))
    assert not refused.ok
    assert "4 stages were fresh" not in refused.summary.removeprefix(fresh.summary)


def test_caches_of_forks_are_read_and_never_saved(root: Path, place: parity.Place) -> None:
    zoo.diamond(root)
    parity.exported(root, "github-actions")
    workflow = root / ".github/workflows/nbpipeline.yml"
    steps = yaml.safe_load(workflow.read_text())["jobs"]["pipeline"]["steps"]
    scripts = frozenset(one["name"] for one in steps if "run" in one)
    used = {
        fork: {
            one.split("@")[0]
            for one in run_job(
                workflow, "pipeline", root, pull_request(fork=fork), place.environment, scripts
            ).used
        }
        for fork in (False, True)
    }
    assert used[False] - used[True] == {"actions/cache/save"}
    assert "actions/cache/restore" in used[True]


def test_what_was_exported_with_options_and_losses_is_up_to_date(root: Path, place: parity.Place) -> None:
    zoo.diamond(root)
    write_notebook(
        root / "notebooks/big.ipynb",
        header("outputs: {o: ../o.txt}\nresources: {gpus: 1}"),
        code("open(o, 'w').write('x')"),
    )
    options = ("--set", "branch=release's", "--set", "secrets=AWS_SECRET_ACCESS_KEY", "--allow-loss")
    assert command("export", "github-actions", *options, cwd=root).returncode == 0
    done = job(root, place, {"github": {"event_name": "push", "event": {}}})
    assert done.steps["Check"].returncode == 0, done.steps["Check"].stdout


def test_a_faulty_header_is_refused(root: Path, place: parity.Place) -> None:
    zoo.diamond(root)
    parity.exported(root, "github-actions")
    write_notebook(root / "notebooks/new.ipynb", header("retires: 2"), code("1"))
    done = job(root, place, pull_request(fork=False))
    assert not done.ok
    assert "did you mean 'retries'?" in done.steps["Check"].stderr


def test_a_form_gives_numbers_as_texts_too(root: Path, place: parity.Place) -> None:
    write_files(root, {"pipeline.yaml": "name: form\n"})
    write_notebook(
        root / "notebooks/a.ipynb",
        header("outputs: {o: ../o.json}"),
        code("rate = 0.5\nyear = '2013'\nflag = False\nnone: str | None = None", "parameters"),
        code("import json\nopen(o, 'w').write(json.dumps([rate, year, flag, none]))"),
    )
    parity.exported(root, "github-actions")
    inputs = {"rate": "0.25", "year": "2014", "flag": True, "params": '{"none": "x"}'}
    contexts = {"github": {"event_name": "workflow_dispatch", "event": {}}, "inputs": inputs}
    assert job(root, place, contexts).ok
    assert json.loads((root / "o.json").read_text()) == [0.25, "2014", True, "x"]
    schedule = {"github": {"event_name": "schedule", "event": {}}, "inputs": {}}
    assert job(root, place, schedule).ok
    assert json.loads((root / "o.json").read_text()) == [0.5, "2013", False, None]


def test_expressions_that_github_would_refuse_are_refused() -> None:
    for text in ("needs.nosuch.result ==", "nosuch.thing", "format('{0}'"):
        with pytest.raises((ValueError, IndexError, AssertionError, KeyError)):
            Expression(text, {}, failed=False).value()


@pytest.mark.nightly
@pytest.mark.timeout(900)
def test_the_install_step_makes_an_environment_that_runs_it(
    root: Path, place: parity.Place, tmp_path: Path
) -> None:
    """As a runner does: a new Python, the lock alone, nbpipeline from a wheel."""
    zoo.diamond(root)
    parity.exported(root, "github-actions")
    here = Path(__file__).resolve().parents[2]
    subprocess.run(
        [sys.executable, "-m", "pip", "wheel", "-q", "--no-deps", "-w", str(tmp_path / "dist"), str(here)],
        check=True,
    )
    (wheel,) = (tmp_path / "dist").glob("*.whl")
    subprocess.run([sys.executable, "-m", "venv", str(tmp_path / "venv")], check=True)
    own = Path(sys.executable).parent
    path = place.environment["PATH"].replace(str(own), str(tmp_path / "venv/bin"))
    bare = parity.Place(place.bin, place.scratch, {**place.environment, "PATH": path})
    workflow = yaml.safe_load((root / ".github/workflows/nbpipeline.yml").read_text())
    assert [one.get("name") for one in workflow["jobs"]["pipeline"]["steps"]].count(INSTALL) == 1
    contexts = {"github": {"event_name": "push", "event": {}}, "vars": {"NBPIPELINE": str(wheel)}}
    done = run_job(root / ".github/workflows/nbpipeline.yml", "pipeline", root, contexts, bare.environment)
    assert done.ok, {name: one.stderr for name, one in done.steps.items()}
    assert (root / "data/all.json").exists()
    lacking = {"github": {"event_name": "push", "event": {}}, "vars": {}}
    refused = run_job(root / ".github/workflows/nbpipeline.yml", "pipeline", root, lacking, bare.environment)
    assert "set the variable NBPIPELINE" in refused.steps[INSTALL].stderr
