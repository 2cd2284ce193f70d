"""Where things of one instance stand on disk: absolute paths, hidden siblings."""

import json
import os
from collections.abc import Iterable, Mapping
from pathlib import Path, PurePosixPath
from typing import Any

from nbpipeline.content import digest_text
from nbpipeline.location import is_url
from nbpipeline.model import BoundArtifact, PathValue, StageInstance, Value

_LONGEST_NAME = 200
"""Bytes of a name that leave room for what marks it as ours; file systems mostly end at 255."""
_KEPT_OF_NAME = 100


def absolute(root: Path, path: str) -> Path:
    """Make a project path absolute, without following links."""
    return Path(os.path.normpath(root / path))


def relative(root: Path, path: Path) -> str:
    """Write an absolute path as a project path; outside the root it stays absolute."""
    try:
        return path.relative_to(root).as_posix()
    except ValueError:
        return path.as_posix()


def is_another(first: Path, root: Path) -> bool:
    """Whether the project that something was left by is there and another one: this is a copy."""
    try:
        return not first.samefile(root)
    except (OSError, ValueError):
        return False


def local_outputs(instance: StageInstance) -> tuple[tuple[BoundArtifact, str], ...]:
    """Every output path that is no URL, with the output that declares it."""
    return tuple((output, path) for output in instance.outputs for path in output.paths if not is_url(path))


def aside_of(target: Path, run: str) -> Path:
    """Where the previous bytes of an output wait: a hidden sibling, so on the same file system."""
    return target.with_name(f".{_fitting(target.name)}.nbpipeline-{run}")


def _fitting(name: str) -> str:
    """Shorten a name that would be too long for the file system with what is put around it."""
    if len(os.fsencode(name)) <= _LONGEST_NAME:
        return name
    short = name.encode(errors="replace")[:_KEPT_OF_NAME].decode(errors="ignore")
    return f"{short}-{digest_text(name)[:16]}"


def staged_name(name: str, run: str) -> str:
    """Give the hidden name that an atomically published output is written under; it keeps the suffix."""
    fitting = _fitting(name)
    return f".nbpipeline-{run}.{fitting}{PurePosixPath(name).suffix if fitting != name else ''}"


def staged_of(target: Path, run: str) -> Path:
    """Where an atomically published output is written."""
    return target.with_name(staged_name(target.name, run))


def staged_value(value: Value, run: str) -> Value:
    """Give a declared name's value with each path's last part replaced by its hidden name."""
    if isinstance(value, PathValue):
        return PathValue(staged_value(value.text, run))
    if isinstance(value, str):
        if is_url(value):
            return value
        path = PurePosixPath(value)
        slash = "/" if value.endswith("/") else ""
        return f"{path.with_name(staged_name(path.name, run))}{slash}"
    if isinstance(value, Mapping):
        return {key: staged_value(one, run) for key, one in value.items()}
    if isinstance(value, (list, tuple)):
        return type(value)(staged_value(one, run) for one in value)
    return value


def to_json(data: Any) -> str:
    """Write JSON with paths as text."""
    return json.dumps(data, ensure_ascii=False, indent=1, default=str)


def make_folders(folders: Iterable[Path]) -> tuple[Path, ...]:
    """Make folders with their parents; returns the new ones, outermost first. Raises OSError."""
    made: list[Path] = []
    for folder in folders:
        missing = [folder, *folder.parents]
        new = [one for one in missing if not one.exists()]
        folder.mkdir(parents=True, exist_ok=True)
        made += [one for one in reversed(new) if one not in made]
    return tuple(made)


def remove_empty(folders: Iterable[Path]) -> None:
    """Take back folders made for outputs that did not come."""
    for folder in folders:
        try:
            folder.rmdir()
        except OSError:
            continue
