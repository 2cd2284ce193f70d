"""`nbpipeline export` and what tasks call, as its user sees them."""

import json
import os
import pty
import shlex
from pathlib import Path

import pytest
import zoo
from builders import code, command, header, write_files, write_notebook


@pytest.fixture
def project(root: Path) -> Path:
    zoo.diamond(root)
    return root


def test_it_writes_once_and_sees_what_was_changed_by_hand(project: Path) -> None:
    done = command("export", "snakemake", cwd=project)
    assert (done.returncode, done.stderr) == (0, "")
    assert "written: deploy/snakemake/Snakefile\n" in done.stdout
    again = command("export", "snakemake", cwd=project)
    assert again.stdout == "2 files in deploy/snakemake: up to date\n"
    file = project / "deploy/snakemake/Snakefile"
    file.write_text("# mine\n")
    refused = command("export", "snakemake", cwd=project)
    assert refused.returncode == 2
    assert "changed by hand or not of an export: Snakefile" in refused.stderr
    assert file.read_text() == "# mine\n"
    forced = command("export", "snakemake", "--force", cwd=project)
    assert forced.returncode == 0
    assert "written over: deploy/snakemake/Snakefile\n" in forced.stdout
    assert "rule join:" in file.read_text()


@pytest.mark.parametrize(("answer", "code", "left"), [("n", 2, "# mine\n"), ("y", 0, "")])
def test_on_a_terminal_it_asks_before_it_writes_over(
    project: Path, answer: str, code: int, left: str
) -> None:
    """A no is heeded, and is not an interruption (130)."""
    assert command("export", "snakemake", cwd=project).returncode == 0
    file = project / "deploy/snakemake/Snakefile"
    written = file.read_text()
    file.write_text("# mine\n")
    ours, theirs = pty.openpty()
    try:
        os.write(ours, f"{answer}\n".encode())
        done = command("export", "snakemake", cwd=project, stdin=theirs)
    finally:
        os.close(ours)
        os.close(theirs)
    assert done.returncode == code
    assert "Write over? [y/N]" in done.stderr
    assert ("nothing was written" in done.stderr) == bool(code)
    assert file.read_text() == (left or written)


def test_check_says_what_is_not_up_to_date(project: Path) -> None:
    missing = command("export", "snakemake", "--check", cwd=project)
    assert missing.returncode == 1
    assert "missing: deploy/snakemake/Snakefile" in missing.stdout
    assert not (project / "deploy").exists()
    assert command("export", "snakemake", cwd=project).returncode == 0
    assert command("export", "snakemake", "--check", cwd=project).returncode == 0
    (project / "notebooks/join.ipynb").unlink()
    stale = command("export", "snakemake", "--check", "--format", "json", cwd=project)
    assert stale.returncode == 1
    assert json.loads(stale.stdout)["changed"] == ["Snakefile"]


def test_words_that_were_left_out_are_told(project: Path) -> None:
    assert command("export", "prefect", "--set", "work-pool=big one", cwd=project).stderr == ""
    assert command("export", "prefect", "--set", "work-pool=big one", "--check", cwd=project).stderr == ""
    bare = command("export", "prefect", "--check", cwd=project)
    assert bare.returncode == 1
    assert "asked for with --set 'work-pool=big one', this one with nothing\n" in bare.stderr


def test_a_pipeline_without_a_name_is_told(tmp_path: Path) -> None:
    for name in ("here", "there"):
        zoo.diamond(tmp_path / name)
        (tmp_path / name / "pipeline.yaml").write_text("params: {factor: 3}\n")
    done = command("export", "airflow", cwd=tmp_path / "here")
    assert done.returncode == 0
    assert "note: no `name:` in pipeline.yaml" in done.stderr
    (tmp_path / "here/deploy").rename(tmp_path / "there/deploy")
    assert command("export", "airflow", "--check", cwd=tmp_path / "there").returncode == 1


