"""The real command for what stands beside runs: trials, records by hand, acceptance, restoring, cleaning, debugging."""

import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from builders import code, command, header, write_files, write_notebook

from nbpipeline import Project
from nbpipeline.kernels import registry
from nbpipeline.stage import journal

pytestmark = pytest.mark.children


def build(root: Path) -> None:
    write_files(
        root,
        {"pipeline.yaml": "name: upkeep\n", "data/raw.txt": "1\n2\n3\n", "tests/small.txt": "9\n"},
    )
    write_notebook(
        root / "notebooks" / "total.ipynb",
        header(
            """
            params: {factor: {default: 1, type: int}}
            expect: {table: [{columns: [total]}]}
            test: {inputs: {raw: ../tests/small.txt}, params: {factor: 10}}
            """
        ),
        code("factor: int = 1", "parameters"),
        code('raw = "../data/raw.txt"', "inputs"),
        code('table = "../out/table.csv"\nparts = "../out/parts/"', "outputs"),
        code("total = factor * sum(int(line) for line in open(raw))"),
        code("open(table, 'w').write(f'total\\n{total}\\n')\nopen(parts + 'a.txt', 'w').write('a')"),
        code("assert total == 90, total", "test"),
    )
    write_notebook(
        root / "notebooks" / "reader.ipynb",
        code('table = "../out/table.csv"', "inputs"),
        code('copy = "../out/copy.csv"', "outputs"),
        code("open(copy, 'w').write(open(table).read())"),
    )


@pytest.fixture
def project(root: Path) -> Path:
    build(root)
    return root


@pytest.fixture(scope="module")
def ran(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("ran") / "project"
    root.mkdir()
    build(root)
    done = command("run", cwd=root)
    assert done.returncode == 0, done.stdout + done.stderr
    return root


def plan(root: Path) -> dict[str, str]:
    done = command("plan", "--format", "json", cwd=root)
    return {one["stage"]: one["action"] for one in json.loads(done.stdout)["stages"]}


def edit(root: Path, stage: str, old: str, new: str) -> None:
    path = root / "notebooks" / f"{stage}.ipynb"
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new))


# --- test ---


def test_a_stage_alone_on_its_test_inputs(project: Path) -> None:
    done = command("test", cwd=project)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "1 of 1 stage passed in" in done.stdout
    assert not (project / "out").exists(), "real outputs are not touched"
    outputs = next((project / ".nbpipeline/tests").glob("total/outputs"))
    assert (outputs / "out/table.csv").read_text() == "total\n90\n"
    assert set(plan(project).values()) == {"run"}, "nothing is recorded"


def test_the_command_line_goes_before_the_tests_parameters(project: Path) -> None:
    done = command("test", "total", "-p", "total.factor=1", cwd=project)
    assert done.returncode == 1
    assert "total failed\nnotebooks/total.ipynb, cell 7, line 1: " in done.stdout
    assert "AssertionError: 9" in done.stdout
    assert "0 of 1 stage passed in" in done.stdout


def test_a_test_of_a_stage_that_reads_another_leaves_its_outputs(green: Path) -> None:
    before = (green / "out/copy.csv").stat().st_mtime_ns
    assert command("test", "reader", cwd=green).returncode == 0
    assert (green / "out/copy.csv").stat().st_mtime_ns == before
    assert set(plan(green).values()) == {"skip"}


def test_nothing_to_test(root: Path) -> None:
    write_notebook(root / "notebooks" / "a.ipynb", code("x = 1", "parameters"))
    done = command("test", cwd=root)
    assert (done.returncode, done.stdout) == (
        0,
        "nothing to test: no stage has a `test:` key or a cell tagged `test`\n",
    )


# --- record, accept, restore ---


def test_outputs_made_by_hand_are_recorded(green: Path) -> None:
    edit(green, "total", "total = factor", "total = 2 * factor")
    (green / "out/table.csv").write_text("total\n12\n")
    assert plan(green)["total"] == "run"
    done = command("record", "total", cwd=green)
    assert (done.returncode, done.stdout) == (0, "recorded: total, made by hand\n")
    assert plan(green) == {"total": "skip", "reader": "run"}
    assert "recorded by hand" in command("show", "total", cwd=green).stdout


def test_outputs_that_fail_their_check_are_not_recorded(green: Path) -> None:
    (green / "out/table.csv").write_text("sum\n12\n")
    done = command("record", "total", cwd=green)
    assert done.returncode == 4
    assert "total" in done.stderr
    assert plan(green)["total"] in {"run", "restore"}


