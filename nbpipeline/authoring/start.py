"""`nbpipeline init`: a project from a template, or skeletons of the notebooks that a pipeline.yaml names."""

import json
import os
import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace
from importlib.resources import files
from importlib.resources.abc import Traversable
from pathlib import Path, PurePosixPath
from typing import Any

from nbpipeline.authoring.cells import Cell, code, markdown, notebook
from nbpipeline.authoring.writing import write_new
from nbpipeline.errors import Complaint, ExitCode, ReadingError, UsageError, did_you_mean, gather
from nbpipeline.graph import Graph
from nbpipeline.location import Location, is_url
from nbpipeline.pipeline import build
from nbpipeline.reading.kinds import NAME
from nbpipeline.reading.project import read_project
from nbpipeline.reading.yaml12 import Document, YamlError, load
from nbpipeline.values import dataclass

_NAME_MARK = "PROJECT_NAME"
_HIDDEN = {"gitignore": ".gitignore"}
"""Stored without the dot, so that it does not act inside our own repository."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Made:
    """What was written, and what was there before."""

    folder: Path
    written: tuple[Path, ...]
    kept: tuple[str, ...] = ()


# --- from a template ------------------------------------------------------------------------


def _shelf() -> Traversable:
    return files("nbpipeline.cli") / "templates"


def templates() -> tuple[str, ...]:
    """Name the templates that are shipped."""
    return tuple(sorted(one.name for one in _shelf().iterdir() if one.is_dir() and one.name[0] != "_"))


def from_template(folder: Path, template: str) -> Made:
    """Write a template's project into `folder`, which is made; its name becomes the project's.

    Raises UsageError for an unknown template or where a file is there already; StorageError.
    """
    known = templates()
    if template not in known:
        nearest = did_you_mean(template, known)
        raise UsageError.of(
            f"there is no template '{template}'.",
            known=f"templates: {', '.join(known)}",
            mend=f"did you mean '{nearest}'?" if nearest else "take one of these",
        )
    target = folder.resolve()
    texts = _texts(_shelf() / template, PurePosixPath())
    named = {path: _named(path, text, target.name) for path, text in texts.items()}
    return Made(folder=target, written=write_new(target, named))


def _texts(source: Traversable, place: PurePosixPath) -> dict[str, str]:
    found: dict[str, str] = {}
    for one in sorted(source.iterdir(), key=lambda entry: entry.name):
        if one.is_dir():
            found.update(_texts(one, place / one.name))
        else:
            found[str(place / _HIDDEN.get(one.name, one.name))] = one.read_text(encoding="utf-8")
    return found


def _named(path: str, text: str, name: str) -> str:
    return text.replace(_NAME_MARK, json.dumps(name, ensure_ascii=False) if path.endswith(".yaml") else name)


# --- from a pipeline.yaml -------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class _Listed:
    """One entry under `stages`."""

    name: str
    notebook: str
    needs: tuple[str, ...]
    after: tuple[str, ...]
    outputs: Mapping[str, str] | None = None
    """What a notebook that is there declares, name -> project path; None where it is still to be made."""


def from_pipeline(file: Path) -> Made:
    """Make a notebook for each stage that the file names and that has none yet.

    Each skeleton reads what the stages before it write and writes a small result of its own, so that the
    pipeline runs at once. Of a notebook that is there, it reads the outputs that this declares; where it
    declares none, the stage is only waited for. Raises ReadingError or PipelineError with all complaints
    about the file.
    """
    try:
        document = load(file.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise UsageError.of(
            f"there is no file {file}.", mend="give the path of a pipeline.yaml with `stages`"
        ) from None
    except (YamlError, UnicodeDecodeError, OSError) as error:
        reason = getattr(error, "reason", None) or str(error)
        raise ReadingError.of(
            f"cannot be read: {reason}.",
            where=Location(path=file.name, line=getattr(error, "line", None)),
            mend="make it YAML 1.2 with a list `stages`",
        ) from error
    listed = _listed(document, file.name)
    root = file.resolve().parent
    kept = tuple(one.notebook for one in listed if (root / one.notebook).exists())
    written = _outputs_there(root, kept) if kept else {}
    makers = {
        one.name: replace(one, outputs=written.get(one.notebook, {})) if one.notebook in kept else one
        for one in listed
    }
    texts = {one.notebook: notebook(_skeleton(one, makers)) for one in listed if one.notebook not in kept}
    return Made(folder=root, written=write_new(root, texts), kept=kept)


def _listed(document: Document, name: str) -> tuple[_Listed, ...]:
    """Read the entries; every complaint about them at once."""
    content = document.value if isinstance(document.value, Mapping) else {}
    entries = content.get("stages")
    if not isinstance(entries, list) or not entries:
        raise ReadingError.of(
            "names no stages.",
            where=Location(path=name, line=document.line(("stages",))),
            mend="write `stages: [{name: NAME, dependencies: [OTHER]}]`",
        )
    complaints: list[Complaint] = []
    found: list[_Listed] = []
    for number, entry in enumerate(entries):
        where = Location(path=name, line=document.line(("stages", number)))
        trouble = _entry_trouble(entry, {one.name for one in found})
        if trouble:
            complaints.append(
                Complaint(where=where, what=trouble, mend="write {name: NAME, dependencies: [OTHER]}")
            )
        else:
            found.append(_entry(entry))
    if not complaints:
        complaints += _link_complaints(found, name, document)
    error = gather(complaints)
    if error:
        raise error
    return tuple(found)


def _entry_trouble(entry: Any, taken: set[str]) -> str:
    """Say what keeps an entry from naming a stage; empty where nothing does."""
    if isinstance(entry, str):
        entry = {"name": entry}
    if not isinstance(entry, Mapping) or not isinstance(entry.get("name"), str):
        return "an entry of `stages` has no name."
    name = entry["name"]
    if not re.fullmatch(NAME, name):
        return f"'{name}' cannot name a stage: letters, digits, `_` and `-`, not beginning with a digit."
    if name in taken:
        return f"stage '{name}' is listed twice."
    return _key_trouble(name, entry)


def _key_trouble(name: str, entry: Mapping[str, Any]) -> str:
    for key in ("dependencies", "after"):
        links = entry.get(key) or []
        if not isinstance(links, list) or not all(isinstance(one, str) for one in links):
            return f"`{key}` of stage '{name}' is no list of names."
    path = entry.get("notebook", "")
    if not isinstance(path, str) or (path and not path.endswith(".ipynb")):
        return f"`notebook` of stage '{name}' is no path of an .ipynb file."
    outside = PurePosixPath(path).is_absolute() or ".." in PurePosixPath(path).parts
    return f"`notebook` of stage '{name}' lies outside the project." if outside else ""


def _entry(entry: Any) -> _Listed:
    given = {"name": entry} if isinstance(entry, str) else entry
    return _Listed(
        name=given["name"],
        notebook=given.get("notebook") or f"notebooks/{given['name']}.ipynb",
        needs=tuple(given.get("dependencies") or ()),
        after=tuple(given.get("after") or ()),
    )


def _link_complaints(found: Sequence[_Listed], name: str, document: Document) -> list[Complaint]:
    """Refuse unknown stages and circles, which no skeleton can mend."""
    known = {one.name for one in found}
    complaints = []
    for number, one in enumerate(found):
        for link in (*one.needs, *one.after):
            if link not in known:
                nearest = did_you_mean(link, known)
                complaints.append(
                    Complaint(
                        where=Location(path=name, line=document.line(("stages", number))),
                        what=f"stage '{one.name}' depends on '{link}', which is not listed.",
                        known=f"stages: {', '.join(sorted(known))}",
                        mend=f"did you mean '{nearest}'?" if nearest else "list it, or leave it out",
                    )
                )
    return complaints or _circles(found, name, document)


def _circles(found: Sequence[_Listed], name: str, document: Document) -> list[Complaint]:
    names = [one.name for one in found]
    graph = Graph(names, [(link, one.name) for one in found for link in (*one.needs, *one.after)])
    return [
        Complaint(
            where=Location(path=name, line=document.line(("stages", names.index(circle[0])))),
            what=f"stages wait for each other in a circle: {' -> '.join(circle)}.",
            mend="take one of these dependencies out",
            exit_code=ExitCode.PIPELINE,
        )
        for circle in graph.circles()
    ]


def _outputs_there(root: Path, kept: Collection[str]) -> dict[str, dict[str, str]]:
    """Give what notebooks that are there write, by their paths; nothing where that cannot be told yet."""
    project, _ = read_project(root)
    stages = tuple(replace(one, links=()) for one in project.stages if one.notebook.path in kept)
    pipeline, _ = build(replace(project, stages=stages))
    return {
        one.spec.notebook.path: {
            output.name: path for output in one.outputs for path in output.paths[:1] if not is_url(path)
        }
        for one in pipeline or ()
        if not one.axes
    }


def _skeleton(listed: _Listed, makers: Mapping[str, _Listed]) -> list[Cell]:
    title = listed.name.replace("_", " ").replace("-", " ").capitalize()
    before = [makers[one] for one in listed.needs]
    made = {_variable(one.name): _result(listed, one) for one in before if one.outputs is None}
    there = {
        _variable(one.name, output): _from(listed, path)
        for one in before
        for output, path in (one.outputs or {}).items()
    }
    cells = [
        markdown(
            f"# {title}\n\nWhat this stage is for. Replace what the last cells do; keep the tagged ones."
        ),
        code("sample: float = 1.0  # the share of the data to use", "parameters"),
    ]
    if made or there:
        cells.append(
            code("\n".join(f"{name} = {json.dumps(path)}" for name, path in (made | there).items()), "inputs")
        )
    cells.append(code(f'result = "{_result(listed, listed)}"', "outputs"))
    cells.append(code("import json\nimport os"))
    cells.append(code("\n\n".join(_body(listed.name, made, there))))
    cells.append(
        code(
            """
            os.makedirs(os.path.dirname(result), exist_ok=True)
            with open(result, "w") as file:
                json.dump(content, file, indent=2)
            """
        )
    )
    return cells


def _body(name: str, made: Collection[str], there: Collection[str]) -> list[str]:
    """Code that runs at once: it takes in what skeletons write, and notes the size of everything else."""
    sizes = ', "bytes": {}' if there else ""
    body = [f'content = {{"stage": "{name}", "sample": sample, "from": []{sizes}}}']
    body += [f'with open({one}) as file:\n    content["from"].append(json.load(file))' for one in made]
    body += [f'content["bytes"]["{one}"] = os.path.getsize({one})' for one in there]
    return body


def _variable(stage: str, output: str = "result") -> str:
    return f"{stage.replace('-', '_')}_{output}"


def _result(reader: _Listed, maker: _Listed) -> str:
    """Path of the maker's result from the reader's folder."""
    return _from(reader, f"data/{maker.name}.json")


def _from(reader: _Listed, path: str) -> str:
    """Write a project path as the reader's notebook sees it."""
    folder = PurePosixPath(reader.notebook).parent
    return path if PurePosixPath(path).is_absolute() else os.path.relpath(path, folder).replace(os.sep, "/")