def test_line_ends_that_a_checkout_made_are_nobodys_hand(project: Path) -> None:
    assert command("export", "snakemake", cwd=project).returncode == 0
    for file in (project / "deploy/snakemake").iterdir():
        file.write_bytes(file.read_bytes().replace(b"\n", b"\r\n"))
    assert command("export", "snakemake", "--check", cwd=project).returncode == 0
    (project / "notebooks/join.ipynb").unlink()
    assert "updated: deploy/snakemake/Snakefile\n" in command("export", "snakemake", cwd=project).stdout


def test_a_file_that_was_there_before_any_export_is_kept(project: Path) -> None:
    write_files(project, {"deploy/snakemake/config.yaml": "mine: 1\n"})
    assert command("export", "snakemake", cwd=project).returncode == 2
    assert (project / "deploy/snakemake/config.yaml").read_text() == "mine: 1\n"
    assert not (project / "deploy/snakemake/Snakefile").exists()


def test_files_that_are_no_longer_rendered_go(project: Path) -> None:
    assert command("export", "snakemake", cwd=project).returncode == 0
    listed = project / "deploy/snakemake/.nbpipeline-export-snakemake.json"
    data = json.loads(listed.read_text())
    files = data["pipelines"]["../.."]["files"]
    for name in ("old.yaml", "changed.yaml", "../../raw.txt"):
        files[name] = files["config.yaml"]
    listed.write_text(json.dumps(data))
    (listed.parent / "changed.yaml").write_text("by hand\n")
    checked = command("export", "snakemake", "--check", "--format", "json", cwd=project)
    assert (checked.returncode, json.loads(checked.stdout)["left"]) == (1, ["changed.yaml"])
    (listed.parent / "old.yaml").write_bytes((listed.parent / "config.yaml").read_bytes())
    done = command("export", "snakemake", cwd=project)
    assert done.returncode == 0
    assert "removed: deploy/snakemake/old.yaml\n" in done.stdout
    assert "and changed by hand, so it stays: deploy/snakemake/changed.yaml\n" in done.stdout
    assert not (listed.parent / "old.yaml").exists()
    assert (listed.parent / "changed.yaml").exists()
    assert (project / "raw.txt").exists()


def test_the_order_of_options_means_nothing(project: Path) -> None:
    options = [["--set", "work-pool=big one"], ["--set", "limits=team"]]
    assert command("export", "prefect", *options[0], *options[1], cwd=project).returncode == 0
    listed = project / "deploy/prefect/.nbpipeline-export-prefect.json"
    before = listed.read_bytes()
    again = command("export", "prefect", *options[1], *options[0], cwd=project)
    assert (again.returncode, again.stderr, listed.read_bytes()) == (0, "", before)


@pytest.mark.parametrize("inside", [True, False])
def test_what_a_check_says_to_do_brings_it_up_to_date(project: Path, inside: bool) -> None:
    """Lost things that were allowed, options, the folder, where the project is: the words hold as they are printed."""
    with (project / "pipeline.yaml").open("a") as file:
        file.write("schedule: {cron: '0 3 * * *'}\n")
    cwd = project / "notebooks" if inside else project.parent
    words = ["export", "dvc", "--allow-loss", "--set", "params=my params.yaml", "-p", "factor=4"]
    words += [] if inside else ["--project", project.name]
    words += ["-o", ".." if inside else project.name]
    checked = command(*words, "--check", cwd=cwd)
    assert checked.returncode == 1
    (said,) = [line for line in checked.stderr.splitlines() if line.endswith(" brings it up to date")]
    hint = shlex.split(said.removesuffix(" brings it up to date"))
    assert hint[0] == "nbpipeline"
    done = command(*hint[1:], cwd=cwd)
    assert done.returncode == 0, done.stderr
    assert "factor: 4\n" in (project / "my params.yaml").read_text()
    again = command(*words, "--check", cwd=cwd)
    assert (again.returncode, "asked for with" in again.stderr) == (0, False)
    (listed,) = json.loads((project / ".nbpipeline-export-dvc.json").read_text())["pipelines"].values()
    assert "--allow-loss" in listed["asked"]


