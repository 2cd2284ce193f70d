"""Paths as the project names them."""

import posixpath

from nbpipeline.location import is_url


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
