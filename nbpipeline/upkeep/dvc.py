"""Outputs as DVC knows them: a `.dvc` file beside each, and its bytes by MD5 where DVC looks.

DVC itself is not needed. The layout is that of DVC 3: `files/md5/ab/cdef...`, and a folder as a JSON list of
its files.
"""

import configparser
import hashlib
import json
import uuid
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import yaml

from nbpipeline.content import copy_file
from nbpipeline.errors import StorageError, UsageError
from nbpipeline.location import is_url
from nbpipeline.model import EXECUTED, ProjectSpec, StageRecord, StoredOutput, shell_name
from nbpipeline.ports import Digests
from nbpipeline.replacing import replace_text, replaced
from nbpipeline.stores.remote import Remote
from nbpipeline.values import dataclass

_PIECE = 1 << 20
_OTHERS = ("deps", "cmd", "frozen")
"""Keys of a `.dvc` file that DVC wrote for something else: an import, a stage."""

Keep = Callable[[Path, str], None]
"""Puts a file's bytes where DVC looks, under their MD5 (of a folder's list: with `.dir`)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Written:
    """What was written for DVC."""

    files: tuple[str, ...]
    """The `.dvc` files, by their paths from the root."""
    to: str
    """Where the bytes are."""
    notices: tuple[str, ...]


def write(
    project: ProjectSpec, records: Iterable[StageRecord], paths: Iterable[str], digests: Digests, to: str
) -> Written:
    """Write outputs on record for DVC: those of `paths`, or all.

    `to` is the folder or URL of a DVC remote; by default the cache of the DVC repository that the project is
    in. Raises UsageError where there is none, or for an output that is not as recorded; StorageError.
    """
    root = Path(project.root)
    keep, named = _keeper(project, root, to)
    only = set(paths)
    files: list[str] = []
    notices: list[str] = []
    for record in records:
        for output in record.outputs:
            if output.kind == EXECUTED or is_url(output.path) or (only and output.path not in only):
                continue
            _require_recorded(root, record, output, digests)
            notices += _losses(root / output.path, output.path)
            _write_one(root, output.path, keep)
            files.append(f"{output.path}.dvc")
    return Written(files=tuple(files), to=named, notices=tuple(notices))


def _require_recorded(root: Path, record: StageRecord, output: StoredOutput, digests: Digests) -> None:
    """Refuse bytes that are no stage's result."""
    present = digests.of(root / output.path)
    if present != output.digest:
        name = shell_name(record.instance)
        raise UsageError.of(
            f"{output.path} is {'missing' if present is None else 'not as its run left it'}.",
            mend=f"nbpipeline restore {name}, or nbpipeline run {name}",
        )


def _losses(target: Path, path: str) -> Iterator[str]:
    """Name what DVC has no word for."""
    if target.is_dir():
        empty = [one for one in target.rglob("*") if one.is_dir() and not any(one.iterdir())]
        if empty:
            yield f"{path}: DVC knows no empty folders: {', '.join(str(one.name) for one in empty)}"


def _write_one(root: Path, path: str, keep: Keep) -> None:
    target = root / path
    try:
        found = _of_folder(target, keep) if target.is_dir() else _of_file(target, keep)
        described = {**found, "hash": "md5", "path": target.name}
        _write_description(target.with_name(f"{target.name}.dvc"), described, path)
        _ignore(target)
    except OSError as error:
        raise StorageError.of(
            f"{path} cannot be written for DVC: {error.strerror or error}.",
            mend="see that its folder and the DVC cache are writable and that the disk has room",
        ) from error


def _of_file(target: Path, keep: Keep) -> dict[str, Any]:
    digest, size = _md5(target)
    keep(target, digest)
    return {"md5": digest, "size": size}


def _of_folder(target: Path, keep: Keep) -> dict[str, Any]:
    """Keep a folder's files, and the list of them."""
    members = []
    total = 0
    for one in sorted(target.rglob("*"), key=lambda found: found.relative_to(target).as_posix()):
        if one.is_file():
            digest, size = _md5(one)
            keep(one, digest)
            total += size
            members.append({"md5": digest, "relpath": one.relative_to(target).as_posix()})
    listing = json.dumps(members, sort_keys=True).encode()
    digest = f"{hashlib.md5(listing, usedforsecurity=False).hexdigest()}.dir"
    beside = target.with_name(f".{target.name}.dvc.dir")
    try:
        beside.write_bytes(listing)
        keep(beside, digest)
    finally:
        beside.unlink(missing_ok=True)
    return {"md5": digest, "size": total, "nfiles": len(members)}