def two_pipelines(tmp_path: Path) -> tuple[Path, Path]:
    """Two projects in one repository."""
    (tmp_path / ".git").mkdir()
    projects = tmp_path / "pipex", tmp_path / "pipey"
    for project in projects:
        zoo.diamond(project)
        (project / "pipeline.yaml").write_text(f"name: {project.name}\nparams: {{factor: 3}}\n")
    return projects


def test_a_second_pipeline_in_one_folder_takes_nothing_from_the_first(tmp_path: Path) -> None:
    first, second = two_pipelines(tmp_path)
    assert command("export", "airflow", "-o", "../dags", cwd=first).returncode == 0
    before = {path: path.read_bytes() for path in (tmp_path / "dags").rglob("*") if path.is_file()}
    refused = command("export", "airflow", "-o", "../dags", cwd=second)
    assert refused.returncode == 2
    said = refused.stderr.split("\n", 1)[0]
    assert f"of another pipeline, pipex in {first}: Dockerfile, README.md" in said
    assert {path: path.read_bytes() for path in before} == before
    assert not list((tmp_path / "dags").rglob("pipey*"))
    checked = command("export", "airflow", "-o", "../dags", "--check", cwd=second)
    assert "of another pipeline (pipex): " in checked.stdout
    assert "no longer part of it" not in checked.stdout

    forced = command("export", "airflow", "-o", "../dags", "--force", cwd=second)
    assert forced.returncode == 0
    assert f"written over, of another pipeline (pipex): {tmp_path / 'dags/README.md'}\n" in forced.stdout
    dag = tmp_path / "dags/pipex_dag.py"
    assert dag.read_bytes() == before[dag], "nobody asked to remove it"
    assert command("export", "airflow", "-o", "../dags", "--check", cwd=second).returncode == 0
    again = command("export", "airflow", "-o", "../dags", cwd=first)
    assert again.returncode == 2
    assert "of another pipeline, pipey in " in again.stderr


def test_several_pipelines_of_a_repository_have_workflows_of_their_own(tmp_path: Path) -> None:
    projects = two_pipelines(tmp_path)
    for project in projects:
        assert command("export", "github-actions", "-o", "..", cwd=project).returncode == 0
    for project in projects:
        checked = command("export", "github-actions", "-o", "..", "--check", cwd=project)
        assert (checked.returncode, checked.stderr) == (0, "")
    (projects[0] / "pipeline.yaml").write_text("name: other\nparams: {factor: 3}\n")
    renamed = command("export", "github-actions", "-o", "..", cwd=projects[0])
    assert f"removed: {tmp_path / '.github/workflows/nbpipeline-pipex.yml'}\n" in renamed.stdout
    assert sorted(one.name for one in (tmp_path / ".github/workflows").iterdir()) == [
        "nbpipeline-other.yml",
        "nbpipeline-pipey.yml",
    ]


def test_a_list_that_does_not_say_whose_files_they_are_is_taken_for_ones_own(project: Path) -> None:
    """As the first version wrote it."""
    assert command("export", "snakemake", cwd=project).returncode == 0
    listed = project / "deploy/snakemake/.nbpipeline-export-snakemake.json"
    (one,) = json.loads(listed.read_text())["pipelines"].values()
    listed.write_text(json.dumps({"version": 1, "asked": one["asked"], "files": one["files"]}))
    (project / "notebooks/join.ipynb").unlink()
    done = command("export", "snakemake", cwd=project)
    assert (done.returncode, done.stderr) == (0, "")
    assert "updated: deploy/snakemake/Snakefile\n" in done.stdout
    assert list(json.loads(listed.read_text())["pipelines"]) == ["../.."]


@pytest.mark.parametrize("text", ["{", "[]", '{"pipelines": 1}', '{"pipelines": {"../..": 1}}'])
def test_a_damaged_list_knows_of_nothing(project: Path, text: str) -> None:
    assert command("export", "snakemake", cwd=project).returncode == 0
    (project / "deploy/snakemake/.nbpipeline-export-snakemake.json").write_text(text)
    (project / "notebooks/join.ipynb").unlink()
    refused = command("export", "snakemake", cwd=project)
    assert refused.returncode == 2
    assert "changed by hand or not of an export: Snakefile" in refused.stderr


