"""What exporters share: names, literals, comments, the lock, the image."""

import ast
import io
import tokenize
from pathlib import Path

import pytest
import yaml
import zoo
from builders import code, command, header, write_files, write_notebook
from hypothesis import given
from hypothesis import strategies as st

from nbpipeline import Project
from nbpipeline.errors import UsageError
from nbpipeline.exporters.rendering import container
from nbpipeline.exporters.rendering.names import identifiers, kebab, snake
from nbpipeline.exporters.rendering.source import comment, python, yaml_text
from nbpipeline.model.exported import ExportGiven

VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=20,
)


@given(VALUES)
def test_literals_come_back_as_they_were(value) -> None:
    text = python(value)
    found = eval(text, {"__builtins__": {"float": float}})  # noqa: S307 - what is tried
    assert found == value
    assert type(found) is type(value)


@given(VALUES)
def test_yaml_comes_back_as_it_was(value) -> None:
    text = yaml_text({"a": value})
    assert "\t" not in text.split("\n")[0][:2]
    try:
        found = yaml.safe_load(text)["a"]
    except yaml.reader.ReaderError:  # what YAML cannot hold at all
        pytest.fail(text)
    assert found == value


@given(st.text())
def test_comments_hold_no_code(text: str) -> None:
    written = comment(text)
    tree = ast.parse(written)
    assert tree.body == []
    list(tokenize.generate_tokens(io.StringIO(written).readline))


@given(st.lists(st.text(min_size=1), unique=True))
def test_names_are_identifiers_and_differ(ids: list[str]) -> None:
    for make in (snake, kebab):
        names = identifiers(ids, make)
        assert len(set(names.values())) == len(ids)
        assert all(len(one) <= 60 for one in names.values())
    assert all(one.isidentifier() for one in identifiers(ids, snake).values())


def test_clashing_names_do_not_hang_on_the_order() -> None:
    names = identifiers(["a-b", "a_b", "train[region=eu]"], snake)
    assert names["a_b"] == "a_b"
    assert names["train[region=eu]"] == "train_region_eu"
    assert names["a-b"].startswith("a_b_")
    assert identifiers(["a_b", "a-b"], snake)["a-b"] == names["a-b"]
    assert identifiers(["all"], snake, taken={"all"})["all"] != "all"


def test_settings_that_agree_are_one_and_derived_ones_are_none(root: Path) -> None:
    write_files(root, {"pipeline.yaml": "name: x\nparams: {late: 3}\n"})
    common = "year: int = 2013\nlate: int = 1\nname = f'{year}.csv'\nimport datetime\nnow = datetime.date.today()\n"
    write_notebook(root / "notebooks/a.ipynb", code(f"{common}rate: float = 0.5", "parameters"))
    write_notebook(root / "notebooks/b.ipynb", code(f"{common}rate: float = 0.7", "parameters"))
    write_notebook(
        root / "notebooks/c.ipynb", header("matrix: {year: [1, 2]}"), code("year = 1\nx = None", "parameters")
    )
    settings = {one.name: one for one in Project(root).exporting.workflow().settings}
    assert set(settings) == {"a.year", "b.year", "late", "a.rate", "b.rate", "x"}, "year is an axis of c"
    assert (settings["a.year"].default, settings["a.year"].types) == (2013, ("int",))
    assert settings["late"].default == 3
    assert settings["late"].stages == ("a", "b")
    assert settings["x"].types == ()


def test_the_image_is_pinned_and_without_rights(root: Path) -> None:
    zoo.diamond(root)
    workflow = Project(root).exporting.workflow()
    given_ = ExportGiven(folder="deploy/x", requirements=("nbpipeline==9.9", "pandas==3.0"), python="3.12")
    files = container.files("x", workflow, given_)
    docker = files["Dockerfile"]
    assert "FROM python:3.12-slim\n" in docker
    assert "ARG NBPIPELINE\n" in docker
    assert "nbpipeline==" not in docker + files["requirements.lock"], (
        "an index may give another project for it"
    )
    assert "COPY deploy/x/requirements.lock" in docker
    assert docker.index("USER runner") < docker.index("ENTRYPOINT")
    assert files["requirements.lock"].splitlines()[-1] == "pandas==3.0"
    assert "data/all.json\n" in files["Dockerfile.dockerignore"]


def test_the_lock_holds_what_stages_import_and_what_that_needs(root: Path) -> None:
    from nbpipeline.upkeep import requirements

    write_files(root, {"pipeline.yaml": "name: x\nstore: {path: 's3://bucket/x'}\ntracking: {mlflow: {}}\n"})
    write_notebook(root / "notebooks/a.ipynb", header("outputs: {o: ../o.txt}"), code("import pandas"))
    project = Project(root)
    with project._open() as (pipeline, place):
        pinned = requirements.pinned(pipeline, place.fingerprinter).pins
        assert set(requirements.extras(pipeline)) == {"s3", "mlflow"}
        assert requirements.python_version(pipeline, place.fingerprinter).startswith("3.")
    names = [one.partition("==")[0] for one in pinned]
    assert {"nbpipeline", "pandas", "numpy", "papermill", "ipykernel", "mlflow", "s3fs", "pyzmq"} <= set(
        names
    )
    assert not {"pytest", "hypothesis", "great-expectations"} & set(names)
    assert names == sorted(names)
    assert all(one.count("==") == 1 for one in pinned)


def test_a_default_of_none_may_be_set_whatever_the_annotation_says(root: Path) -> None:
    """Prefect refused the untouched default of `word: str = None` before anything ran."""
    write_notebook(
        root / "notebooks/a.ipynb",
        header("outputs: {o: ../o.txt}"),
        code("word: str = None\nplain: str = 'a'\nlate: float | None = None\nfree = None", "parameters"),
    )
    found = {one.name: one.types for one in Project(root).exporting.workflow().settings}
    assert found == {"word": ("str", "None"), "plain": ("str",), "late": ("float", "None"), "free": ()}


SOUND = (
    "dist/nbpipeline-1.whl",
    "https://x.org/a@b/nbpipeline.whl?user=me@x.org",
    "git+ssh://git@x.org/a/nbpipeline.git",
    "registry.org/x@sha256:0123",
)
SECRET = (
    "https://token@x.org/nbpipeline.whl",
    "git+https://me:t0ken@x.org/a.git",
    "git+ssh://me:t0ken@x.org/a.git",
    "nbpipeline @ https://me:t0@ken@x.org/nbpipeline.whl",
)


@pytest.mark.parametrize("target", ["azureml", "github-actions", "gitlab-ci"])
def test_credentials_are_not_exported(target: str, root: Path) -> None:
    zoo.diamond(root)
    exporting = Project(root).exporting
    for value in SOUND:
        exporting.rendered(target, options={"nbpipeline": value}, allow_loss=True)
    for value in SECRET:
        with pytest.raises(UsageError, match="--set nbpipeline: its URL has credentials in it") as caught:
            exporting.rendered(target, options={"nbpipeline": value}, allow_loss=True)
        assert "t0ken" not in str(caught.value)


def test_credentials_are_neither_written_nor_said(root: Path) -> None:
    zoo.diamond(root)
    before = {one.name for one in root.iterdir()} | {".nbpipeline"}
    done = command("export", "azureml", "--set", f"nbpipeline={SECRET[1]}", "--allow-loss", cwd=root)
    assert (done.returncode, "t0ken" in done.stdout + done.stderr) == (2, False)
    assert {one.name for one in root.iterdir()} <= before
