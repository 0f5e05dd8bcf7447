"""Time the page in Chromium: python benchmarks/page_latency.py [--messages N] [--characters N].

First a stored conversation of 2,000 messages is opened: the time to the first paint and to the last
message, and the time from each of 50 key presses in the message box to the next paint. Targets:
first paint at most 1.0 s, key press at most 100 ms.

Then 100,000 characters of hostile Markdown are streamed at 100 pieces a second: open markers, deep
lists and quotes, wide tables, formulas, code. Counts the frames that took over 50 ms. Target: none.
Needs Debian's chromium, playwright and an idle machine.
"""

import argparse
import random
import shutil
import statistics
import tempfile
import time
from pathlib import Path

from playwright.sync_api import Page, sync_playwright

from chatwright.chat.reply_events import Finished, TextDelta, Usage
from chatwright.conversation import Message
from chatwright.server.access.accounts import Accounts
from chatwright.server.http_server import serve_in_thread
from chatwright.server.opening_status import OpeningStatus
from chatwright.store.messages import Origin, StoredMessage, insert_tree
from chatwright.store.store import Store
from chatwright.tokenizer.characters import CharacterTokenizer

N_KEY, PIECE, PIECES_PER_SECOND, FRAME_LIMIT = 50, 4, 100, 50.0
HOSTILE = [
    "**" * 40 + "a " + "_b " * 40,
    "[" * 200 + "](",
    "> " * 30 + "deep\n",
    "".join("  " * depth + "- item\n" for depth in range(30)),
    "| " + "x | " * 40 + "\n|" + "---|" * 40 + "\n" + ("| " + "y | " * 40 + "\n") * 5,
    "$$\\frac{a}{\\sqrt{b_i^2}} " + "+ x_{i}^{j}" * 20 + "$$\n",
    "```python\n" + "x = {'a': [1, 2, 3]}  # comment\n" * 20 + "```\n",
    "`" * 3 + "~" * 30 + "*" * 50,
    "<img src=x onerror=alert(1)>" * 10,
    "word " * 300,
]
FRAMES = """
() => {
  window.frames_ = [];
  let last = performance.now();
  const next = (now) => {
    window.frames_.push(now - last);
    last = now;
    requestAnimationFrame(next);
  };
  requestAnimationFrame(next);
}
"""
KEYS = """
() => {
  window.keys_ = [];
  document.querySelector("#question").addEventListener("keydown", (event) => {
    const painted = () => window.keys_.push(performance.now() - event.timeStamp);
    requestAnimationFrame(() => setTimeout(painted));
  });
}
"""


class SlowAssistant:
    """Replies with a text in pieces, at a fixed rate."""

    context_length = 1_000_000

    def __init__(self, text: str) -> None:
        self.text = text
        self.tokenizer = CharacterTokenizer.train(["ab"])

    def reply(self, conversation, sampling, thinking=None, form=None, *, user=""):
        """Yield the pieces."""
        began = time.monotonic()
        for number, start in enumerate(range(0, len(self.text), PIECE)):
            time.sleep(max(0.0, began + number / PIECES_PER_SECOND - time.monotonic()))
            yield TextDelta(self.text[start : start + PIECE])
        count = len(self.text) // PIECE
        yield Finished("stop", Usage(1, count), Message("assistant", self.text))


def fill(store: Store, n_message: int) -> str:
    """Store a conversation; return its id."""
    user = store.users.owner().id
    conversation = store.conversations.create(user, "long").id
    messages = []
    for number in range(n_message):
        text = (
            f"Message {number} with **bold** words and `code`.\n\n- one\n- two\n\n" + "word " * 40
        )
        parent = str(number - 1) if number else None
        message = Message("user" if number % 2 == 0 else "assistant", text)
        messages.append(
            StoredMessage(str(number), parent, message, "complete", Origin(), None, None, "")
        )
    with store.database.write() as connection:
        ids = insert_tree(connection, user, conversation, messages)
    store.conversations.update(user, conversation, shown=ids[str(n_message - 1)])
    return conversation


def time_long_conversation(page: Page, address: str, conversation: str, n_message: int) -> None:
    """Print first paint, last message, and key press to paint."""
    began = time.perf_counter()
    page.goto(f"{address}/#/c/{conversation}")
    page.locator(".turn").first.wait_for()
    page.get_by_text(f"Message {n_message - 1} with").wait_for()
    shown = time.perf_counter() - began
    paint = page.evaluate("performance.getEntriesByName('first-contentful-paint')[0].startTime")
    nodes = page.evaluate("document.querySelectorAll('*').length")
    print(f"{n_message} messages: first paint {paint:.0f} ms, last message {1000 * shown:.0f} ms")
    print(f"elements of the page: {nodes}")
    page.locator("#question").focus()
    page.evaluate(KEYS)
    for number in range(N_KEY):
        page.keyboard.press("abcdefghij"[number % 10])
        page.wait_for_function(f"() => window.keys_.length > {number}")
    times = page.evaluate("window.keys_")
    print(
        f"key press to paint: median {statistics.median(times):.1f} ms, slowest {max(times):.1f} ms"
    )


def time_hostile_stream(page: Page, address: str, n_character: int) -> None:
    """Print how many frames took too long while hostile Markdown arrived."""
    page.goto(address)
    page.locator("#question").fill("go")
    page.evaluate(FRAMES)
    page.locator("#send").click()
    page.locator("#stop").wait_for()
    page.locator("#send").wait_for(
        timeout=1000 * (60 + 4 * n_character // PIECE // PIECES_PER_SECOND)
    )
    frames = page.evaluate("window.frames_")
    slow = [frame for frame in frames if frame > FRAME_LIMIT]
    print(
        f"{n_character} characters of hostile Markdown: {len(slow)} of {len(frames)} frames over "
        f"{FRAME_LIMIT:.0f} ms, slowest {max(frames):.0f} ms"
    )


def main() -> None:
    """Print the times."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--messages", type=int, default=2000)
    parser.add_argument("--characters", type=int, default=100_000)
    options = parser.parse_args()
    choose = random.Random(20)
    text = ""
    while len(text) < options.characters:
        text += choose.choice(HOSTILE) + "\n\n"
    text = text[: options.characters]
    status = OpeningStatus("slow")
    status.set_ready()
    with tempfile.TemporaryDirectory() as folder, Store(Path(folder) / "store.db") as store:
        accounts = Accounts(store)
        conversation = fill(store, options.messages)
        serving = serve_in_thread("slow", 0, status=status.status, accounts=accounts)
        with serving as (service, address), sync_playwright() as driver:
            service.publish(SlowAssistant(text), "slow")
            chromium = shutil.which("chromium")
            browser = driver.chromium.launch(executable_path=chromium, args=["--no-sandbox"])
            page = browser.new_page(viewport={"width": 1280, "height": 800})
            page.set_default_timeout(120_000)
            time_long_conversation(page, address, conversation, options.messages)
            time_hostile_stream(page, address, options.characters)
            browser.close()


if __name__ == "__main__":
    main()
