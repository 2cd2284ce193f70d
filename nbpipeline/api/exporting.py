"""`Project.exporting`: the pipeline as files of an orchestrator.

`rendering` and `upkeep` are named whole, since their modules are loaded when they are first asked for.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from nbpipeline import model, plugins, upkeep
from nbpipeline.errors import UsageError, did_you_mean
from nbpipeline.exporters import rendering
from nbpipeline.fingerprint import Glance
from nbpipeline.model import Pipeline, ProjectSpec
from nbpipeline.ports import Exporter
from nbpipeline.values import dataclass
from nbpipeline.worker import Workplace

if TYPE_CHECKING:
    from nbpipeline.model.exported import Loss, Workflow

Opened = Callable[[], AbstractContextManager[tuple[Pipeline, Workplace]]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Export:
    """Rendered files, not written yet."""

    target: str
    folder: Path
    """Where they belong."""
    files: Mapping[str, str]
    """Text by path within the folder."""
    owner: upkeep.exporting.Owner
    """Whose they are: several pipelines may be exported to one folder."""
    losses: tuple[Loss, ...]
    """What was allowed to be lost."""
    asked: tuple[str, ...] = ()
    """The words of the command line that it hangs on."""
    notes: tuple[str, ...] = ()
    """What its user should know."""


class Exporting:
    """Renders the pipeline for orchestrators. All methods raise what those of `Project` do."""

    def __init__(self, opened: Opened) -> None:
        """Work on the project that `opened` opens."""
        self._opened = opened

    def rendered(
        self,
        target: str,
        output: Path | None = None,
        *,
        options: Mapping[str, str] | None = None,
        allow_loss: bool = False,
    ) -> Export:
        """Render the files of a target; writes nothing. `output` is by default the target's own folder.

        Raises MissingPluginError for a target that nobody offers, or whose plug-in is faulty, LossError (with
        all that would be lost) unless `allow_loss`, UsageError for an option that the target does not know.
        """
        plugins.refuse_clash("exporters", target)
        exporter: Exporter = plugins.load("exporters", target)
        own = rendering.guard.folder(target, exporter)
        _refuse_unknown(target, exporter, options or {})
        with self._opened() as (pipeline, place):
            project = pipeline.project
            wanted = Path(project.root, own) if output is None else output.absolute()
            folder = Path(os.path.normpath(wanted))
            workflow = _workflow(pipeline, place)
            way = folder.relative_to(project.root).as_posix() if folder.is_relative_to(project.root) else "."
            lock = upkeep.requirements.pinned(pipeline, place.fingerprinter)
            given = model.exported.ExportGiven(
                folder="" if way == "." else way,
                to_root=_way_to_root(project, folder),
                requirements=lock.pins,
                lacking=lock.lacking,
                python=lock.python,
                options=dict(sorted((options or {}).items())),  # their order means nothing
                repository=_way_to_repository(folder),
            )
        found = (
            *rendering.features.losses(workflow, exporter.KEEPS),
            *rendering.guard.losses(target, exporter, workflow, given),
        )
        if not allow_loss:
            rendering.features.refuse(exporter.TITLE, found)
        given = replace(given, lossy=bool(found))
        files = rendering.guard.render(target, exporter, workflow, given)
        locked = any(one.endswith("requirements.lock") for one in files)
        lacking = lock.lacking if locked else ()
        return Export(
            target=target,
            folder=folder,
            files=files,
            owner=upkeep.exporting.Owner(name=project.name, root=given.to_root),
            losses=found,
            asked=rendering.command.asked(workflow, given),
            notes=tuple(_notes(project, lacking)),
        )

    def compared(self, export: Export) -> upkeep.exporting.Compared:
        """Say how the files on disk differ from what was rendered."""
        return upkeep.exporting.compare(export.folder, export.target, export.files, export.owner)

    def asked_before(self, export: Export) -> tuple[str, ...]:
        """Give the words that the export which stands there was asked for with."""
        before = upkeep.exporting.asked_of(export.folder, export.target, export.owner)
        return export.asked if before is None else before

    def written(self, export: Export) -> None:
        """Write the files, and remove those of an earlier export that are no longer rendered."""
        upkeep.exporting.write(export.folder, export.target, export.files, export.owner, export.asked)

    def workflow(self) -> Workflow:
        """Give what exporters render: tasks, settings, schedule."""
        with self._opened() as (pipeline, place):
            return _workflow(pipeline, place)


def _workflow(pipeline: Pipeline, place: Workplace) -> Workflow:
    glance = Glance()
    return rendering.workflow.workflow_of(pipeline, lambda one: place.fingerprinter.modules(one, glance))


def _refuse_unknown(target: str, exporter: Exporter, options: Mapping[str, str]) -> None:
    for name in options:
        if name not in exporter.OPTIONS:
            near = did_you_mean(name, exporter.OPTIONS)
            known = ", ".join(exporter.OPTIONS) or "none"
            raise UsageError.of(
                f"--set {name}: the target '{target}' has no such option.",
                known=f"known options: {known}",
                mend=f"did you mean '{near}'?" if near else "leave it out",
            )


def _notes(project: ProjectSpec, lacking: Sequence[str]) -> Iterator[str]:
    if not project.named:
        yield (
            f"no `name:` in pipeline.yaml, so files are called after its folder, {project.name}: "
            "exported from a folder of another name they would differ"
        )
    if lacking:
        yield (f"the lock has no version of {', '.join(lacking)}, which tasks need: it is not installed here")


def _way_to_root(project: ProjectSpec, folder: Path) -> str:
    """Give the relative way from the export's folder to the project's root."""
    return Path(os.path.relpath(project.root, folder)).as_posix()


def _way_to_repository(folder: Path) -> str:
    """Give the relative way from the export's folder to the root of its git repository."""
    root = next((one for one in (folder, *folder.parents) if (one / ".git").exists()), folder)
    return Path(os.path.relpath(root, folder)).as_posix()