@pytest.mark.parametrize(
    ("arguments", "code", "text"),
    [
        (["snakmake"], 5, "there is no exporter 'snakmake'"),
        (["snakemake", "--set", "imag=x"], 2, "--set imag: the target 'snakemake' has no such option"),
        (["snakemake", "--set", "imag"], 2, "--set imag sets nothing"),
        (["prefect", "--set", "work-pool="], 2, "--set work-pool= sets nothing"),
        (["snakemake", "-o", "/proc/nowhere"], 2, "cannot be written"),
    ],
)
def test_what_it_refuses(project: Path, arguments: list[str], code: int, text: str) -> None:
    done = command("export", *arguments, cwd=project)
    assert done.returncode == code
    assert text in done.stderr
    assert "mend:" in done.stderr


def test_a_pipeline_without_stages(root: Path) -> None:
    write_files(root, {"pipeline.yaml": "name: empty\n"})
    done = command("export", "snakemake", cwd=root)
    assert done.returncode == 2
    assert "the project has no stage" in done.stderr


# --- what a task calls -----------------------------------------------------------------------


def test_a_task_fetches_what_others_made_from_a_shared_store(tmp_path: Path) -> None:
    """Three folders that share nothing but a store run a stage each, as machines would."""
    store = tmp_path / "store"
    machines = [tmp_path / name for name in ("one", "two", "three")]
    for machine in machines:
        machine.mkdir()
        zoo.diamond(machine)
        with (machine / "pipeline.yaml").open("a") as file:
            file.write(f"store: {{path: 'file://{store}'}}\n")
    given = ["--fetch", "--params", '{"factor": 4, "text": "2014"}']
    early = command("run-stage", "left", *given, cwd=machines[1])
    assert early.returncode == 3
    assert "the store has no result of 'load'" in early.stderr
    for machine, stage in zip([*machines, machines[0]], ["load", "left", "right", "join"], strict=True):
        done = command("run-stage", stage, *given, cwd=machine)
        assert done.returncode == 0, done.stderr
    assert json.loads((machines[0] / "data/left.json").read_text())[:2] == [20, "2014"]
    assert (machines[0] / "data/all.json").read_text().endswith("21")
    assert not (machines[1] / "data/right.json").exists()
    (machines[0] / "data/left.json").unlink()
    changed = command("run-stage", "join", "--fetch", "--params", '{"factor": 5}', cwd=machines[0])
    assert changed.returncode == 3, "what stands in the store is of another factor"
    assert "the store has no result of 'left'" in changed.stderr
    assert not (machines[0] / "data/left.json").exists()


def test_a_task_leaves_its_result_and_its_notebook(project: Path, tmp_path: Path) -> None:
    executed, result = tmp_path / "out/load.ipynb", tmp_path / "out/load.json"
    words = ["run-stage", "load", "--executed", str(executed), "--result", str(result)]
    assert command(*words, cwd=project).returncode == 0
    told = json.loads(result.read_text())
    assert (told["status"], told["exit_code"], told["parameters"]) == ("succeeded", 0, {"factor": 3})
    assert [one["path"] for one in told["outputs"]] == ["data/number.json"]
    assert told["notebook"] == str(executed)
    assert "number.json" in executed.read_text()
    executed.unlink()
    assert command(*words, cwd=project).returncode == 0
    assert json.loads(result.read_text())["status"] == "fresh"
    assert executed.exists()


def test_a_failed_task_leaves_them_too(root: Path, tmp_path: Path) -> None:
    zoo.failing_check(root)
    executed, result = tmp_path / "make.ipynb", tmp_path / "make.json"
    done = command(
        "run-stage", "make", "--no-retries", "--executed", str(executed), "--result", str(result), cwd=root
    )
    assert done.returncode == 4
    told = json.loads(result.read_text())
    assert (told["status"], told["exit_code"], told["attempts"]) == ("check_failed", 4, 1)
    assert [(one["check"], one["passed"]) for one in told["checks"]] == [
        ("not_null", True),
        ("between", False),
    ]
    assert executed.exists()


