"""The exported job on merge requests, of the project's own branches and of forks, with a store that all share."""

import json
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import parity
import pytest
import yaml
import zoo
from buckets import KEYS, Bucket, service
from builders import code, command, header, write_files, write_notebook
from forges import ME, SOMEBODY, TOKEN, forge
from gitlab_shell import Ran, RefusedError, Runner, configured, holds, merge_request, predefined

pytestmark = pytest.mark.heavy
SCOPED = "NBPIPELINE_GITLAB_TOKEN@nbpipeline-comment"


@pytest.fixture(scope="module")
def s3() -> Iterator[str]:
    with service() as address:
        yield address


@pytest.fixture
def runner(tmp_path: Path) -> Runner:
    place = parity.place_for("gitlab-ci", tmp_path / "scratch")
    return Runner(tmp_path / "caches", place.environment)


def ran(runner: Runner, root: Path, variables: dict[str, str], inputs: dict[str, Any] | None = None) -> Ran:
    """Run the job without what installs; it must run."""
    lines = yaml.safe_load_all((root / ".gitlab-ci.yml").read_text())
    script = [*lines][1]["nbpipeline"]["script"]
    without = frozenset(one for one in script if one.startswith("pip install"))
    done = runner.run(root, variables, inputs, without)
    assert done is not None
    return done


def test_a_merge_request_is_told_once_and_a_failed_check_fails_it(root: Path, runner: Runner) -> None:
    zoo.failing_check(root)
    parity.exported(root, "gitlab-ci")
    with forge("gitlab") as lab:
        lab.say("<!-- nbpipeline -->\nby somebody else", SOMEBODY)
        for _ in range(120):
            lab.say("Talk.", SOMEBODY)
        told = {"CI_API_V4_URL": f"{lab.address}/api/v4", SCOPED: TOKEN}
        for _ in range(2):
            done = ran(runner, root, merge_request(root, **told))
            assert not done.ok
            assert done.script.returncode == 4
            assert done.told is not None
            assert done.told.returncode == 0, done.told.stderr
        own = [one["body"] for one in lab.comments if one["author"] == ME]
        assert own == [f"<!-- nbpipeline -->\n{(root / 'summary.md').read_text()}"]
        assert "failed check `between`" in own[0]
        lab.status = 503
        done = ran(runner, root, merge_request(root, **told))
    assert done.told is not None
    assert "The summary is no comment: HTTP Error 503" in done.told.stderr
    assert {*done.artifacts} == {"report.html", "summary.md", ".nbpipeline/runs/"}


def test_a_failed_stage_fails_it_and_without_a_token_the_summary_is_an_artifact(
    root: Path, runner: Runner
) -> None:
    write_notebook(root / "notebooks/a.ipynb", header("outputs: {o: ../o.txt}"), code("1 / 0"))
    parity.exported(root, "gitlab-ci")
    done = ran(runner, root, merge_request(root))
    assert done.script.returncode == 1
    assert done.told is not None
    assert "NBPIPELINE_GITLAB_TOKEN is not set: the summary is in the artifact" in done.told.stdout
    assert "division by zero" in done.artifacts["summary.md"].read_text()


TAKES = """
import json, os
from pathlib import Path

def of(process):
    return Path(f"/proc/{process}/environ").read_text(errors="replace")

def parent(process):
    return Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[1]

seen, process = sorted(os.environ), str(os.getpid())
while process not in ("0", "1"):
    try:
        seen += [one.partition("=")[0] for one in of(process).split("\\0")]
    except PermissionError:
        break
    process = parent(process)
json.dump(seen, open(o, "w"))
for program in Path.cwd().parent.glob("**/comment.py"):
    program.write_text("import os; open('stolen', 'w').write(os.environ['NBPIPELINE_GITLAB_TOKEN'])")
"""


