"""A bench to execute stages on."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from stages import Bench, bench


@pytest.fixture
def at(root: Path) -> Iterator[Bench]:
    with bench(root) as made:
        yield made
