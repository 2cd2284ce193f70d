"""The kernel's Python, what is installed in it, kernelspecs."""

import json
import os
import sys
import time
from pathlib import Path

import pytest
from builders import code, header, write_files, write_notebook
from test_modules import fingerprint

from nbpipeline.fingerprint import interpreter
from nbpipeline.fingerprint.environment import packages
from nbpipeline.fingerprint.interpreter import Interpreters, scan
from nbpipeline.fingerprint.kernels import KernelSpec, find_kernel, kernel_folders
from nbpipeline.state.memory import MemoryState


def installed(site: Path, name: str, version: str, *files: str, **more: str) -> None:
    folder = site / f"{name.replace('-', '_')}-{version}.dist-info"
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "METADATA").write_text(
        f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n\nVersion: body\n"
    )
    if files:
        (folder / "RECORD").write_text("".join(f"{one},sha256=x,1\n" for one in files))
    for file, text in more.items():
        (folder / file.replace("__", ".")).write_text(text)


def kernelspec(folder: Path, name: str, *argv: str, language: str = "python") -> None:
    (folder / "kernels" / name).mkdir(parents=True, exist_ok=True)
    data = {"argv": list(argv), "language": language, "display_name": name}
    (folder / "kernels" / name / "kernel.json").write_text(json.dumps(data))


# --- site-packages -----------------------------------------------------------------------------


def test_import_names_of_distributions(tmp_path: Path) -> None:
    installed(
        tmp_path,
        "scikit-learn",
        "1.5",
        "sklearn/__init__.py",
        "sklearn/sub/x.py",
        "scikit_learn-1.5.dist-info/RECORD",
        "../../bin/tool",
        "__pycache__/x.pyc",
        "_native.cpython-311-x86_64-linux-gnu.so",
        "single.py",
        '"with, comma/x.py"',
    )
    installed(tmp_path, "old", "2", top_level__txt="older\nancient\n")
    installed(tmp_path, "google-a", "1", "google/a/x.py")
    installed(tmp_path, "google-b", "2", "google/b/x.py")
    (tmp_path / "nameless-1.dist-info").mkdir()
    names, roots = scan(tmp_path)
    assert names == {
        "sklearn": ["scikit-learn 1.5"],
        "_native": ["scikit-learn 1.5"],
        "single": ["scikit-learn 1.5"],
        "older": ["old 2"],
        "ancient": ["old 2"],
        "google": ["google-a 1", "google-b 2"],
    }
    assert roots == []


def test_roots_of_editable_installs_and_pth_files(tmp_path: Path) -> None:
    site, project = tmp_path / "site", tmp_path / "my project"
    (project / "src").mkdir(parents=True)
    site.mkdir()
    installed(
        site,
        "mine",
        "1",
        direct_url__json=json.dumps(
            {"url": f"file://{tmp_path}/my%20project", "dir_info": {"editable": True}}
        ),
    )
    installed(site, "theirs", "1", direct_url__json=json.dumps({"url": "file:///elsewhere", "dir_info": {}}))
    installed(site, "broken", "1", direct_url__json="{")
    (site / "a.pth").write_text(f"# comment\nimport something\n{tmp_path}/other\n../beside\n\n")
    _, roots = scan(site)
    assert roots == [f"{tmp_path}/other", f"{tmp_path}/beside", f"{project}/src", str(project)]


def test_a_folder_is_scanned_once_for_each_time_it_changes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    installed(tmp_path, "pandas", "3.0.6", "pandas/__init__.py")
    os.utime(tmp_path, (1000, 1000))
    cache = MemoryState()
    assert Interpreters(cache).installed(str(tmp_path)).names == {"pandas": ["pandas 3.0.6"]}
    with monkeypatch.context() as patched:
        patched.setattr(interpreter, "scan", lambda _: pytest.fail("scanned again"))
        assert Interpreters(cache).installed(str(tmp_path)).names == {"pandas": ["pandas 3.0.6"]}
    (tmp_path / "pandas-3.0.6.dist-info").rename(tmp_path / "gone")
    installed(tmp_path, "pandas", "3.1.1", "pandas/__init__.py")
    assert Interpreters(cache).installed(str(tmp_path)).names == {"pandas": ["pandas 3.1.1"]}


def test_a_folder_that_changed_just_now_is_not_remembered(tmp_path: Path) -> None:
    installed(tmp_path, "pandas", "3.0.6", "pandas/__init__.py")
    cache = MemoryState()
    Interpreters(cache).installed(str(tmp_path))
    assert cache.load("site 1") == {}
    Interpreters(cache, now=lambda: time.time() + 3).installed(str(tmp_path))
    assert set(cache.load("site 1")) == {str(tmp_path)}


