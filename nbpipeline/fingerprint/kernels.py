"""Kernelspecs, found in the folders where Jupyter looks, without jupyter_client's import."""
# Paths are texts here: plans look at thousands.
# ruff: noqa: PTH119

import json
import os
import re
import sys
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path

from nbpipeline.patterns import regex
from nbpipeline.values import dataclass

_NATIVE = regex(r"python(3(\.\d+)?)?")


@dataclass(frozen=True, slots=True, kw_only=True)
class KernelSpec:
    """A kernel as its kernel.json says."""

    name: str
    argv: tuple[str, ...]
    """Empty where no installed kernel speaks the language."""
    language: str
    env: tuple[tuple[str, str], ...] = ()
    """Variables that it sets, sorted; `${NAME}` in them stands for another one."""
    fallback: bool = False
    """The kernel that was asked for is not installed; this one stands in."""

    @property
    def kind(self) -> str:
        """Language and program: `python (ipykernel_launcher)`. Neither versions nor places."""
        words = iter(self.argv)
        program = os.path.basename(next(words, ""))
        for word in words:
            if word == "-m":
                program = next(words, program)
        return f"{self.language.lower()} ({program})"


def find_kernel(
    name: str | None, language: str = "python", environ: Mapping[str, str] = os.environ
) -> KernelSpec:
    """Find the kernel by name; else, with `fallback`, one for the language: for Python the running one."""
    if name:
        found = _installed(name, environ)
        if found is not None:
            return found
    if language == "python" or not language:
        native = _installed("python3", environ) if name != "python3" else None
        if native is None or not _is_running_python(native):
            native = KernelSpec(name="python3", argv=_native_argv(), language="python")
        if name in (None, "", "python3"):
            return native
        return replace(native, fallback=True)
    for folder in kernel_folders(environ):
        for one in sorted(_names(folder)):
            spec = _read(folder / one, one)
            if spec is not None and spec.language.lower() == language.lower():
                return replace(spec, fallback=True)
    return KernelSpec(name=name or "", argv=(), language=language, fallback=True)


def kernel_folders(environ: Mapping[str, str] = os.environ) -> Iterator[Path]:
    """List the folders that hold kernelspecs, in Jupyter's order."""
    for entry in environ.get("JUPYTER_PATH", "").split(os.pathsep):
        if entry:
            yield Path(entry) / "kernels"
    own = Path(sys.prefix) / "share" / "jupyter"
    user = _user_folder(environ)
    first, second = (own, user) if _prefers_own(environ) else (user, own)
    yield first / "kernels"
    yield second / "kernels"
    if os.name == "nt":
        yield Path(environ.get("PROGRAMDATA", r"C:\ProgramData")) / "jupyter" / "kernels"
    else:
        yield Path("/usr/local/share/jupyter/kernels")
        yield Path("/usr/share/jupyter/kernels")
    yield Path(environ.get("IPYTHONDIR") or Path.home() / ".ipython") / "kernels"


def _prefers_own(environ: Mapping[str, str]) -> bool:
    asked = environ.get("JUPYTER_PREFER_ENV_PATH")
    if asked is not None:
        return asked.lower() not in {"no", "n", "false", "off", "0", "0.0"}
    return sys.prefix != sys.base_prefix or "CONDA_PREFIX" in environ


def _user_folder(environ: Mapping[str, str]) -> Path:
    if environ.get("JUPYTER_DATA_DIR"):
        return Path(environ["JUPYTER_DATA_DIR"])
    if sys.platform == "darwin":
        return Path.home() / "Library" / "Jupyter"
    if os.name == "nt" and environ.get("APPDATA"):
        return Path(environ["APPDATA"]) / "jupyter"
    data = environ.get("XDG_DATA_HOME")
    return (Path(data) if data else Path.home() / ".local" / "share") / "jupyter"


def _installed(name: str, environ: Mapping[str, str]) -> KernelSpec | None:
    """Read the kernelspec of the name; names do not tell capitals apart, as in Jupyter."""
    if not re.fullmatch(r"[A-Za-z0-9._-]+", name):
        return None
    for folder in kernel_folders(environ):
        for one in (name.lower(), name):
            spec = _read(folder / one, name)
            if spec is not None:
                return spec
        match = next((one for one in _names(folder) if one.lower() == name.lower()), None)
        spec = _read(folder / match, match) if match else None
        if spec is not None:
            return spec
    return None


def _names(folder: Path) -> list[str]:
    try:
        return [one.name for one in os.scandir(folder)]
    except OSError:
        return []


def _read(folder: Path, name: str) -> KernelSpec | None:
    try:
        data = json.loads((folder / "kernel.json").read_text(encoding="utf-8"))
        argv, language = data["argv"], data.get("language", "")
        variables = tuple(sorted((str(key), str(one)) for key, one in (data.get("env") or {}).items()))
        words = tuple(str(one).replace("{resource_dir}", str(folder)) for one in argv)
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return None
    if not words:
        return None
    if _NATIVE.fullmatch(words[0]):  # jupyter_client starts these with its own Python
        words = (sys.executable, *words[1:])
    return KernelSpec(name=name, argv=words, language=str(language), env=variables)


def _is_running_python(spec: KernelSpec) -> bool:
    return spec.argv[0] == sys.executable


def _native_argv() -> tuple[str, ...]:
    return (sys.executable, "-m", "ipykernel_launcher", "-f", "{connection_file}")
