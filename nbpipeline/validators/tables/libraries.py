"""What is said where the library of a format is not installed."""

from pathlib import Path

from nbpipeline import plugins
from nbpipeline.errors import MissingPluginError


def lacking(library: str, path: Path) -> MissingPluginError:
    """Name the line that installs what reads the file."""
    return MissingPluginError.of(
        f"checking {path.name} needs {library}, which is not installed.",
        mend=plugins.install(plugins.EXTRAS[library]),
    )
