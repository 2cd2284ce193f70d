"""What a kernel's Python has installed: its minor version, which distribution gives which module.

Found by reading site-packages, not by importing; remembered for as long as the folder's time stands.
"""
# Paths are texts here: plans look at thousands.
# ruff: noqa: PTH112, PTH116, PTH119

import json
import os
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

from nbpipeline.fingerprint.kernels import KernelSpec, find_kernel
from nbpipeline.ports import Cache
from nbpipeline.values import dataclass

__all__ = ["Installed", "Interpreter", "Interpreters", "KernelSpec", "find_kernel"]

_ASK = (
    "import json, sys; print(json.dumps(['%d.%d' % sys.version_info[:2],"
    " [p for p in sys.path if p.rstrip('/').endswith(('site-packages', 'dist-packages'))]]))"
)
_ASK_SECONDS = 30.0
_SETTLED = 2.0
_SCHEME = 1


@dataclass(frozen=True, slots=True)
class Interpreter:
    """A Python: `3.11`, and the folders where its distributions are."""

    version: str
    sites: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Installed:
    """What one site-packages folder holds."""

    names: Mapping[str, list[str]]
    """Import name -> `distribution version` of all that give it."""
    roots: tuple[str, ...]
    """Folders that .pth files and editable installs add to the import path."""


class Interpreters:
    """Interpreters and their distributions, from the cache where it has them."""

    def __init__(self, cache: Cache, now: Callable[[], float] = time.time) -> None:
        """Read the cache when it is first needed."""
        self._cache = cache
        self._now = now
        self._texts: dict[str, dict[str, str]] = {}
        self._sites: dict[tuple[str, int], Installed] = {}

    def of(self, executable: str) -> Interpreter:
        """Describe the interpreter; the running one is not asked, another one is asked once."""
        if executable == sys.executable:
            sites = tuple(one for one in sys.path if _is_site(one))
            return Interpreter(f"{sys.version_info[0]}.{sys.version_info[1]}", sites)
        try:
            found = os.stat(executable)
        except OSError:
            return Interpreter("unknown", ())
        key = f"{executable} {found.st_mtime_ns} {found.st_size}"
        text = self._text("interpreter", key)
        if text is None:
            text = _ask(executable)
            if text:
                self._keep("interpreter", key, text)
        if not text:
            return Interpreter("unknown", ())
        version, sites = json.loads(text)
        return Interpreter(version, tuple(sites))

    def installed(self, site: str) -> Installed:
        """Say what a site-packages folder holds, as of its present time."""
        try:
            time_ns = os.stat(site).st_mtime_ns
        except OSError:
            return Installed({}, ())
        known = self._sites.get((site, time_ns))
        if known is None:
            known = self._sites[(site, time_ns)] = self._scanned(site, time_ns)
        return known

    def _scanned(self, site: str, time_ns: int) -> Installed:
        text = self._text("site", site)
        stamp = f"{time_ns} "
        if text is None or not text.startswith(stamp):
            text = stamp + json.dumps(scan(Path(site)))
            if time_ns / 1e9 < self._now() - _SETTLED:
                self._keep("site", site, text)
        names, roots = json.loads(text[len(stamp) :])
        return Installed(names, tuple(roots))

    def _text(self, kind: str, key: str) -> str | None:
        if kind not in self._texts:
            self._texts[kind] = self._cache.load(f"{kind} {_SCHEME}")
        return self._texts[kind].get(key)

    def _keep(self, kind: str, key: str, text: str) -> None:
        self._texts[kind][key] = text
        self._cache.save(f"{kind} {_SCHEME}", {key: text})


def _is_site(path: str) -> bool:
    return os.path.basename(path.rstrip("/\\")) in {"site-packages", "dist-packages"}


def _ask(executable: str) -> str:
    import subprocess  # noqa: PLC0415 - an answer is remembered

    try:
        done = subprocess.run(  # noqa: S603 - the kernel's own interpreter, which a run starts anyway
            [executable, "-c", _ASK], capture_output=True, text=True, timeout=_ASK_SECONDS, check=True
        )
        version, sites = json.loads(done.stdout)
        return json.dumps([str(version), [str(one) for one in sites]])
    except (OSError, ValueError, subprocess.SubprocessError):
        return ""


# --- site-packages ---------------------------------------------------------------------------


def scan(site: Path) -> tuple[dict[str, list[str]], list[str]]:
    """Read a site-packages folder: import names with their distributions, and further import roots."""
    names: dict[str, set[str]] = {}
    roots: list[str] = []
    for entry in sorted(os.scandir(site), key=lambda one: one.name):
        if entry.name.endswith((".dist-info", ".egg-info")) and entry.is_dir():
            folder = Path(entry.path)
            known = _name_and_version(folder)
            for name in _import_names(folder) if known else ():
                names.setdefault(name, set()).add(known)
            roots += _editable_roots(folder)
        elif entry.name.endswith(".pth"):
            roots += _path_lines(Path(entry.path))
    return {name: sorted(found) for name, found in names.items()}, list(dict.fromkeys(roots))


def _lines(path: Path) -> list[str]:
    try:
        return path.read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return []


def _name_and_version(folder: Path) -> str:
    """Read `pandas 3.1.1` from the head of METADATA or PKG-INFO; empty where there is neither."""
    found: dict[str, str] = {}
    for line in _lines(folder / "METADATA") or _lines(folder / "PKG-INFO"):
        key, colon, value = line.partition(":")
        if not colon:
            break
        if key in {"Name", "Version"}:
            found.setdefault(key, value.strip())
    return f"{found['Name']} {found['Version']}" if len(found) == 2 else ""  # noqa: PLR2004 - name and version


def _import_names(folder: Path) -> set[str]:
    found = {name for name in map(_top_name, _lines(folder / "RECORD")) if name}
    return found or {line.strip() for line in _lines(folder / "top_level.txt") if line.strip()}


def _top_name(line: str) -> str:
    """Find the import name that a line of RECORD speaks of; empty for scripts, metadata and the like."""
    path = line.partition(",")[0].strip('"')
    first, slash, _ = path.partition("/")
    if slash:
        return first if first.isidentifier() and first != "__pycache__" else ""
    stem, _, suffix = first.partition(".")
    return stem if stem.isidentifier() and suffix.endswith(("py", "so", "pyd")) else ""


def _editable_roots(folder: Path) -> Iterator[str]:
    """Name the folders of a project installed with `pip install -e`: its own and its `src`."""
    for line in _lines(folder / "direct_url.json")[:1]:
        try:
            data = json.loads(line)
            editable = data.get("dir_info", {}).get("editable", False)
            url = data["url"]
        except (ValueError, KeyError, TypeError, AttributeError):
            continue
        if editable and url.startswith("file://"):
            from urllib.parse import unquote, urlsplit  # noqa: PLC0415 - only where there is one

            home = unquote(urlsplit(url).path)
            yield from (path for path in (f"{home}/src", home) if os.path.isdir(path))


def _path_lines(path: Path) -> Iterator[str]:
    for line in _lines(path):
        text = line.strip()
        if text and not text.startswith(("#", "import ", "import\t")):
            yield os.path.normpath(path.parent / text)
