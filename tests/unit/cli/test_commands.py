"""The table of commands, their help, and how a wrong command line is answered."""

import subprocess
import sys
from ast import literal_eval
from importlib import import_module
from pathlib import Path

import click
import pytest
from builders import code, command, write_notebook

from nbpipeline.__main__ import main
from nbpipeline.cli.frame import Command
from nbpipeline.cli.main import COMMANDS

CORE = [
    "init", "new", "check", "plan", "run", "graph", "runs", "show", "log", "diff", "report", "lineage", "expect",
    "debug", "test", "clean", "accept", "record", "restore", "push", "pull", "verify", "dvc", "doctor", "export", "run-stage",
    "completion",
]  # fmt: skip
LATER = ["import", "split", "adopt", "tune", "promote", "serve", "drift", "watch", "lab"]
HEAVY = (
    "papermill", "nbformat", "jupyter_client", "jupytext", "IPython", "pandas", "pyarrow", "rich", "nbclient",
    "psutil", "asyncio", "filelock", "zmq", "importlib.metadata", "multiprocessing", "zoneinfo", "distributed",
    "nbpipeline.exporters.rendering.workflow",
)  # fmt: skip


def loaded(*arguments: str, cwd: Path) -> tuple[list[str], str]:
    """Which heavy modules a command line leaves imported, and what it printed."""
    program = (
        "import sys\nbefore = set(sys.modules)\nfrom nbpipeline.__main__ import main\n"  # coverage loads some
        f"code = main({list(arguments)!r})\n"
        f"print([one for one in {HEAVY!r} if one in sys.modules and one not in before], code, file=sys.stderr)"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], cwd=cwd, capture_output=True, text=True, check=True
    )
    answer, _, exit_code = done.stderr.strip().splitlines()[-1].rpartition(" ")
    assert exit_code == "0", done.stderr
    return literal_eval(answer), done.stdout


def test_the_table_lists_this_release_and_nothing_of_later_ones() -> None:
    assert list(COMMANDS) == CORE
    assert not set(COMMANDS) & set(LATER)


@pytest.mark.parametrize("name", CORE)
def test_each_command_says_what_it_does_with_an_example(
    name: str, capsys: pytest.CaptureFixture[str]
) -> None:
    found = import_module(f"nbpipeline.cli.{COMMANDS[name].module}").command
    assert isinstance(found, Command | click.Group)
    assert found.name == name
    assert (found.help or "").strip()
    for flag in ("-h", "--help"):
        assert main([name, flag]) == 0
        text = capsys.readouterr().out
        assert f"Usage: nbpipeline {name}" in text
        assert "Example" in text
        assert f"nbpipeline {name}" in text.partition("Example")[2] or name == "completion"
    context = click.Context(found)
    is_group = isinstance(found, click.Group)
    inner = [found.get_command(context, one) for one in found.list_commands(context)] if is_group else [found]
    for each in inner:
        assert isinstance(each, Command)
        assert any(one.name in {"folder", "project"} for one in each.params), "--project is everywhere"


@pytest.mark.parametrize("name", CORE)
def test_the_short_help_begins_as_the_long_one_does(name: str) -> None:
    summary = COMMANDS[name].summary
    found = import_module(f"nbpipeline.cli.{COMMANDS[name].module}").command
    first = (found.help or "").split("\n\n")[0].replace("\n", " ")
    assert summary.split(":")[0].split(",")[0].split(";")[0].rstrip(".").split()[0] == first.split()[0]


def test_help_loads_nothing_heavy(tmp_path: Path) -> None:
    assert loaded("--help", cwd=tmp_path)[0] == []
    assert loaded("run", "--help", cwd=tmp_path)[0] == []


