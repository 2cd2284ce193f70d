"""Take the picture of a run's page for the docs: `python docs/picture.py REPORT.html`.

docs/report.png is of the example: `nbpipeline run --profile quick`, `nbpipeline run`, `nbpipeline report`.
Needs the dev dependencies and the system's Chromium.
"""

import shutil
import sys
from pathlib import Path

from PIL import Image
from playwright.sync_api import sync_playwright

TARGET = Path(__file__).parent / "report.png"
WIDTH, HEIGHT = 1000, 1560


def take(page: Path, target: Path) -> None:
    """Open the page and keep its upper part as a PNG."""
    with sync_playwright() as play:
        browser = play.chromium.launch(
            executable_path=shutil.which("chromium"), args=["--no-sandbox", "--disable-gpu"]
        )
        try:
            tab = browser.new_page(viewport={"width": WIDTH, "height": HEIGHT}, color_scheme="light")
            tab.goto(page.resolve().as_uri())
            tab.screenshot(path=target)
            few = Image.open(target).convert("RGB").quantize(colors=96)  # of text and boxes that is enough
            few.save(target, optimize=True)
        finally:
            browser.close()


if __name__ == "__main__":
    take(Path(sys.argv[1]), TARGET)
    print(f"wrote {TARGET}, {TARGET.stat().st_size} bytes")
