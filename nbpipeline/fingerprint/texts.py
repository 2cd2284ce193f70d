"""The sources of modules as texts, to be shown line by line when they have changed."""

from collections.abc import Mapping
from pathlib import Path

_SHOWN = (".py", ".ipy", ".sh", ".bash", ".R", ".r", ".jl", ".pl", ".js", ".rb", ".sql")
_LARGEST = 1_000_000
"""Bytes; nobody reads more of a difference."""


def module_texts(root: Path, modules: Mapping[str, str]) -> dict[str, str]:
    """Read the modules under `root`: digest -> text.

    Settings and hidden files are left out, since they may hold secrets, as are notebooks and what is no text.
    """
    texts = {}
    for path, known in modules.items():
        digest = digest_of(known)
        if digest and path.endswith(_SHOWN) and not path.rpartition("/")[2].startswith("."):
            text = _text(root / path)
            if text is not None:
                texts[digest] = text
    return texts


def digest_of(module: str) -> str:
    """Give a module's own digest, without those of the names behind it; empty where nothing counts in it."""
    return module.partition(" ")[0]


def _text(path: Path) -> str | None:
    try:
        if path.stat().st_size > _LARGEST:
            return None
        return path.read_text(encoding="utf-8")
    except (OSError, ValueError):
        return None