def test_help_of_all_imports_no_command(tmp_path: Path) -> None:
    program = (
        "import sys\nfrom nbpipeline.__main__ import main\nmain(['--help'])\n"
        "print([one for one in sys.modules if one.startswith('nbpipeline')], file=sys.stderr)"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert sorted(literal_eval(done.stderr)) == sorted(
        f"nbpipeline{one}"
        for one in ("", ".values", ".location", ".errors", ".cli", ".cli.main", ".__main__")
    )


def test_check_plan_and_an_idle_run_load_nothing_heavy(root: Path) -> None:
    write_notebook(
        root / "notebooks" / "one.ipynb",
        code('out = "../out.txt"', "outputs"),
        code("open(out, 'w').write('1')"),
    )
    assert command("run", cwd=root).returncode == 0
    for arguments in (["check"], ["plan"], ["plan", "--format", "json"], ["run"]):
        heavy, _ = loaded(*arguments, cwd=root)
        assert heavy == [], arguments


def test_a_misspelt_command_is_answered_with_the_nearest(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["rnu"]) == 2
    assert capsys.readouterr().err == (
        "nbpipeline: there is no command 'rnu'; did you mean 'run'?\n  mend: see nbpipeline --help\n"
    )


def test_a_strange_command_is_answered_with_all(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["zzzzzz"]) == 2
    assert capsys.readouterr().err == (
        f"nbpipeline: there is no command 'zzzzzz'; commands: {', '.join(CORE)}\n  mend: see nbpipeline --help\n"
    )


def test_a_wrong_option_is_a_usage_error(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["plan", "--forse"]) == 2
    error = capsys.readouterr().err
    assert error.startswith("nbpipeline plan: no such option")
    assert error.endswith("\n  mend: see nbpipeline plan --help\n")


def test_a_folder_that_is_not_there(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    missing = tmp_path / "nowhere"
    assert main(["plan", "--project", str(missing)]) == 2
    assert capsys.readouterr().err == f"there is no folder {missing}.\n  mend: give the project's folder\n"


@pytest.mark.parametrize("text", ["C", "=1", "train.=1"])
def test_a_parameter_without_name_or_value(text: str, capsys: pytest.CaptureFixture[str], root: Path) -> None:
    assert main(["plan", "--project", str(root), "-p", text]) == 2
    assert capsys.readouterr().err == (
        f"'{text.partition('=')[0]}' sets no parameter.\n  mend: write -p NAME=VALUE or -p STAGE.NAME=VALUE\n"
    )


def test_errors_stand_on_stdout_as_json_where_json_was_asked_for(
    capsys: pytest.CaptureFixture[str], root: Path
) -> None:
    import json

    (root / "pipeline.yaml").write_text("nam: x\n")
    assert main(["plan", "--project", str(root), "--format", "json"]) == 2
    told = capsys.readouterr()
    answer = json.loads(told.out)
    assert (answer["version"], answer["kind"]) == (1, "error")
    assert answer["errors"][0]["where"] == {"path": "pipeline.yaml", "cell": None, "line": 1}
    assert set(answer["errors"][0]) == {"where", "what", "known", "mend", "warning", "exit_code"}
    assert "did you mean 'name'?" in told.err


def test_a_bug_of_ours_exits_70_and_says_where_the_details_are(
    capsys: pytest.CaptureFixture[str], root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import nbpipeline.__main__ as entry

    def broken(_arguments: object) -> None:
        raise LookupError("a hole")

    monkeypatch.setattr(entry, "invoke", broken)
    (root / ".nbpipeline").mkdir()
    monkeypatch.chdir(root)
    assert main(["plan"]) == 70
    lines = capsys.readouterr().err.splitlines()
    assert lines[0] == "nbpipeline: a bug of nbpipeline's own: LookupError: a hole"
    assert lines[2] == "  mend: run `nbpipeline doctor`; if it stays, report it with the details"
    details = Path(lines[1].removeprefix("  details: "))
    assert details.parent == root / ".nbpipeline"
    assert "LookupError: a hole" in details.read_text()


def test_ctrl_c_outside_a_run_exits_130(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    import nbpipeline.__main__ as entry

    def interrupted(_arguments: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(entry, "invoke", interrupted)
    assert main(["plan"]) == 130
    assert capsys.readouterr().err == "interrupted\n"


def test_a_reader_that_goes_away_is_no_error(root: Path) -> None:
    for number in range(40):
        write_notebook(root / "notebooks" / f"stage_{number}.ipynb", code("x = 1", "parameters"))
    process = subprocess.Popen(
        [sys.executable, "-m", "nbpipeline", "plan"],
        cwd=root,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    process.stdout.close()
    _, error = process.communicate()
    assert (process.returncode, error) == (0, "")


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_completion_scripts(shell: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["completion", shell]) == 0
    script = capsys.readouterr().out
    assert f"_NBPIPELINE_COMPLETE={shell}_complete" in script


def completions(root: Path, words: str) -> list[str]:
    environment = {
        "_NBPIPELINE_COMPLETE": "bash_complete",
        "COMP_WORDS": words,
        "COMP_CWORD": str(words.count(" ")),
    }
    done = command(cwd=root, environment=environment)
    return [line.partition(",")[2] for line in done.stdout.splitlines()]


def test_completing_commands_and_names_of_stages(root: Path) -> None:
    for name in ("train", "transform", "report"):
        write_notebook(root / "notebooks" / f"{name}.ipynb", code("x = 1", "parameters"))
    (root / "notebooks" / "broken.ipynb").write_text("{")
    assert completions(root, "nbpipeline ru") == ["run", "runs", "run-stage"]
    assert completions(root, "nbpipeline run tr") == ["train", "transform"]
    assert completions(root, "nbpipeline plan +re") == ["+report"]
    assert completions(root, "nbpipeline show br") == ["broken"], "no notebook is read for it"


def test_a_dry_run_says_what_plan_says(root: Path) -> None:
    write_notebook(root / "notebooks" / "a.ipynb", code('one = "../one.txt"', "outputs"), code("print(one)"))
    write_notebook(
        root / "notebooks" / "b.ipynb",
        code('one = "../one.txt"', "inputs"),
        code('two = "../two.txt"', "outputs"),
        code("print(one, two)"),
    )
    planned = command("plan", "b", cwd=root)
    dry = command("run", "b", "--dry-run", cwd=root)
    assert (dry.stdout, dry.stderr) == (planned.stdout, planned.stderr)
    assert "note: a: stale, and not part of this" in dry.stderr
