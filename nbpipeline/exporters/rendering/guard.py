"""Asks an exporter for its files, and refuses what would write elsewhere or is no text, whoever wrote it."""

from collections.abc import Iterable, Iterator, Mapping
from pathlib import PurePosixPath
from typing import Any

from nbpipeline import plugins
from nbpipeline.errors import UsageError
from nbpipeline.model.exported import ExportGiven, Loss, Workflow
from nbpipeline.patterns import regex
from nbpipeline.ports import Exporter

_PORT = "exporters"
_USER = regex(r"([A-Za-z][A-Za-z0-9+.-]*)://([^/?#\s]*)@")
"""A URL's scheme, and what stands before its host."""


def folder(target: str, exporter: Exporter) -> str:
    """Give the folder that the target's files stand in by default. Raises MissingPluginError."""
    if exporter.FOLDER != "." and not is_inside(exporter.FOLDER):
        raise plugins.faulty(_PORT, target, f"has a FOLDER outside the project: '{exporter.FOLDER}'")
    return exporter.FOLDER


def losses(target: str, exporter: Exporter, workflow: Workflow, given: ExportGiven) -> tuple[Loss, ...]:
    """Ask what would be lost. Raises MissingPluginError for what is no Loss, UsageError for credentials."""
    _refuse_credentials(given)
    found = plugins.trusted(_PORT, target, lambda: tuple(exporter.losses(workflow, given)))
    if not all(isinstance(one, Loss) for one in found):
        raise plugins.faulty(_PORT, target, "gives losses that are none", "each is a nbpipeline Loss")
    return found


def render(target: str, exporter: Exporter, workflow: Workflow, given: ExportGiven) -> Mapping[str, str]:
    """Have it render. Raises MissingPluginError where it fails, or gives what must not be written.

    Raises UsageError for credentials among what it is given.
    """
    _refuse_credentials(given)
    found: Any = plugins.trusted(_PORT, target, lambda: exporter.render(workflow, given))
    if not isinstance(found, Mapping):
        raise plugins.faulty(_PORT, target, f"gives {_kind(found)}", "`render` gives {path: text}")
    wrong = next(_wrong(found), None)
    if wrong:
        raise plugins.faulty(_PORT, target, *wrong)
    return found


def _refuse_credentials(given: ExportGiven) -> None:
    """Refuse what would be committed with the files: a password, or a token in the user's place."""
    for name, value in given.options.items():
        for scheme, user in _USER.findall(value):
            if ":" in user or not scheme.endswith("ssh"):
                raise UsageError.of(
                    f"--set {name}: its URL has credentials in it, and an export is there to be committed.",
                    mend="leave them out; where it is installed pip finds them itself, as in .netrc",
                )


def _wrong(files: Mapping[Any, Any]) -> Iterator[tuple[str, str]]:
    paths = [one for one in files if isinstance(one, str)]
    folders = {str(one) for path in paths for one in PurePosixPath(path).parents}
    for path, text in files.items():
        if not isinstance(path, str) or not is_inside(path):
            known = "paths are within the export's folder, with `/`, and without `.` and `..`"
            yield f"wants to write {path!r}, which is no path in its folder", known
        elif path in folders:
            yield f"wants to write '{path}', and files in a folder of that name", ""
        elif not isinstance(text, str):
            yield f"gives {_kind(text)} for '{path}'", "`render` gives texts"
        elif not _can_be_written(text):
            yield f"gives a text for '{path}' that no file can hold", "it has half of a surrogate pair"


def is_inside(path: str) -> bool:
    """Say whether a path is of a file in the folder, written in the one way that there is."""
    parts = path.split("/")
    sound: Iterable[bool] = (one not in ("", ".", "..") and "\\" not in one for one in parts)
    return path.isprintable() and all(sound)


def _can_be_written(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def _kind(value: Any) -> str:
    return f"a {type(value).__name__}"
