"""Take the screenshots of the page that the README and the guide show.

Usage: python docs/screenshot.py runs/starter/sft [QUESTION ...]

The script serves the model, asks the questions in a headless browser, and writes
docs/images/page.png and docs/images/page-tokens.png (the tokens of the last reply). It needs the
`dev` extra (playwright) and the program chromium.
"""

import argparse
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from playwright.sync_api import Browser, Page, expect, sync_playwright

IMAGES = Path(__file__).resolve().parent / "images"
QUESTIONS = ["Hello!", "Tell me a joke about a cat.", "What is the weather in Delport?"]
SIZE = {"width": 1180, "height": 760}
LARGEST_IMAGE = 300_000  # bytes
TOKEN = 6  # whose alternatives are shown
REPLY_TIMEOUT = 60_000  # milliseconds


def main() -> None:
    """Parse the arguments and take the screenshot."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("model", type=Path, help="a model directory, or the folder of a run")
    parser.add_argument("questions", nargs="*", default=QUESTIONS, help="what to ask, in order")
    arguments = parser.parse_args()
    with served(arguments.model) as address:
        take(address, arguments.questions)
    for image in (IMAGES / "page.png", IMAGES / "page-tokens.png"):
        size = image.stat().st_size
        print(f"{image}: {size:,} bytes")
        if size > LARGEST_IMAGE:
            sys.exit(f"the image is larger than {LARGEST_IMAGE:,} bytes: ask fewer questions")


@contextmanager
def served(model: Path, *more: str) -> Iterator[str]:
    """Serve the model on a free port, with more options; yield the address."""
    with tempfile.TemporaryDirectory() as folder:
        store = str(Path(folder) / "store.db")  # not the user's
        options = ["--port", "0", "--store", store, *more]
        command = [sys.executable, "-u", "-m", "chatwright", "serve", str(model), *options]
        process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
        try:
            assert process.stdout is not None
            addresses = (re.search(r"http://127\.0\.0\.1:\d+", line) for line in process.stdout)
            yield next(match.group() for match in addresses if match)
        finally:
            process.terminate()
            process.wait()


def take(address: str, questions: list[str]) -> None:
    """Ask the questions one after another and write the images after the last reply."""
    with launched_browser() as browser:
        page = browser.new_page(viewport=SIZE, color_scheme="light", reduced_motion="reduce")
        page.goto(address)
        page.locator("#question").wait_for(timeout=REPLY_TIMEOUT)
        for question in questions:
            ask(page, question)
        IMAGES.mkdir(exist_ok=True)
        page.screenshot(path=IMAGES / "page.png")
        page.get_by_role("button", name="Tokens and their probabilities").last.click()
        page.locator(".token").nth(TOKEN).click(timeout=REPLY_TIMEOUT)
        page.screenshot(path=IMAGES / "page-tokens.png")


@contextmanager
def launched_browser() -> Iterator[Browser]:
    """Start the system's chromium without a window; end it afterwards."""
    with sync_playwright() as driver:
        browser = driver.chromium.launch(
            executable_path=shutil.which("chromium"), args=["--no-sandbox"]
        )
        yield browser
        browser.close()


def ask(page: Page, question: str) -> None:
    """Send a question and wait for the whole reply."""
    page.locator("#question").fill(question)
    page.locator("#send").click()
    expect(page.locator("#stop")).to_be_hidden(timeout=REPLY_TIMEOUT)
    expect(page.locator("#send")).to_be_visible(timeout=REPLY_TIMEOUT)


if __name__ == "__main__":
    main()
