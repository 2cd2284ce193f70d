"""Images and locks of exports: what Docker reads of them, and for which Python and system they are.

There is no Docker where tests run. `instructions` and `copied` read as its documentation says ("Dockerfile
reference": COPY, escape, environment replacement), and are tried with what they must refuse.
"""

import fnmatch
import json
import re
import shlex
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from builders import code, command, header, write_files, write_notebook

from nbpipeline import Project, plugins
from nbpipeline.exporters.rendering import container
from nbpipeline.fingerprint import Supply
from nbpipeline.model.exported import ExportGiven, Task, Workflow
from nbpipeline.upkeep import requirements

KNOWN = {"FROM", "ARG", "ENV", "RUN", "WORKDIR", "COPY", "USER", "ENTRYPOINT"}
WITH_IMAGES = ("airflow", "argo", "dagster", "kubeflow", "prefect", "sagemaker", "vertex")
FOLDERS = ("deploy/x", "de ploy/x", "d'e'p/\"x\"", "$HOME/x", "a*b/c?d", "[ab]/x", "é/中")


def instructions(text: str) -> list[tuple[str, str]]:
    """Read a Dockerfile. Raises AssertionError for what is none."""
    rows = [row for row in text.splitlines() if not row.startswith("#")]
    joined = re.sub(r"\\\n\s*", " ", "\n".join(rows))
    found = [tuple(row.split(" ", 1)) for row in joined.splitlines() if row.strip()]
    assert all(len(one) == 2 and one[0] in KNOWN for one in found), found
    names = [one[0] for one in found]
    assert names[0] == "FROM"
    users = [rest for name, rest in found if name == "USER"]
    assert users, "runs as root"
    assert users[-1] != "root", "runs as root"
    for name, rest in found:
        if name == "ENV":
            assert all("=" in word for word in shlex.split(rest)), rest
        if name == "ENTRYPOINT":
            assert json.loads(rest)
    return found


def copied(rest: str) -> list[str]:
    """Give the patterns of what COPY copies, and where to, with escapes undone. Raises AssertionError."""
    words = (
        [one for one in rest.split(" ") if not one.startswith("--")] if rest[0] != "[" else json.loads(rest)
    )
    assert len(words) == 2, f"COPY of several: {words}"
    return [_unescaped(one) for one in words]


def _unescaped(word: str) -> str:
    bare = re.sub(r"\\(.)", "", word)
    assert not {*bare} & {*"$'\""}, f"a variable or a quote: {word}"
    return re.sub(r"\\(.)", r"\1", word)


ONE = Workflow(
    name="x", tasks=(Task(id="a", stage="a", notebook="a.ipynb", outputs=("o.txt",)),), store="s3://b/x"
)


@pytest.mark.parametrize("folder", FOLDERS)
@pytest.mark.parametrize("target", WITH_IMAGES)
def test_the_dockerfile_is_one_wherever_it_stands(target: str, folder: str) -> None:
    given = ExportGiven(folder=folder, to_root="../..")
    files = plugins.load("exporters", target).render(ONE, given)
    text = files["Dockerfile"]
    if target == "sagemaker":  # whose folders nobody but root may write to
        text = text.replace("USER root", "USER 0")
    found = instructions(text)
    sources = [copied(rest) for name, rest in found if name == "COPY"]
    assert [one[1] for one in sources] == [container.LOCK, "/project"]
    assert fnmatch.fnmatchcase(f"{folder}/requirements.lock", sources[0][0])
    assert not fnmatch.fnmatchcase(f"{folder}x/requirements.lock", sources[0][0])
    assert f"docker build -f {shlex.quote(folder + '/Dockerfile')} " in files["Dockerfile"]
    ignored = files["Dockerfile.dockerignore"].splitlines()
    assert {"**/.git", "**/.env*", ".nbpipeline", "**/.venv", "o.txt"} <= set(ignored)


@pytest.mark.parametrize(
    "broken",
    [
        "RUN x\nFROM a\nUSER b\n",
        "FROM a\nCPY b c\nUSER b\n",
        "FROM a\nUSER root\n",
        "FROM a\nRUN b\n",
        "FROM a\nUSER b\nENV A=b c\n",
    ],
)
def test_what_is_no_dockerfile_is_seen(broken: str) -> None:
    with pytest.raises(AssertionError):
        instructions(broken)


@pytest.mark.parametrize("broken", ["a b/c /x", '["a b", "c", "/x"]', "$HOME/x /x", '["it\'s", "/x"]'])
def test_what_docker_would_read_otherwise_is_seen(broken: str) -> None:
    with pytest.raises(AssertionError):
        copied(broken)


@pytest.mark.parametrize(
    ("name", "image"), [("x -- y", "x-y"), ("é", "pipeline"), ("A_b.c", "a-b-c"), ("-- x --", "x")]
)
def test_images_have_names_that_registries_take(name: str, image: str) -> None:
    assert container.image_name(Workflow(name=name, tasks=())) == image


