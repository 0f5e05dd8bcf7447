"""Visit every view of the page and print as JSON what the browser asked for.

Run by test_tour.py in a network namespace in which only this machine exists.
"""

import json
import re
import shutil
import sys
import tempfile
from pathlib import Path

from playwright.sync_api import Page, expect, sync_playwright

from tests.web.loop_server import loop_server
from tests.web.own_network import reaches_elsewhere
from tests.web.page_actions import action, ask, wait_for_reply
from tests.web.traced_model import serve_traced_model

PATIENCE = 60_000  # milliseconds
RICH = "$$\\frac{a}{b}$$\n\n```python\nx = 1\n```\n\n![x](https://example.org/x.png)"


class Visitor:
    """Records the requests of a page, the refused ones, and the errors of its console."""

    def __init__(self, page: Page) -> None:
        self.page = page
        self.requests: list[str] = []
        self.refused: list[str] = []
        self.errors: list[str] = []
        self.seen: list[str] = []
        page.on("request", lambda request: self.requests.append(request.url))
        page.on("response", self._look)
        page.on("pageerror", lambda error: self.errors.append(str(error)))
        page.on("console", self._listen)

    def _look(self, response) -> None:
        if response.status >= 400:
            self.refused.append(f"{response.status} {response.url}")

    def _listen(self, message) -> None:
        if message.type == "error":
            self.errors.append(message.text)


def visit_conversation(visitor: Visitor, address: str) -> None:
    """Chat, tokens, the view into a reply, languages and lessons."""
    page = visitor.page
    page.goto(address)
    ask(page, RICH)
    wait_for_reply(page)
    visitor.seen.append("chat")
    action(page, 1, "Tokens and their probabilities").click()
    action(page, 1, "Look inside this reply").click()
    expect(page.locator("#inside .token").first).to_be_visible()
    for tab in page.locator("#inside [role=tab]").all():
        tab.click()
    visitor.seen.append("inside")
    page.reload()
    page.get_by_role("button", name="Lessons").click()
    expect(page.get_by_role("button", name="Run", exact=True)).to_be_visible()
    page.get_by_role("button", name="Run", exact=True).click()
    expect(page.get_by_test_id("say")).to_be_visible()
    visitor.seen.append("lessons")


def visit_loop(visitor: Visitor, address: str) -> None:
    """Rich text, ranking, and the views Teach and Runs."""
    page = visitor.page
    page.goto(address)
    ask(page, RICH)
    wait_for_reply(page)
    expect(page.locator("main math")).to_have_count(1)
    expect(page.locator("main .hljs-number")).to_have_count(1)
    action(page, 1, "Compare with another reply").click()
    page.get_by_role("button", name=re.compile("Equally good")).click()
    page.keyboard.press("Escape")
    visitor.seen.append("ranking")
    page.locator("nav.views a[href='#/teach']").click()
    expect(page.locator("#versions li")).to_have_count(4)
    visitor.seen.append("teach")
    page.locator("nav.views a[href='#/runs']").click()
    expect(page.locator("#run .chart")).to_be_visible()
    visitor.seen.append("runs")


def main() -> None:
    """Make the tour."""
    expect.set_options(timeout=PATIENCE)
    with tempfile.TemporaryDirectory() as folder, sync_playwright() as driver:
        chromium = shutil.which("chromium")
        browser = driver.chromium.launch(executable_path=chromium, args=["--no-sandbox"])
        page = browser.new_page(locale="en-US", reduced_motion="reduce")
        page.set_default_timeout(PATIENCE)
        visitor = Visitor(page)
        with serve_traced_model(Path(folder) / "model") as first:
            visit_conversation(visitor, first)
            page.goto("about:blank")
        with loop_server(Path(folder)) as server:
            visit_loop(visitor, server.address)
            page.goto("about:blank")
        browser.close()
    report = {
        "addresses": [first, server.address],
        "seen": visitor.seen,
        "requests": visitor.requests,
        "refused": visitor.refused,
        "errors": visitor.errors,
        "reaches_elsewhere": reaches_elsewhere(),
    }
    json.dump(report, sys.stdout)


if __name__ == "__main__":
    main()
