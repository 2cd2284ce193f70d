"""The files for GitHub Actions and GitLab CI: what may do what, what is data, what is cached."""

import json
import re
import shlex
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml
from builders import code, command, header, write_files, write_notebook
from forges import ME, TOKEN, forge
from workflow_shell import Expression

from nbpipeline import Project
from nbpipeline.errors import LossError, UsageError
from nbpipeline.exporters import github_actions, gitlab_ci
from nbpipeline.exporters.rendering import ci, ci_comment, ci_params
from nbpipeline.model.exported import ExportGiven, Schedule, Setting, Workflow

PROGRAMS = Path(ci_comment.__file__).parent
WORKFLOW = ".github/workflows/nbpipeline.yml"


def stage(root: Path, head: str = "outputs: {o: ../o.txt}", parameters: str = "x = 1") -> None:
    write_notebook(
        root / "notebooks/a.ipynb",
        header(head),
        code(parameters, "parameters"),
        code("open(o, 'w').write('x')"),
    )


def github(root: Path, **options: str) -> dict[str, Any]:
    text = Project(root).exporting.rendered("github-actions", options=options).files[WORKFLOW]
    found: dict[str, Any] = yaml.safe_load(text)
    return found


def gitlab(root: Path, profile: str | None = None, **options: str) -> tuple[dict[str, Any], dict[str, Any]]:
    text = (
        Project(root, profile=profile)
        .exporting.rendered("gitlab-ci", options=options)
        .files[".gitlab-ci.yml"]
    )
    head, body = yaml.safe_load_all(text)
    return head["spec"]["inputs"], body["nbpipeline"]


def settings(*given: Setting) -> dict[str, Any]:
    workflow = Workflow(name="x", tasks=(), settings=given)
    text = gitlab_ci.render(workflow, ExportGiven())[".gitlab-ci.yml"]
    header, _ = yaml.safe_load_all(text)
    found: dict[str, Any] = header["spec"]["inputs"]
    return found


def setting(name: str, default: Any, **more: Any) -> Setting:
    return Setting(name=name, stages=("a",), types=(), default=default, **more)


# --- GitHub ----------------------------------------------------------------------------------


def test_a_pull_request_gets_no_more_than_it_needs(root: Path) -> None:
    stage(root)
    found = github(root)
    assert set(found["on"]) == {"pull_request", "push", "workflow_dispatch"}  # never pull_request_target
    assert found["permissions"] == {"contents": "read"}
    writers = [name for name, job in found["jobs"].items() if "write" in str(job.get("permissions"))]
    assert writers == ["comment"]
    assert not any("nbpipeline " in str(one.get("run")) for one in found["jobs"]["comment"]["steps"])
    assert found["jobs"]["comment"]["if"].endswith("head.repo.full_name == github.repository")
    steps = [step for job in found["jobs"].values() for step in job["steps"]]
    checkouts = [step for step in steps if "checkout" in step.get("uses", "")]
    assert [step["with"]["persist-credentials"] for step in checkouts] == [False, False]
    assert [name for step in steps for name in step.get("env", {}) if "TOKEN" in name] == ["GITHUB_TOKEN"]
    assert found["concurrency"] == {"group": "nbpipeline-${{ github.ref }}", "cancel-in-progress": False}


def test_actions_are_pinned_by_commit_and_say_their_version(root: Path) -> None:
    stage(root)
    text = Project(root).exporting.rendered("github-actions").files[WORKFLOW]
    used = re.findall(r"uses: (.*)", text)
    assert len(used) == 7
    assert all(re.fullmatch(r"actions/[\w/-]+@[0-9a-f]{40} # v\d+\.\d+\.\d+", one) for one in used), used


@pytest.mark.parametrize(
    ("cron", "read"),
    [("0 3 * * 7", "0 3 * * 0"), ("0 3 * * 5-7", "0 3 * * 0,5,6"), ("0 3 * * 1-5", "0 3 * * 1-5")],
)
def test_sunday_is_zero(cron: str, read: str) -> None:
    workflow = Workflow(name="x", tasks=(), schedule=Schedule(cron=cron, timezone="Europe/Berlin"))
    found = yaml.safe_load(github_actions.render(workflow, ExportGiven())[WORKFLOW])
    assert found[True if True in found else "on"]["schedule"] == [{"cron": read, "timezone": "Europe/Berlin"}]
    readme = gitlab_ci.render(workflow, ExportGiven())[".gitlab/nbpipeline/README.md"]
    assert f"'cron={read}'" in readme
    assert "cron_timezone=Europe/Berlin" in readme


