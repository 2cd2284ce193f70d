"""Stages made by hand for tests of what executes them: no reading, no planning."""

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from nbpipeline.kernels.plain import PlainKernels
from nbpipeline.location import Location
from nbpipeline.model import (
    Artifact,
    BoundArtifact,
    Cell,
    Event,
    Fingerprint,
    Job,
    Notebook,
    StageInstance,
    StageResult,
    StageSpec,
)
from nbpipeline.stage import Backends, execute
from nbpipeline.state.digests import FileDigests
from nbpipeline.state.memory import MemoryState
from nbpipeline.stores.local import LocalStore

NOTEBOOK = "notebooks/train.ipynb"


def cells(*sources: str | tuple[str, ...]) -> tuple[Cell, ...]:
    """Code cells: a source, or a source and its tags."""
    made = []
    for index, one in enumerate(sources, start=1):
        source, *tags = (one,) if isinstance(one, str) else one
        made.append(Cell(index=index, kind="code", source=source, id=f"c{index}", tags=frozenset(tags)))
    return tuple(made)


def artifact(name: str, path: str, **settings: Any) -> BoundArtifact:
    """An input or output at a project path, named as the notebook in `notebooks/` sees it."""
    where = Location(path=NOTEBOOK, cell=1)
    return BoundArtifact(spec=Artifact(name=name, where=where, **settings), paths=(path,), value=f"../{path}")


def instance(
    sources: Sequence[str | tuple[str, ...]],
    *,
    outputs: Sequence[BoundArtifact] = (),
    inputs: Sequence[BoundArtifact] = (),
    parts: Mapping[str, Any] | None = None,
    language: str = "python",
    kernel: str | None = "python3",
    **settings: Any,
) -> StageInstance:
    """A stage `train` in `notebooks/train.ipynb`; `settings` are the spec's, `parts` the instance's."""
    notebook = Notebook(path=NOTEBOOK, cells=cells(*sources), kernel=kernel, language=language)
    spec = StageSpec(
        name="train",
        notebook=notebook,
        where=Location(path=NOTEBOOK, cell=1),
        inputs=tuple(one.spec for one in inputs),
        outputs=tuple(one.spec for one in outputs),
        **settings,
    )
    return StageInstance(spec=spec, inputs=tuple(inputs), outputs=tuple(outputs), **(parts or {}))


class Switch:
    """A cancel level for tests."""

    def __init__(self) -> None:
        self.level = 0
        self._callbacks: list[Callable[[int], None]] = []

    def on_raise(self, callback: Callable[[int], None]) -> Callable[[], None]:
        self._callbacks.append(callback)
        return lambda: self._callbacks.remove(callback)

    def raise_to(self, level: int) -> None:
        self.level = level
        for callback in tuple(self._callbacks):
            callback(level)


@dataclass
class Bench:
    """A project folder with everything that `execute` needs."""

    root: Path
    backends: Backends
    events: list[Event] = field(default_factory=list)
    switch: Switch = field(default_factory=Switch)
    runs: int = 0
    on_event: Callable[[Event], None] = lambda event: None

    def _emit(self, event: Event) -> None:
        self.events.append(event)
        self.on_event(event)

    def job(self, stage: StageInstance, **settings: Any) -> Job:
        self.runs += 1
        run = f"run-{self.runs}"
        folder = self.root / ".nbpipeline" / "runs" / run / stage.slug
        folder.mkdir(parents=True, exist_ok=True)
        made = Job(
            root=str(self.root), run=run, folder=str(folder), instance=stage, fingerprint=Fingerprint()
        )
        return replace(made, **settings)

    def run(self, stage: StageInstance, **settings: Any) -> StageResult:
        self.last = self.job(stage, **settings)
        return execute(self.last, self.backends, self._emit, self.switch)

    def executed(self, attempt: int = 1) -> dict[str, Any]:
        """The executed notebook of the last run."""
        path = Path(self.last.folder) / f"attempt-{attempt}.ipynb"
        return json.loads(path.read_text(encoding="utf-8"))

    def log(self) -> str:
        return (Path(self.last.folder) / "log").read_text(encoding="utf-8")

    def text(self, path: str) -> str | None:
        file = self.root / path
        return file.read_text(encoding="utf-8") if file.exists() else None

    def write(self, path: str, text: str) -> Path:
        file = self.root / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text, encoding="utf-8")
        return file

    def leftovers(self) -> list[str]:
        """Hidden siblings, journals and owners that should not be there after a run."""
        hidden = [str(one.relative_to(self.root)) for one in self.root.rglob(".*nbpipeline-run*")]
        state = self.root / ".nbpipeline"
        files = [*state.glob("journals/*"), *self.root.glob(".nbpipeline-*"), *state.glob("locks/*.owner")]
        return sorted(hidden + [str(one.relative_to(self.root)) for one in files])


@contextmanager
def bench(root: Path, **settings: Any) -> Iterator[Bench]:
    """Everything to execute stages in `root`, with plain kernels and the real local store."""
    (root / "notebooks").mkdir(parents=True, exist_ok=True)
    state = MemoryState()
    with PlainKernels() as kernels:
        backends = Backends(
            kernels=kernels,
            store=LocalStore(root / ".nbpipeline" / "store"),
            state=state,
            digests=FileDigests(state),
            validators=lambda paths, checks, around: (),
            fingerprint=lambda stage: Fingerprint(),
        )
        yield Bench(root=root, backends=replace(backends, **settings))
