"""`executed:`: a copy of the executed notebook where its author wants to see it."""

import importlib
import importlib.util
import os
from pathlib import Path

from nbpipeline.errors import MissingPluginError, UsageError
from nbpipeline.model import StageInstance
from nbpipeline.stage.places import absolute

_FORMATS = {".html": "html", ".md": "markdown", ".pdf": "webpdf"}


def refuse_unknown(instance: StageInstance) -> None:
    """Say before a long run that its copy could not be made. Raises `UsageError`, `MissingPluginError`."""
    if not instance.executed:
        return
    suffix = Path(instance.executed).suffix
    if suffix == ".ipynb":
        return
    if suffix not in _FORMATS:
        raise UsageError.of(
            f"`executed: {instance.executed}` has a format that is not known.",
            where=instance.spec.where,
            known="known formats: .ipynb .html .md .pdf",
            mend="give the path one of these endings",
        )
    if importlib.util.find_spec("nbconvert") is None:
        raise MissingPluginError.of(
            f"`executed: {instance.executed}` needs nbconvert.",
            where=instance.spec.where,
            mend="pip install 'nbpipeline[lab]'",
        )


def keep_copy(instance: StageInstance, notebook: Path, root: Path) -> tuple[str, ...]:
    """Write the copy; trouble with it is a notice, since the stage itself is good."""
    if not instance.executed:
        return ()
    target = absolute(root, instance.executed)
    beside = target.with_name(f".{target.name}.{os.getpid()}.new")
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        beside.write_bytes(_converted(notebook, target.suffix))
        beside.replace(target)
    except Exception as error:  # noqa: BLE001 - whatever nbconvert and its templates raise
        beside.unlink(missing_ok=True)
        return (f"the executed notebook could not be kept at {instance.executed}: {error}",)
    return ()


def _converted(notebook: Path, suffix: str) -> bytes:
    if suffix == ".ipynb":
        return notebook.read_bytes()
    exporters = importlib.import_module("nbconvert")  # heavy, and an extra
    exporter = exporters.get_exporter(_FORMATS[suffix])(exclude_raw=True)
    if suffix == ".html":  # a page that asks nothing of the network
        exporter.mathjax_url = exporter.require_js_url = exporter.mermaid_js_url = ""
    body, _ = exporter.from_filename(str(notebook))
    return body.encode() if isinstance(body, str) else bytes(body)
