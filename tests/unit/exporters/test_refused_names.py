"""Names of stages, parameters and pipelines that a target lets nothing be called."""

import ast
from pathlib import Path
from typing import Any

import pytest
from builders import code, header, write_files, write_notebook

from nbpipeline import Project

NAMES = ("config", "input", "output", "type", "context", "int", "class_")


def text_of(root: Path, target: str, file: str, name: str, parameter: str) -> ast.Module:
    write_files(root, {"pipeline.yaml": f"name: {name}\n"})
    source = code(f"{parameter}: float = 1.5\nother: int = 2", "parameters")
    cells = header(f"stage: {name}\noutputs: {{o: ../{name}}}"), source, code("1")
    write_notebook(root / "notebooks/a.ipynb", *cells)
    return ast.parse(Project(root).exporting.rendered(target).files[file])


def _words(module: ast.Module, function: str) -> dict[str, Any]:
    for node in ast.walk(module):
        if isinstance(node, ast.Call) and ast.unparse(node.func) == function:
            return {str(one.arg): one.value for one in node.keywords}
    raise AssertionError(function)


@pytest.mark.parametrize("name", [*NAMES, "a_b"])
def test_dagster_is_given_names_that_it_takes(root: Path, name: str) -> None:
    module = text_of(root, "dagster", "definitions.py", name, name)
    words = _words(module, "stage_assets")
    (key,) = ast.literal_eval(words["outputs"])
    group = ast.literal_eval(words["group"])
    (job,) = (
        ast.literal_eval(node.args[0])
        for node in ast.walk(module)
        if isinstance(node, ast.Call) and ast.unparse(node.func) == "dg.define_asset_job"
    )
    parameters = next(
        one for one in module.body if isinstance(one, ast.ClassDef) and one.name == "Parameters"
    )
    fields = [ast.unparse(one.target) for one in parameters.body if isinstance(one, ast.AnnAssign)]
    given = [key, group, job, *fields]
    assert (name in given) == (name not in NAMES), given
    assert len(set(fields)) == 2


@pytest.mark.parametrize(
    ("name", "kept"), [("model_config", False), ("model_dump", False), ("model_x", True)]
)
def test_prefect_is_given_names_that_pydantic_takes(root: Path, name: str, kept: bool) -> None:
    module = text_of(root, "prefect", "flow.py", "a", name)
    flow = next(one for one in module.body if isinstance(one, ast.FunctionDef) and one.name == "a")
    assert (name in [one.arg for one in flow.args.args]) == kept
