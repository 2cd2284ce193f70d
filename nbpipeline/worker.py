"""The far side's composition root: what one instance's life needs, put together from a project's folder.

`run_job` is what an executor hands to another process or machine; the near side (`api`) opens the same
`Workplace` once for a whole run.
"""

import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Self

import nbpipeline.stage as one_stage
from nbpipeline import plugins, validators
from nbpipeline.errors import gather
from nbpipeline.fingerprint import Fingerprinter
from nbpipeline.location import is_url
from nbpipeline.model import (
    BY_BYTES,
    Check,
    Fingerprint,
    Job,
    KernelNeed,
    ProjectSpec,
    StageInstance,
    StageResult,
    Verdict,
)
from nbpipeline.ports import Cancel, Emit, Kernels, Store
from nbpipeline.reading.project import read_project
from nbpipeline.run.cancel import CancelSwitch
from nbpipeline.run.folder import state_folder
from nbpipeline.stage.backends import Backends, Surroundings
from nbpipeline.stage.backing import Backing
from nbpipeline.stage.engine_import import import_engine
from nbpipeline.state.digests import FileDigests
from nbpipeline.state.sqlite import SqliteState, open_state
from nbpipeline.stores.local import LocalStore, folder_for

if TYPE_CHECKING:
    from nbpipeline.validators.link import CheckingProcess

Taking = Callable[[StageInstance], Fingerprint]


class Workplace:
    """An opened project: its history, its store, its digests. A context manager."""

    def __init__(
        self,
        project: ProjectSpec,
        kernels: str = "",
        state: SqliteState | None = None,
        tell: Callable[[str], None] | None = None,
        *,
        push: bool = True,
        store: Store | None = None,
    ) -> None:
        """Open nothing yet.

        `kernels` is the kind of kernels, by default the project's; a `state` that is open already is taken,
        and closed at the end. `tell` hears what takes long. Without `push` a store far away is only read.
        `store` is taken in the place of the project's.
        """
        self._push = push
        self._store = store
        self.tell: Callable[[str], None] = tell or silent
        self.plan_tells = False
        """Whether a plan is shown with what is said of the history; else that is told at the end."""
        self.project = project
        self._given = state
        self._kind = kernels or project.kernels
        self._coming: Callable[[], Sequence[KernelNeed]] = tuple
        self._stack = ExitStack()
        self._lock = threading.Lock()
        self._kernels: Kernels | None = None
        self._validators: Callable[[], Sequence[str]] = tuple
        self._process: CheckingProcess | None = None

    def __enter__(self) -> Self:
        """Open history and digests. Raises StorageError where the folder refuses, else as `open_store`."""
        root = Path(self.project.root)
        self.store = self._store or open_store(self.project, self.tell, push=self._push)
        self.state = self._stack.enter_context(self._given or open_state(state_folder(root)))
        self.digests = FileDigests(self.state)
        self.fingerprinter = Fingerprinter(self.project, self.digests, self.state)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Close everything, kernels first; what was put into the store is then where others find it."""
        if not self.plan_tells:
            for notice in self.state.notices:
                self.tell(notice)
        try:
            if kind is None:
                self.store.finish()
        finally:
            self._stack.__exit__(kind, error, trace)

    @property
    def kind(self) -> str:
        """The kind of kernels that was asked for; empty: as it pays."""
        return self._kind

    @property
    def backing(self) -> Backing:
        """What outputs can be had from again."""
        return Backing(state=self.state, store=self.store.near, digests=self.digests)

    @property
    def reach(self) -> Backing:
        """The same, and what only a store far away has: for who asks by hand for an earlier version."""
        return Backing(state=self.state, store=self.store, digests=self.digests)

    def backends(self, fingerprint: Taking | None = None, *, wait: bool = False) -> Backends:
        """Give what `stage` needs; the first call opens the kernels. Safe from several threads.

        `fingerprint` takes the state that an instance would run in now; by default without named stages.
        """
        with self._lock:
            if self._kernels is None:
                names = self._validators()
                if names:
                    self._checking().start(names)
                self._kernels = self._stack.enter_context(self._open_kernels())
                self._kernels.expect(self._coming())
                import_engine()
        return Backends(
            kernels=self._kernels,
            store=self.store,
            state=self.state,
            digests=self.digests,
            validators=self.validate,
            fingerprint=fingerprint or self.fingerprinter.of,
            following=self.fingerprinter.following,
            sources=self.fingerprinter.sources,
            wait=wait,
        )

    def expect(
        self, coming: Callable[[], Sequence[KernelNeed]], validating: Callable[[], Sequence[str]] = tuple
    ) -> None:
        """Say which kernels, and which validators with a process of their own, will be wanted.

        Asked once, when the first kernel is.
        """
        self._coming = coming
        self._validators = validating

    def _checking(self) -> "CheckingProcess":
        if self._process is None:
            self._process = self._stack.enter_context(validators.link.CheckingProcess())
        return self._process

    def validate(
        self, paths: tuple[Path, ...], checks: tuple[Check, ...], around: Surroundings
    ) -> tuple[Verdict, ...]:
        """Have files checked by the validators that know the checks; what they say holds no secret."""

        def ask(validator: str, paths: tuple[Path, ...], checks: tuple[Check, ...]) -> tuple[Verdict, ...]:
            with self._lock:
                process = self._checking()
            return process.ask(
                validator,
                paths,
                checks,
                folder=around.folder,
                roots=around.roots,
                stop=around.over,
                masker=around.masker,
            )

        return validators.choice.validate(paths, checks, ask, around.over, around.masker)

    def _open_kernels(self) -> Kernels:
        kind = self._kind or ("fork" if sys.platform.startswith("linux") else "plain")
        kernels: Kernels = plugins.load("kernels", kind).open_kernels(self.state, insist=bool(self._kind))
        return kernels


def open_store(
    project: ProjectSpec, tell: Callable[[str], None] | None = None, *, push: bool = True
) -> Store:
    """Give the project's store: a folder, by default `.nbpipeline/store`, or one at a URL, that before it.

    `tell` hears of what may take long; without `push` what is far away is only read. Raises
    MissingPluginError where a URL's library is not installed.
    """
    path = str(project.store.get("path") or "")
    if not is_url(path):
        return local_store(project)
    store: Store = plugins.load("stores", "remote").open_cached(
        path, local_store(project), project.store, tell, push=push
    )
    return store


def local_store(project: ProjectSpec) -> LocalStore:
    """Give the project's store on this machine."""
    return LocalStore(folder_for(project))