def _md5(path: Path) -> tuple[str, int]:
    hasher = hashlib.md5(usedforsecurity=False)
    size = 0
    with path.open("rb") as file:
        while piece := file.read(_PIECE):
            hasher.update(piece)
            size += len(piece)
    return hasher.hexdigest(), size


def _write_description(place: Path, output: dict[str, Any], path: str) -> None:
    """Write the `.dvc` file; what else an earlier one says of the output (`desc`, `meta`, `remote`) stays."""
    before = _read_description(place, path)
    outs = before.get("outs") or [{}]
    kept = {
        key: value for key, value in outs[0].items() if key not in {"md5", "size", "nfiles", "hash", "path"}
    }
    text = yaml.safe_dump({**before, "outs": [{**output, **kept}]}, sort_keys=False, allow_unicode=True)
    if not place.exists() or place.read_text(encoding="utf-8") != text:
        replace_text(place, text)


def _read_description(place: Path, path: str) -> dict[str, Any]:
    try:
        found = yaml.safe_load(place.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return {}
    except (ValueError, yaml.YAMLError, RecursionError):
        found = None
    outs = found.get("outs") if isinstance(found, dict) else None
    own = isinstance(outs, list) and len(outs) == 1 and isinstance(outs[0], dict)
    elsewhere = isinstance(found, dict) and found.get("wdir", ".") != "."  # where DVC would then look
    if not isinstance(found, dict) or not own or elsewhere or not found.keys().isdisjoint(_OTHERS):
        raise UsageError.of(
            f"{path}.dvc is there, and is not of one file or folder that `dvc add` took in.",
            mend="move it away, or leave that output out",
        )
    return found


def _ignore(target: Path) -> None:
    """Have git leave the output alone, as `dvc add` does."""
    place, line = target.with_name(".gitignore"), f"/{target.name}"
    text = place.read_text(encoding="utf-8") if place.exists() else ""
    if line not in text.splitlines():
        replace_text(place, f"{text}{'' if not text or text.endswith(chr(10)) else chr(10)}{line}\n")


# --- where the bytes go ----------------------------------------------------------------------


def _keeper(project: ProjectSpec, root: Path, to: str) -> tuple[Keep, str]:
    if is_url(to):
        own = str(project.store.get("remote") or project.store.get("path") or "")
        same = to.partition("://")[0] == own.partition("://")[0]
        settings = project.store if same else {}
        options = settings.get("options")
        endpoint = str(settings.get("endpoint") or "")
        far = Remote(to, options if isinstance(options, dict) else None, endpoint)
        return lambda path, digest: _put_far(far, path, digest), far.name
    folder = Path(to).absolute() if to else _cache_of(root)
    return lambda path, digest: _put_near(folder, path, digest), str(folder)


def _place(digest: str) -> str:
    return f"files/md5/{digest[:2]}/{digest[2:]}"


def _put_far(far: Remote, path: Path, digest: str) -> None:
    if far.size(_place(digest)) != path.stat().st_size:
        far.upload(path, _place(digest))


def _put_near(folder: Path, path: Path, digest: str) -> None:
    place = folder / _place(digest)
    if not place.exists():
        place.parent.mkdir(parents=True, exist_ok=True)
        with replaced(place, by=place.with_name(f".{uuid.uuid4().hex}")) as beside:
            copy_file(path, beside)


def _cache_of(root: Path) -> Path:
    """Find the cache of the DVC repository around the project. Raises UsageError."""
    home = next((one / ".dvc" for one in (root, *root.parents) if (one / ".dvc").is_dir()), None)
    if home is None:
        raise UsageError.of(
            "the project is in no DVC repository.",
            mend="dvc init, or name the folder or URL of a DVC remote: --to",
        )
    for name in ("config.local", "config"):
        parser = configparser.ConfigParser(interpolation=None)
        with suppress(OSError, configparser.Error):
            parser.read(home / name, encoding="utf-8")
            if parser.get("cache", "dir", fallback=""):
                return home / parser.get("cache", "dir")
    return home / "cache"
