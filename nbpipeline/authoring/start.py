"""`nbpipeline init`: a project from a template, or skeletons of the notebooks that a pipeline.yaml names."""

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib.resources import files
from importlib.resources.abc import Traversable
from pathlib import Path, PurePosixPath
from typing import Any

from nbpipeline.authoring.cells import Cell, code, markdown, notebook
from nbpipeline.authoring.writing import write_new
from nbpipeline.errors import Complaint, ExitCode, ReadingError, UsageError, did_you_mean, gather
from nbpipeline.graph import Graph
from nbpipeline.location import Location
from nbpipeline.reading.kinds import NAME
from nbpipeline.reading.yaml12 import Document, YamlError, load

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


def from_pipeline(file: Path) -> Made:
    """Make a notebook for each stage that the file names and that has none yet.

    Each skeleton reads what the stages before it write and writes a small result of its own, so that the
    pipeline runs at once. Raises ReadingError or PipelineError with all complaints about the file.
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
    makers = {one.name: one for one in listed}
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


def _skeleton(listed: _Listed, makers: Mapping[str, _Listed]) -> list[Cell]:
    title = listed.name.replace("_", " ").replace("-", " ").capitalize()
    reads = {_variable(one): _result(listed, makers[one]) for one in listed.needs}
    cells = [
        markdown(
            f"# {title}\n\nWhat this stage is for. Replace what the last cells do; keep the tagged ones."
        ),
        code("sample: float = 1.0  # the share of the data to use", "parameters"),
    ]
    if reads:
        cells.append(code("\n".join(f'{name} = "{path}"' for name, path in reads.items()), "inputs"))
    cells.append(code(f'result = "{_result(listed, listed)}"', "outputs"))
    cells.append(code("import json\nimport os"))
    body = [f'content = {{"stage": "{listed.name}", "sample": sample, "from": []}}']
    body += [f'with open({name}) as file:\n    content["from"].append(json.load(file))' for name in reads]
    cells.append(code("\n\n".join(body)))
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


def _variable(stage: str) -> str:
    return stage.replace("-", "_") + "_result"


def _result(reader: _Listed, maker: _Listed) -> str:
    """Path of the maker's result from the reader's folder."""
    up = "../" * (len(PurePosixPath(reader.notebook).parts) - 1)
    return f"{up}data/{maker.name}.json"
