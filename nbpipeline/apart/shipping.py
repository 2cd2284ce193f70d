"""What a job takes along: its files, which go into the store, and on the way back the papers of its run.

A worker gets files by digest, so a file that was shipped once is not carried again.
"""

import io
import os
import tarfile
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path, PurePosixPath

from nbpipeline.apart.roots import taught_job
from nbpipeline.apart.withheld import bare_variables
from nbpipeline.errors import StorageError
from nbpipeline.location import is_url
from nbpipeline.model import Job, ProjectSpec, StageInstance, StageResult, StoredOutput
from nbpipeline.ports import Digests, Store
from nbpipeline.values import dataclass

Roots = tuple[str, ...]

MOST = 64 << 20
"""Bytes of papers that come back with a result; what is over stays behind, which is said."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Returned(StageResult):
    """A result with the papers of its run: executed notebooks, logs, what was refused."""

    papers: bytes = b""
    """A tar file of the instance's folder in the run's."""


class Shipper:
    """Puts what jobs need into the store, where workers find it. Safe from several threads."""

    def __init__(
        self, project: ProjectSpec, store: Store, digests: Digests, roots: Callable[[StageInstance], Roots]
    ) -> None:
        """Ship nothing yet. `roots` gives the project's folders in which the environment finds modules."""
        self._root = Path(project.root)
        self._own = tuple(_own_files(project))
        self._store = store
        self._digests = digests
        self._roots = roots
        self._there: set[str] = set()
        self._lock = threading.Lock()

    def packed(self, job: Job) -> Job:
        """Give the job with its files, which are in the store by then. Raises StorageError."""
        wanted = {path: digest or "" for path, digest in job.fingerprint.inputs.items() if _inside(path)}
        for path in (*self._own, *job.fingerprint.modules, *_updated(job.instance)):
            wanted.setdefault(path, "")
        found = [one for path, digest in wanted.items() if (one := self._shipped(path, digest)) is not None]
        files = _outermost(found)
        spec = job.instance.spec
        kept = {
            name: os.environ[name] for name in spec.env if name in os.environ and name not in spec.secrets
        }
        return replace(
            taught_job(job, self._roots(job.instance)),
            files=tuple(files),
            environment={**kept, **bare_variables(job.environment)},
        )

    def _shipped(self, path: str, digest: str) -> StoredOutput | None:
        """Have a file where workers find it: the planned bytes where anybody has them, else those here."""
        place = self._root / path
        here = self._digests.of(place)
        planned = StoredOutput(path=path, digest=digest, kind="directory" if place.is_dir() else "file")
        if digest and digest != here and self._store.has(planned):
            self._share(planned)
            return planned
        if here is None:
            return None
        one = replace(planned, digest=here)
        if one.digest not in self._there:
            self._store.put(place, one)
            self._share(one)
        return one

    def _share(self, one: StoredOutput) -> None:
        if one.digest in self._there:
            return
        if self._store.near.has(one):  # else it came to light there, and is there
            self._store.share([one])
        with self._lock:
            self._there.add(one.digest)


def _updated(instance: StageInstance) -> Iterator[str]:
    """Name the files that a stage goes on in: they are there as inputs are, whoever made them."""
    for output in instance.outputs:
        if output.spec.mode == "update":
            yield from (path for path in output.paths if _inside(path))


def _outermost(files: Sequence[StoredOutput]) -> tuple[StoredOutput, ...]:
    """Leave out what is within a folder that is shipped whole."""
    folders = {one.path for one in files if one.kind == "directory"}
    return tuple(one for one in files if folders.isdisjoint(map(str, PurePosixPath(one.path).parents)))


def _own_files(project: ProjectSpec) -> Iterator[str]:
    """Name the project's files that every stage may count on.

    Not pipeline.yaml, which may hold passwords: what a worker needs of it travels with the run's work.
    """
    if isinstance(project.environment, Mapping):
        yield str(project.environment.get("lock", ""))


def _inside(path: str) -> bool:
    """Whether a path is one in the project: all else is to be in reach of the workers by itself."""
    return not is_url(path) and not os.path.isabs(path)  # noqa: PTH117 - no file is looked at


def refusals(instance: StageInstance) -> Iterator[str]:
    """Say why an instance cannot run on another machine."""
    for output in instance.outputs:
        paths = [path for path in output.paths if not is_url(path)]
        if paths and not output.spec.store:
            yield f"output '{output.name}' has `store: false`, so nobody could bring it here"
        elif not all(map(_inside, paths)):
            yield f"output '{output.name}' is outside the project: {', '.join(paths)}"


# --- papers ----------------------------------------------------------------------------------


def collected(folder: Path) -> tuple[bytes, tuple[str, ...]]:
    """Pack a folder's files, small ones first, up to `MOST` bytes; names those that stay behind."""
    files = [one for one in folder.rglob("*") if one.is_file() and not one.is_symlink()]
    packed = io.BytesIO()
    left: list[str] = []
    with tarfile.open(fileobj=packed, mode="w") as archive:
        for size, one in sorted((one.stat().st_size, one) for one in files):
            name = one.relative_to(folder).as_posix()
            if packed.tell() + size > MOST:
                left.append(name)
            else:
                archive.add(one, arcname=name, recursive=False)
    return packed.getvalue(), tuple(left)


def laid_out(papers: bytes, folder: Path) -> None:
    """Unpack what came back. Raises StorageError where the disk refuses."""
    if not papers:
        return
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tarfile.open(fileobj=io.BytesIO(papers)) as archive:
            archive.extractall(folder, filter="data")
    except (OSError, tarfile.TarError) as error:
        raise StorageError.of(
            f"the executed notebook could not be written: {error}",
            mend="make room or the folder writable; then run again",
        ) from error