# --- interpreters ------------------------------------------------------------------------------


def test_the_running_interpreter_is_not_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(interpreter, "_ask", lambda _: pytest.fail("asked"))
    found = Interpreters(MemoryState()).of(sys.executable)
    assert found.version == f"{sys.version_info[0]}.{sys.version_info[1]}"
    assert any("site-packages" in one for one in found.sites)


def test_another_interpreter_is_asked_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    other = tmp_path / "python"
    other.write_text('#!/bin/sh\necho \'["3.99", ["/x/site-packages"]]\'\n')
    other.chmod(0o755)
    cache = MemoryState()
    found = Interpreters(cache).of(str(other))
    assert (found.version, found.sites) == ("3.99", ("/x/site-packages",))
    monkeypatch.setattr(interpreter, "_ask", lambda _: pytest.fail("asked again"))
    assert Interpreters(cache).of(str(other)) == found


@pytest.mark.parametrize(
    "script",
    ["#!/bin/sh\nexit 1\n", "#!/bin/sh\necho nonsense\n", "#!/bin/sh\necho '[\"3.99\", []]'\nexit 1\n"],
)
def test_an_interpreter_that_does_not_answer_is_unknown(tmp_path: Path, script: str) -> None:
    other = tmp_path / "python"
    other.write_text(script)
    other.chmod(0o755)
    cache = MemoryState()
    assert Interpreters(cache).of(str(other)).version == "unknown"
    assert Interpreters(cache).of(str(tmp_path / "none")).version == "unknown"
    assert cache.load("interpreter 1") == {}


def test_a_real_other_interpreter(tmp_path: Path) -> None:
    link = tmp_path / "python"
    link.symlink_to(Path(sys.executable).resolve())
    assert Interpreters(MemoryState()).of(str(link)).version == f"3.{sys.version_info[1]}"


# --- what counts -------------------------------------------------------------------------------


class FixedInterpreters(Interpreters):
    """Interpreters whose site-packages are a test's own folders."""

    def __init__(self, *sites: Path) -> None:
        super().__init__(MemoryState())
        self.folders = tuple(map(str, sites))

    def of(self, executable: str) -> interpreter.Interpreter:
        del executable
        return interpreter.Interpreter("3.11", self.folders)


PYTHON = KernelSpec(name="python3", argv=("python", "-m", "ipykernel_launcher"), language="python")


def test_only_what_is_imported_counts(tmp_path: Path) -> None:
    first, second = tmp_path / "first", tmp_path / "second"
    installed(first, "pandas", "3.0.6", "pandas/x.py")
    installed(first, "numpy", "2.0", "numpy/x.py")
    installed(second, "pandas", "1.0", "pandas/x.py")
    installed(second, "scikit-learn", "1.5", "sklearn/x.py")
    found = packages(
        "imported",
        root=tmp_path,
        kernel=PYTHON,
        imports=frozenset({"pandas", "sklearn", "json", "unknown"}),
        interpreters=FixedInterpreters(first, second),
    )
    assert found == {"python": "3.11", "pandas": "3.0.6", "scikit-learn": "1.5"}


def test_settings_of_the_environment(tmp_path: Path) -> None:
    installed(tmp_path / "site", "pandas", "3.0.6", "pandas/x.py")

    def found(setting: object) -> dict[str, str]:
        return packages(
            setting,
            root=tmp_path,
            kernel=PYTHON,
            imports=frozenset({"pandas"}),
            interpreters=FixedInterpreters(tmp_path / "site"),
        )

    assert found("none") == {}
    assert found({"lock": "r.lock"}) == {"python": "3.11", "lock r.lock": "missing"}
    (tmp_path / "r.lock").write_text("pandas==1")
    first = found({"lock": "r.lock"})
    (tmp_path / "r.lock").write_text("pandas==2")
    assert set(first) == {"python", "lock r.lock"}
    assert first != found({"lock": "r.lock"})


