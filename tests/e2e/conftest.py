"""What several modules of tests with real projects share."""

import shutil
from pathlib import Path

import pytest


@pytest.fixture
def green(ran: Path, tmp_path: Path) -> Path:
    """The project of a module's `ran`, after a good run, copied to a place of its own."""
    return Path(shutil.copytree(ran, tmp_path / "green"))
