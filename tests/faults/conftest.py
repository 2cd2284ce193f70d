"""What several modules of tests with faults share."""

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from buckets import KEYS

if TYPE_CHECKING:
    from dask_machines import Machines


@pytest.fixture
def machines(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> "Iterator[Machines]":
    """A Dask scheduler; it and its workers reach the bucket."""
    from dask_machines import Machines

    for name, value in KEYS.items():
        monkeypatch.setenv(name, value)
    with Machines(tmp_path / "machines") as found:
        yield found
