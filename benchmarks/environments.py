"""One lean environment for each peer, made from its pins and kept outside of the checkout.

A folder is named after the hash of the pins and of the Python that it is for, so a change of either makes a
new one, and what is there already is used again. Bytecode is compiled at once, and one notebook is run, so
that nobody pays for that while being measured.
"""

import hashlib
import os
import shutil
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from importlib.metadata import distributions
from pathlib import Path

from filelock import FileLock

from benchmarks import work

ROOT = Path(__file__).parents[1]
PINS = Path(__file__).parent / "requirements"
SCHEME = "1"  # another way of installing makes other folders
KEPT = ("LANG", "LC_ALL", "TZ", "TMPDIR")
SYSTEMS_TRUST = {"UV_SYSTEM_CERTS": "true", "UV_NATIVE_TLS": "true"}
"""pip trusts the certificates of the system, so uv shall too; older ones know the second name."""
INSTALLER = ("PIP_", "UV_", "SSL_", "HTTP", "http", "REQUESTS_", "NO_PROXY", "no_proxy")


@dataclass(frozen=True, slots=True, kw_only=True)
class Environment:
    """An installed set of requirements, with a home folder of its own."""

    name: str
    folder: Path

    @property
    def bin(self) -> Path:
        """Where its commands are."""
        return self.folder / "venv" / "bin"

    @property
    def home(self) -> Path:
        """Where its caches and settings go, instead of into the user's."""
        return self.folder / "home"

    def variables(self, **more: str) -> dict[str, str]:
        """Give the variables that a measured command sees: few, and the same for all."""
        kept = {name: os.environ[name] for name in KEPT if name in os.environ}
        path = f"{self.bin}{os.pathsep}{os.environ.get('PATH', os.defpath)}"
        return kept | {"HOME": str(self.home), "PATH": path, "MPLBACKEND": "agg"} | more

    def versions(self) -> dict[str, str]:
        """Give what is installed: distribution and version."""
        places = [str(one) for one in (self.folder / "venv" / "lib").glob("python*/site-packages")]
        return {one.name.lower(): one.version for one in distributions(path=places)}


def default_cache() -> Path:
    """Say where environments are kept when nobody says so."""
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "nbpipeline-benchmarks"


def interpreter() -> Path:
    """Give the Python itself, not the virtual environment that runs this."""
    return Path(sys.executable).resolve()


def key(pins: Path) -> str:
    """Name the state that an environment is made from."""
    text = "\n".join((SCHEME, str(interpreter()), sys.version, pins.read_text(encoding="utf-8")))
    return hashlib.sha256(text.encode()).hexdigest()[:12]


def run(command: Sequence[str | Path], **variables: str) -> None:
    """Run an installer; its output is shown when it fails."""
    kept = {name: value for name, value in os.environ.items() if name.startswith(INSTALLER)}
    base = {name: os.environ[name] for name in ("HOME", "PATH", *KEPT) if name in os.environ}
    done = subprocess.run(
        [str(one) for one in command],
        env=SYSTEMS_TRUST | kept | base | {"UV_COMPILE_BYTECODE": "1"} | variables,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )
    if done.returncode:
        raise RuntimeError(f"{' '.join(map(str, command))}\n{done.stdout}")


def make_venv(folder: Path) -> None:
    """Make an empty environment, with uv where there is one."""
    uv = shutil.which("uv")
    if uv:
        run([uv, "venv", "-q", "--python", interpreter(), folder])
    else:
        run([interpreter(), "-m", "venv", folder])


def install(environment: Environment, *what: str | Path) -> None:
    """Install into an environment, compiled, with uv where there is one."""
    uv = shutil.which("uv")
    python = environment.bin / "python"
    if uv:
        run([uv, "pip", "install", "-q", "--python", python, *what])
    else:
        run([python, "-m", "pip", "install", "-q", *what])


def warm(environment: Environment) -> None:
    """Import once what the notebooks import: missing bytecode, and matplotlib's list of fonts."""
    environment.home.mkdir(exist_ok=True)
    program = f"import papermill, ipykernel.kernelapp\n{work.IMPORTS}"
    python = environment.bin / "python"
    subprocess.run(
        [python, "-c", program], env=environment.variables(), check=True, stdout=subprocess.DEVNULL
    )


def prepare(name: str, cache: Path, pins: Path | None = None) -> Environment:
    """Give the environment of that name, made if it is not there."""
    pins = pins or PINS / f"{name}.txt"
    environment = Environment(name=name, folder=cache / f"{name}-{key(pins)}")
    done = environment.folder / "complete"
    cache.mkdir(parents=True, exist_ok=True)
    with FileLock(environment.folder.with_suffix(".lock")):
        if done.exists():
            return environment
        print(f"installing {name} ({len(pins.read_text().splitlines())} pins) ...", flush=True)
        shutil.rmtree(environment.folder, ignore_errors=True)
        environment.folder.mkdir()
        make_venv(environment.folder / "venv")
        install(environment, "-r", pins)
        warm(environment)
        done.touch()
    return environment


def package() -> str:
    """Name the state of the checkout's nbpipeline."""
    digest = hashlib.sha256((ROOT / "pyproject.toml").read_bytes())
    for path in sorted((ROOT / "nbpipeline").rglob("*")):
        if path.is_file() and path.suffix != ".pyc":
            digest.update(f"{path.relative_to(ROOT)}\n".encode() + path.read_bytes())
    return digest.hexdigest()


def prepare_ours(name: str, cache: Path, pins: Path | None = None) -> Environment:
    """Give an environment with the checkout's nbpipeline in it, as it is now."""
    environment = prepare(name, cache, pins)
    installed, state = environment.folder / "installed", package()
    with FileLock(environment.folder.with_suffix(".lock")):
        if not installed.exists() or installed.read_text(encoding="utf-8") != state:
            again = "--reinstall-package=nbpipeline" if shutil.which("uv") else "--force-reinstall"
            install(environment, "--no-deps", again, ROOT)
            installed.write_text(state, encoding="utf-8")
    return environment
