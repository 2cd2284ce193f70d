"""Trackers and validators of other packages that are broken: told as theirs, with exit code 5."""

import subprocess
import sys
from pathlib import Path

import pytest
from builders import code, command, header, offer, write_files, write_notebook

from nbpipeline import plugins
from nbpipeline.errors import MissingPluginError
from nbpipeline.location import Location
from nbpipeline.model import Check
from nbpipeline.validators import choice
from nbpipeline.validators.link import CheckingProcess

HOW = "mend: pip install --upgrade theirs, or tell its authors"
TRACKER = """
JOINED_BY = frozenset()
def open_tracker(settings, root, project, spool): raise OSError("no such host")
def require(): pass
def complaints(settings): return ()
def files(settings, root): return ()
"""
VALIDATOR = """
from nbpipeline.model import Verdict
def knows(check): return check.name == "their_check"
def complaints(check): return ()
def validate(paths, checks): return [Verdict(check=one, passed=True) for one in checks]
"""


@pytest.fixture
def installed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder of packages that this process and those that it starts look into."""
    folder = tmp_path / "packages"
    folder.mkdir()
    monkeypatch.syspath_prepend(str(folder))
    monkeypatch.setenv("PYTHONPATH", str(folder))
    monkeypatch.delitem(sys.modules, "theirs_module", raising=False)
    yield folder
    sys.modules.pop("theirs_module", None)


def stage(root: Path, expect: str = "") -> None:
    write_notebook(
        root / "notebooks/a.ipynb",
        header(f"outputs: {{o: ../o.txt}}\n{expect}"),
        code("open(o, 'w').write('x')"),
    )


@pytest.mark.parametrize(
    ("before", "after", "said", "planned"),
    [
        ("JOINED_BY", "JOINED", "is none: it has no JOINED_BY", 0),
        ("frozenset()", "['yaml']", "is none: its JOINED_BY is not a set", 0),
        ("complaints(settings): return ()", "complaints(settings): 1 / 0", "failed: ZeroDivisionError", 5),
        ("complaints(settings): return ()", "complaints(settings): return [1]", "failed: TypeError", 5),
        ("require(): pass", "require(): raise OSError('no licence')", "failed: OSError: no licence", 0),
        ("files(settings, root): return ()", "files(settings): return ()", "failed: TypeError", 0),
        ("files(settings, root): return ()", "files(settings, root): pass", "failed: TypeError", 0),
    ],
)
def test_a_tracker_that_is_broken(
    installed: Path, root: Path, before: str, after: str, said: str, planned: int
) -> None:
    assert before in TRACKER
    offer(installed, "theirs", TRACKER.replace(before, after), "trackers")
    write_files(root, {"pipeline.yaml": "tracking: {theirs: {}}\n"})
    stage(root)
    plan = command("plan", cwd=root)
    assert plan.returncode == planned, plan.stderr
    done = command("run", cwd=root)
    assert done.returncode == 5, done.stderr
    assert f"tracker 'theirs' of theirs 1 {said}" in done.stderr
    assert HOW in done.stderr
    assert not (root / "o.txt").exists()


def test_a_tracker_of_a_built_in_name(installed: Path, root: Path) -> None:
    offer(installed, "prometheus", TRACKER, "trackers")
    write_files(root, {"pipeline.yaml": "tracking: {prometheus: {file: m.prom}}\n"})
    stage(root)
    done = command("run", cwd=root)
    assert (done.returncode, "theirs 1 offers another of that name" in done.stderr) == (5, True), done.stderr
    assert command("run", "--no-track", cwd=root).returncode == 0


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ('check.name == "their_check"', "check.nothing"),
        ("complaints(check): return ()", "complaints(check): return check.nothing"),
        ("complaints(check): return ()", "complaints(check): pass"),
    ],
)
def test_a_validator_that_is_broken(installed: Path, root: Path, before: str, after: str) -> None:
    assert before in VALIDATOR
    offer(installed, "theirs", VALIDATOR.replace(before, after), "validators")
    stage(root, "expect: {o: [their_check]}")
    for words in (("plan",), ("run",)):
        done = command(*words, cwd=root)
        assert done.returncode == 5, done.stderr
        assert "validator 'theirs' of theirs 1 failed: " in done.stderr
        assert HOW in done.stderr
    assert not (root / "o.txt").exists()


CHECK = Check(name="their_check", arguments={}, where=Location(path="a"))


@pytest.mark.parametrize(("given", "count"), [("[]", 0), ("[Verdict(check=checks[0], passed=True)] * 3", 3)])
def test_a_validator_that_gives_too_few_or_too_many_verdicts(
    installed: Path, tmp_path: Path, given: str, count: int
) -> None:
    every = "[Verdict(check=one, passed=True) for one in checks]"
    assert every in VALIDATOR
    offer(installed, "theirs", VALIDATOR.replace(every, given), "validators")
    (tmp_path / "o.txt").write_text("x")
    with CheckingProcess() as process, pytest.raises(MissingPluginError) as caught:
        process.ask("theirs", (tmp_path / "o.txt",), (CHECK, CHECK), folder=tmp_path, roots=[])
    assert str(caught.value) == (
        f"validator 'theirs' of theirs 1 gives {count} verdicts on 2 checks.\n"
        f"  `validate` gives one a check\n  {HOW}"
    )


def test_a_validator_that_is_whole(installed: Path, root: Path) -> None:
    offer(installed, "theirs", VALIDATOR, "validators")
    assert choice.apart([CHECK]) == ("theirs",), "workers are asked for it, and its process is started early"
    plugins.require("validators", "theirs")
    stage(root, "expect: {o: [their_check]}")
    assert command("run", cwd=root).returncode == 0
    refused = VALIDATOR.replace("passed=True", "passed=False, message='no'")
    (installed / "theirs_module.py").write_text(f"{refused}\ndef require(): raise OSError('no licence')\n")
    done = command("run", "--force", cwd=root)
    assert (done.returncode, "failed: OSError: no licence" in done.stderr) == (5, True), done.stderr
    (installed / "theirs_module.py").write_text(refused)
    assert command("run", "--force", cwd=root).returncode == 4


def test_a_plan_looks_once_for_what_others_offer(installed: Path, root: Path) -> None:
    offer(installed, "theirs", VALIDATOR, "validators")
    for name in "abcdef":
        write_notebook(
            root / f"notebooks/{name}.ipynb",
            header(f"outputs: {{o: ../{name}.txt}}\nexpect: {{o: [their_check]}}"),
            code("open(o, 'w').write('x')"),
        )
    assert command("plan", cwd=root).returncode == 0  # folders change where bytecode and the history are new
    script = (
        "import importlib.metadata as m, sys\nfrom nbpipeline.__main__ import main\n"
        "found, looked = m.entry_points, []\n"
        "def entry_points(**given):\n    looked.append(given)\n    return found(**given)\n"
        "m.entry_points = entry_points\ncode = main(['plan'])\n"
        "print(len(looked), file=sys.stderr)\nsys.exit(code)"
    )
    done = subprocess.run(
        [sys.executable, "-c", script], cwd=root, capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stderr) == (0, "1\n")


def test_what_is_installed_meanwhile_is_seen(installed: Path) -> None:
    assert "later" not in plugins.names("trackers")
    offer(installed, "later", TRACKER, "trackers", "later")
    assert "later" in plugins.names("trackers")
    assert plugins.package_of("trackers", "later") == "later 1"