def _followed(job: Job, place: Workplace) -> Iterator[str]:
    """Give the job's modules, named by the code or not, each to be compared by what it counted by."""
    for path, digest in job.fingerprint.modules.items():
        present = place.digests.of_file(Path(job.root, path)) or ""
        by_bytes = digest and present.startswith(digest)  # an empty module has no digest as code
        yield f"{BY_BYTES}{path}" if by_bytes else path


def run_job(job: Job, emit: Emit, cancel: Cancel | None = None) -> StageResult:
    """Execute one instance in this process, on the files under `job.root`.

    Raises what `stage.execute` raises, and ReadingError where the project's settings cannot be read here.
    """
    project, complaints = read_project(Path(job.root))
    error = gather(one for one in complaints if one.where and one.where.path == project.file)
    if error:
        raise error
    with Workplace(project) as place:
        return carried_out(job, place, emit, cancel or CancelSwitch())


def carried_out(job: Job, place: Workplace, emit: Emit, cancel: Cancel) -> StageResult:
    """Execute one instance at an opened place whose files the job alone speaks of. Raises as `execute`."""

    def present(instance: StageInstance) -> Fingerprint:
        followed = tuple(_followed(job, place))
        return place.fingerprinter.of(instance, upstream=job.fingerprint.upstream, followed=followed)

    return one_stage.execute(job, place.backends(present), emit, cancel)


def silent(text: str) -> None:
    """Say nothing."""
    del text