@pytest.mark.parametrize(
    ("store", "folder"), [("", ".nbpipeline/store"), ("store: {path: cache/results}\n", "cache/results")]
)
def test_the_stores_own_folder_is_cached(root: Path, store: str, folder: str) -> None:
    write_files(root, {"pipeline.yaml": f"name: x\n{store}"})
    stage(root)
    paths = [
        step["with"]["path"]
        for step in github(root)["jobs"]["pipeline"]["steps"]
        if "cache/" in step.get("uses", "")
    ]
    assert paths == [f"{folder}\n.nbpipeline/state.db"] * 2
    _, job = gitlab(root)
    assert job["cache"][1]["paths"] == [folder, ".nbpipeline/state.db"]


def test_a_shared_store_is_not_cached(root: Path) -> None:
    write_files(root, {"pipeline.yaml": "name: x\nstore: {path: 's3://b/p'}\n"})
    stage(root)
    assert "actions/cache" not in str(github(root))
    assert len(gitlab(root)[1]["cache"]) == 1  # pip's


@pytest.mark.parametrize("folder", ["/mnt/results", "../results"])
def test_a_store_where_no_cache_of_gitlab_reaches_is_a_loss(root: Path, folder: str) -> None:
    write_files(root, {"pipeline.yaml": f"name: x\nstore: {{path: {folder}}}\n"})
    stage(root)
    with pytest.raises(LossError, match="is outside the project"):
        gitlab(root)
    lost = Project(root).exporting.rendered("gitlab-ci", allow_loss=True)
    assert folder not in lost.files[".gitlab-ci.yml"]


def test_further_secrets_reach_the_steps_that_run_the_pipeline(root: Path) -> None:
    stage(root, "outputs: {o: ../o.txt}\nsecrets: [TOKEN]")
    steps = github(root, secrets="AWS_ACCESS_KEY_ID, TOKEN,AWS_SECRET_ACCESS_KEY")["jobs"]["pipeline"][
        "steps"
    ]
    users = {step["name"]: [*step["env"]] for step in steps if "secrets." in str(step)}
    names = ("TOKEN", "AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY")
    wanted = [f"NBPIPELINE_SECRET_{one}" for one in names]
    assert users == {"Check": wanted, "Run what is stale": [*wanted, "NBPIPELINE_FORK"]}


@pytest.mark.parametrize(
    "name", ["aws-key", "X$(touch stolen)", "1X", "É", "X Y", "NBPIPELINE", "nbpipeline_FORK"]
)
def test_secrets_that_no_variable_can_hold_are_refused(root: Path, name: str) -> None:
    """They would stand in the shell's text."""
    stage(root)
    with pytest.raises(
        UsageError, match=r"--set secrets=OK, .*: (no variable is called|variables of the workflow itself)"
    ):
        github(root, secrets=f"OK, {name}")


def parameters_of(steps: list[dict[str, Any]]) -> set[str]:
    """Name all variables that the steps have."""
    return {name for step in steps for name in step.get("env", {})}


def test_variables_of_stages_are_none_of_the_workflows_own(root: Path) -> None:
    names = ("PARAMS", "MORE_PARAMS", "FORK", "SECRET_A", "VARIABLE_A")
    stage(root, f"outputs: {{o: ../o.txt}}\nenv: [{', '.join(names)}]\nsecrets: [A]")
    job = github(root)["jobs"]["pipeline"]
    given = {*job["env"], *parameters_of(job["steps"])}
    assert all(one.startswith("NBPIPELINE") for one in given), given
    lines = "\n".join(gitlab(root)[1]["script"])
    assigned = {*re.findall(r"(?m)^(\w+)=", lines), *gitlab(root)[1]["variables"]} - {"PIP_CACHE_DIR"}
    assert assigned
    assert all(one.startswith("NBPIPELINE") for one in assigned), assigned


@pytest.mark.parametrize("target", ["github-actions", "gitlab-ci"])
@pytest.mark.parametrize("head", ["env: [NBPIPELINE_FORK]", "secrets: [NBPIPELINE]"])
def test_a_stage_that_wants_the_workflows_own_variables_is_refused(
    root: Path, target: str, head: str
) -> None:
    stage(root, f"outputs: {{o: ../o.txt}}\n{head}")
    with pytest.raises(UsageError, match="may not be one of yours"):
        Project(root).exporting.rendered(target)


