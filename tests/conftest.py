"""What all tests share."""

import os
import signal
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from hypothesis import settings

if TYPE_CHECKING:
    from buckets import Bucket

sys.path.insert(0, str(Path(__file__).parent))

if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    # A shell starts what it puts in the background so; commands that the tests start would inherit it.
    signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_runtest_protocol(item: pytest.Item) -> Iterator[None]:
    """Keep coverage out of what a test starts, kernels above all: it would double the time of all tests.

    What runs nowhere but in other processes is measured by the tests marked `children`.
    """
    kept = (
        {}
        if item.get_closest_marker("children")
        else {name: os.environ[name] for name in os.environ if name.startswith("COV")}
    )
    for name in kept:
        del os.environ[name]
    try:
        return (yield)
    finally:
        os.environ.update(kept)


def pytest_itemcollected(item: pytest.Item) -> None:
    """Trace no test of many random examples: that takes as long again, and others pass the same lines."""
    if getattr(getattr(item, "obj", None), "is_hypothesis_test", False):
        item.add_marker("no_cover")


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """An empty project folder."""
    folder = tmp_path / "project"
    folder.mkdir()
    return folder


@pytest.fixture(scope="module")
def endpoint() -> Iterator[str]:
    """An S3 server of the module's own."""
    from buckets import service

    with service() as address:
        yield address


@pytest.fixture
def bucket(endpoint: str) -> "Bucket":
    """A bucket of the test's own."""
    from buckets import Bucket

    return Bucket(endpoint)


# A busy machine is slow, not wrong: no deadline. A change is tried with the same examples each time, so that it fails by
# what it changed; the night looks for others. Mutants are tried with few examples each (tests/nightly.sh).
settings.register_profile("default", deadline=None, derandomize=True)
settings.register_profile("nightly", deadline=None)
settings.register_profile("mutants", deadline=None, max_examples=10)
settings.load_profile(os.environ.get("NBPIPELINE_TEST_PROFILE", "default"))