def test_notebooks_do_not_see_the_token_and_give_the_job_that_has_it_no_program(
    root: Path, runner: Runner
) -> None:
    """Neither in their own variables, nor in those that the job's shell was started with."""
    write_notebook(root / "notebooks/a.ipynb", header("outputs: {o: ../o.json}"), code(TAKES))
    parity.exported(root, "gitlab-ci")
    program = root / ".gitlab/nbpipeline/comment.py"
    sound = program.read_text()
    with forge("gitlab") as lab:
        told = {"CI_API_V4_URL": f"{lab.address}/api/v4"}
        assert ran(runner, root, merge_request(root, **told, **{SCOPED: TOKEN})).ok
        assert len(lab.comments) == 1
        assert program.read_text() != sound
        program.write_text(sound)
        assert not [*root.parent.rglob("stolen")]
        seen = json.loads((root / "o.json").read_text())
        assert seen.count("CI_MERGE_REQUEST_IID") > 1  # its own, and those of the shell before it
        assert "NBPIPELINE_GITLAB_TOKEN" not in seen
        refused = ran(runner, root, merge_request(root, **told, NBPIPELINE_GITLAB_TOKEN=TOKEN))
    assert not refused.ok
    assert "give it the environment scope nbpipeline-comment" in refused.script.stderr


def test_a_fork_reads_the_shared_store_and_writes_nothing(
    root: Path, tmp_path: Path, runner: Runner, s3: str
) -> None:
    """Neither in the project that it asks, where its keys would let it, nor in its own."""
    bucket = Bucket(s3)
    write_files(root, {"pipeline.yaml": f"name: x\nstore: {{path: '{bucket.url}', endpoint: '{s3}'}}\n"})
    two_stages(root)
    parity.exported(root, "gitlab-ci")
    fork = tmp_path / "fork"
    shutil.copytree(root, fork)
    changed = fork / "notebooks/last.ipynb"
    changed.write_text(changed.read_text().replace("write(", "write('!' + "))
    assert ran(runner, root, predefined(root, **KEYS)).ok
    before = {*bucket.keys()}
    assert len(before) > 4
    with forge("gitlab") as lab:
        told = {"CI_API_V4_URL": f"{lab.address}/api/v4", SCOPED: TOKEN, **KEYS}
        for project in ("1", "2"):
            done = ran(runner, fork, merge_request(fork, "main", of="2", runs_in=project, **told))
            assert done.ok
            assert {*bucket.keys()} == before
            assert "1 restored" in done.script.stdout
            assert "1 ran" in done.script.stdout
            assert done.told is None
            shutil.rmtree(fork / ".nbpipeline")
            shutil.rmtree(fork / "out")
        assert lab.asked == []
    assert ran(runner, fork, merge_request(fork, **KEYS)).ok  # the same as a branch of the project's own
    assert {*bucket.keys()} > before


def two_stages(root: Path) -> None:
    write_notebook(
        root / "notebooks/first.ipynb", header("outputs: {a: ../out/a.txt}"), code("open(a, 'w').write('a')")
    )
    write_notebook(
        root / "notebooks/last.ipynb",
        header("inputs: {a: {from: first.a}}\noutputs: {b: ../out/b.txt}"),
        code("open(b, 'w').write(open(a).read())"),
    )


@pytest.mark.parametrize("separate", [True, pytest.param(False, marks=pytest.mark.nightly)])
def test_what_a_fork_caches_never_reaches_others(
    root: Path, tmp_path: Path, runner: Runner, *, separate: bool
) -> None:
    """Whatever its branch is called, and whether or not GitLab keeps caches of protected branches apart."""
    two_stages(root)
    parity.exported(root, "gitlab-ci")
    machine = Runner(runner.caches, runner.environment, separate)
    fork, branch = tmp_path / "fork", tmp_path / "branch"
    shutil.copytree(root, fork)
    shutil.copytree(root, branch)
    main = ran(machine, root, predefined(root))
    assert main.ok
    kept = {one.name: sorted(one.rglob("*")) for one in machine.caches.iterdir()}
    assert any("state.db" in str(one) for one in kept.values())
    done = ran(machine, fork, merge_request(fork, "main", of="2"))
    assert done.ok
    assert {*done.keys.values()} == {"pull"}
    assert {one.name: sorted(one.rglob("*")) for one in machine.caches.iterdir()} == kept
    assert (
        "2 restored" in done.script.stdout
    ) is not separate  # what main left may be read, where they share
    asked = ran(machine, branch, merge_request(branch, "main"))
    assert asked.ok
    assert not {*asked.keys} & {*main.keys}
    shutil.rmtree(branch / ".nbpipeline")
    shutil.rmtree(branch / "out")
    again = ran(machine, branch, merge_request(branch, "main"))
    assert "2 restored" in again.script.stdout