# --- the lock ----------------------------------------------------------------------------------


class Elsewhere:
    """A kernel in an environment of its own, which lacks nbpipeline."""

    def __init__(self, site: Path) -> None:
        self.site = site

    def installed(self, *_: Any) -> Supply:
        found = {"python": "3.12", "own-thing": "1.0", "click": "7.9"}
        return Supply((str(self.site),), found, ("nowhere", "papermill"))


def distribution(site: Path, name: str, version: str, *needs: str) -> None:
    rows = [f"Name: {name}", f"Version: {version}", *(f"Requires-Dist: {one}" for one in needs)]
    write_files(
        site, {f"{name}-{version}.dist-info/METADATA": "\n".join(["Metadata-Version: 2.1", *rows, ""])}
    )


@pytest.fixture
def lock(root: Path, tmp_path: Path) -> Iterator[requirements.Lock]:
    needs = ("linux-alone; sys_platform == 'linux'", "mac-alone; sys_platform == 'darwin'")
    older = (
        "old-alone; python_version < '3.12'",
        "windows-alone; os_name == 'nt'",
        "new-one; python_version >= '3.12'",
    )
    distribution(tmp_path / "site", "own-thing", "1.0", *needs, *older)
    distribution(tmp_path / "site", "new-one", "3")
    distribution(tmp_path / "site", "click", "7.9")
    write_notebook(
        root / "notebooks/a.ipynb",
        header("inputs: {r: {path: 'gs://x/a.csv', digest: x}}\noutputs: {o: ../o.txt}"),
        code("import own_thing"),
    )
    with Project(root)._open() as (pipeline, _):
        yield requirements.pinned(pipeline, Elsewhere(tmp_path / "site"))


def test_markers_are_read_for_the_image_and_not_for_this_machine(lock: requirements.Lock) -> None:
    assert lock.python == "3.12"
    names = {one.partition("==")[0] for one in lock.pins}
    assert {"own-thing", "new-one"} <= names
    assert not {"mac-alone", "old-alone", "windows-alone"} & {*names, *lock.lacking}
    assert {"linux-alone", "gcsfs", "nowhere"} <= set(lock.lacking), "told, since no version is known"


def test_what_nbpipeline_needs_is_there_where_kernels_have_their_own_environment(
    lock: requirements.Lock,
) -> None:
    pins = dict(one.split("==") for one in lock.pins)
    assert {"nbpipeline", "papermill", "pyyaml", "fsspec"} <= set(pins)
    assert pins["click"] == "7.9", "the kernel's own goes first"


def test_the_lock_says_what_it_is_for() -> None:
    given = ExportGiven(requirements=("a==1",), lacking=("gcsfs",), python="3.12")
    assert container.lock("x", ONE, given).splitlines()[1:] == [
        "# For Python 3.12 on Linux.",
        "# Needed there, and not installed where it was exported: gcsfs",
        "a==1",
    ]


def test_what_is_lacking_is_told(root: Path) -> None:
    write_files(root, {"pipeline.yaml": "name: one\n"})
    head = header("inputs: {r: {path: 'gs://x/a.csv', digest: x}}\noutputs: {o: ../o.txt}")
    write_notebook(root / "notebooks/a.ipynb", head, code("x = 1"))
    said = "note: the lock has no version of gcsfs, which tasks need: it is not installed here\n"
    done = command("export", "dagster", cwd=root)
    assert (done.returncode, done.stderr) == (0, said)
    assert command("export", "snakemake", cwd=root).stderr == "", "which has no lock"


def test_an_import_of_what_nobody_has_installed_is_told(root: Path, tmp_path: Path) -> None:
    """A package that only PYTHONPATH leads to is none that pip could bring."""
    write_files(tmp_path / "elsewhere", {"by_path.py": "x = 1\n"})
    write_files(root, {"pipeline.yaml": "name: one\n", "notebooks/own.py": "import nowhere_else.at_all\n"})
    cells = code("import json, __future__, __main__, yaml, own, by_path\nfrom not_here.inner import x")
    write_notebook(root / "notebooks/a.ipynb", header("outputs: {o: ../o.txt}"), cells)
    names = "by_path, not_here, nowhere_else"
    done = command("export", "dagster", cwd=root, environment={"PYTHONPATH": str(tmp_path / "elsewhere")})
    said = f"note: the lock has no version of {names}, which tasks need: it is not installed here\n"
    assert (done.returncode, done.stderr) == (0, said)
    lock = (root / "deploy/dagster/requirements.lock").read_text().splitlines()
    assert "# Needed there, and not installed where it was exported: by_path" in lock
    assert any(one.startswith("pyyaml==") for one in lock)