def test_names_that_differ_in_case_alone_are_apart(root: Path) -> None:
    """GitHub takes such keys for one, and refuses the workflow."""
    stage(root, "outputs: {o: ../o.txt}\nenv: [tz, TZ]", "C = 1\nc = 2\nPARAMS = 'x'\nother = 3")
    found = github(root)
    inputs = found["on"]["workflow_dispatch"]["inputs"]
    assert {"params", "other"} < {*inputs}
    assert len(inputs) == 5
    for keys in (inputs, *(one.get("env", {}) for one in found["jobs"]["pipeline"]["steps"])):
        assert len({one.lower() for one in keys}) == len(keys), keys
    run = next(
        one["run"] for one in found["jobs"]["pipeline"]["steps"] if "nbpipeline run" in one.get("run", "")
    )
    assert re.findall(r"export (\w+)=", run) == ["tz", "TZ"]
    assert len(gitlab(root)[0]) == 5


def test_what_a_form_of_github_would_make_a_text_of_goes_by_params(root: Path) -> None:
    stage(
        root,
        parameters="a: int | str = 1\nb: float | str = 'x'\nc: Any = 1\nd: int | float = 0.5\ne: str = 'x'\nf: int = 1",
    )
    assert [*github(root)["on"]["workflow_dispatch"]["inputs"]] == ["d", "e", "f", "params"]
    assert {"a", "b", "d"} < {*gitlab(root)[0]}  # whose forms know numbers


def test_where_nbpipeline_comes_from_can_stand_in_the_file(root: Path) -> None:
    """Forks see no variable of the repository."""
    stage(root)
    place = "git+https://git.example.org/it's?a=b&c"
    assert github(root)["jobs"]["pipeline"]["env"]["NBPIPELINE"] == "${{ vars.NBPIPELINE }}"
    assert "NBPIPELINE" not in gitlab(root)[1]["variables"]
    text = github(root, nbpipeline=place)["jobs"]["pipeline"]["env"]["NBPIPELINE"]
    for given, read in (({}, place), ({"NBPIPELINE": "a.whl"}, "a.whl")):
        assert Expression(text[3:-2], {"vars": given}, failed=False).value() == read
    assert gitlab(root, nbpipeline=place)[1]["variables"]["NBPIPELINE"] == {"value": place, "expand": False}


@pytest.mark.parametrize(
    ("event", "repository", "writes"),
    [
        (
            "pull_request",
            {"full_name": "team/flights", "fork": True},
            True,
        ),  # in a fork that is the team's own
        ("pull_request", {"full_name": "mallory/flights", "fork": True}, False),
        ("pull_request", None, False),  # the fork is gone
        ("push", None, True),
    ],
)
def test_what_counts_as_a_fork(root: Path, event: str, repository: Any, *, writes: bool) -> None:
    stage(root)
    found = github(root)["jobs"]
    payload = {"pull_request": {"head": {"repo": repository}}} if event == "pull_request" else {}
    contexts = {"github": {"event_name": event, "event": payload, "repository": "team/flights"}}
    steps = found["pipeline"]["steps"]
    (push,) = [one["env"]["NBPIPELINE_FORK"] for one in steps if "NBPIPELINE_FORK" in one.get("env", {})]
    assert Expression(push[3:-2], contexts, failed=False).value() == ("" if writes else "--no-push")
    (save,) = [one["if"] for one in steps if "cache/save" in one.get("uses", "")]
    assert Expression(save, contexts, failed=True).value() is writes
    told = Expression(found["comment"]["if"], contexts, failed=True).value()
    assert told is (writes and event == "pull_request")


# --- both ------------------------------------------------------------------------------------