def test_faulty_headers_and_files_that_are_not_up_to_date_are_refused(root: Path, runner: Runner) -> None:
    zoo.diamond(root)
    parity.exported(root, "gitlab-ci")
    assert command("run", cwd=root).returncode == 0
    text = (root / "pipeline.yaml").read_text()
    (root / "pipeline.yaml").write_text(text.replace("factor: 3", "factor: 4"))
    stale = ran(runner, root, merge_request(root))
    assert not stale.ok
    assert "not up to date: .gitlab-ci.yml" in stale.script.stdout
    assert (root / "summary.md").read_text() == "nbpipeline ran nothing: the log of the job says why.\n"
    (root / "pipeline.yaml").write_text(text)
    write_notebook(root / "notebooks/new.ipynb", header("retires: 2"), code("1"))
    faulty = ran(runner, root, merge_request(root))
    assert not faulty.ok
    assert "did you mean 'retries'?" in faulty.script.stderr


def test_inputs_are_data(root: Path, runner: Runner) -> None:
    """Of their types, whatever stands in them; what nobody touched changes nothing."""
    write_files(root, {"pipeline.yaml": "name: form\n"})
    write_notebook(
        root / "notebooks/a.ipynb",
        header("outputs: {o: ../o.json}"),
        code("rate = 0.5\nyear = '2013'\nflag = False\nnone: str | None = None", "parameters"),
        code("import json\nopen(o, 'w').write(json.dumps([rate, year, flag, none]))"),
    )
    parity.exported(root, "gitlab-ci")
    nasty = "$CI_PROJECT_ID ${HOME} $(touch stolen) `touch stolen` \"' \\ $[[ inputs.rate ]] é\n- x: y"
    given = {"rate": 1e-07, "year": nasty, "flag": True, "params": json.dumps({"none": nasty})}
    assert ran(runner, root, predefined(root, "web"), given).ok
    assert json.loads((root / "o.json").read_text()) == [1e-07, nasty, True, nasty]
    assert not (root / "stolen").exists()
    assert ran(runner, root, predefined(root, "web"), {"rate": 2, "year": "2014"}).ok
    assert json.loads((root / "o.json").read_text()) == [2, "2014", False, None]
    assert ran(runner, root, predefined(root, "schedule")).ok
    assert json.loads((root / "o.json").read_text()) == [0.5, "2013", False, None]
    assert command("run", cwd=root).stdout == "all fresh: 1 stage, nothing to run\n"
    for wrong in ({"rate": "fast"}, {"flag": "yes"}, {"rates": 1}, {"year": 2014}):
        with pytest.raises(RefusedError):
            ran(runner, root, predefined(root, "web"), wrong)


def test_a_configuration_of_ones_own_includes_it(root: Path, runner: Runner) -> None:
    zoo.diamond(root)
    own = "build:\n  script: make\n"
    (root / ".gitlab-ci.yml").write_text(own)
    refused = command("export", "gitlab-ci", cwd=root)
    assert refused.returncode == 2
    assert (root / ".gitlab-ci.yml").read_text() == own
    options = ("--set", "file=.gitlab/nbpipeline.yml", "--set", "tags=gpu, big")
    assert command("export", "gitlab-ci", *options, cwd=root).returncode == 0
    readme = (root / ".gitlab/nbpipeline/README.md").read_text()
    block = readme.partition("```yaml\n")[2].partition("```")[0]
    (root / ".gitlab-ci.yml").write_text(block)
    job = configured(root / ".gitlab-ci.yml", {})["nbpipeline"]
    assert job["tags"] == ["gpu", "big"]
    without = frozenset(one for one in job["script"] if one.startswith("pip install"))
    done = runner.run(root, predefined(root, "web"), {"params": '{"factor": 9}'}, without)
    assert done is not None
    assert done.ok, done.script.stdout
    assert json.loads((root / "data/number.json").read_text()) == 45