@pytest.mark.parametrize(
    ("words", "text"),
    [
        (["--executed", "notebooks/load.ipynb"], "--executed notebooks/load.ipynb is the notebook of 'load'"),
        (["--executed", "notebooks/../notebooks/join.ipynb"], "is the notebook of 'join'"),
        (["--executed", "linked/load.ipynb"], "is the notebook of 'load'"),
        (["--result", "data/number.json"], "is an output of 'load'"),
        (["--result", "raw.txt"], "--result raw.txt is an input of 'load'"),
        (["--mark", "pipeline.yaml"], "is the pipeline's own file"),
        (["--executed", "x", "--result", "./x"], "--result x is what --executed names, too"),
        (["--result", "raw.txt/x.json"], "is an input of 'load'"),
        (["--result", "file/x.json"], "file/x.json cannot be written"),
    ],
)
def test_a_tasks_files_are_refused_before_it_runs(project: Path, words: list[str], text: str) -> None:
    write_files(project, {"file": ""})
    (project / "linked").symlink_to("notebooks")
    before = {path: path.read_bytes() for path in project.rglob("*") if path.is_file()}
    done = command("run-stage", "load", *words, cwd=project)
    assert done.returncode == 2
    assert text in done.stderr
    assert "mend: " in done.stderr
    assert {path: path.read_bytes() for path in before} == before
    assert not (project / "data/number.json").exists(), "nothing has run"


def test_a_tasks_file_that_cannot_be_written_costs_no_other(root: Path) -> None:
    """The place is good when it begins, and a folder when it ends."""
    write_notebook(root / "notebooks/a.ipynb", header("stage: a"), code("import os\nos.mkdir('../x.ipynb')"))
    words = ["--executed", "x.ipynb", "--result", "r.json", "--mark", "m"]
    done = command("run-stage", "a", *words, cwd=root)
    assert done.returncode == 2
    assert "x.ipynb cannot be written" in done.stderr
    told = json.loads((root / "r.json").read_text())
    assert told["status"] == "succeeded"
    assert "/.nbpipeline/runs/" in told["notebook"], "the one that there is"
    assert (root / "m").exists()
    assert not [one.name for one in root.iterdir() if one.name.endswith(".new")]


def test_no_retries(root: Path) -> None:
    zoo.retried(root)
    assert command("run-stage", "shaky", "--no-retries", cwd=root).returncode == 1
    assert command("run-stage", "shaky", "--no-retries", cwd=root).returncode == 0


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        (["--params", "{"], "--params is no JSON"),
        (["--params", "[1]"], "--params is no JSON object"),
        (["--params", "{}", "-p", "factor=1"], "-p and --params are given"),
        (["--params", '{"factor": 1}', "-p", "factor=1"], "-p and --params are given"),
        (["--params", '{"facto": 1}'], "no stage has a parameter 'facto'"),
        (["--params", '{"factor": "x"}'], "'x' is no int"),
    ],
)
def test_parameters_as_json(project: Path, arguments: list[str], text: str) -> None:
    done = command("run-stage", "load", *arguments, cwd=project)
    assert done.returncode == 2
    assert text in done.stderr


def test_json_keeps_texts_that_look_like_numbers(root: Path) -> None:
    write_notebook(
        root / "notebooks/a.ipynb",
        header("outputs: {o: ../o.json}"),
        code("year = '2013'\nnumber = 1", "parameters"),
        code("import json\nopen(o, 'w').write(json.dumps([year, number]))"),
    )
    assert command("run-stage", "a", "--params", '{"year": "2014", "number": 2.5}', cwd=root).returncode == 0
    assert json.loads((root / "o.json").read_text()) == ["2014", 2.5]