def test_an_editable_install_under_the_project_is_the_projects_own(
    root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    site = tmp_path / "site-packages"
    site.mkdir()
    (site / "mine.pth").write_text(f"{root}/src\n{tmp_path}/elsewhere\n")
    monkeypatch.syspath_prepend(str(site))
    write_files(root, {"src/mine/__init__.py": "", "src/mine/part.py": "x = 1"})
    write_files(tmp_path, {"elsewhere/foreign.py": ""})
    write_notebook(
        root / "notebooks/it.ipynb", header("stage: it"), code("from mine import part\nimport foreign")
    )
    assert set(fingerprint(root).modules) == {"src/mine/__init__.py", "src/mine/part.py"}


def test_variables_count_by_digest(root: Path) -> None:
    write_notebook(root / "notebooks/it.ipynb", header("stage: it\nenv: [TZ, SECRETISH]"), code("x = 1"))
    found = fingerprint(root, environ={"TZ": "UTC"}).environment
    assert found["env SECRETISH"] == "unset"
    assert found["env TZ"] != fingerprint(root, environ={"TZ": "CET"}).environment["env TZ"]
    assert "UTC" not in str(found)


# --- kernelspecs -------------------------------------------------------------------------------


@pytest.fixture
def jupyter(tmp_path: Path) -> dict[str, str]:
    return {"JUPYTER_PATH": str(tmp_path / "path"), "JUPYTER_DATA_DIR": str(tmp_path / "data")}


def test_a_kernel_by_its_name(tmp_path: Path, jupyter: dict[str, str]) -> None:
    kernelspec(tmp_path / "data", "other", "/x/python", "-m", "ipykernel_launcher", "-f", "{connection_file}")
    kernelspec(tmp_path / "data", "ir", "R", "-e", "IRkernel::main()", language="R")
    found = find_kernel("other", "python", jupyter)
    assert found.argv[0] == "/x/python"
    assert not found.fallback
    assert found.kind == "python (ipykernel_launcher)"
    assert find_kernel("IR", "R", jupyter).kind == "r (R)"


def test_the_first_folder_wins(tmp_path: Path, jupyter: dict[str, str]) -> None:
    kernelspec(tmp_path / "data", "same", "/data/python")
    kernelspec(tmp_path / "path", "same", "/path/python")
    assert find_kernel("same", "python", jupyter).argv == ("/path/python",)


def test_a_bare_python_is_the_running_one(tmp_path: Path, jupyter: dict[str, str]) -> None:
    kernelspec(tmp_path / "data", "mine", "python3", "-m", "ipykernel_launcher")
    assert find_kernel("mine", "python", jupyter).argv[0] == sys.executable


@pytest.mark.parametrize("name", ["nowhere", "../../etc", "a b"])
def test_a_python_kernel_that_is_not_installed_falls_back(jupyter: dict[str, str], name: str) -> None:
    found = find_kernel(name, "python", jupyter)
    assert found.fallback
    assert found.argv[0] == sys.executable
    assert found.kind == "python (ipykernel_launcher)"


def test_no_name_means_the_running_python(jupyter: dict[str, str]) -> None:
    found = find_kernel(None, "python", jupyter)
    assert not found.fallback
    assert found.argv[0] == sys.executable


def test_the_installed_python3_counts_where_it_is_the_running_one(
    tmp_path: Path, jupyter: dict[str, str]
) -> None:
    kernelspec(tmp_path / "path", "python3", sys.executable, "-m", "mine")
    assert find_kernel(None, "python", jupyter).argv == (sys.executable, "-m", "mine")
    assert find_kernel("nowhere", "python", jupyter).argv == (sys.executable, "-m", "mine")
    kernelspec(tmp_path / "path", "python3", "/other/python", sys.executable, "-m", "mine")
    for name in (None, "nowhere"):
        found = find_kernel(name, "python", jupyter)
        assert (found.argv[0], found.kind) == (sys.executable, "python (ipykernel_launcher)")


def test_another_language_falls_back_to_a_kernel_that_speaks_it(
    tmp_path: Path, jupyter: dict[str, str]
) -> None:
    assert find_kernel("julia-1.9", "julia", jupyter).argv == ()
    kernelspec(tmp_path / "data", "julia-1.10", "julia", language="julia")
    found = find_kernel("julia-1.9", "julia", jupyter)
    assert (found.name, found.fallback) == ("julia-1.10", True)


@pytest.mark.parametrize("text", ["", "{", "[]", '{"argv": 3}', '{"argv": []}', '{"language": "python"}'])
def test_a_kernel_json_that_is_none_is_passed_over(
    tmp_path: Path, jupyter: dict[str, str], text: str
) -> None:
    kernelspec(tmp_path / "data", "bad", "x")
    (tmp_path / "data/kernels/bad/kernel.json").write_text(text)
    assert find_kernel("bad", "python", jupyter).fallback


def test_the_folders_are_jupyters_own(monkeypatch: pytest.MonkeyPatch) -> None:
    from jupyter_client.kernelspec import KernelSpecManager

    ours = list(map(str, kernel_folders()))
    theirs = [one for one in KernelSpecManager().kernel_dirs if Path(one).exists()]
    assert [one for one in ours if one in theirs] == theirs