def test_what_checks_warn_of_is_told_and_what_they_show_of_secrets_is_masked(green: Path) -> None:
    secret = {"WAREHOUSE_TOKEN": "abcd-secret-1234"}
    write_files(
        green,
        {
            "pipeline.yaml": "name: upkeep\ndefaults: {secrets: [WAREHOUSE_TOKEN]}\n",
            "expectations/total.table.yml": "expect: [{in_set: {column: total, values: [6]}, severity: SEVERITY}]",
        },
    )
    suite = green / "expectations/total.table.yml"
    text = suite.read_text()
    (green / "out/table.csv").write_text("total\nabcd-secret-1234\n")
    for severity, number, begin in (
        ("fail", 4, "expectations/total.table.yml"),
        ("warn", 0, "note: total: "),
    ):
        suite.write_text(text.replace("SEVERITY", severity))
        done = command("record", "total", cwd=green, environment=secret)
        assert done.returncode == number, done.stderr
        assert done.stderr.startswith(begin)
        assert "in_set: 'total' is none of 6 in 1 of 1 row: row 1 (" in done.stderr
        assert "secret" not in done.stderr + done.stdout
    assert done.stdout == "recorded: total, made by hand\n"
    heard: list[str] = []
    os.environ.update(secret)
    try:
        assert Project(green).record("total", on_notice=heard.append) == ("total",)
    finally:
        del os.environ["WAREHOUSE_TOKEN"]
    assert len(heard) == 1
    (green / "out/table.csv").write_text("total\n6\n")
    assert command("record", "total", cwd=green, environment=secret).stderr == "", "a negative control"


def test_a_missing_output_is_not_recorded(green: Path) -> None:
    (green / "out/table.csv").unlink()
    done = command("record", "total", cwd=green)
    assert done.returncode == 2
    assert "out/table.csv" in done.stderr


def test_what_a_dead_run_left_is_settled_before_anything_is_recorded(green: Path) -> None:
    edit(green, "reader", ".read()", ".read().upper()")
    (reader,) = [one for one in Project(green).pipeline if one.id == "reader"]
    run = "20261123-060000-abcd"
    rejected = green / f".nbpipeline/runs/{run}/reader/rejected-1"
    journal.begin(reader, green, run=run, state="s", token="none-has-this", rejected=rejected)
    (green / "out/copy.csv").write_text("made by hand")
    done = command("record", "reader", cwd=green)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == (
        "'reader' is not recorded: a run of it had died, and what it left is settled only now.\n"
        f"  reader: run {run} died; its previous outputs are back: out/copy.csv; "
        f"reader: what stood there meanwhile is in .nbpipeline/runs/{run}/reader/rejected-1: out/copy.csv\n"
        "  mend: see that its outputs are as you made them; then nbpipeline record reader\n"
    )
    assert (green / "out/copy.csv").read_text() == "total\n6\n"
    assert (rejected / "out/copy.csv").read_text() == "made by hand"
    assert plan(green)["reader"] == "run"
    (rejected / "out/copy.csv").replace(green / "out/copy.csv")
    assert command("record", "reader", cwd=green).stdout == "recorded: reader, made by hand\n"
    assert (green / "out/copy.csv").read_text() == "made by hand"
    assert plan(green)["reader"] == "skip"


def test_a_harmless_change_is_accepted_on_record(green: Path) -> None:
    edit(green, "total", "total = factor", "total = 1 * factor")
    assert plan(green)["total"] == "run"
    done = command("accept", "total", "--because", "only a rewrite", cwd=green)
    assert (done.returncode, done.stdout) == (
        0,
        "accepted: total is fresh as it stands; see nbpipeline.accept.yaml\n",
    )
    assert set(plan(green).values()) == {"skip"}
    assert "only a rewrite" in (green / "nbpipeline.accept.yaml").read_text()
    again = command("accept", "total", "--because", "once more", cwd=green)
    assert again.returncode == 2
    assert again.stderr == (
        "nothing that could be accepted has changed in 'total'.\n"
        "  mend: see what makes it stale: nbpipeline plan total\n"
    )


def test_what_accepting_leaves_stale_is_told(green: Path) -> None:
    edit(green, "total", "total = factor", "total = 1 * factor")
    edit(green, "total", "../out/table.csv", "../out/moved.csv")
    done = command("accept", "total", "--because", "only a rewrite", cwd=green)
    left = "code: output table ../out/table.csv -> ../out/moved.csv"
    assert done.stdout == f"accepted: total is still stale: {left}; see nbpipeline.accept.yaml\n"
    assert done.returncode == 0


