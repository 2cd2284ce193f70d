"""What all tests share."""

import os
import signal
import sys
from pathlib import Path

import pytest
from hypothesis import settings

sys.path.insert(0, str(Path(__file__).parent))

if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    # A shell starts what it puts in the background so; commands that the tests start would inherit it.
    signal.signal(signal.SIGINT, signal.default_int_handler)


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
