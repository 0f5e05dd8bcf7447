"""Take the numbered screenshots of the tutorial "The page, step by step".

Usage: python docs/first_steps.py runs/starter/sft

The script serves the model as `chatwright up` does, takes a newcomer's way through the page in a
headless browser, and writes docs/images/steps/1-welcome.png to 8-teach.png. It needs the `dev`
extra (playwright), Pillow (which matplotlib brings) and the program chromium.
"""

import argparse
import re
import sys
import tempfile
from pathlib import Path

from PIL import Image
from playwright.sync_api import Page, expect
from screenshot import IMAGES, REPLY_TIMEOUT, ask, launched_browser, served

STEPS = IMAGES / "steps"
SIZE = {"width": 1000, "height": 640}
LARGEST_IMAGE = 50_000  # bytes
N_COLOR = 96
QUESTIONS = ["Hello!", "Tell me a joke about a cat."]


def main() -> None:
    """Parse the argument and take the screenshots."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("model", type=Path, help="the folder of a run, beside other runs")
    model = parser.parse_args().model
    STEPS.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as folder:
        options = ["--feedback", f"{folder}/feedback.jsonl", "--lessons", f"{folder}/lessons"]
        with served(model, *options, "--runs", str(model.parent)) as address:
            walk(address)
    for image in sorted(STEPS.glob("*.png")):
        size = image.stat().st_size
        print(f"{image.name}: {size:,} bytes")
        if size > LARGEST_IMAGE:
            sys.exit(f"the image is larger than {LARGEST_IMAGE:,} bytes")


def walk(address: str) -> None:
    """Take a newcomer's way, with a screenshot of each step."""
    with launched_browser() as browser:
        page = browser.new_page(
            viewport=SIZE, color_scheme="light", reduced_motion="reduce", locale="en-US"
        )
        page.set_default_timeout(REPLY_TIMEOUT)
        expect.set_options(timeout=REPLY_TIMEOUT)
        page.goto(address)
        page.locator("#question").wait_for()
        shoot(page, "1-welcome")
        for question in QUESTIONS:
            ask(page, question)
        page.get_by_role("button", name="Good reply").first.click()
        shoot(page, "2-chat")
        page.get_by_role("button", name="Close", exact=True).click()
        page.get_by_role("button", name="Rank with three more replies").last.click()
        expect(page.locator("#compare").get_by_role("button", name="All are bad")).to_be_enabled()
        page.keyboard.press("2")
        shoot(page, "3-rank")
        page.keyboard.press("Escape")
        page.get_by_role("button", name="Look inside this reply").last.click()
        expect(page.locator("#inside .token").first).to_be_visible()
        page.locator("#inside [role=tab]").nth(1).click()
        shoot(page, "4-inside")
        page.keyboard.press("Escape")
        page.get_by_role("button", name="Lessons").click()
        lessons = page.locator("#lessons")
        lessons.get_by_role("navigation").get_by_role("button").nth(5).click()
        expect(lessons.get_by_test_id("stored")).to_be_visible()
        lessons.get_by_test_id("result").locator("tr").nth(4).scroll_into_view_if_needed()
        shoot(page, "5-lesson")
        train(page)
        page.keyboard.press("Escape")
        page.locator("nav.views a[href='#/runs']").click()
        page.locator("main canvas, main svg").first.wait_for()
        shoot(page, "7-runs")
        page.locator("nav.views a[href='#/teach']").click()
        page.locator("#versions").wait_for()
        shoot(page, "8-teach")


def train(page: Page) -> None:
    """Train a model in the lessons, and show it at work."""
    panel = page.get_by_test_id("own-model")
    panel.locator("summary").click()
    panel.get_by_label("Steps").fill("60")
    panel.get_by_role("button", name="Train").click()
    expect(panel.get_by_role("status")).to_have_text(
        re.compile(r"training, [1-9]"), timeout=300_000
    )
    panel.scroll_into_view_if_needed()
    shoot(page, "6-own-model")
    panel.get_by_role("button", name="Stop").click()


def shoot(page: Page, name: str) -> None:
    """Write a screenshot when nothing moves, with few colors, so that it is small."""
    page.wait_for_load_state("networkidle")
    file = STEPS / f"{name}.png"
    page.screenshot(path=file)
    shrink(file)


def shrink(file: Path) -> None:
    """Write an image again with a palette of its own."""
    with Image.open(file) as image:
        small = image.convert("RGB").quantize(N_COLOR)
    small.save(file, optimize=True)


if __name__ == "__main__":
    main()
