"""What other packages offer to nbpipeline, and whether it can be used."""

from collections.abc import Iterator

from nbpipeline import plugins
from nbpipeline.errors import NbpipelineError
from nbpipeline.upkeep.finding import Finding

_SUBJECT = "plug-ins"


def findings() -> Iterator[Finding]:
    """Load each, and say what comes of it; nothing where there are none."""
    for port, name in plugins.installed():
        try:
            plugins.refuse_clash(port, name)
            plugins.load(port, name)
        except NbpipelineError as error:
            for one in error.complaints:
                yield Finding(subject=_SUBJECT, state="bad", what=one.what, mend=one.mend)
        else:
            what = f"{port[:-1]} '{name}', of {plugins.package_of(port, name)}"
            yield Finding(subject=_SUBJECT, state="good", what=what)