@pytest.mark.parametrize("what", ["total", "out/moved.csv"])
def test_nothing_is_restored_to_where_it_is_no_longer_declared(green: Path, what: str) -> None:
    edit(green, "total", "../out/table.csv", "../out/moved.csv")
    shutil.rmtree(green / "out/parts")
    (green / "out/table.csv").unlink()
    done = command("restore", what, cwd=green)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == (
        "notebooks/total.ipynb, cell 1: 'total' no longer declares what is on record of it: out/table.csv\n"
        "  declared outputs: out/moved.csv, out/parts\n"
        "  mend: run the stage: `nbpipeline run total`, or declare these paths again and restore them\n"
    )
    assert not (green / "out/moved.csv").exists()
    assert not (green / "out/parts").exists()
    done = command("restore", "out/parts", cwd=green)
    assert (done.returncode, done.stdout) == (0, "restored out/parts\n")


def test_outputs_are_restored(green: Path) -> None:
    original = (green / "out/table.csv").read_text()
    (green / "out/table.csv").write_text("altered")
    done = command("restore", "out/table.csv", cwd=green)
    assert (done.returncode, done.stdout) == (0, "restored out/table.csv\n")
    assert "held bytes that no run had recorded" in done.stderr
    assert (green / "out/table.csv").read_text() == original
    assert any(path.read_text() == "altered" for path in (green / ".nbpipeline/kept").rglob("table.csv"))
    assert set(plan(green).values()) == {"skip"}
    (green / "out/table.csv").unlink()
    (green / "out/parts/a.txt").unlink()
    done = command("restore", "total", cwd=green)
    assert (done.returncode, done.stdout) == (0, "restored out/table.csv\nrestored out/parts\n")
    assert (green / "out/parts/a.txt").read_text() == "a"
    assert set(plan(green).values()) == {"skip"}


def test_outputs_are_adopted_after_the_history_was_deleted(green: Path) -> None:
    shutil.rmtree(green / ".nbpipeline")
    assert plan(green) == {"total": "run", "reader": "run"}
    for stage in ("total", "reader"):
        assert command("record", stage, cwd=green).stdout == f"recorded: {stage}, made by hand\n"
    assert plan(green) == {"total": "skip", "reader": "skip"}
    (green / "out/copy.csv").unlink()
    assert command("restore", "reader", cwd=green).stdout == "restored out/copy.csv\n"


def test_a_file_in_the_place_of_an_output_s_folder_is_to_be_moved_away(green: Path) -> None:
    shutil.rmtree(green / "out")
    (green / "out").write_text("mine")
    done = command("restore", "total", cwd=green)
    assert done.returncode == 2
    assert done.stderr.endswith(
        f"  mend: move {green}/out away: a folder is needed there; or name another path\n"
    )
    assert (green / "out").read_text() == "mine"
    (green / "out").unlink()
    assert command("restore", "total", cwd=green).returncode == 0


def test_an_output_that_needed_nothing_is_not_called_restored(green: Path) -> None:
    (green / "out/parts/a.txt").unlink()
    done = command("restore", "total", cwd=green)
    assert (done.returncode, done.stdout) == (0, "restored out/parts\nunchanged out/table.csv: as recorded\n")
    done = command("restore", "out/table.csv", cwd=green)
    assert (done.returncode, done.stdout, done.stderr) == (0, "unchanged out/table.csv: as recorded\n", "")


def test_restoring_what_there_is_not(green: Path) -> None:
    done = command("restore", "out/tabel.csv", cwd=green)
    assert done.returncode == 2
    assert "mend: " in done.stderr


# --- clean, doctor ---


def test_clean_removes_what_can_come_back(green: Path) -> None:
    (green / "out/copy.csv").write_text("altered")
    looked = command("clean", "--dry-run", cwd=green)
    assert looked.returncode == 0
    assert looked.stdout.splitlines() == ["out/table.csv", "out/parts"] or looked.stdout.splitlines() == [
        "out/table.csv",
        "out/parts/",
    ]
    assert "kept out/copy.csv: altered since its run (--force)" in looked.stderr
    asked = command("clean", cwd=green)
    assert asked.returncode == 2
    assert "`clean` asks before it removes, and nobody is there to answer." in asked.stderr
    done = command("clean", "--yes", cwd=green)
    assert done.returncode == 0
    assert done.stdout.splitlines()[-1] == "removed 2 outputs"
    assert not (green / "out/table.csv").exists()
    assert (green / "out/copy.csv").read_text() == "altered"
    assert plan(green)["total"] == "restore"
    forced = command("clean", "--yes", "--force", "reader", cwd=green)
    assert forced.returncode == 0
    (digest,) = re.findall(
        r"^out/copy\.csv \(altered; kept in the store as (\w+)\)$", forced.stdout, re.MULTILINE
    )
    assert [one.read_text() for one in (green / ".nbpipeline/store/objects").glob(f"*/{digest}*")] == [
        "altered"
    ]
    assert not (green / "out/copy.csv").exists()


