"""What all tests share."""

import os
import sys
from pathlib import Path

import pytest
from hypothesis import settings

sys.path.insert(0, str(Path(__file__).parent))


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """An empty project folder."""
    folder = tmp_path / "project"
    folder.mkdir()
    return folder


# A busy machine is slow, not wrong: no deadline. Mutants are tried with few examples each (tests/nightly.sh).
settings.register_profile("default", deadline=None)
settings.register_profile("mutants", deadline=None, max_examples=10)
settings.load_profile(os.environ.get("NBPIPELINE_TEST_PROFILE", "default"))