def test_what_is_checked_is_what_was_exported(root: Path) -> None:
    """Options and profile are said again, as data, so that neither service reads an expression in them."""
    profile = "it's ${{ github.token }} $[[ inputs.params ]] $(id)"
    workflow = Workflow(name="x", tasks=(), profile=profile)
    given = ExportGiven(options={"branch": "a b"})
    texts = [
        github_actions.render(workflow, given)[WORKFLOW],
        gitlab_ci.render(workflow, ExportGiven(options={"image": "a b"}))[".gitlab-ci.yml"],
    ]
    for text in texts:
        *_, body = yaml.safe_load_all(text)
        (line,) = [one for one in _strings(body) for one in one.splitlines() if " --check" in one]
        assert not re.search(r"\$\{\{|\$\[\[", line)
        words = shlex.split(line)
        assert words[words.index("--profile") + 1] == profile
        assert words[words.index("--set") + 1].endswith("=a b")
        assert "--allow-loss" in words


def _strings(node: Any) -> list[str]:
    if isinstance(node, dict):
        return [text for one in node.values() for text in _strings(one)]
    if isinstance(node, list):
        return [text for one in node for text in _strings(one)]
    return [node] if isinstance(node, str) else []


# --- GitLab ----------------------------------------------------------------------------------


def test_inputs_have_types_and_choices() -> None:
    found = settings(
        setting("rate", 0.5, choices=(0.5, 1)),
        setting("kind", "a", choices=("a", "b"), help="What\nkind"),
        setting("flag", True, choices=(True, False)),
        setting("odd", "c", choices=("a", 1, "c")),
        setting("many", 1, choices=tuple(range(60))),
    )
    assert found["rate"] == {
        "description": "Parameter of a",
        "type": "number",
        "options": [0.5, 1],
        "default": 0.5,
    }
    assert found["kind"] == {
        "description": "What kind",
        "type": "string",
        "options": ["a", "b"],
        "default": "a",
    }
    assert found["flag"] == {"description": "Parameter of a", "type": "boolean", "default": True}
    assert "options" not in found["odd"]
    assert "options" not in found["many"]


def test_what_no_form_holds_goes_by_params() -> None:
    odd = (
        setting("none", None),
        setting("list", [1]),
        setting("infinite", float("inf")),
        setting("long", "x" * 1000),
        Setting(name="maybe", stages=("a",), types=("int", "None"), default=1),
    )
    assert [*settings(*odd)] == ["params"]
    found = settings(*(setting(f"p{number}", number) for number in range(30)), setting("params", 1))
    assert len(found) == 20
    assert "p18" in found
    assert [*settings(setting("params", 1))][-1] == "params"
    assert len(settings(setting("params", 1))) == 2


@pytest.mark.parametrize(
    "file",
    [
        *("../x.yml", "/etc/x.yml", "jobs.txt", "a/../../x.yml", "a.yml/", "a\\x.yml", "a\n.yml", ".", ".."),
        ".gitlab/nbpipeline/README.md/x.yml",
    ],
)
def test_places_that_no_job_can_stand_in_are_refused(root: Path, file: str) -> None:
    stage(root)
    with pytest.raises(UsageError, match="that is no place for a job of GitLab"):
        Project(root).exporting.rendered("gitlab-ci", options={"file": file})


@pytest.mark.parametrize("said", ["./ci/x.yml", "ci//x.yml", "a/../ci/x.yml"])
def test_a_place_may_be_written_in_other_ways(root: Path, said: str) -> None:
    stage(root)
    assert "ci/x.yml" in Project(root).exporting.rendered("gitlab-ci", options={"file": said}).files


def test_options_of_the_job(root: Path) -> None:
    stage(root)
    _, job = gitlab(root, image="registry.example.org/ml:1", stage="ml", tags="gpu, big")
    assert (job["image"], job["stage"], job["tags"]) == ("registry.example.org/ml:1", "ml", ["gpu", "big"])
    _, plain = gitlab(root)
    assert not {"stage", "tags"} & {*plain}
    assert plain["image"].startswith("python:3.")


def test_the_job_with_the_token_runs_the_program_that_was_exported_and_no_other(root: Path) -> None:
    """The artifacts of the job that runs notebooks are unpacked over what is checked out."""
    stage(root)
    export = Project(root).exporting.rendered("gitlab-ci")
    Project(root).exporting.written(export)
    *_, jobs = yaml.safe_load_all(export.files[".gitlab-ci.yml"])
    words = ["bash", "-eo", "pipefail", "-c", "\n".join(jobs["nbpipeline-comment"]["script"])]
    path = {"PATH": f"{Path(sys.executable).parent}:/usr/bin:/bin", "GITLAB_CI": "true"}

    def ran() -> subprocess.CompletedProcess[str]:
        return subprocess.run(words, cwd=root, env=path, capture_output=True, text=True, check=False)

    program = root / ".gitlab/nbpipeline/comment.py"
    program.with_name("json.py").write_text("open('stolen', 'w')")
    done = ran()
    assert done.returncode == 0, done.stderr
    assert "There is no merge request to tell" in done.stdout
    program.write_text(program.read_text() + "open('stolen', 'w')\n")
    assert ran().returncode == 1
    assert not (root / "stolen").exists()
    assert "needs" not in jobs["nbpipeline"]
    assert jobs["nbpipeline-comment"]["environment"]["name"] == "nbpipeline-comment"


