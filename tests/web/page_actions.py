"""What tests do on the page and expect of it."""

from collections.abc import Callable

from playwright.sync_api import Page, expect

PHONE = {"width": 390, "height": 844}
DESKTOP = {"width": 1280, "height": 800}


def question(page: Page):
    """Return the message box."""
    return page.locator("#question")


def ask(page: Page, text: str) -> None:
    """Send a message."""
    question(page).fill(text)
    page.locator("#send").click()


def wait_for_reply(page: Page) -> None:
    """Wait until no reply is being written.

    `expect` would describe the whole page after its first look, which takes a minute if the
    conversation has thousands of messages and the machine is busy.
    """
    page.locator("#send").wait_for()


def wait_until(page: Page, condition: Callable[[], bool], n_look: int = 400) -> None:
    """Look at the server's state until it is as expected; the page goes on meanwhile."""
    for _ in range(n_look):
        if condition():
            return
        page.wait_for_timeout(50)
    raise AssertionError("the server's state did not become as expected")


def expect_conversation(page: Page, *texts: str) -> None:
    """Expect these messages and replies, in order."""
    expect(page.locator(".turn .text")).to_have_text(list(texts))


def action(page: Page, turn: int, name: str):
    """Return the button of a turn, by its accessible name."""
    return page.locator(".turn").nth(turn).get_by_role("button", name=name, exact=True)


def assert_fits_window(page: Page) -> None:
    """Check that nothing is wider than the window, and that the message box is inside it."""
    for element in ("document.documentElement", "document.querySelector('main')"):
        assert page.evaluate(f"{element}.scrollWidth <= innerWidth")
    composer = page.locator("#composer")
    if composer.is_visible():
        box = composer.bounding_box()
        assert box["y"] + box["height"] <= page.viewport_size["height"] + 1
