"""Trackers of pipeline.yaml that nobody offers, or whose libraries are not installed."""

from collections.abc import Iterator
from dataclasses import replace

from nbpipeline import plugins
from nbpipeline.errors import Complaint, MissingPluginError
from nbpipeline.location import Location
from nbpipeline.model import ProjectSpec
from nbpipeline.upkeep.finding import Finding


def unknown(project: ProjectSpec) -> Iterator[Complaint]:
    """Complain of names that are none of ours and that no installed package offers; loads none of ours."""
    for name in project.tracking:
        if name not in plugins.BUILT_IN["trackers"]:
            yield from _missed(project, name, require=False)


def lacking(project: ProjectSpec) -> Iterator[Complaint]:
    """Complain of every tracker that a run would be refused for; looks for libraries, and imports none."""
    for name in project.tracking:
        yield from _missed(project, name, require=True)


def _missed(project: ProjectSpec, name: str, *, require: bool) -> Iterator[Complaint]:
    try:
        (plugins.require if require else plugins.load)("trackers", name)
    except MissingPluginError as error:
        for one in error.complaints:
            yield replace(one, where=Location(path=project.file or ""), what=f"tracking: {one.what}")


def findings(project: ProjectSpec) -> Iterator[Finding]:
    """Say of each tracker whether it can be told."""
    missed = [*lacking(project)]
    for one in missed:
        yield Finding(subject="trackers", state="bad", what=one.what, mend=one.mend)
    if project.tracking and not missed:
        yield Finding(subject="trackers", state="good", what=f"installed: {', '.join(project.tracking)}")
