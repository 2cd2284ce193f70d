"""The same notebooks in plain and in forked kernels show and write the same."""

import json
import os
import resource
import signal
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil
import pytest
from awkward import CASES, VARIED, Case
from builders import code, header, write_files, write_notebook
from comparing import Seen, differences, files_in, seen_in, settled

KINDS = ("plain", "fork")

SECRET = "conformance-secret-value"
UNSET = ("MPLBACKEND", "PYTHONHASHSEED", "PYTHONWARNINGS", "IPYTHONDIR", "TZ", "PYTEST_CURRENT_TEST")
ALIKE_AMONG_FORKS = {"hash", "object"}
"""What children of one server share, as the docs say: the hash seed."""

pytestmark = [
    pytest.mark.heavy,
    pytest.mark.timeout(900),
    pytest.mark.skipif(not Path("/proc/self/environ").exists(), reason="the notebooks look into /proc"),
]


@dataclass(frozen=True, slots=True, kw_only=True)
class Ran:
    """What a run left."""

    root: Path
    seen: Mapping[str, Seen]
    files: Mapping[str, str]


def build(root: Path, kind: str, cases: Sequence[Case]) -> None:
    for case in cases:
        head = header(f"stage: {case.name}\n{case.header}")
        write_notebook(root / "notebooks" / f"{case.name}.ipynb", head, *map(code, case.cells))
    write_files(
        root,
        {
            "pipeline.yaml": f"name: conformance\nkernels: {kind}\n",
            "src/extra.py": "WHAT = 'from src'\n",
            "notebooks/beside.py": """
                import warnings

                def triple(n):
                    return 3 * n

                def warns():
                    warnings.warn("beside", DeprecationWarning)
                    warnings.warn("beside", RuntimeWarning)

                def fails():
                    raise KeyError("deep")
                """,
        },
    )
    for folder in ("made", "free"):
        (root / folder).mkdir()


def run(root: Path, kind: str, cases: Sequence[Case], **how: Any) -> Ran:
    build(root, kind, cases)
    environment = {key: value for key, value in os.environ.items() if key not in UNSET}
    done = subprocess.run(
        [sys.executable, "-m", "nbpipeline", "run", "--keep-going", "--format", "json", "--project", root],
        env={**environment, "CONFORMANCE_SECRET": SECRET, **how.pop("environment", {})},
        cwd=root.parent,
        capture_output=True,
        text=True,
        check=False,
        **how,
    )
    seen = seen_in(root)
    assert seen.keys() == {case.name for case in cases}, done.stdout[-2000:] + done.stderr
    return Ran(root=root, seen=seen, files=files_in(root / "made"))


@pytest.fixture(scope="module")
def ran(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Ran]:
    """All cases under each kind of kernel."""
    folder = tmp_path_factory.mktemp("conformance")
    found = {}
    for kind in KINDS:
        (folder / kind).mkdir()
        found[kind] = run(folder / kind / "project", kind, CASES)
    return found


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_a_notebook_shows_the_same(ran: dict[str, Ran], case: Case) -> None:
    plain, fork = (ran[kind].seen[case.name] for kind in KINDS)
    told = differences(plain, fork)
    assert not told, "\n".join(told)


def test_the_notebooks_do_what_they_are_for(ran: dict[str, Ran]) -> None:
    """A case that fails before it shows anything would be equal everywhere."""
    meant = {
        "interrupted": "cell", "shell_fails": "cell", "raises": "cell", "in_module": "cell", "asks": "cell",
        "asks_secretly": "cell", "leaves": "exit", "quits": "exit", "ends": "dead_kernel",
        "crashes": "dead_kernel", "aborts": "dead_kernel", "killed": "dead_kernel", "out_of_memory": "cell",
        "unparsable": "cell", "unknown_name": "cell",
    }  # fmt: skip
    found = {name: json.loads(seen["failure"]["kind"]) for name, seen in ran["plain"].seen.items()}
    assert {name: kind for name, kind in found.items() if kind} == meant


def test_the_same_files_are_written(ran: dict[str, Ran]) -> None:
    plain, fork = (ran[kind].files for kind in KINDS)
    assert fork == plain
    assert {"atexit.txt", "left_open.txt", "thread.txt", "figure.png", "frame.parquet"} <= plain.keys()


@pytest.mark.parametrize("kind", KINDS)
def test_what_is_drawn_by_chance_differs(ran: dict[str, Ran], kind: str) -> None:
    """Neither the stages of one run nor two runs draw the same."""
    drawn = [
        json.loads((ran[each].root / "free" / f"{name}.json").read_text())
        for each in KINDS
        for name in ("free_one", "free_two", "free_three")
        if each == kind
    ]
    alike = {key for key in drawn[0] if len({json.dumps(one[key]) for one in drawn}) < len(drawn)}
    assert alike - {"command"} == (ALIKE_AMONG_FORKS if kind == "fork" else set())


def test_kernels_were_of_the_kind_that_was_asked_for(ran: dict[str, Ran]) -> None:
    for name in ("free_one", "free_two", "free_three"):
        commands = [
            json.loads((ran[kind].root / "free" / f"{name}.json").read_text())["command"] for kind in KINDS
        ]
        assert ["ipykernel_launcher" in one for one in commands] == [True, False]