def test_clean_of_runs_and_store_keeps_what_a_restore_needs(green: Path) -> None:
    edit(green, "total", "total = factor", "total = 3 * factor")
    command("run", cwd=green)
    command("run", cwd=green)
    done = command("clean", "--runs", "--store", "--yes", cwd=green)
    assert done.returncode == 0, done.stderr
    assert re.fullmatch(r"removed \d+ runs?, .+ B of the store", done.stdout.splitlines()[-1])
    left = list((green / ".nbpipeline/runs").iterdir())
    assert 1 <= len(left) <= 2
    (green / "out/table.csv").unlink()
    assert plan(green)["total"] == "restore"
    assert command("run", cwd=green).returncode == 0


def test_doctor_mends_what_it_can(green: Path) -> None:
    (green / ".nbpipeline/.gitignore").unlink()
    looked = command("doctor", "--no-fix", cwd=green)
    assert looked.returncode == 1
    assert "BAD   .nbpipeline: git does not ignore it" in looked.stdout
    mended = command("doctor", cwd=green)
    assert mended.returncode == 0
    assert "done  .nbpipeline: its .gitignore was gone and is back" in mended.stdout
    found = json.loads(command("doctor", "--format", "json", cwd=green).stdout)
    assert {one["state"] for one in found["findings"]} <= {"good", "warning"}


def test_doctor_removes_the_sockets_of_killed_runs(green: Path, tmp_path: Path) -> None:
    with subprocess.Popen([sys.executable, "-c", ""]) as ended:
        pass
    left, living = (tmp_path / f"runtime/nbpipeline-{pid}-made" for pid in (ended.pid, os.getpid()))
    left.mkdir(parents=True)
    living.mkdir()
    runtime = {"XDG_RUNTIME_DIR": str(left.parent)}
    looked = command("doctor", "--no-fix", cwd=green, environment=runtime)
    assert "note  sockets: 1 folder of killed runs left\n" in looked.stdout
    assert left.exists()
    mended = command("doctor", cwd=green, environment=runtime)
    assert "done  sockets: 1 folder of killed runs removed\n" in mended.stdout
    assert [one.name for one in left.parent.iterdir()] == [living.name]


