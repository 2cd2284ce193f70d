"""`nbpipeline new`: the notebook of a stage that reads what other stages write."""

import os
import re
from collections.abc import Mapping, Sequence
from pathlib import Path, PurePosixPath

from nbpipeline.api import Project
from nbpipeline.authoring.cells import Cell, code, header, markdown, notebook
from nbpipeline.authoring.writing import write_new
from nbpipeline.errors import UsageError, did_you_mean
from nbpipeline.location import is_url
from nbpipeline.model import Pipeline, StageInstance, Value
from nbpipeline.reading.kinds import NAME


def new_stage(project: Project, name: str, after: Sequence[str]) -> Path:
    """Write the notebook of stage `name`, whose inputs are the outputs of the stages `after`.

    It stands beside the other notebooks. A stage with no outputs is only waited for. Raises UsageError for a
    bad or taken name or an unknown stage; what reading the project raises; StorageError.
    """
    if not re.fullmatch(NAME, name):
        raise UsageError.of(
            f"'{name}' cannot name a stage.",
            known="a name has letters, digits, `_` and `-`, and does not begin with a digit",
            mend="choose such a name",
        )
    pipeline = project.pipeline
    makers = [_maker(pipeline, one) for one in after]
    if any(one.spec.name == name for one in pipeline):
        raise UsageError.of(f"there is a stage '{name}' already.", mend="choose another name")
    folder = _folder(pipeline)
    path = f"{folder}/{name}.ipynb" if folder else f"{name}.ipynb"
    cells = _cells(name, PurePosixPath(folder), makers)
    return write_new(Path(project.root), {path: notebook(cells)})[0]


def _maker(pipeline: Pipeline, name: str) -> StageInstance:
    """Find a stage; of a matrix its first instance."""
    for one in pipeline:
        if name in {one.spec.name, one.id}:
            return one
    names = sorted({one.spec.name for one in pipeline})
    nearest = did_you_mean(name, names)
    raise UsageError.of(
        f"there is no stage '{name}'.",
        known=f"stages: {', '.join(names) or 'none'}",
        mend=f"did you mean '{nearest}'?" if nearest else "name one of these after --after",
    )


def _folder(pipeline: Pipeline) -> str:
    """Where most notebooks stand."""
    folders = [one.spec.notebook.folder for one in pipeline]
    return max(dict.fromkeys(folders), key=folders.count, default="notebooks")


def _cells(name: str, folder: PurePosixPath, makers: Sequence[StageInstance]) -> list[Cell]:
    taken = {"sample", "content"}
    axes = {axis: value for one in makers for axis, value in one.axes}
    taken |= set(axes)
    references = _references(makers, taken)
    inputs = _paths(makers, folder, taken)
    variable = _free("result", None, taken)
    parameters = [f"{axis} = {value!r}  # one value of the matrix" for axis, value in axes.items()]
    parameters.append("sample: float = 1.0  # the share of the data to use")
    cells = [markdown(f"# {_title(name)}\n\nWhat this stage is for.")]
    if references:
        cells.insert(0, header("inputs:\n" + "\n".join(f"  {key}: {one}" for key, one in references.items())))
        cells.append(code("%load_ext nbpipeline\n%nbpipeline"))
    cells.append(code("\n".join(parameters), "parameters"))
    if inputs:
        cells.append(code("\n".join(f"{key} = {_quoted(path)}" for key, path in inputs.items()), "inputs"))
    cells.append(code(f"{variable} = {_result(name, folder, axes)}", "outputs"))
    silent = [one.spec.name for one in makers if not one.outputs]
    if silent:
        cells.append(code(f"after = {silent!r}", "dependencies"))
    return [*cells, *_body(name, [*inputs, *references], variable)]


def _title(name: str) -> str:
    return name.replace("_", " ").replace("-", " ").capitalize()


def _result(name: str, folder: PurePosixPath, axes: Mapping[str, Value]) -> str:
    """Give the right-hand side of the output: a file of its own for each instance."""
    braces = "".join(f"-{{{axis}}}" for axis in axes)
    path = os.path.relpath(PurePosixPath("data") / f"{name}{braces}.json", folder or ".")
    return ("f" if axes else "") + _quoted(path)


def _references(makers: Sequence[StageInstance], taken: set[str]) -> dict[str, str]:
    """Refer to outputs of stages with axes by name, so that the new stage inherits the axes."""
    return {
        _free(output.name, one, taken): f"{{from: {one.spec.name}.{output.name}}}"
        for one in makers
        if one.axes
        for output in one.outputs
    }


def _paths(makers: Sequence[StageInstance], folder: PurePosixPath, taken: set[str]) -> dict[str, str]:
    """Give the paths of the other stages' outputs, from the notebook's folder."""
    return {
        _free(output.name, one, taken): path if is_url(path) else os.path.relpath(path, folder or ".")
        for one in makers
        if not one.axes
        for output in one.outputs
        for path in output.paths[:1]
    }


def _free(name: str, maker: StageInstance | None, taken: set[str]) -> str:
    """Give a variable's name that no earlier input has."""
    chosen = name
    if chosen in taken and maker:
        chosen = f"{maker.spec.name}_{name}".replace("-", "_")
    while chosen in taken:
        chosen += "_"
    taken.add(chosen)
    return chosen


def _quoted(path: str) -> str:
    text = path.replace(os.sep, "/")
    return f'"{text}"' if '"' not in text and "\\" not in text else repr(text)


def _body(name: str, inputs: Sequence[str], result: str) -> list[Cell]:
    """Code that runs at once: it notes the size of what it reads, for the author to replace."""
    content = f'content = {{"stage": "{name}", "sample": sample, "bytes": {{}}}}'
    lines = [f'content["bytes"]["{key}"] = os.path.getsize({key})' for key in inputs]
    return [
        code("import json\nimport os"),
        code("\n".join(["# Your work goes here.", content, *lines])),
        code(
            f"""
            os.makedirs(os.path.dirname({result}), exist_ok=True)
            with open({result}, "w") as file:
                json.dump(content, file, indent=2)
            """
        ),
    ]
