"""Take the overviews of the page's views: light and dark, on a desktop and on a phone.

Usage: python docs/page_views.py runs/starter/sft

The script serves the model as `chatwright up` does, opens every view in a headless browser, and
writes one image for each theme and size into docs/images/views. It needs the `dev` extra
(playwright), Pillow (which matplotlib brings) and the program chromium.
"""

import argparse
import io
import sys
import tempfile
from pathlib import Path
from typing import Literal

from first_steps import shrink
from PIL import Image
from playwright.sync_api import Page, expect
from screenshot import IMAGES, REPLY_TIMEOUT, ask, launched_browser, served

VIEWS = IMAGES / "views"
SIZES = {"desktop": (1180, 760), "phone": (390, 800)}
SHRUNK = {"desktop": 0.5, "phone": 0.6}
COLUMNS = {"desktop": 3, "phone": 5}
THEMES: tuple[Literal["light", "dark"], ...] = ("light", "dark")
LARGEST_IMAGE = 200_000  # bytes
LOADED = {"rate": "#rate", "runs": "main canvas, main svg", "teach": "#versions"}
"""The views with an address, and what they show when they are complete."""
QUESTION = "Tell me a joke about a cat."


def main() -> None:
    """Parse the argument and take the overviews."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("model", type=Path, help="the folder of a run, beside other runs")
    model = parser.parse_args().model
    VIEWS.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as folder, launched_browser() as browser:
        options = ["--feedback", f"{folder}/feedback.jsonl", "--lessons", f"{folder}/lessons"]
        with served(model, *options, "--runs", str(model.parent)) as address:
            for size, (width, height) in SIZES.items():
                for theme in THEMES:
                    page = browser.new_page(
                        viewport={"width": width, "height": height},
                        color_scheme=theme,
                        reduced_motion="reduce",
                        locale="en-US",
                    )
                    page.set_default_timeout(REPLY_TIMEOUT)
                    write_overview(views_of(page, address), size, VIEWS / f"{theme}-{size}.png")
                    page.close()


def views_of(page: Page, address: str) -> list[Image.Image]:
    """Open every view and return the screenshots."""
    images = []

    def shoot() -> None:
        page.wait_for_load_state("networkidle")
        images.append(Image.open(io.BytesIO(page.screenshot())).convert("RGB"))

    page.goto(address)
    page.locator("#question").wait_for()
    shoot()
    ask(page, QUESTION)
    shoot()
    open_button(page, "Rank with three more replies")
    bad = page.locator("#compare").get_by_role("button", name="All are bad")
    expect(bad).to_be_enabled(timeout=REPLY_TIMEOUT)
    shoot()
    page.keyboard.press("Escape")
    open_button(page, "Look inside this reply")
    page.locator("#inside td").first.wait_for()
    shoot()
    page.keyboard.press("Escape")
    menu = page.get_by_role("button", name="Show conversations")
    if menu.is_visible():
        menu.click()
    open_button(page, "Lessons")
    page.locator("#lessons").get_by_test_id("stored").wait_for()
    shoot()
    page.keyboard.press("Escape")
    page.goto(address)
    page.locator("#open-settings").click()
    shoot()
    page.keyboard.press("Escape")
    for view in LOADED:
        page.goto(f"{address}/#/{view}")
        page.locator(LOADED[view]).first.wait_for()
        shoot()
    return images


def open_button(page: Page, name: str) -> None:
    """Click the last button of this name that can be seen."""
    page.get_by_role("button", name=name).locator("visible=true").last.click()


def write_overview(images: list[Image.Image], size: str, file: Path) -> None:
    """Write the screenshots beside each other, smaller, in one image."""
    width, height = (round(SHRUNK[size] * n) for n in SIZES[size])
    columns = COLUMNS[size]
    rows = -(-len(images) // columns)
    whole = Image.new("RGB", (columns * (width + 8), rows * (height + 8)), "gray")
    for index, image in enumerate(images):
        place = (index % columns * (width + 8) + 4, index // columns * (height + 8) + 4)
        whole.paste(image.resize((width, height), Image.Resampling.LANCZOS), place)
    whole.save(file)
    shrink(file)
    print(f"{file.name}: {file.stat().st_size:,} bytes")
    if file.stat().st_size > LARGEST_IMAGE:
        sys.exit(f"the image is larger than {LARGEST_IMAGE:,} bytes")


if __name__ == "__main__":
    main()
