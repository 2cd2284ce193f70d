"""Where a declared path leads: as the project names it, as the kernel names it, and on the disk."""

import itertools
import os
import posixpath
from collections.abc import Callable, Iterator

from nbpipeline.location import is_url
from nbpipeline.model import PathValue, Value


def leaves(value: Value) -> Iterator[str | PathValue]:
    """Every path in a declared value; raises ValueError for what is neither a path nor a collection."""
    if isinstance(value, str | PathValue):
        yield value
    elif isinstance(value, list | tuple):
        for item in value:
            yield from leaves(item)
    elif isinstance(value, dict):
        for item in value.values():
            yield from leaves(item)
    else:
        raise ValueError(f"{value!r} is no path")  # noqa: TRY004 - the author's value, not a caller's type


def mapped(value: Value, change: Callable[[str], str]) -> Value:
    """Change every path in a value; text stays text, `Path` stays `Path`."""
    if isinstance(value, PathValue):
        return PathValue(change(value.text))
    if isinstance(value, str):
        return change(value)
    if isinstance(value, list | tuple):
        return type(value)(mapped(item, change) for item in value)
    return {key: mapped(item, change) for key, item in value.items()}


def plain(value: Value) -> Value:
    """Write every `Path` in a value as text."""
    if isinstance(value, str | PathValue):
        return str(value)
    if isinstance(value, list | tuple):
        return type(value)(plain(item) for item in value)
    return {key: plain(item) for key, item in value.items()}


def shaped_like(value: Value, model: Value) -> Value:
    """Give the value text or `Path` where `model` has it, as far as both have the same shape."""
    if isinstance(value, str | PathValue):
        return PathValue(str(value)) if isinstance(model, PathValue) else str(value)
    if isinstance(value, list | tuple):
        models = model if isinstance(model, list | tuple) and len(model) == len(value) else value
        shaped = [shaped_like(item, one) for item, one in zip(value, models, strict=True)]
        return tuple(shaped) if isinstance(models, tuple) else shaped
    models_by_key = model if isinstance(model, dict) else {}
    return {key: shaped_like(item, models_by_key.get(key, item)) for key, item in value.items()}


def parents(path: str) -> Iterator[str]:
    """Walk the folders above a path, nearest first, without the project's root."""
    end = path.rfind("/")
    while end > 0:
        yield path[:end]
        end = path.rfind("/", 0, end)


class Places:
    """Knows the project's folder, links in it included; every folder is asked for once."""

    def __init__(self, root: str) -> None:
        """Take the project's root, absolute."""
        self.root = posixpath.normpath(root)
        self._real_root = os.path.realpath(root)
        self._real: dict[str, str] = {}
        self._keys: dict[str, str] = {}
        self._relative: dict[tuple[str, str], str] = {}

    def project_path(self, text: str, base: str) -> str:
        """Project path of what a notebook in the folder `base` calls `text`.

        A path outside the project is absolute, a URL stays. Raises ValueError for a path that
        no file can have.
        """
        if is_url(text):
            return text
        if not text.strip() or "\0" in text:
            raise ValueError("the path is empty" if not text.strip() else "the path holds a null character")
        # A folder that is a link leads its `..` elsewhere; what the kernel sees is what counts.
        above = self._unlinked(base) if base and not posixpath.isabs(text) else ""
        normal = posixpath.normpath(posixpath.join(above, text))
        if normal == ".." or normal.startswith("../"):
            normal = posixpath.normpath(posixpath.join(self._real_root, normal))
        return self._inside(normal) if posixpath.isabs(normal) else normal

    def kernel_path(self, path: str, folder: str) -> str:
        """Say what a kernel that runs in `folder` calls the project path `path`."""
        if is_url(path) or posixpath.isabs(path):
            return path
        key = (posixpath.dirname(path), folder)
        if key not in self._relative:
            self._relative[key] = posixpath.relpath(key[0] or ".", folder or ".")
        return posixpath.normpath(posixpath.join(self._relative[key], posixpath.basename(path)))

    def key(self, path: str) -> str:
        """Name the place on the disk: equal for two paths that lead there through different links."""
        if path not in self._keys:
            self._keys[path] = path.rstrip("/") if is_url(path) else self._key(path)
        return self._keys[path]

    def _key(self, path: str) -> str:
        folder, name = posixpath.split(path)
        real = posixpath.join(self._real_folder(folder), name)
        if os.path.islink(real):  # noqa: PTH114 - thousands of paths as text: pathlib costs more
            real = os.path.realpath(real)
        return self._inside(real)

    def outside(self, path: str) -> bool:
        """Whether the path leads out of the project, by itself or through a link."""
        return not is_url(path) and posixpath.isabs(self.key(path))

    def exists(self, path: str) -> bool:
        """Whether there is such a file or folder; a URL is taken to be there."""
        return is_url(path) or os.path.exists(posixpath.join(self.root, path))  # noqa: PTH110 - as above

    def names(self, folder: str, most: int) -> tuple[str, ...]:
        """List what is in a folder, hidden names left out, `most` of it; none where it cannot be listed."""
        try:
            with os.scandir(posixpath.join(self.root, folder)) as found:
                names = itertools.islice((one.name for one in found if one.name[:1] != "."), most)
                return tuple(sorted(names))
        except OSError:
            return ()

    def _inside(self, path: str) -> str:
        """Cut the project's folder off an absolute path, if it lies in it."""
        for root in (self.root, self._real_root):
            if path == root:
                return "."
            prefix = root.rstrip("/") + "/"
            if path.startswith(prefix):
                return path[len(prefix) :]
        return path

    def _unlinked(self, folder: str) -> str:
        """Give the folder as it is where no link leads to it, else where the link leads."""
        real = self._real_folder(folder)
        return folder if self._inside(real) == folder else real

    def _real_folder(self, folder: str) -> str:
        if folder not in self._real:
            self._real[folder] = os.path.realpath(posixpath.join(self._real_root, folder))
        return self._real[folder]
