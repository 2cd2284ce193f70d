"""`nbpipeline doctor --alerts`: whether those who are to be told of failures can be."""

import os
from collections.abc import Iterator
from pathlib import Path

from nbpipeline.model import ProjectSpec
from nbpipeline.plugins import load
from nbpipeline.reading.alerts import NoUrlError, url_of
from nbpipeline.trackers.alert_text import Alert
from nbpipeline.trackers.alerts import NotSentError, notify, position
from nbpipeline.upkeep.finding import Finding


def tried_alerts(project: ProjectSpec) -> Iterator[Finding]:
    """Send a test alert to each URL of `alerts:`. Raises MissingPluginError where apprise is missing."""
    names = list((project.tracking.get("alerts") or {}).get("urls", ()))
    if not names:
        mend = "write `alerts: {urls: [...]}` into pipeline.yaml"
        yield Finding(subject="alerts", state="warning", what="nobody is to be told", mend=mend)
        return
    load("trackers", "alerts").require()
    alert = Alert(
        occasion="recovery",
        title=f"{project.name}: a test alert",
        body=f"`nbpipeline doctor --alerts` was called in {project.root}. Nothing is wrong.",
    )
    for name in names:
        subject = f"alerts, {position(names, name)}"
        try:
            notify(url_of(name, Path(project.root), os.environ), alert)
        except (NoUrlError, NotSentError) as error:
            mend = "correct the URL in pipeline.yaml, or set what it names; then nbpipeline doctor --alerts"
            yield Finding(subject=subject, state="bad", what=str(error), mend=mend)
        else:
            yield Finding(subject=subject, state="good", what="a test alert was sent")
