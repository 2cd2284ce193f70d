"""`nbpipeline.Project`: what the commands do, for Python.

`report` and `upkeep` are named whole, since their modules are loaded when they are first asked for.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any, Unpack

from nbpipeline import plugins, report, tracking, upkeep
from nbpipeline.api.data import Data
from nbpipeline.api.executing import RunKeywords, settled
from nbpipeline.api.exporting import Exporting
from nbpipeline.api.loading import Loaded, Reading, load, overrides
from nbpipeline.api.planning import (
    Wanted,
    begin_apart,
    done_with,
    fetched,
    mark_accepted,
    only_one,
    part_of,
    plan_wanted,
    told_ahead,
)
from nbpipeline.api.restoring import to_restore
from nbpipeline.api.running import carried_out, deaf, telling, told_of_all
from nbpipeline.api.sharing import Sharing
from nbpipeline.api.trying import tried
from nbpipeline.api.warming import require_validators
from nbpipeline.errors import UsageError
from nbpipeline.model import (
    Pipeline,
    Plan,
    ProjectSpec,
    RunResult,
)
from nbpipeline.plan import explain
from nbpipeline.ports import Cache, Cancel, Emit
from nbpipeline.reading.project import find_root
from nbpipeline.run.cancel import CancelSwitch
from nbpipeline.run.claim import begun, by_hand
from nbpipeline.run.options import RunOptions
from nbpipeline.selection import select
from nbpipeline.worker import Workplace, silent


class Project:
    """A pipeline of notebooks in a folder. Every method reads it anew, so edits are seen.

    All of them raise ReadingError or PipelineError for a faulty project, with every complaint gathered
    (`check` gives them instead), and StorageError where the disk refuses.
    """

    def __init__(
        self,
        folder: str | Path = ".",
        *,
        profile: str | None = None,
        params: Mapping[str, Any] | Sequence[str] = (),
    ) -> None:
        """Find the project: `folder`, or the nearest one upward with a pipeline.yaml.

        `params` are `{"train.C": 0.5, "year": 2014}`, or texts as `-p` takes them: `["train.C=0.5"]`.
        Raises UsageError for a folder that is not there or a parameter that is not NAME=VALUE.
        """
        start = Path(folder)
        if not start.is_dir():
            raise UsageError.of(f"there is no folder {start}.", mend="give the project's folder")
        self.root = str(find_root(start))
        self.profile = profile
        self._overrides = overrides(params)
        self.tell: Callable[[str], None] = silent
        """Hears what takes long before there is a plan (asking a store far away), and what is wrong."""

    # --- what there is -------------------------------------------------------------------------

    @property
    def spec(self) -> ProjectSpec:
        """What the author wrote."""
        loaded = self._load()
        loaded.sound()
        return loaded.spec

    @property
    def pipeline(self) -> Pipeline:
        """What it means."""
        return self._load().sound()

    def check(self, *, strict: bool = False, io: bool = False) -> upkeep.checking.Checked:
        """Find everything that is wrong, starting no kernel; `strict` makes warnings errors.

        `io` compares what is declared with the files that the last successes were seen to open.
        """
        loaded = self._load()
        accesses = None
        if io and loaded.pipeline is not None:
            with Workplace(loaded.spec) as place:
                accesses = upkeep.access.look(loaded.pipeline, place.state.last_records())
        return upkeep.checking.check(
            loaded.spec, loaded.pipeline, loaded.complaints, strict=strict, accesses=accesses
        )

    def plan(
        self, *selectors: str, exclude: Sequence[str] = (), only: bool = False, force: bool = False
    ) -> Plan:
        """Say what a run would do with the selected instances (all by default), and why.

        Raises UsageError for a selector that names nothing.
        """
        with self._open() as (pipeline, place):
            wanted = Wanted(selectors=selectors, exclude=exclude, only=only, force=force)
            return told_ahead(pipeline, place, wanted)

    def plan_diff(self, plan: Plan) -> str:
        """Show what changed in the cells and modules of a plan's stages; empty where none did."""
        with self._open() as (_, place):
            texts = [(one, explain.diff(one, place.store, place.fingerprinter)) for one in plan.steps]
        return "\n\n".join(f"{step.instance.id}\n{text}" for step, text in texts if text)

    def graph(self, form: str, *selectors: str, planned: bool = True) -> str:
        """Draw the pipeline, or the selected part: `text`, `mermaid`, `svg` or `html`.

        `planned` shows what a run would do with each stage.
        """
        if not planned:
            pipeline = self.pipeline
            return report.drawing.draw(form, part_of(pipeline, select(pipeline, selectors)), None)
        plan = self.plan(*selectors)
        part = part_of(plan.pipeline, {one.instance.id for one in plan.steps})
        return report.drawing.draw(form, part, plan)

    # --- what is done --------------------------------------------------------------------------

    def run(  # noqa: PLR0913 - each is a keyword of its own
        self,
        *selectors: str,
        exclude: Sequence[str] = (),
        only: bool = False,
        force: bool = False,
        wait: bool = False,
        kernels: str = "",
        track: bool = True,
        push: bool = True,
        on_plan: Callable[[Plan], None] | None = None,
        on_event: Emit | None = None,
        cancel: Cancel | None = None,
        **options: Unpack[RunKeywords],
    ) -> RunResult:
        """Run what is stale; stages that fail are in the result.

        `kernels` is `fork` or `plain`; without `track` no tracker hears of the run, without `push` a shared
        store is only read. `on_plan` hears the plan before it is carried out, `on_event` every event. Raises
        UsageError for a selector that names nothing, MissingPluginError for a tracker that is not installed,
        MissingInputError before anything starts, BusyError where another run holds a stage (unless `wait`).
        """
        with self._open(kernels, push=push) as (pipeline, place):
            for name in pipeline.project.tracking if track else ():
                plugins.refuse_clash("trackers", name)
                plugins.require("trackers", name)
            how = settled(RunOptions(**options), pipeline.project, push=push)
            wanted = Wanted(selectors=selectors, exclude=exclude, only=only, force=force)
            tell = (on_event or deaf) if wait else None
            run = begin_apart(pipeline, place, wanted, tell, cancel or CancelSwitch())
            with begun(run.folder), telling(pipeline.project, run, place.state, track=track) as sender:
                require_validators(run.plan)
                if on_plan is not None:
                    on_plan(run.plan)
                result = carried_out(run, place, how, sender, wait=wait, emit=on_event, cancel=cancel)
                result = replace(result, unshared=place.store.finish(lambda: bool(cancel and cancel.level)))
            self._trim(place, result)
            return told_of_all(result, sender, self.tell)

    def run_stage(self, stage: str, *, force: bool = False, fetch: bool = False, **how: Any) -> RunResult:
        """Run one instance, nothing before or after it; `how` as in `run`.

        With `fetch`, what it reads of others' results comes from the store where it is not here. Raises
        UsageError where `stage` names none or several, MissingInputError where the store has no result.
        """
        if fetch:
            with self._open() as (pipeline, place):
                name = only_one(pipeline, stage)
                fetched(pipeline, place, name)
        else:
            name = only_one(self.pipeline, stage)
        return self.run(name, only=True, force=force, **how)

    def test(
        self, *selectors: str, on_event: Emit | None = None, cancel: Cancel | None = None
    ) -> tuple[upkeep.trial.Trial, ...]:
        """Run stages alone, on their test inputs; without selectors, those that have a test."""
        with self._open() as (pipeline, place):
            given = [one.name for one in self._overrides]
            return tried(pipeline, place, selectors, given, on_event or deaf, cancel or CancelSwitch())

    # --- what was done -------------------------------------------------------------------------

    def runs(self, limit: int = 20) -> report.wording.Page:
        """List the last runs, newest first."""
        with self._past() as (place, _):
            return report.history.runs(place.state, Path(self.root), limit)

    def show(self, what: str | None = None) -> report.wording.Page:
        """Show a run (by default the last) or a stage. Raises UsageError for neither."""
        with self._past() as (place, stages):
            return report.history.show(place.state, Path(self.root), what, stages)

    def lineage(self, path: str) -> report.wording.Page:
        """Say what made a file, given by its project path, and what was made of it. Raises UsageError."""
        with self._read() as (loaded, place):
            instances = loaded.pipeline.instances if loaded.pipeline else {}
            notebooks = {name: one.spec.notebook.path for name, one in instances.items()}
            return report.lineage.lineage(place.state, place.digests, Path(self.root), path, notebooks)

    def sync(self) -> tuple[str, ...]:
        """Send what trackers could not be told of earlier runs; gives a line a run."""
        return tracking.sender.sent_lines(Path(self.root))

    def log(self, stage: str, run: str | None = None) -> str:
        """Give what a stage wrote in a run (by default the last that executed it). Raises UsageError."""
        with self._past() as (place, stages):
            return report.history.log(place.state, Path(self.root), stage, run, stages)

    def diff(self, before: str | None = None, after: str | None = None) -> report.wording.Page:
        """Compare two runs, by default the last two. Raises UsageError for runs that are not there."""
        with self._past() as (place, _):
            return report.comparison.diff(place.state, place.store, Path(self.root), before, after)

    def diff_page(self, before: str | None, after: str | None, output: str | Path) -> Path:
        """Write what `diff` finds as one HTML page, with the plots side by side; gives its path."""
        with self._past() as (place, _):
            root, name, target = Path(self.root), place.project.name, Path(output)
            return report.diff_page.write_diff(place.state, place.store, root, before, after, name, target)

    def report(self, run: str | None = None, output: str | Path | None = None) -> Path:
        """Write one HTML page of a run (by default the last); gives its path. Raises UsageError."""
        with self._past() as (place, _):
            target = None if output is None else Path(output)
            root, name = Path(self.root), place.project.name
            return report.run_report.write_report(place.state, place.store, root, run, name, target)

    def markdown(self, run: str | None = None) -> str:
        """Give a run (by default the last) in short as Markdown. Raises UsageError for an unknown one."""
        with self._past() as (place, _):
            return report.run_report.markdown(
                place.state, place.store, Path(self.root), run, place.project.name
            )

    @property
    def data(self) -> Data:
        """What is learned of data, compared and exported: `learned_from`, `diff`, `export_checks`."""
        return Data(self._open)

    # --- by hand -------------------------------------------------------------------------------

    def accept(self, stage: str, *, because: str) -> tuple[str, ...]:
        """Mark what changed in a stage's instances as harmless; gives their ids.

        Raises UsageError where nothing of it has changed, or without a reason.
        """
        if not because.strip():
            raise UsageError.of("`accept` needs a reason.", mend='say why: --because "..."')
        with self._open() as (pipeline, place):
            return mark_accepted(pipeline, place, stage, because)

    def record(self, stage: str, *, on_notice: Callable[[str], None] | None = None) -> tuple[str, ...]:
        """Take outputs made by hand as the result of the present state; gives the instances' ids.

        `on_notice` hears what their checks warn of.
        """
        with self._open() as (pipeline, place):
            planner, plan = plan_wanted(pipeline, place, Wanted(selectors=[stage], only=True))
            backends = place.backends(planner.fingerprint)
            for one in plan.steps:
                present = planner.fingerprint(one.instance)
                upkeep.byhand.record_outputs(
                    one.instance, present, backends, Path(self.root), on_notice or silent
                )
            return tuple(one.instance.id for one in plan.steps)

    def restore(self, what: str, run: str | None = None) -> upkeep.byhand.Restored:
        """Bring back the outputs of a stage, or one output by its path from the root.

        As last recorded, or as they were after `run`. Raises UsageError for an unknown one.
        """
        with self._open() as (pipeline, place):
            found, claim = to_restore(pipeline, place, what, run)
            with claim:
                return upkeep.byhand.bring_back(found, place.backends(), Path(self.root), time.time())

    @contextmanager
    def debug(self, stage: str, *, fresh: bool = False) -> Iterator[upkeep.debugging.Session]:
        """Give a kernel to attach to: the one that the stage's failure left, or a new one set up like it.

        Raises MissingPluginError without the extra `console`, UsageError where `stage` is not one instance.
        """
        upkeep.debugging.require_console()
        kept = None if fresh else upkeep.debugging.kept(Path(self.root), stage)
        if kept is not None:
            yield kept
            return
        with self._open() as (pipeline, place):
            instance = pipeline.instances[only_one(pipeline, stage)]
            with upkeep.debugging.fresh(instance, place.backends(), Path(self.root)) as session:
                yield session

    @property
    def sharing(self) -> Sharing:
        """What a team does with results: `push`, `pull` and `verify` for a store that it shares; `dvc`."""
        return Sharing(self._open, self._by_hand)

    @property
    def exporting(self) -> Exporting:
        """The pipeline as files of an orchestrator: `rendered`, `compared`, `written`."""
        return Exporting(self._open)

    # --- house-keeping -------------------------------------------------------------------------

    def cleanable(
        self,
        *selectors: str,
        outputs: bool = True,
        runs: bool = False,
        store: bool = False,
        force: bool = False,
    ) -> upkeep.cleaning.Cleanable:
        """Say what `clean` would remove."""
        with self._open() as (pipeline, place):
            chosen = select(pipeline, selectors) if outputs else frozenset()
            doomed, spared = upkeep.cleaning.look(pipeline, chosen, place.backends(), force=force)
            old = upkeep.cleaning.old_runs(Path(self.root)) if runs else ()
            return upkeep.cleaning.Cleanable(doomed=doomed, spared=spared, runs=old, store=store)

    def clean(self, found: upkeep.cleaning.Cleanable) -> upkeep.cleaning.Cleaned:
        """Remove what `cleanable` found, as far as it is still as it was."""
        with self._open() as (pipeline, place):
            backends = place.backends()
            with self._by_hand(pipeline, place, {one.instance for one in found.doomed}):
                return upkeep.cleaning.remove(found, backends, Path(self.root))

    def doctor(self, *, fix: bool = True, alerts: bool = False) -> tuple[upkeep.finding.Finding, ...]:
        """Say what is wrong with the installation and the project's folder, and mend it where `fix`.

        With `alerts`, a test alert goes to all of `alerts:`.
        """
        loaded = self._load()
        return upkeep.doctor.examine(loaded.spec, tuple(loaded.pipeline or ()), fix=fix, alerts=alerts)

    # --- inside --------------------------------------------------------------------------------

    def _load(self, cache: Cache | None = None) -> Loaded:
        return load(Path(self.root), self.profile, self._overrides, cache)

    @contextmanager
    def _past(self) -> Iterator[tuple[Workplace, tuple[str, ...]]]:
        """Open the history, which may be read whatever is wrong with the notebooks now."""
        with self._read() as (loaded, place):
            names = loaded.pipeline.instances if loaded.pipeline else [one.name for one in loaded.spec.stages]
            yield place, tuple(names)

    @contextmanager
    def _open(self, kernels: str = "", *, push: bool = True) -> Iterator[tuple[Pipeline, Workplace]]:
        with self._read(kernels, sound=True, push=push) as (loaded, place):
            yield loaded.sound(), place

    @contextmanager
    def _read(
        self, kernels: str = "", *, sound: bool = False, push: bool = True
    ) -> Iterator[tuple[Loaded, Workplace]]:
        with Reading(Path(self.root)) as reading:
            loaded = self._load(reading.cache)
            if sound:
                loaded.sound()
            with Workplace(loaded.spec, kernels, reading.state, self.tell, push=push) as place:
                reading.hand_over(place.state)
                yield loaded, place

    def _by_hand(self, pipeline: Pipeline, place: Workplace, names: set[str]) -> AbstractContextManager[None]:
        return by_hand(names, pipeline, Path(self.root), done_with(place))

    def _trim(self, place: Workplace, result: RunResult) -> None:
        """Keep the store under its limit, where the run may have put something in."""
        limit = place.project.store.get("max_size")
        if limit is not None and any(one.record for one in result.results):
            place.store.trim(int(limit), keep=upkeep.cleaning.needed(place.state))
