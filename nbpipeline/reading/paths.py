"""Paths as the project names them."""

import posixpath
import re

_URL = re.compile(r"[A-Za-z][A-Za-z0-9+.-]+://")


def is_url(text: str) -> bool:
    """Whether the text is a URL (`s3://bucket/key`), which stays as it is."""
    return bool(_URL.match(text))


def project_path(text: str, base: str, root: str) -> str:
    """Turn a path relative to the project folder `base` into a project path.

    `root` is the project's absolute path. What lies outside becomes absolute; a URL stays; the
    project's root itself is `.`.
    """
    if is_url(text):
        return text
    whole = posixpath.normpath(posixpath.join(root, base, text))
    if whole == root:
        return "."
    prefix = root.rstrip("/") + "/"
    return whole.removeprefix(prefix) if whole.startswith(prefix) else whole