def test_a_summary_that_was_not_written_is_no_crash(tmp_path: Path) -> None:
    words = [sys.executable, "-I", str(PROGRAMS / ci.COMMENT), str(tmp_path / "summary.md")]
    environment = {"GITHUB_API_URL": "http://127.0.0.1:9", "GITHUB_REPOSITORY": "a/b", "NUMBER": "7"}
    done = subprocess.run(
        words, env={**environment, "GITHUB_TOKEN": TOKEN}, capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout == "There is no summary: the job that writes it did not come so far.\n"


def below(root: Path, **options: str) -> tuple[Path, dict[str, Any]]:
    """Export a project in a folder of a repository to the repository's root."""
    (root / ".git").mkdir()
    project = root / "ml/it's late"
    write_files(project, {"pipeline.yaml": "name: x\n"})
    stage(project)
    export = Project(project).exporting.rendered("gitlab-ci", root, options=options)
    Project(project).exporting.written(export)
    job = [*yaml.safe_load_all((root / ".gitlab-ci.yml").read_text())][1]["nbpipeline"]
    return project, job


def test_a_project_in_a_folder_of_the_repository(root: Path) -> None:
    """Paths that GitLab keeps begin at the repository's root, where it reads the job; commands at the project's."""
    project, job = below(root)
    with pytest.raises(
        LossError, match=r"(?s)GitLab reads the job at the root.*-o with that root: \.\./\.\."
    ):
        Project(project).exporting.rendered("gitlab-ci")
    assert job["cache"][0]["key"]["files"] == [".gitlab/nbpipeline/requirements.lock"]
    assert job["cache"][1]["paths"] == [f"ml/it's late/.nbpipeline/{one}" for one in ("store", "state.db")]
    paths = [f"ml/it's late/{one}" for one in ("report.html", "summary.md", ".nbpipeline/runs/")]
    assert job["artifacts"]["paths"] == paths
    lines = "\n".join(job["script"])
    for word in re.findall(r"\S*\.gitlab/\S+\b", lines):
        assert (project / word).is_file(), word
    (check,) = [one for one in job["script"] if " --check" in one]
    done = command(*shlex.split(check)[1:], cwd=project)
    assert (done.returncode, done.stdout.splitlines()[-1:]) == (0, [f"6 files in {root}: up to date"])
    for script in (job["script"], job["after_script"]):
        place = subprocess.run(
            ["sh", "-c", f"{script[0].splitlines()[0]} && pwd"],
            cwd=root,
            capture_output=True,
            text=True,
            check=True,
        )
        assert place.stdout.strip() == str(project)


def test_a_store_outside_the_project_and_inside_the_repository_is_in_reach(root: Path) -> None:
    (root / ".git").mkdir()
    write_files(root / "ml", {"pipeline.yaml": "name: x\nstore: {path: ../results}\n"})
    stage(root / "ml")
    files = Project(root / "ml").exporting.rendered("gitlab-ci", root).files
    job = [*yaml.safe_load_all(files[".gitlab-ci.yml"])][1]["nbpipeline"]
    assert job["cache"][1]["paths"] == ["results", "ml/.nbpipeline/state.db"]


@pytest.mark.parametrize("target", ["github-actions", "gitlab-ci"])
def test_a_folder_that_the_project_is_not_below_is_no_root_of_its_repository(root: Path, target: str) -> None:
    project = root / "project"
    write_files(project, {"pipeline.yaml": "name: x\n"})
    stage(project)
    for place in (root / "beside", project / "deploy/ci"):
        with pytest.raises(LossError, match="at the root of a repository alone"):
            Project(project).exporting.rendered(target, place)
    with pytest.raises(UsageError, match="is beside the project"):
        Project(project).exporting.rendered(target, root / "beside", allow_loss=True)


@pytest.mark.parametrize("target", ["github-actions", "gitlab-ci"])
def test_a_folder_that_services_take_for_a_pattern_is_refused(root: Path, target: str) -> None:
    write_files(root / "a*", {"pipeline.yaml": "name: x\n"})
    stage(root / "a*")
    with pytest.raises(UsageError, match="takes for a pattern"):
        Project(root / "a*").exporting.rendered(target, root)


# --- the programs beside the workflow --------------------------------------------------------


@pytest.mark.parametrize(
    ("environment", "given"),
    [
        ({}, {}),
        ({"A": "=0.50", "B": "=1", "C": "=true", "D": "=x"}, {}),
        ({"A": "=1e-3", "B": "=2", "C": "=false", "D": "=="}, {"a.r": 0.001, "b": 2, "c": False, "d": "="}),
        ({"A": "=fast", "D": "='\n$(id)\""}, {"a.r": "fast", "d": "'\n$(id)\""}),
    ],
)
def test_inputs_that_were_touched_become_json(
    tmp_path: Path, environment: dict[str, str], given: dict[str, Any]
) -> None:
    listed = {"A": ("a.r", 0.5), "B": ("b", 1), "C": ("c", True), "D": ("d", "x")}
    table = {name: {"parameter": one, "default": default} for name, (one, default) in listed.items()}
    (tmp_path / "inputs.json").write_text(json.dumps(table))
    program = tmp_path / "params.py"
    program.write_text((PROGRAMS / ci.PARAMS).read_text())
    done = subprocess.run(
        [sys.executable, "-I", str(program)], env=environment, capture_output=True, text=True, check=True
    )
    assert json.loads(done.stdout) == given
    assert ci_params.__doc__ in ci.program(ci.PARAMS, "gitlab-ci", Workflow(name="x", tasks=()))


def test_each_pipeline_has_a_comment_of_its_own(tmp_path: Path) -> None:
    (tmp_path / "summary.md").write_text("one")
    with forge("github") as hub:
        environment = {
            "GITHUB_API_URL": hub.address,
            "GITHUB_REPOSITORY": "team/flights",
            "GITHUB_TOKEN": TOKEN,
            "NUMBER": "7",
        }
        words = [sys.executable, "-I", str(PROGRAMS / ci.COMMENT), str(tmp_path / "summary.md")]
        for named in ([], ["pipe"], ["pipe-x"], ["pipe"], []):
            subprocess.run([*words, *named], env=environment, check=True)
    assert [one["body"].split("\n")[0] for one in hub.comments if one["author"] == ME] == [
        "<!-- nbpipeline -->",
        "<!-- nbpipeline pipe -->",
        "<!-- nbpipeline pipe-x -->",
    ]


@pytest.mark.parametrize("service", ["github", "gitlab"])
def test_a_long_summary_is_cut(tmp_path: Path, service: str) -> None:
    (tmp_path / "summary.md").write_text("é" * 200_000)
    with forge(service) as there:
        environment = {
            "github": {
                "GITHUB_API_URL": there.address,
                "GITHUB_REPOSITORY": "team/flights",
                "GITHUB_TOKEN": TOKEN,
                "NUMBER": "7",
            },
            "gitlab": {
                "GITLAB_CI": "true",
                "CI_API_V4_URL": f"{there.address}/api/v4",
                "CI_MERGE_REQUEST_IID": "7",
                "CI_MERGE_REQUEST_PROJECT_ID": "1",
                "CI_MERGE_REQUEST_SOURCE_PROJECT_ID": "1",
                "NBPIPELINE_GITLAB_TOKEN": TOKEN,
            },
        }[service]
        words = [sys.executable, "-I", str(PROGRAMS / ci.COMMENT), str(tmp_path / "summary.md")]
        done = subprocess.run(words, env=environment, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
        wrong = {name: one.replace(TOKEN, "another") for name, one in environment.items()}
        refused = subprocess.run(words, env=wrong, capture_output=True, text=True, check=False)
    (said,) = [one["body"] for one in there.comments if one["author"] == ME]
    assert said.startswith("<!-- nbpipeline -->\nIts beginning; the artifact has all of it")
    assert len(said) < 65_536
    assert refused.returncode == 1
    assert "HTTP Error 401" in refused.stderr
    assert TOKEN not in refused.stderr + done.stdout
