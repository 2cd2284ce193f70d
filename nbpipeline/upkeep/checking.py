"""Everything that is wrong with a project, found without starting a kernel."""

import time
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import field, replace
from pathlib import Path

from nbpipeline.errors import Complaint, ExitCode
from nbpipeline.model import Pipeline, ProjectSpec, StageSpec
from nbpipeline.pipeline import missing_inputs
from nbpipeline.reading import names
from nbpipeline.run.standing import asides, damaged
from nbpipeline.upkeep import access, trackers
from nbpipeline.values import dataclass

_MAGIC = "%nbpipeline"
_CALL = "nbpipeline.stage("


@dataclass(frozen=True, slots=True, kw_only=True)
class Checked:
    """What `check` found."""

    stages: tuple[str, ...]
    """Ids of the instances; names of stages where there is no pipeline."""
    complaints: tuple[Complaint, ...]
    passed_over: tuple[str, ...] = ()
    """Paths of notebooks that are no stages: they have no header and no tagged cell."""
    needs_magic: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    """Stages that run by hand only with `%nbpipeline`, and the names that it defines for them."""
    accesses: tuple[access.Access, ...] | None = None
    """What the last successes did with files; None where it was not asked for."""
    notices: tuple[str, ...] = ()
    """What is to be known beside it: runs that died and left outputs aside."""

    @property
    def errors(self) -> tuple[Complaint, ...]:
        """Complaints that keep the pipeline from running."""
        return tuple(one for one in self.complaints if not one.warning)

    @property
    def warnings(self) -> tuple[Complaint, ...]:
        """Complaints that do not."""
        return tuple(one for one in self.complaints if one.warning)

    @property
    def exit_code(self) -> ExitCode:
        """The lowest exit code of the errors: reading before the DAG."""
        return min((one.exit_code for one in self.errors), default=ExitCode.OK)


def check(
    project: ProjectSpec,
    pipeline: Pipeline | None,
    found: Iterable[Complaint],
    *,
    strict: bool,
    accesses: tuple[access.Access, ...] | None = None,
) -> Checked:
    """Add to what reading and linking found what only a check looks for; `strict` makes warnings errors."""
    complaints = [*found, *trackers.lacking(project)]
    for spec in project.stages:
        complaints += names.check_stage(spec)
    if pipeline is not None:
        complaints += missing_inputs(pipeline, project.root)
    complaints += access.complaints(accesses or ())
    unique = tuple(dict.fromkeys(complaints))
    if strict:
        unique = tuple(replace(one, warning=False) for one in unique)
    ordered = sorted(unique, key=lambda one: one.where.order if one.where else ("", 0, 0))
    stages = tuple(pipeline.instances) if pipeline else tuple(one.name for one in project.stages)
    return Checked(
        stages=stages,
        complaints=tuple(ordered),
        passed_over=project.passed_over,
        needs_magic=dict(by_hand(project.stages)),
        accesses=accesses,
        notices=tuple(_left_by_the_dead(Path(project.root))),
    )


def _left_by_the_dead(root: Path) -> Iterator[str]:
    yield from (one.notice for one in asides(root, time.time()) if not one.alive)
    yield from damaged(root)


def by_hand(stages: Iterable[StageSpec]) -> Iterator[tuple[str, tuple[str, ...]]]:
    """Find the stages whose notebooks lack a name that only header or pipeline.yaml define."""
    for spec in stages:
        sources = [cell.source for cell in spec.notebook.cells if cell.kind == "code"]
        if any(_MAGIC in one or _CALL in one for one in sources):
            continue
        lacking = names.header_only_names(spec)
        if lacking:
            yield spec.name, lacking
