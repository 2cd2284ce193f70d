"""A notebook file -> Notebook: `.ipynb` as JSON, text notebooks through jupytext."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from nbpipeline.errors import ReadingError
from nbpipeline.location import Location
from nbpipeline.model import Cell, Notebook
from nbpipeline.reading.files import NoText, read_text
from nbpipeline.reading.text_notebook import TEXT_SUFFIXES, as_json, looks_like_notebook

NOTEBOOK_SUFFIXES = frozenset({".ipynb"}) | TEXT_SUFFIXES
_CELL_KINDS = ("code", "markdown", "raw")
_FORMAT = 4
"""The nbformat that Jupyter has saved since 2015."""


def read_notebook(path: Path, root: Path) -> Notebook:
    """Read one notebook. Raises ReadingError, pointing at the file, for what is none."""
    shown = project_name(path, root)
    text = _text(path, shown)
    if path.suffix == ".ipynb":
        content = _json(text, shown)
        _require_format(content, shown)
    else:
        content = _jupytext(text, path.suffix, shown)
    return notebook_of(content, shown)


def notebook_of(content: Mapping[str, Any], shown: str) -> Notebook:
    """Turn nbformat 4 JSON into a Notebook of the project path `shown`. Raises ReadingError."""
    metadata = _mapping(content.get("metadata"))
    kernelspec = _mapping(metadata.get("kernelspec"))
    kernel = kernelspec.get("name")
    return Notebook(
        path=shown,
        cells=_cells(content, shown),
        kernel=kernel if isinstance(kernel, str) and kernel else None,
        language=_language(metadata, kernelspec),
        metadata=metadata,
        format=shown.rpartition(".")[2],
    )


def project_name(path: Path, root: Path) -> str:
    """Write a file's path relative to the project, with `/`; absolute where it is outside."""
    try:
        return path.relative_to(root).as_posix()
    except ValueError:
        return path.as_posix()


def _text(path: Path, shown: str) -> str:
    if path.suffix not in NOTEBOOK_SUFFIXES:
        raise ReadingError.of(
            f"files that end in {path.suffix or 'nothing'!r} are no notebooks.",
            where=Location(path=shown),
            known=f"known endings: {', '.join(sorted(NOTEBOOK_SUFFIXES))}",
            mend="name a notebook, or convert the file with jupytext.",
        )
    absent = NoText("the notebook is not there.", "make it, or take it out of pipeline.yaml.")
    try:
        return read_text(path, absent)
    except NoText as error:
        raise ReadingError.of(error.what, where=Location(path=shown), mend=error.mend) from error


def _json(text: str, shown: str) -> Mapping[str, Any]:
    where = Location(path=shown)
    if not text.strip():
        raise ReadingError.of(
            "the file is empty.",
            where=where,
            mend="save the notebook again in JupyterLab, or delete the file.",
        )
    try:
        content = json.loads(text)
    except json.JSONDecodeError as error:
        raise ReadingError.of(
            f"the notebook is not JSON: {error.msg} (column {error.colno}).",
            where=Location(path=shown, line=error.lineno),
            mend="restore the file from version control (a merge's conflict marks are the usual cause).",
        ) from error
    except RecursionError:
        content = None
    except ValueError as error:
        raise ReadingError.of(
            f"the notebook holds a number that cannot be read: {str(error).partition(';')[0]}.",
            where=where,
            mend="clear the notebook's outputs, or write the number as text.",
        ) from error
    if not isinstance(content, dict):
        raise ReadingError.of(
            "the file holds JSON, but no notebook.",
            where=where,
            mend="save the notebook again in JupyterLab, or delete the file.",
        )
    return content


def _require_format(content: Mapping[str, Any], shown: str) -> None:
    version = content.get("nbformat")
    if version == _FORMAT and isinstance(content.get("cells"), list):
        return
    where = Location(path=shown)
    if isinstance(version, int) and version != _FORMAT:
        older = version < _FORMAT
        raise ReadingError.of(
            f"the notebook is nbformat {version}; nbformat {_FORMAT} is read.",
            where=where,
            mend=f"run `jupyter nbconvert --to notebook --inplace {shown}`."
            if older
            else "save it with a JupyterLab that writes nbformat 4, or take a newer nbpipeline.",
        )
    missing = "the number 'nbformat'" if version is None else "the list 'cells'"
    raise ReadingError.of(
        f"the file holds JSON, but no notebook: it lacks {missing}.",
        where=where,
        mend="save the notebook again in JupyterLab, or delete the file.",
    )


def _jupytext(text: str, suffix: str, shown: str) -> Mapping[str, Any]:
    if not looks_like_notebook(text, suffix):
        raise ReadingError.of(
            "the file has no cells.",
            where=Location(path=shown),
            mend="begin each cell with `# %%`, or take the file out of the notebooks."
            if suffix in {".py", ".R"}
            else "write the code between ``` fences, or take the file out of the notebooks.",
        )
    try:
        return as_json(text, suffix)
    except ValueError as error:
        raise ReadingError.of(
            f"jupytext cannot read the file: {error}.",
            where=Location(path=shown),
            mend=f"try `jupytext --to ipynb {shown}` and mend what it names.",
        ) from error


def _cells(content: Mapping[str, Any], shown: str) -> tuple[Cell, ...]:
    return tuple(_cell(raw, index, shown) for index, raw in enumerate(content["cells"], start=1))


def _cell(raw: Any, index: int, shown: str) -> Cell:
    source = _source(raw.get("source", "")) if isinstance(raw, dict) else None
    if source is None or raw.get("cell_type") not in _CELL_KINDS:
        raise ReadingError.of(
            "this is no cell of a notebook: its type or source is missing.",
            where=Location(path=shown, cell=index),
            known=f"known cell types: {', '.join(_CELL_KINDS)}",
            mend="save the notebook again in JupyterLab.",
        )
    metadata = _mapping(raw.get("metadata"))
    count = raw.get("execution_count")
    return Cell(
        index=index,
        kind=raw["cell_type"],
        source=source,
        id=str(raw.get("id", "")),
        tags=_tags(metadata),
        execution_count=count if isinstance(count, int) else None,
        metadata=metadata,
        attachments=_mapping(raw.get("attachments")),
    )


def _source(value: Any) -> str | None:
    if isinstance(value, list) and all(isinstance(line, str) for line in value):
        value = "".join(value)
    if not isinstance(value, str):
        return None
    # Some tools of Windows save its line ends inside the cells, or a mark before the first character.
    return value.removeprefix("\ufeff").replace("\r\n", "\n")


def _tags(metadata: Mapping[str, Any]) -> frozenset[str]:
    tags = metadata.get("tags")
    return frozenset(tag for tag in tags if isinstance(tag, str)) if isinstance(tags, list) else frozenset()


def _language(metadata: Mapping[str, Any], kernelspec: Mapping[str, Any]) -> str:
    """Name the language in lower case; Python where the notebook does not say."""
    info = _mapping(metadata.get("language_info"))
    main = _mapping(metadata.get("jupytext")).get("main_language")
    for name in (kernelspec.get("language"), info.get("name"), main):
        if isinstance(name, str) and name:
            return "python" if name.lower() in {"ipython", "ipython3", "python3"} else name.lower()
    return "python"


def _mapping(value: Any) -> Mapping[str, Any]:
    return value if isinstance(value, dict) else {}
