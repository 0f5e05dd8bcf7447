"""The rater's queue on the page: ranking by keys, undo, skip, reasons; filling it; who sees it."""

import json

import pytest
from playwright.sync_api import expect

from chatwright.conversation import Message
from chatwright.pipeline.store_feedback import to_feedback
from chatwright.store.messages import Origin
from chatwright.store.rating_queue import NewTask
from tests.web.page_actions import DESKTOP, PHONE, assert_fits_window, question
from tests.web.store_server import PASSWORD, log_in, store_server

pytestmark = pytest.mark.ci


@pytest.fixture
def server(tmp_path):
    with store_server(tmp_path, has_login=True) as server:
        for name, role in (("root", "admin"), ("ann", "rater"), ("lee", "learner")):
            server.store.users.add(name, role, PASSWORD)
        yield server


def task(text, *replies, right=()):
    messages = tuple(Message("assistant", reply) for reply in replies)
    origins = (Origin("secret-model", "ab" * 32),) * len(replies)
    return NewTask((Message("user", text),), messages, origins, right)


def fill(server, *tasks):
    server.store.queue.add(server.store.users.find("root").id, "batch", tasks)


def open_queue(page, name):
    """Log in and open the queue."""
    log_in(page, name)
    expect(question(page)).to_be_visible()
    if page.viewport_size == PHONE:
        page.get_by_role("button", name="Show conversations").click()
    page.locator("nav.views a[href='#/rate']").click()
    expect(page.locator("#rate")).to_be_visible()


def shown(page):
    """Return the texts of the replies, in the order on the page."""
    replies = page.locator("#rate .pair .markdown")
    expect(replies.first).not_to_have_text("")
    return replies.all_inner_texts()


def rankings(server):
    """Return for each ranking: question, rank by text, whether all are bad, reason."""
    feedback = [to_feedback(rated) for rated in server.store.feedback.rated_conversations()]
    return [
        (
            item.prompt[-1].text,
            {
                reply.message.text: rank
                for reply, rank in zip(item.replies, item.ranks, strict=True)
            },
            item.are_all_bad,
            item.reason,
        )
        for item in feedback
    ]


def test_a_rater_ranks_skips_and_takes_back_by_keys(server, open_page):
    fill(server, task("one", "a", "b"), task("two", "c", "d"), task("three", "e", "f", "g"))
    page = open_page(server.address)
    open_queue(page, "ann")
    prompt = page.locator("#rate .prompt dd")
    expect(prompt).to_have_text("one")
    expect(page.locator("#rate")).not_to_contain_text("secret-model")
    page.keyboard.press(str(1 + shown(page).index("b")))
    expect(prompt).to_have_text("two")
    page.keyboard.press("s")
    expect(prompt).to_have_text("three")
    page.keyboard.press("r")
    page.keyboard.type("bus 12")  # numbers in the reason rank nothing
    page.keyboard.press("Enter")
    texts = shown(page)
    page.keyboard.press(str(1 + texts.index("g")))
    page.keyboard.press(str(1 + texts.index("e")))
    page.keyboard.press("=")
    page.keyboard.press(str(1 + texts.index("f")))
    expect(page.locator("#rate")).to_contain_text("Only skipped ones are left")
    assert rankings(server) == [
        ("one", {"a": 2, "b": 1}, False, ""),
        ("three", {"e": 2, "f": 2, "g": 1}, False, "bus 12"),
    ]
    page.keyboard.press("u")
    expect(prompt).to_have_text("three")
    page.keyboard.press("b")
    expect(page.locator("#rate")).to_contain_text("Only skipped ones are left")
    page.keyboard.press("u")
    expect(prompt).to_have_text("three")
    page.keyboard.press("u")  # the skipped one
    expect(prompt).to_have_text("two")
    page.get_by_role("button", name="Equally good").click()
    expect(prompt).to_have_text("three")
    assert rankings(server) == [
        ("one", {"a": 2, "b": 1}, False, ""),
        ("two", {"c": 1, "d": 1}, False, ""),
    ]
    page.reload()
    expect(page.get_by_test_id("rate-counts")).to_have_text("2 ranked, 1 left.")


def test_an_administrator_fills_the_queue_and_sees_gold_and_limits(server, open_page):
    fill(server, task("gold", "right", "wrong", right=(1, 2)))
    page = open_page(server.address)
    open_queue(page, "root")
    page.keyboard.press(str(1 + shown(page).index("right")))
    row = page.locator("#rating-queue tr[data-rater=root]")
    expect(row).to_contain_text("100% of 1")
    answers = iter(("yes", "yes", "no", "so", "maybe"))  # the second equals the first
    server.model.answers = lambda: next(answers)
    page.get_by_label("Prompts, one a line").fill("Is it?")
    page.locator("#rating-queue select").select_option("3")
    page.get_by_role("button", name="Write replies and add").click()
    expect(page.locator("#rating-queue")).to_contain_text("1 prompt added.")
    expect(page.locator("#rate .prompt dd")).to_have_text("Is it?")
    assert len(set(shown(page))) == 3
    lines = [{"prompt": "Which?", "replies": ["x", "y"], "right_ranks": [2, 1]}]
    file = {"name": "t.jsonl", "mimeType": "", "buffer": json.dumps(lines[0]).encode()}
    page.locator("#queue-file").set_input_files([file])
    expect(page.get_by_test_id("n-tasks")).to_have_text("3")
    file["buffer"] = b'{"prompt": "x"}'
    page.locator("#queue-file").set_input_files([file])
    expect(page.get_by_role("alert")).to_contain_text("no list of prompts")
    limit = page.get_by_label("Most prompts that ann may rank")
    limit.fill("1")
    with page.expect_response("**/limit"):
        limit.press("Tab")
    other = open_page(server.address)
    open_queue(other, "ann")
    expect(other.get_by_test_id("rate-counts")).to_have_text("0 ranked, 1 left.")
    expect(other.locator("#rating-queue")).to_have_count(0)
    other.keyboard.press("=")
    expect(other.locator("#rate")).to_contain_text("There is nothing to rank now")


def test_learners_have_no_queue(server, open_page):
    page = open_page(server.address)
    log_in(page, "lee")
    expect(question(page)).to_be_visible()
    expect(page.locator("nav.views").get_by_role("button", name="Lessons")).to_have_count(1)
    expect(page.locator("nav.views a[href='#/rate']")).to_have_count(0)


@pytest.mark.parametrize("viewport", [PHONE, DESKTOP], ids=["phone", "desktop"])
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_the_queue_fits_and_axe_finds_nothing_serious(
    server, open_page, accessibility_problems, viewport, scheme
):
    long = "A longer reply, with `code` and a list:\n\n- one\n- two"
    fill(server, task("Which is the best of these four?", "Short.", long, "Other", "Fourth"))
    page = open_page(server.address, viewport, color_scheme=scheme)
    open_queue(page, "root")
    expect(page.locator("#rate .pair .markdown")).to_have_count(4)
    page.keyboard.press("2")
    expect(page.get_by_role("button", name="is number 1")).to_be_disabled()
    assert_fits_window(page)
    assert accessibility_problems(page) == []


@pytest.mark.parametrize(
    ("locale", "title"), [("de-DE", "Antworten bewerten"), ("fr-FR", "Évaluer des réponses")]
)
def test_the_queue_speaks_the_language(tmp_path, open_page, locale, title):
    with store_server(tmp_path) as server:
        page = open_page(server.address, locale=locale)
        expect(question(page)).to_be_visible()
        page.locator("nav.views a[href='#/rate']").click()
        expect(page.get_by_role("heading", name=title)).to_be_visible()