def test_doctor_of_a_state_file_cut_in_half(green: Path) -> None:
    state = green / ".nbpipeline/state.db"
    state.write_bytes(state.read_bytes()[: state.stat().st_size // 2])
    done = command("doctor", cwd=green)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "history" in done.stdout
    assert command("run", cwd=green).returncode == 0


def test_doctor_calls_no_broken_place_sound(project: Path) -> None:
    state = project / ".nbpipeline"
    state.symlink_to("nowhere")
    looked = command("doctor", cwd=project)
    assert looked.returncode == 1
    assert (
        "BAD   .nbpipeline: a link that leads nowhere: nowhere\n"
        "      mend: make the folder that it leads to, or remove the link\n"
    ) in looked.stdout
    state.unlink()
    state.mkdir()
    (state / "state.db").symlink_to("state.db")
    (state / "runs").write_text("in the way")
    for arguments in (["doctor"], ["doctor", "--no-fix"]):
        looked = command(*arguments, cwd=project)
        assert looked.returncode == 1
        assert "BAD   history: " in looked.stdout
        assert (
            "BAD   runs: .nbpipeline/runs is no folder\n"
            "      mend: move it away; the next run makes the folder\n"
        ) in looked.stdout


# --- one instance, debugging ---


def test_run_stage_runs_one_instance(root: Path) -> None:
    write_notebook(
        root / "notebooks" / "train.ipynb",
        header("matrix: {region: [eu, us]}"),
        code("region: str = 'eu'", "parameters"),
        code('model = f"../models/{region}.txt"', "outputs"),
        code("open(model, 'w').write(region)"),
    )
    done = command("run-stage", "train@region=us", cwd=root)
    assert done.returncode == 0, done.stderr
    assert [path.name for path in (root / "models").iterdir()] == ["us.txt"]
    both = command("run-stage", "train", cwd=root)
    assert both.returncode == 2
    assert both.stderr == (
        "'train' is not one instance.\n"
        "  instances: train[region=eu], train[region=us]\n"
        "  mend: name one of these\n"
    )


def console(root: Path, text: str, *arguments: str) -> str:
    done = subprocess.run(
        [sys.executable, "-m", "nbpipeline", "debug", *arguments],
        cwd=root,
        input=text,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
        env={**os.environ, "TERM": "dumb"},
    )
    return done.stdout + done.stderr


def test_debug_on_a_new_kernel_has_the_stages_names(project: Path) -> None:
    pytest.importorskip("jupyter_console")
    text = console(project, "print('it is', table, factor, __import__('os').getcwd())\n", "total")
    assert "total: a new kernel; defined: factor, raw, table, parts" in text
    assert f"it is ../out/table.csv 1 {project / 'notebooks'}" in text


@pytest.fixture
def kept_ends(project: Path) -> Iterator[None]:
    """End the kernels that a test has kept; nothing of them stays in the folder for temporary files."""
    yield
    kept = registry.kept_kernels(project)
    for one in kept:
        registry.end(project, one)
    assert not [one.connection for one in kept if Path(one.connection).parent.exists()]


@pytest.mark.usefixtures("kept_ends")
def test_debug_on_the_kernel_that_a_failure_left(project: Path) -> None:
    pytest.importorskip("jupyter_console")
    edit(project, "total", "open(table", "raise ValueError(total)\\nopen(table")
    done = command("run", "total", "--on-failure", "keep", cwd=project)
    assert done.returncode == 1, done.stdout + done.stderr
    text = console(project, "print('kept total', total)\n", "total")
    assert "left at" in text
    assert "kept total 6" in text
    assert len(registry.kept_kernels(project)) == 1


def test_debug_without_the_extra_says_what_to_install(
    project: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    from nbpipeline.__main__ import main
    from nbpipeline.upkeep import debugging

    monkeypatch.setattr(debugging, "find_spec", lambda _name: None)
    assert main(["debug", "total", "--project", str(project)]) == 5
    assert capsys.readouterr().err == (
        "`debug` needs jupyter console, which is not installed.\n"
        "  mend: pip install 'jupyter-console>=6.6', "
        "or in a clone of nbpipeline: pip install -e '.[console]'\n"
    )


def test_an_output_as_it_was_two_runs_ago_comes_back_and_the_next_run_has_the_present_again(tmp_path):
    write_notebook(
        tmp_path / "notebooks/train.ipynb",
        code("C = 1", "parameters"),
        code("model = '../models/model.txt'", "outputs"),
        code("open(model, 'w').write('model of %s' % C)"),
    )
    (tmp_path / "pipeline.yaml").write_text("name: earlier\n")
    model = tmp_path / "models/model.txt"
    held, runs = [], []
    for value in (1, 2, 3):
        done = command("run", "-p", f"C={value}", cwd=tmp_path)
        assert done.returncode == 0, done.stderr
        held.append(model.read_bytes())
        runs.append(
            json.loads(command("runs", "-n", "1", "--format", "json", cwd=tmp_path).stdout)["runs"][0]["run"]
        )
    done = command("restore", "models/model.txt", "--from", runs[0], cwd=tmp_path)
    assert (done.returncode, model.read_bytes()) == (0, held[0]), done.stderr
    found = json.loads(command("lineage", "models/model.txt", "--format", "json", cwd=tmp_path).stdout)
    assert (found["standing"], found["made_by"][0]["parameters"]) == ("earlier", {"C": "1"})
    assert command("run", "-p", "C=3", cwd=tmp_path).returncode == 0
    assert model.read_bytes() == held[2]
    done = command("restore", "train", "--from", runs[1], cwd=tmp_path)
    assert (done.returncode, model.read_bytes()) == (0, held[1]), done.stderr
    unknown = command("restore", "train", "--from", "20200101-000000-0000", cwd=tmp_path)
    assert (unknown.returncode, "no run is called" in unknown.stderr) == (2, True)


def test_a_test_s_notebook_logs_nothing_into_the_project(root):
    (root / "pipeline.yaml").write_text("name: p\ntracking: {tensorboard: {}, mlflow: {}}\n")
    write_notebook(
        root / "notebooks/one.ipynb",
        code("n = 1", "parameters"),
        code("import os"),
        code(
            "place = os.environ['TENSORBOARD_LOGDIR']\nprint('at', place, os.environ['MLFLOW_TRACKING_URI'])"
        ),
        code("assert os.path.isabs(place)", "test"),
    )
    done = command("test", "one", cwd=root)
    assert done.returncode == 0, done.stderr
    (log,) = root.glob(".nbpipeline/tests/one/log")
    own = log.parent / "untracked"
    assert f"at {own}/tensorboard {(own / 'mlflow').as_uri()}" in log.read_text()
