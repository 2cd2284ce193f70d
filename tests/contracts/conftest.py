"""Lets the author of a plug-in try it with the suites: `pytest tests/contracts/test_exporter.py --plugin NAME`."""

import pytest


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--plugin", metavar="NAME", help="try this one, which a package offers, and no other")
    parser.addoption(
        "--plugin-settings", metavar="JSON", default="{}", help="what its executor is opened with"
    )
