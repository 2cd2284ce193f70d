"""A real browser for tests: the system's Chromium, headless, which may ask nobody for anything but what it is sent to.

Where NBPIPELINE_NEEDS_BROWSER is set, as `.ci/run` does, a missing Chromium is a failure; elsewhere a reason to skip. Pictures that
tests take stand in `tests-pictures/`, which git ignores, or in the folder that NBPIPELINE_PICTURES names.
"""

import os
import shutil
import struct
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

ARGUMENTS = (
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--disable-dev-shm-usage",
)
NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
PICTURES = Path(os.environ.get("NBPIPELINE_PICTURES") or Path(__file__).parents[1] / "tests-pictures")


def chromium() -> str:
    """Find the browser; skips where there is none, unless it must be there."""
    found = next(filter(None, map(shutil.which, NAMES)), None)
    if found is None and os.environ.get("NBPIPELINE_NEEDS_BROWSER"):
        pytest.fail("there is no Chromium, which must be there: apt-get install chromium")
    return found or pytest.skip("there is no Chromium: install your system's package to run this test")


class Tab:
    """A page of the browser, with all that it asked for and complained of."""

    def __init__(self, page: Any) -> None:
        self.page = page
        self.requests: list[str] = []
        self.complaints: list[str] = []
        page.on("request", lambda request: self.requests.append(request.url))
        page.on("console", lambda said: self.complaints.append(said.text) if said.type == "error" else None)
        page.on("pageerror", lambda error: self.complaints.append(str(error)))
        page.on("dialog", lambda dialog: (self.complaints.append(dialog.message), dialog.dismiss()))

    @property
    def asked_elsewhere(self) -> list[str]:
        """What was asked for beside the page itself; what stands in the page is no request."""
        return [url for url in self.requests if not url.startswith("data:") and url != self.requests[0]]

    def picture(self, name: str, *, whole: bool = True) -> Path:
        """Take a picture, hold that it is not blank, and keep it."""
        PICTURES.mkdir(exist_ok=True)
        path = PICTURES / f"{name}.png"
        self.page.screenshot(path=path, full_page=whole)
        assert colours(path) > 20, f"{path} is blank, or nearly so"
        return path


@contextmanager
def browsing(
    *, width: int = 1200, height: int = 900, scheme: str = "light", scripts: bool = True
) -> Iterator[Tab]:
    """Open a browser with one page in it, for as long as the block lasts."""
    from playwright.sync_api import sync_playwright

    with sync_playwright() as play:
        browser = play.chromium.launch(executable_path=chromium(), args=list(ARGUMENTS))
        try:
            context = browser.new_context(
                viewport={"width": width, "height": height}, color_scheme=scheme, java_script_enabled=scripts
            )
            yield Tab(context.new_page())
        finally:
            browser.close()


def colours(picture: Path) -> int:
    """Count the different pixels of a PNG as browsers write them: 8 bits a channel, not interlaced."""
    data, place, packed, form = picture.read_bytes(), 8, b"", ()
    while place < len(data):
        length, kind = struct.unpack(">I4s", data[place : place + 8])
        if kind == b"IHDR":
            form = struct.unpack(">IIBBBBB", data[place + 8 : place + 8 + length])
        packed += data[place + 8 : place + 8 + length] if kind == b"IDAT" else b""
        place += length + 12
    width, _, _, colour, *_ = form
    depth = {2: 3, 6: 4}[colour]
    rows, step = zlib.decompress(packed), width * depth + 1
    # Filtered rows differ where pixels do; for "more than blank" that is enough, without undoing the filters.
    return len(
        {rows[at + n : at + n + depth] for at in range(1, len(rows), step) for n in range(0, step - 1, depth)}
    )