def test_of_modules_only_what_the_docs_say_differs(ran: dict[str, Ran]) -> None:
    """A fork has what the stages import of installed packages, and never a module of the project."""
    plain, fork = (set(json.loads((ran[kind].root / "free/modules.json").read_text())) for kind in KINDS)
    assert plain - fork <= {"ipykernel_launcher"}
    assert {"pandas", "numpy", "matplotlib"} <= fork - plain
    assert not {"beside", "extra", "nbpipeline", "papermill"} & fork


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("name", ["daemon", "child"])
def test_what_a_cell_left_behind_is_ended(ran: dict[str, Ran], kind: str, name: str) -> None:
    pid = int((ran[kind].root / "free" / f"{name}.txt").read_text())
    assert not psutil.pid_exists(pid) or psutil.Process(pid).status() == psutil.STATUS_ZOMBIE


@pytest.mark.parametrize("kind", KINDS)
def test_a_temporary_folder_is_cleared_away(ran: dict[str, Ran], kind: str) -> None:
    assert not Path((ran[kind].root / "free/folder.txt").read_text()).exists()


# --- another environment --------------------------------------------------------------------------


def _limited() -> None:
    os.umask(0o077)
    os.nice(1)
    resource.setrlimit(resource.RLIMIT_NOFILE, (900, 4000))
    signal.signal(signal.SIGUSR2, signal.SIG_IGN)
    signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGUSR1])


@pytest.fixture(scope="module")
def varied(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Ran]:
    """A few cases under each kind, with variables, limits and settings of another kind."""
    folder = tmp_path_factory.mktemp("varied")
    found = {}
    for kind in KINDS:
        root = folder / kind / "project"
        write_files(
            root,
            {
                "notebooks/matplotlibrc": "lines.linewidth: 9\nfigure.figsize: 1, 1\n",
                "ipython/profile_default/startup/00-own.py": "STARTED = 'by a startup file'\n",
                "ipython/profile_default/ipython_kernel_config.py": """
                    c.IPKernelApp.exec_lines = ["FROM_CONFIG = 'by a setting'"]
                    c.InteractiveShell.ast_node_interactivity = "all"
                    """,
                "temporary/keep": "",
            },
        )
        environment = {
            "PYTHONHASHSEED": "7",
            "PYTHONWARNINGS": "error::UserWarning",
            "IPYTHONDIR": str(root / "ipython"),
            "TZ": "Asia/Tokyo",
            "LC_ALL": "C.UTF-8",
            "TMPDIR": str(root / "temporary"),
            "PYTHONPATH": str(root / "src"),
        }
        found[kind] = run(root, kind, VARIED, environment=environment, preexec_fn=_limited)
    return found


@pytest.mark.parametrize("case", VARIED, ids=lambda case: case.name)
def test_a_notebook_shows_the_same_in_another_environment(varied: dict[str, Ran], case: Case) -> None:
    plain, fork = (varied[kind].seen[case.name] for kind in KINDS)
    told = differences(plain, fork)
    assert not told, "\n".join(told)
    assert plain["status"] == ("failed" if case.name == "warnings_shown" else "succeeded"), plain["failure"]


CHANGING = """
import os, sys
from nbpipeline import Project

os.environ.update(STAYS="1", CHANGES="before", GOES="1")
Project(".").run()
os.environ.update(CHANGES="after", COMES="1")
del os.environ["GOES"]
os.chdir("/")
os.umask(0o077)
Project(sys.argv[1]).run(force=True)
"""


def test_each_run_has_the_environment_of_its_time(tmp_path: Path) -> None:
    """A program that runs twice changes its variables in between."""
    found = []
    for kind in KINDS:
        root = tmp_path / kind / "project"
        text = (
            "import os\nprint({name: os.environ.get(name) for name in ('STAYS', 'CHANGES', 'GOES', 'COMES')})"
            "\n#--\nprint(os.getcwd(), oct(os.umask(0)))"
        )
        build(root, kind, [Case(name="looks", text=text)])
        subprocess.run([sys.executable, "-c", CHANGING, root], cwd=root, check=True, capture_output=True)
        found.append(seen_in(root)["looks"])
    assert differences(*found) == []
    assert "'after', 'GOES': None, 'COMES': '1'" in found[0]["cell 1"][0]["text"]


# --- the comparison itself ------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("hash 12345", "hash 12346"),
        ("seed 0.123", "seed 0.124"),
        ("/srv/elsewhere/file", "/srv/nowhere/file"),
        ("KeyError: 'a'", "KeyError: 'b'"),
        ("[]", "['pandas']"),
    ],
)
def test_what_matters_is_not_hidden(one: str, other: str) -> None:
    root = Path("/tmp/project")  # noqa: S108 - a name; nothing is written there
    assert settled(one, root) != settled(other, root)
    first, second = ({"cell 1": [{"text": settled(text, root)}]} for text in (one, other))
    assert len(differences(first, second)) == 1
