"""Photograph the pages to touch: the pictures that readers without JavaScript see.

Build the site first; `python site/take_pictures.py` then writes `site/pages/touch/NAME.png`. Needs Chromium and Playwright.
"""

import io
import shutil
import sys
from pathlib import Path

from PIL import Image
from playwright.sync_api import sync_playwright

SITE = Path(__file__).resolve().parent


def main(out=SITE.parent / "runs" / "site"):
    with sync_playwright() as runner:
        browser = runner.chromium.launch(executable_path=shutil.which("chromium"), args=["--no-sandbox"])
        page = browser.new_page(viewport={"width": 1280, "height": 1400})
        for path in sorted((SITE / "static" / "touch").glob("*.js")):
            page.goto(f"{Path(out).resolve().as_uri()}/touch/{path.stem}.html")
            picture = Image.open(io.BytesIO(page.locator(".touch").screenshot()))
            picture.convert("RGB").quantize(64).save(SITE / "pages" / "touch" / f"{path.stem}.png", optimize=True)


if __name__ == "__main__":
    main(*sys.argv[1:])
