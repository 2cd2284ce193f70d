"""`executed:`: a copy of the executed notebook where its author wants to see it."""

import importlib
import importlib.util
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from nbpipeline import plugins
from nbpipeline.content import digest_file
from nbpipeline.errors import MissingPluginError, StorageError, UsageError
from nbpipeline.location import STATE_FOLDER
from nbpipeline.model import EXECUTED, StageInstance, StageRecord
from nbpipeline.ports import Store
from nbpipeline.replacing import replace_text, replaced
from nbpipeline.stage import asides
from nbpipeline.stage.places import absolute, relative

_FORMATS = {".html": "html", ".md": "markdown", ".pdf": "webpdf"}
_MENDS = {
    False: plugins.install("convert"),
    True: f"{plugins.install('pdf')}; then `playwright install chromium`. Or keep it as .html",
}
"""By whether it is a PDF."""


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
    needed = ("nbconvert", *(["playwright"] if suffix == ".pdf" else []))
    lacking = [one for one in needed if importlib.util.find_spec(one) is None]
    if lacking:
        raise MissingPluginError.of(
            f"`executed: {instance.executed}` needs {' and '.join(lacking)}.",
            where=instance.spec.where,
            mend=_MENDS[suffix == ".pdf"],
        )


def keep_copy(
    instance: StageInstance, notebook: Path, root: Path, *, run: str, attempt: int
) -> tuple[str, ...]:
    """Write the copy; trouble with it is a notice, since the stage itself is good.

    What stands there and is not the copy that was written last is kept.
    """
    if not instance.executed:
        return ()
    target = absolute(root, instance.executed)
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        with replaced(target) as beside:
            beside.write_bytes(converted(notebook, target.suffix))
            written = digest_file(beside)
            told = _kept_first(instance.executed, _mark(instance, root), root, written, run)
        mark = {"path": instance.executed, "digest": written, "run": run, "attempt": attempt}
        _mark_of(instance, root).parent.mkdir(parents=True, exist_ok=True)
        replace_text(_mark_of(instance, root), json.dumps(mark))
    except Exception as error:  # noqa: BLE001 - whatever nbconvert and its templates raise
        return (f"the executed notebook could not be kept at {instance.executed}: {error}",)
    return told


def remake_copy(
    instance: StageInstance, record: StageRecord, store: Store, folder: Path, root: Path
) -> tuple[str, ...]:
    """Write the copy of an earlier success again, if its executed notebook is there. Returns notices."""
    if not instance.executed:
        return ()
    target = absolute(root, instance.executed)
    mark = _mark(instance, root)
    own = (mark.get("run"), mark.get("attempt")) == (record.run, record.attempt)
    try:
        if own and _digest(target) == mark.get("digest"):
            return ()
        notebook = _notebook_of(instance, record, store, folder, root)
    except (OSError, StorageError) as error:
        return (f"{instance.executed} is not remade: {str(error).splitlines()[0]}",)
    if notebook is None:
        return (f"{instance.executed} is not remade: the executed notebook of that result is gone",)
    return keep_copy(instance, notebook, root, run=record.run, attempt=record.attempt)


def _notebook_of(
    instance: StageInstance, record: StageRecord, store: Store, folder: Path, root: Path
) -> Path | None:
    """Find the executed notebook of a success: in its run's folder, else what the store holds."""
    notebook = root / STATE_FOLDER / "runs" / record.run / instance.slug / f"attempt-{record.attempt}.ipynb"
    if record.run and notebook.is_file():
        return notebook
    again = folder / f"attempt-{record.attempt}.ipynb"
    for one in record.outputs:
        if one.kind == EXECUTED and store.has(one):
            folder.mkdir(parents=True, exist_ok=True)
            return again if asides.exists(again) or store.get(one, again) else None
    return None


def _kept_first(path: str, mark: Mapping[str, Any], root: Path, written: str, run: str) -> tuple[str, ...]:
    """Take what nobody recorded out of the way; says where it is."""
    target = absolute(root, path)
    if not asides.exists(target) or _digest(target) in (written, mark.get("digest")):
        return ()
    name = run or "restored"
    kept = asides.move_to_free(target, root / STATE_FOLDER / "kept" / name / path.lstrip("/"))
    told = f"{path} held bytes that no run had recorded; they are kept at"
    return (f"{told} {relative(root, kept)}",)


def _digest(target: Path) -> str:
    """Digest of a plain file; empty for all else."""
    return digest_file(target) if target.is_file() else ""


def _mark_of(instance: StageInstance, root: Path) -> Path:
    return root / STATE_FOLDER / "copies" / f"{instance.slug}.json"


def _mark(instance: StageInstance, root: Path) -> Mapping[str, Any]:
    """Read what was written last at the present path: `{path, digest, run, attempt}`; empty where nothing."""
    try:
        found = json.loads(_mark_of(instance, root).read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError):
        return {}
    return found if isinstance(found, dict) and found.get("path") == instance.executed else {}


def converted(notebook: Path, suffix: str) -> bytes:
    """Give an executed notebook as `.ipynb`, `.html`, `.md` or `.pdf`. Raises what nbconvert does."""
    if suffix == ".ipynb":
        return notebook.read_bytes()
    exporters = importlib.import_module("nbconvert")  # heavy, and an extra
    exporter = exporters.get_exporter(_FORMATS[suffix])(exclude_raw=True)
    if suffix != ".md":  # a page that asks nothing of the network
        exporter.mathjax_url = exporter.require_js_url = exporter.mermaid_js_url = ""
    body, resources = exporter.from_filename(str(notebook))
    if suffix == ".md":
        body = _with_pictures(body, resources.get("outputs") or {})
    return body.encode() if isinstance(body, str) else bytes(body)


def _with_pictures(text: str, pictures: Mapping[str, bytes]) -> str:
    """Write pictures into the text itself: files beside the copy would be outputs that nobody declared."""
    import base64  # noqa: PLC0415 - few keep a copy in Markdown
    import mimetypes  # noqa: PLC0415 - see above

    for name, data in pictures.items():
        kind = mimetypes.guess_type(name)[0] or "application/octet-stream"
        text = text.replace(f"({name})", f"(data:{kind};base64,{base64.b64encode(data).decode()})")
    return text
