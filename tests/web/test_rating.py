"""Thumbs, corrections and blind comparisons reach the server's feedback log; a key is asked for."""

import threading
from dataclasses import replace

import pytest
from playwright.sync_api import expect

from chatwright.data.feedback_log import read_log
from chatwright.data.preferences import Correction, Ranking, Thumb
from chatwright.server.access.access_keys import KeyFile, KeyRing
from chatwright.server.address import Address
from chatwright.server.app import make_app
from chatwright.server.feedback.collector import FeedbackCollector
from chatwright.server.http_server import DrainingServer
from tests.web.page_actions import action, ask, expect_conversation, question, wait_for_reply
from tests.web.served_models import EchoAssistant

pytestmark = pytest.mark.ci


@pytest.fixture
def log(build, tmp_path):
    """Let the server keep feedback, and return its log."""
    build.service.feedback = FeedbackCollector(tmp_path / "feedback.jsonl")
    return tmp_path / "feedback.jsonl"


def written(log):
    """Return the feedback in the log."""
    return list(read_log(log).feedback)


def test_a_thumb_a_reason_and_a_better_answer_are_stored(log, page, models):
    ask(page, "one")
    wait_for_reply(page)
    action(page, 1, "Bad reply").click()
    expect(action(page, 1, "Bad reply")).to_have_attribute("aria-pressed", "true")
    page.get_by_label("Why?").fill("too long")
    page.get_by_label("A better answer").fill("yes")
    page.locator(".rating-form").get_by_role("button", name="Send").click()
    expect(page.get_by_text("Stored for the next training.")).to_be_visible()
    thumb, with_reason, correction = written(log)
    assert isinstance(thumb, Thumb)
    assert (thumb.is_up, thumb.reply.message.text) == (False, models[0].reply_alone("one"))
    assert [message.text for message in thumb.prompt] == ["one"]
    assert (with_reason.is_up, with_reason.reason) == (False, "too long")
    assert isinstance(correction, Correction)
    assert correction.better.text == "yes"
    page.reload()
    expect(action(page, 1, "Bad reply")).to_have_attribute("aria-pressed", "true")


def test_a_server_without_feedback_shows_no_thumbs(page):
    ask(page, "one")
    wait_for_reply(page)
    expect(page.get_by_role("button", name="Good reply")).to_have_count(0)


@pytest.mark.parametrize(
    ("vote", "ranks", "are_all_bad"),
    [
        ("A is better", (1, 2), False),
        ("B is better", (2, 1), False),
        ("Equally good", (1, 1), False),
        ("Both are bad", (1, 1), True),
    ],
)
def test_a_blind_comparison_becomes_a_ranking(log, page, models, vote, ranks, are_all_bad):
    ask(page, "one")
    wait_for_reply(page)
    action(page, 1, "Compare with another reply").click()
    compare = page.get_by_role("dialog", name="Which reply is better?")
    expect(compare.get_by_role("button", name=vote)).to_be_enabled()
    expect(compare).not_to_contain_text("starter")  # no name before the vote
    compare.get_by_role("button", name=vote).click()
    expect(compare).to_contain_text("starter, Seed")
    [ranking] = written(log)
    assert isinstance(ranking, Ranking)
    assert (ranking.ranks, ranking.are_all_bad) == (ranks, are_all_bad)
    reply = models[0].reply_alone("one")  # of both, because the seed is fixed
    assert [rated.message.text for rated in ranking.replies] == [reply, reply]
    page.keyboard.press("Escape")
    expect(compare).to_have_count(0)
    expect(page.get_by_test_id("version")).to_contain_text("/2")


@pytest.mark.parametrize("drawn", [0, 1])
def test_the_order_of_a_comparison_is_drawn(echo_page, tmp_path, drawn):
    page, model = echo_page
    model.service.feedback = FeedbackCollector(tmp_path / "feedback.jsonl")
    page.add_init_script(f"crypto.getRandomValues = (array) => array.fill({drawn})")
    page.reload()
    model.answer = "old"
    ask(page, "one")
    wait_for_reply(page)
    model.answer = "new"
    action(page, 1, "Compare with another reply").click()
    compare = page.get_by_role("dialog", name="Which reply is better?")
    expected = ["new", "old"] if drawn == 0 else ["old", "new"]
    expect(compare.locator(".markdown")).to_have_text(expected)
    expect(compare.get_by_role("button", name="Equally good")).to_be_enabled()
    page.keyboard.press(str(1 + expected.index("new")))  # the new one is better
    expect(compare).to_contain_text("Seed")
    [ranking] = written(tmp_path / "feedback.jsonl")
    assert [rated.message.text for rated in ranking.replies] == expected
    assert ranking.ranks == ((1, 2) if drawn == 0 else (2, 1))
    page.keyboard.press("Escape")
    expect_conversation(page, "one", "new")  # the better one is shown, the other is a version


