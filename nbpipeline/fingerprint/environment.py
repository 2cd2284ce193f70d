"""The environment part of a fingerprint: the kernel's Python, the distributions imported, variables."""

import os
import sys
from collections.abc import Iterable, Mapping
from pathlib import Path

from nbpipeline.content import digest_text
from nbpipeline.fingerprint.interpreter import Interpreters
from nbpipeline.fingerprint.kernels import KernelSpec
from nbpipeline.model import Value
from nbpipeline.values import dataclass

UNSET = "unset"
_OURS = "nbpipeline"


@dataclass(frozen=True, slots=True)
class Supply:
    """What a stage's code imports, as its kernel's Python has it."""

    sites: tuple[str, ...]
    """Folders where that one's distributions are."""
    versions: Mapping[str, str]
    """By distribution; Python's own under `python`."""
    missing: tuple[str, ...]
    """Import names of what no distribution there gives, nor the project."""


def variables(names: Iterable[str], environ: Mapping[str, str]) -> dict[str, str]:
    """Digests of the variables that count: values may be private, and need not be told."""
    return {
        f"env {name}": digest_text(environ[name])[:32] if name in environ else UNSET for name in sorted(names)
    }


def packages(
    setting: Value, *, root: Path, kernel: KernelSpec, imports: frozenset[str], interpreters: Interpreters
) -> dict[str, str]:
    """Count the kernel's Python and what the code imports there, as `environment` in pipeline.yaml asks."""
    if setting == "none":
        return {}
    found: dict[str, str] = {}
    is_python = kernel.language.lower() == "python" and bool(kernel.argv)
    interpreter = interpreters.of(kernel.argv[0]) if is_python else None
    if interpreter is not None:
        found["python"] = interpreter.version
    if isinstance(setting, Mapping):
        found.update(_lock(setting, root))
    elif interpreter is not None:
        found.update(_distributions(interpreter.sites, imports, interpreters))
    return found


def missing(imports: Iterable[str], sites: Iterable[str], interpreters: Interpreters) -> tuple[str, ...]:
    """Name the imports that no distribution of these folders gives, nor Python itself."""
    known = {name for site in sites for name in interpreters.installed(site).names}
    return tuple(sorted({*imports} - known - sys.stdlib_module_names - {"__main__", _OURS}))


def _lock(setting: Mapping[str, Value], root: Path) -> dict[str, str]:
    path = str(setting.get("lock", ""))
    try:
        return {f"lock {path}": digest_text((root / path).read_text(encoding="utf-8"))[:32]}
    except (OSError, ValueError):
        return {f"lock {path}": "missing"}


def _distributions(
    sites: Iterable[str], imports: frozenset[str], interpreters: Interpreters
) -> dict[str, str]:
    """Versions by distribution; the first folder on the path that has a module gives it."""
    found: dict[str, str] = {}
    missing = set(imports)
    for site in sites:
        installed = interpreters.installed(site)
        for name in sorted(missing & installed.names.keys()):
            for entry in installed.names[name]:
                distribution, _, version = entry.rpartition(" ")
                if distribution != _OURS:
                    found[distribution] = version
        missing -= installed.names.keys()
    return found


def import_roots(kernel: KernelSpec, root: Path, interpreters: Interpreters) -> tuple[str, ...]:
    """Folders under the project that the kernel's interpreter has on its path: editable installs."""
    inside = str(root)
    found = further_roots(kernel, interpreters)
    return tuple(one for one in found if one == inside or one.startswith(f"{inside}/"))


def given_roots(environ: Mapping[str, str]) -> tuple[str, ...]:
    """Give the absolute folders of PYTHONPATH."""
    given = environ.get("PYTHONPATH", "").split(os.pathsep)
    return tuple(os.path.normpath(one) for one in given if os.path.isabs(one))  # noqa: PTH117 - texts


def further_roots(kernel: KernelSpec, interpreters: Interpreters) -> tuple[str, ...]:
    """Folders that the kernel's interpreter has on its path beside its own, wherever they are."""
    if kernel.language.lower() != "python" or not kernel.argv:
        return ()
    sites = interpreters.of(kernel.argv[0]).sites
    return tuple(one for site in sites for one in interpreters.installed(site).roots)