def test_a_project_in_a_folder_of_the_repository_runs_there(root: Path, runner: Runner) -> None:
    """Its results come back from the cache, and its summary is found by the job that tells it."""
    project = root / "ml/it's late"
    project.mkdir(parents=True)
    (root / ".git").mkdir()
    zoo.diamond(project)
    assert command("export", "gitlab-ci", "-o", "../..", cwd=project).returncode == 0
    done = ran(runner, root, merge_request(root))
    assert done.ok, done.script.stderr
    assert {*done.artifacts} == {
        f"ml/it's late/{one}" for one in ("report.html", "summary.md", ".nbpipeline/runs/")
    }
    assert done.told is not None
    assert "NBPIPELINE_GITLAB_TOKEN is not set" in done.told.stdout
    for left in (".nbpipeline", "data"):
        shutil.rmtree(project / left)
    zoo.diamond(project)
    again = ran(runner, root, merge_request(root))
    assert "4 restored" in again.script.stdout


def test_it_runs_where_it_should(root: Path, runner: Runner) -> None:
    zoo.diamond(root)
    parity.exported(root, "gitlab-ci")
    for variables in (predefined(root, ref="more-trees"), predefined(root, "push", "main-2")):
        assert runner.run(root, variables) is None
    rules = configured(root / ".gitlab-ci.yml", {})["nbpipeline"]["rules"]
    for source in ("schedule", "web", "api", "trigger"):
        assert any(holds(one["if"], predefined(root, source, "more-trees")) for one in rules)


def test_what_gitlab_would_refuse_is_refused(root: Path, runner: Runner) -> None:
    for text in ('$A =~ "x"', '$A == "x" &&', "main == $A", '($A == "x"', "$A == 'x'"):
        with pytest.raises(RefusedError):
            holds(text, {"A": "x"})
    assert holds('$A != $B && ($B == null || $A == "y")', {"A": "x"})
    zoo.diamond(root)
    parity.exported(root, "gitlab-ci")
    place = root / ".gitlab-ci.yml"
    text = place.read_text()
    for old, new in (
        ("value: =$[[ inputs.flag ]]", "value: $[[ inputs.flag ]]"),
        ("inputs.flag ]]", "inputs.flog ]]"),
        ("policy: $NBPIPELINE_CACHE", "policy: $NOSUCH"),
        ("resource_group:", "resource_groups:"),
        ("nbpipeline-$NBPIPELINE_FROM-$CI_COMMIT_REF_SLUG\n      fallback", "a/b\n      fallback"),
    ):
        assert old in text, old
        place.write_text(text.replace(old, new))
        with pytest.raises(RefusedError):
            runner.run(root, predefined(root), without=frozenset())


@pytest.mark.nightly
@pytest.mark.timeout(900)
def test_the_lines_that_install_make_an_environment_that_runs_it(root: Path, tmp_path: Path) -> None:
    """As in a container: a new Python, the lock alone, nbpipeline from a wheel."""
    zoo.diamond(root)
    parity.exported(root, "gitlab-ci")
    place = parity.place_for("gitlab-ci", tmp_path / "scratch")
    here = Path(__file__).resolve().parents[2]
    python = shutil.which("python", path=place.environment["PATH"])
    assert python is not None
    for words in (
        [python, "-m", "pip", "wheel", "-q", "--no-deps", "-w", str(tmp_path / "dist"), str(here)],
        [python, "-m", "venv", str(tmp_path / "venv")],
    ):
        made = place.run(*words, cwd=root)
        assert made.returncode == 0, made.stderr
    (wheel,) = (tmp_path / "dist").glob("*.whl")
    path = place.environment["PATH"].replace(str(Path(python).parent), str(tmp_path / "venv/bin"))
    bare = Runner(tmp_path / "caches", {**place.environment, "PATH": path})
    done = bare.run(root, predefined(root, NBPIPELINE=str(wheel)))
    assert done is not None
    assert done.ok, done.script.stderr
    assert (root / "data/all.json").exists()
    lacking = bare.run(root, predefined(root))
    assert lacking is not None
    assert not lacking.ok
    assert "set the variable NBPIPELINE" in lacking.script.stderr
    assert any((tmp_path / "caches").iterdir())