def test_four_replies_are_ranked_by_keys(echo_page, tmp_path):
    page, model = echo_page
    model.service.feedback = FeedbackCollector(tmp_path / "feedback.jsonl")
    page.reload()
    model.answer = "zero"
    ask(page, "one")
    wait_for_reply(page)
    answers = iter(("first", "second", "third"))
    model.answers = lambda: next(answers)
    action(page, 1, "Rank with three more replies").click()
    compare = page.get_by_role("dialog", name="Rank the replies")
    expect(compare.locator(".markdown")).to_have_count(4)
    expect(compare.get_by_role("button", name="All are bad")).to_be_enabled()
    shown = compare.locator(".markdown").all_inner_texts()
    assert sorted(shown) == ["first", "second", "third", "zero"]
    keys = {text: str(number) for number, text in enumerate(shown, 1)}
    page.keyboard.press(keys["zero"])
    page.keyboard.press("u")  # a slip
    for key in (keys["second"], keys["zero"], "=", keys["third"]):
        page.keyboard.press(key)
    expect(compare.get_by_role("button", name="is number 2")).to_have_count(2)
    compare.get_by_role("button", name="is the next best").click()
    expect(compare).to_contain_text("Seed")
    [ranking] = written(tmp_path / "feedback.jsonl")
    ranks = {"second": 1, "zero": 2, "third": 2, "first": 4}
    assert [rated.message.text for rated in ranking.replies] == shown
    assert ranking.ranks == tuple(ranks[text] for text in shown)
    page.keyboard.press("Escape")
    expect_conversation(page, "one", "second")
    expect(page.get_by_test_id("version")).to_contain_text("/4")


def test_two_models_are_compared_on_one_question(echo_page, tmp_path):
    page, model = echo_page
    model.service.feedback = FeedbackCollector(tmp_path / "feedback.jsonl")
    others = {}
    for name in ("blue", "green"):
        others[name] = EchoAssistant()
        others[name].answer = f"I am {name}"
        served = model.service.engine.require_served()
        adapted = replace(served, assistant=others[name])
        model.service.adapters = {**model.service.adapters, name: adapted}
    page.reload()
    ask(page, "one")
    wait_for_reply(page)
    action(page, 1, "Compare with another reply").click()
    compare = page.get_by_role("dialog", name="Which reply is better?")
    expect(compare.get_by_role("button", name="Equally good")).to_be_enabled()
    assert sorted(compare.locator(".markdown").all_inner_texts()) == ["I am blue", "one"]
    compare.get_by_label("The other reply comes from").select_option("green")
    expect(compare.locator(".markdown").filter(has_text="I am green")).to_be_visible()
    expect(compare.get_by_role("button", name="Equally good")).to_be_enabled()
    shown = compare.locator(".markdown").all_inner_texts()
    page.keyboard.press(str(1 + shown.index("I am green")))
    expect(compare).to_contain_text("green, Seed")
    expect(compare).to_contain_text("echo, Seed")
    [ranking] = written(tmp_path / "feedback.jsonl")
    assert dict(zip(shown, ranking.ranks, strict=True)) == {"I am green": 1, "one": 2}
    page.keyboard.press("Escape")
    expect_conversation(page, "one", "I am green")


def test_a_server_with_keys_asks_for_one(models, open_page, tmp_path):
    file = KeyFile(tmp_path / "keys.json")
    text, _ = file.add("me")
    address = Address(port=0)
    listener = address.open()
    app = make_app(models[0], "starter", keys=KeyRing(file))
    server = DrainingServer(app, address, 1.0)
    thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]}, daemon=True)
    thread.start()
    try:
        page = open_page(address.url(listener.getsockname()[1]))
        page.get_by_label("Key").fill("sk-wrong")
        page.get_by_role("button", name="Use this key").click()
        expect(page.get_by_role("alert")).to_contain_text("refuses this key")
        page.get_by_label("Key").fill(text)
        page.get_by_role("button", name="Use this key").click()
        expect(question(page)).to_be_visible()
        ask(page, "one")
        expect_conversation(page, "one", models[0].reply_alone("one"))
        page.reload()
        expect(question(page)).to_be_visible()
    finally:
        server.should_exit = True
        thread.join(timeout=10)
