"""A real browser for tests: the system's Chromium, without a window."""

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

PICTURES = Path(__file__).parents[1] / "tests-pictures"
"""Where tests keep what they saw; git leaves it out."""
_FLAGS = (
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--disable-dev-shm-usage",
)


@contextmanager
def chromium(**settings: Any) -> Iterator[Any]:
    """Open a page (`settings` as playwright's `new_page`); skips the test where there is no Chromium."""
    program = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    if program is None:
        missing = pytest.fail if os.environ.get("NBPIPELINE_TEST_BROWSER") == "needed" else pytest.skip
        missing("no Chromium on PATH: install it to look at pages (apt-get install chromium)")
    playwright = pytest.importorskip("playwright.sync_api")
    with playwright.sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=program, args=list(_FLAGS))
        try:
            yield browser.new_page(**settings)
        finally:
            browser.close()


def picture(page: Any, name: str) -> Path:
    """Keep what the page shows; an empty one is an error."""
    PICTURES.mkdir(exist_ok=True)
    path = PICTURES / f"{name}.png"
    page.screenshot(path=path)
    assert path.stat().st_size > 5_000, f"{path} shows next to nothing"
    return path
