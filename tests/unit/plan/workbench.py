"""A project on disk with its state and store, whose plans can be made and carried out in this process.

Notebooks are really executed (cells by `exec`, in the kernel's folder, with the injections), outputs
really kept and restored; only kernels, locks and journals are left out, which have tests of their own.
"""

import importlib
import os
import sys
import time
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from builders import write_files, write_notebook

from nbpipeline.errors import Complaint
from nbpipeline.fingerprint import Fingerprinter, state_digest
from nbpipeline.model import (
    Action,
    PathValue,
    Pipeline,
    Plan,
    StageInstance,
    StageRecord,
    Step,
    StoredOutput,
)
from nbpipeline.pipeline import build
from nbpipeline.plan import Planner
from nbpipeline.plan.accept import Accepted, read
from nbpipeline.plan.explain import words
from nbpipeline.reading.project import read_project
from nbpipeline.state.digests import FileDigests
from nbpipeline.state.memory import MemoryState
from nbpipeline.stores.local import LocalStore


@dataclass
class Workbench:
    root: Path
    state: Any = field(default_factory=MemoryState)
    environ: dict[str, str] = field(default_factory=lambda: dict(os.environ))
    clock: float | None = None

    def __post_init__(self) -> None:
        self.store = LocalStore(self.root / ".nbpipeline" / "store")
        self.digests = FileDigests(self.state)

    # --- writing -------------------------------------------------------------------------

    def notebook(self, name: str, *cells: dict[str, Any]) -> None:
        write_notebook(self.root / "notebooks" / f"{name}.ipynb", *cells)

    def write(self, path: str, text: str) -> None:
        write_files(self.root, {path: text})

    # --- planning ------------------------------------------------------------------------

    @property
    def complaints(self) -> tuple[Complaint, ...]:
        project, first = read_project(self.root)
        return (*first, *build(project)[1])

    def pipeline(self) -> tuple[Any, Pipeline]:
        project, complaints = read_project(self.root)
        pipeline, more = build(project)
        grave = [str(one) for one in (*complaints, *more) if not one.warning]
        assert pipeline is not None, grave
        assert not grave, grave
        return project, pipeline

    def planner(self, *, selected: Iterable[str] | None = None, forced: Iterable[str] = ()) -> Planner:
        project, pipeline = self.pipeline()
        self.fingerprinter = Fingerprinter(project, self.digests, self.state, self.environ)
        return Planner(
            pipeline,
            fingerprinter=self.fingerprinter,
            state=self.state,
            store=self.store,
            digests=self.digests,
            root=self.root,
            now=lambda: time.time() if self.clock is None else self.clock,
            accepted=Accepted(read(self.root)),
            selected=None if selected is None else frozenset(selected),
            forced=frozenset(forced),
        )

    def plan(self, **options: Any) -> Plan:
        return self.planner(**options).plan()

    def actions(self, **options: Any) -> dict[str, str]:
        """What is not fresh: instance -> action."""
        return {one.instance.id: one.action.value for one in self.plan(**options).steps if not one.fresh}

    def reasons(self, **options: Any) -> dict[str, list[str]]:
        """What is not fresh: instance -> reasons in words."""
        found = self.plan(**options)
        return {
            one.instance.id: [words(reason) for reason in one.reasons] for one in found.steps if one.reasons
        }

    # --- running -------------------------------------------------------------------------

    def run(self, **options: Any) -> dict[str, str]:
        """Carry the plan out; gives what was done with each instance that was not skipped."""
        planner, done = self.planner(**options), {}
        for planned in planner.plan().steps:
            again = planned.action is Action.MAYBE or not planned.fingerprint.complete
            step = planner.decide(planned.instance.id) if again else planned
            assert step.action is not Action.MAYBE
            if step.action is Action.RUN:
                self.execute(step)
            elif step.action is Action.RESTORE:
                self.restore(step)
            if not step.fresh:
                done[step.instance.id] = step.action.value
        return done

    def execute(self, step: Step, **more: Any) -> StageRecord:
        instance = step.instance
        folder = self.root / instance.spec.working_folder
        for output in instance.outputs:
            for path in output.paths:
                (self.root / path).parent.mkdir(parents=True, exist_ok=True)
        run_cells(instance, folder)
        return self.keep(step, **more)

    def keep(self, step: Step, **more: Any) -> StageRecord:
        """Record what is on disk as the result of the step's state."""
        outputs = []
        for artifact in step.instance.outputs:
            for path in artifact.paths:
                digest = self.digests.of(self.root / path)
                assert digest is not None, f"{path} was not written"
                output = StoredOutput(path=path, digest=digest, stored=artifact.spec.store)
                if artifact.spec.store:
                    self.store.put(self.root / path, output)
                outputs.append(output)
        assert step.fingerprint.complete
        record = StageRecord(
            instance=step.instance.id,
            state=state_digest(step.fingerprint),
            fingerprint=step.fingerprint,
            outputs=tuple(outputs),
            finished=time.time() if self.clock is None else self.clock,
            **more,
        )
        for digest, text in self.fingerprinter.sources(step.instance, step.fingerprint).items():
            self.store.put_text(digest, text)
        self.store.put_record(record)
        self.state.add_record(record)
        return record

    def restore(self, step: Step) -> None:
        assert step.record is not None
        for output in step.record.outputs:
            target = self.root / output.path
            target.unlink(missing_ok=True)
            assert self.store.get(output, target)
        self.state.add_record(step.record)


def run_cells(instance: StageInstance, folder: Path) -> None:
    """Execute the notebook's code as its kernel would, in order, with the injections."""
    names: dict[str, Any] = {}
    before, modules = Path.cwd(), set(sys.modules)
    os.chdir(folder)
    sys.path.insert(0, str(folder))
    importlib.invalidate_caches()
    sys.dont_write_bytecode, written = True, sys.dont_write_bytecode  # files change within their clock's tick
    try:
        for index in range(len(instance.spec.notebook.cells) + 1):
            if index:
                cell = instance.spec.notebook.cells[index - 1]
                if cell.kind == "code" and not cell.tags & {"skip", "test"}:
                    exec(compile(cell.source, f"cell {index}", "exec"), names)  # noqa: S102 - the test's own cells
            for injection in instance.injections:
                if injection.after == index:
                    names.update({name: plain(value) for name, value in injection.values.items()})
    finally:
        os.chdir(before)
        sys.path.remove(str(folder))
        sys.dont_write_bytecode = written
        for name in set(sys.modules) - modules:
            del sys.modules[name]


def plain(value: Any) -> Any:
    return Path(value.text) if isinstance(value, PathValue) else value
