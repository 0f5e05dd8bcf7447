"""Talking with a model on the page: keys, versions, settings, receipts, limits, thinking.

Replies are compared with those of the same model without a server.
"""

import json
import re

import pytest
from playwright.sync_api import expect

from chatwright.conversation import Message
from chatwright.server.http_server import serve_in_thread
from chatwright.server.opening_status import OpeningStatus
from chatwright.tokenizer.chat_template import render_prompt
from tests.server.test_thinking import ThinkingAssistant
from tests.web.page_actions import (
    PHONE,
    action,
    ask,
    assert_fits_window,
    expect_conversation,
    question,
    wait_for_reply,
)
from tests.web.served_models import CONTEXT, REPLY, TOKENIZER

pytestmark = pytest.mark.ci

NAME_OF_FOCUSED = """
(() => {
  const node = document.activeElement;
  const label = node.labels && node.labels[0] ? node.labels[0].textContent : "";
  return (node.getAttribute("aria-label") || label || node.innerText || "").trim().split("\\n")[0];
})()
"""


def test_thinking_is_folded_and_is_not_sent_back(open_page):
    assistant = ThinkingAssistant()
    opening = OpeningStatus("thinker")
    with serve_in_thread("thinker", 0, status=opening.status) as (service, address):
        service.publish(assistant, "thinker")
        opening.set_ready()
        page = open_page(address)
        ask(page, "hi")
        expect_conversation(page, "hi", "yes")
        expect(page.get_by_text("let me see")).to_be_hidden()
        page.get_by_text("Thinking").click()
        expect(page.get_by_text("let me see")).to_be_visible()
        assert_fits_window(page)
        ask(page, "why?")
        expect_conversation(page, "hi", "yes", "why?", "yes")
        wait_for_reply(page)
    conversation, _ = assistant.seen[-1]
    assert [(message.text, message.thinking) for message in conversation] == [
        ("hi", ""),
        ("yes", ""),
        ("why?", ""),
    ]


def test_everything_can_be_done_with_the_keyboard(build, models, open_page):
    build.report("sft", 0, loss=3.0, samples=[("Hello!", "Hh")])
    build.publish(models[0], "step 0")
    page = open_page(build.address)
    box = question(page)
    expect(box).to_be_focused()

    page.keyboard.press("Enter")
    page.keyboard.type("  ")
    page.keyboard.press("Enter")
    expect(page.locator(".turn")).to_have_count(0)  # empty and blank messages are not sent

    page.keyboard.press("ControlOrMeta+a")
    page.keyboard.type("a")
    page.keyboard.press("Shift+Enter")
    page.keyboard.type("b")
    expect(box).to_have_value("a\nb")
    page.keyboard.press("Enter")
    wait_for_reply(page)
    assert page.locator(".turn.user .text").inner_text() == "a\nb"
    expect(box).to_be_focused()

    models[0].gate.clear()
    page.keyboard.type("go on")
    page.keyboard.press("Enter")
    expect(page.locator(".turn .text").last).to_have_text(re.compile("^[a-z]{4,}$"))
    page.keyboard.press("Escape")
    expect(page.get_by_text("You stopped this reply.")).to_be_visible()
    models[0].gate.set()
    expect(box).to_be_focused()

    page.locator(".skip").focus()
    reached = []
    for _ in range(30):
        reached.append(page.evaluate(NAME_OF_FOCUSED))
        page.keyboard.press("Tab")
    assert reached[0] == "Skip to the message box"
    for name in (
        "New chat",
        "Search conversations",
        "a b",  # the conversation in the list
        "Actions for a b",
        "Settings",
        "Copy",
        "Edit this message",
        "Another reply",
        "How this reply was made",
        "Continue this reply",
        "Attach text files",
        "Your message",
    ):
        assert name in reached, (name, reached)

    page.locator("summary").focus()
    page.keyboard.press("Enter")
    expect(page.locator(".sample .text")).to_be_visible()
    page.keyboard.press("Enter")
    expect(page.locator(".sample .text")).to_be_hidden()


def test_stopping_an_empty_reply_restores_the_question(page, models):
    models[0].gate.clear()
    page.route("**/v1/chat/completions", lambda route: None)  # never answered
    ask(page, "one")
    page.get_by_role("button", name="Stop the reply").click()
    expect(page.get_by_label("Your message")).to_have_value("one")
    expect(page.locator(".turn")).to_have_count(0)
    expect(page.locator("#welcome-title")).to_have_text("Ask it something")


def test_a_new_chat_starts_without_the_old_messages(page, models):
    ask(page, "one")
    wait_for_reply(page)
    page.get_by_test_id("list-new").click()
    expect(page.locator(".turn")).to_have_count(0)
    ask(page, "two")
    wait_for_reply(page)
    expect_conversation(page, "two", models[0].reply_alone("two"))


def test_a_message_that_is_too_long_is_refused_and_kept(page):
    box = question(page)
    refusals = {
        10_000: "192 tokens",
        100_001: "100,001 characters",
    }
    for length, reason in refusals.items():
        box.fill("a" * length)
        box.press("Enter")
        expect(page.get_by_role("alert").filter(has_text=reason)).to_be_visible()
        assert len(box.input_value()) == length
        expect(page.locator(".turn")).to_have_count(0)
        assert_fits_window(page)
    ask(page, "a")
    wait_for_reply(page)
    expect(page.get_by_role("alert")).to_have_count(0)


def test_messages_left_out_of_the_context_are_reported(page):
    for text in ("a" * 40, "b" * 40, "c" * 40):
        ask(page, text)
        wait_for_reply(page)
    expect(page.locator(".remark").filter(has_text="oldest 2 messages")).to_be_visible()


def test_versions_of_replies_and_of_questions_stay_and_can_be_shown_again(page, models):
    ask(page, "one")
    wait_for_reply(page)
    first = models[0].reply_alone("one")
    action(page, 1, "Another reply").click()
    wait_for_reply(page)
    expect_conversation(page, "one", first)  # the same seed, so the same text
    expect(page.get_by_test_id("version")).to_have_text("2/2")

    ask(page, "two")
    wait_for_reply(page)
    action(page, 2, "Edit this message").click()
    editor = page.get_by_label("Edited message")
    expect(editor).to_be_focused()
    editor.fill("never sent")
    editor.press("Escape")
    expect(action(page, 2, "Edit this message")).to_be_focused()
    action(page, 2, "Edit this message").click()
    editor.fill("three")
    editor.press("ControlOrMeta+Enter")
    wait_for_reply(page)
    third = models[0].reply_alone("one", first, "three")
    expect_conversation(page, "one", first, "three", third)
    action(page, 2, "Previous version").click()
    expect_conversation(page, "one", first, "two", models[0].reply_alone("one", first, "two"))
    action(page, 2, "Next version").click()
    expect_conversation(page, "one", first, "three", third)

    page.reload()
    expect_conversation(page, "one", first, "three", third)
    action(page, 2, "Delete this version").click()
    expect_conversation(page, "one", first, "two", models[0].reply_alone("one", first, "two"))
    page.reload()
    expect(page.locator(".turn")).to_have_count(4)
    expect(page.locator(".turn").nth(2).get_by_test_id("version")).to_have_count(0)


def test_a_stopped_reply_is_continued_by_the_tokens_that_follow_it(page, models):
    whole = models[0].reply_alone("go on")
    models[0].gate.clear()
    ask(page, "go on")
    expect(page.locator(".turn .text").last).to_have_text(re.compile("^[a-z]{4,}$"))
    page.locator("#stop").click()
    models[0].gate.set()
    expect(page.get_by_text("You stopped this reply.")).to_be_visible()
    begun = page.locator(".turn .text").last.inner_text()
    assert whole.startswith(begun)
    assert begun != whole
    action(page, 1, "Continue this reply").click()
    wait_for_reply(page)
    expect(page.get_by_test_id("version")).to_have_text("2/2")
    continued = models[0].continue_alone("go on", begun)
    assert len(continued) == REPLY
    expect_conversation(page, "go on", begun + continued)


def test_the_receipt_tells_how_a_reply_was_made_and_a_replay_proves_it(page, models):
    ask(page, "one")
    wait_for_reply(page)
    action(page, 1, "How this reply was made").click()
    receipt = page.get_by_test_id("receipt")
    expect(receipt).to_contain_text("starter")
    expect(receipt).to_contain_text(f"{REPLY} tokens")
    expect(receipt).to_contain_text("Temperature 0.3")
    receipt.get_by_role("button", name="Replay").click()
    expect(page.get_by_test_id("replay-outcome")).to_contain_text("the same text")


def test_a_replay_of_another_text_says_so(echo_page):
    page, model = echo_page
    ask(page, "one")
    wait_for_reply(page)
    model.answer = "two"
    action(page, 1, "How this reply was made").click()
    page.get_by_role("button", name="Replay").click()
    expect(page.get_by_test_id("replay-outcome")).to_contain_text("a different text")


def test_settings_reach_the_model_and_are_shown_and_kept(echo_page):
    page, model = echo_page
    page.locator("#in-force").click()
    page.get_by_label("System prompt").fill("Be brief.")
    values = {"Temperature": "0.7", "Top-p": "0.9", "Top-k": "40", "Min-p": "0.05"}
    for name, value in values.items():
        page.get_by_label(name, exact=True).fill(value)
    page.get_by_label("Repetition penalty").fill("1.2")
    page.get_by_label("Frequency penalty").fill("0.5")
    page.get_by_label("Presence penalty").fill("-0.5")
    page.get_by_label("Longest reply").fill("99")
    page.get_by_label("Seed").fill("12345")
    page.get_by_label("Stop texts").fill("END\nSTOP")
    page.get_by_label("Thinking", exact=True).select_option("off")
    page.get_by_role("button", name="Use for new conversations").click()
    page.keyboard.press("Escape")
    ask(page, "hi")
    wait_for_reply(page)
    [(conversation, sampling)] = model.seen
    assert [(message.role, message.text) for message in conversation] == [
        ("system", "Be brief."),
        ("user", "hi"),
    ]
    assert (sampling.temperature, sampling.top_p, sampling.top_k, sampling.min_p) == (
        0.7,
        0.9,
        40,
        0.05,
    )
    assert (
        sampling.repetition_penalty,
        sampling.frequency_penalty,
        sampling.presence_penalty,
    ) == (1.2, 0.5, -0.5)
    assert (sampling.max_tokens, sampling.seed, sampling.stop) == (99, 12345, ("END", "STOP"))
    assert model.thinking == [False]
    expect(page.locator("#in-force")).to_contain_text("Temperature 0.7")
    expect(page.locator("#in-force")).to_contain_text("Top-k 40")
    page.reload()
    page.locator("#in-force").click()
    expect(page.get_by_label("System prompt")).to_have_value("Be brief.")
    expect(page.locator("#top_k")).to_have_value("40")
    page.keyboard.press("Escape")
    page.get_by_test_id("list-new").click()
    expect(page.locator("#in-force")).to_contain_text("Temperature 0.7")
    page.locator("#in-force").click()
    expect(page.get_by_label("System prompt")).to_have_value("")
    expect(page.locator("#seed")).to_have_value("")  # a seed belongs to one conversation
    page.get_by_role("button", name="Reset to defaults").click()
    page.keyboard.press("Escape")
    expect(page.locator("#in-force")).to_have_text("Temperature 0.3")


def test_the_context_meter_counts_the_tokens_of_prompt_and_reply(page, models):
    ask(page, "one")
    wait_for_reply(page)
    expect(page.get_by_test_id("context-meter")).to_contain_text(f"/ {CONTEXT} tokens")
    count = page.get_by_test_id("context-meter").inner_text().split()[0]
    prompt = len(render_prompt([Message("user", "one")], TOKENIZER))
    assert int(count) == prompt + REPLY


def test_turns_that_the_model_did_not_see_are_above_a_line(page):
    for text in ("a" * 40, "b" * 40, "c" * 40):
        ask(page, text)
        wait_for_reply(page)
    expect(page.get_by_test_id("unseen")).to_be_visible()
    order = page.locator("#turns > *").evaluate_all(
        "all => all.map((node) => node.className.split(' ')[0])"
    )
    assert order == ["turn", "turn", "unseen", "turn", "turn", "turn", "turn"]


def test_enter_of_an_input_method_does_not_send(page):
    box = question(page)
    box.fill("ni")
    for event in ("{isComposing: true}", "{keyCode: 229}"):
        box.evaluate(
            "(node, more) => node.dispatchEvent(new KeyboardEvent('keydown', {key: 'Enter',"
            " bubbles: true, cancelable: true, ...more}))",
            {"isComposing": True} if "isComposing" in event else {"keyCode": 229},
        )
    expect(box).to_have_value("ni")
    expect(page.locator(".turn")).to_have_count(0)


def test_enter_on_a_phone_makes_a_new_line(build, models, open_page):
    build.finish(models[0])
    page = open_page(build.address, PHONE, has_touch=True, is_mobile=True)
    box = question(page)
    box.tap()
    page.keyboard.type("a")
    page.keyboard.press("Enter")
    page.keyboard.type("b")
    expect(box).to_have_value("a\nb")
    expect(page.locator(".turn")).to_have_count(0)
    page.locator("#send").tap()
    wait_for_reply(page)
    assert_fits_window(page)


def test_a_text_file_is_attached_and_another_file_is_refused(echo_page):
    page, model = echo_page
    text = {"name": "notes.txt", "mimeType": "text/plain", "buffer": b"line ```\nline"}
    image = {"name": "cat.png", "mimeType": "image/png", "buffer": b"\x89PNG\xff\x00"}
    page.locator("#attach-file").set_input_files([text, image])
    expect(page.get_by_role("alert")).to_contain_text("cat.png")
    expect(page.locator(".files li")).to_have_count(1)
    ask(page, "What is this?")
    wait_for_reply(page)
    [(conversation, _)] = model.seen
    assert conversation[-1].text == "notes.txt\n````\nline ```\nline\n````\n\nWhat is this?"
    expect(page.locator(".files")).to_have_count(0)


def test_a_text_that_is_read_from_the_right_ends_on_its_left(echo_page):
    page, _ = echo_page
    text = "\u0645\u0631\u062d\u0628\u0627 123."
    ask(page, text)
    wait_for_reply(page)
    for selector in (".turn.user .text", ".turn.assistant .text p", "#question"):
        style = page.locator(selector).evaluate("node => getComputedStyle(node).unicodeBidi")
        assert style == "plaintext", selector


def test_a_long_conversation_sends_what_the_server_accepts(echo_page):
    page, model = echo_page
    page.locator("#import-file").set_input_files([long_conversation(1500)])
    page.locator("#list .item").click()
    expect(page.locator(".turn")).to_have_count(3000)
    ask(page, "still there?")
    wait_for_reply(page)
    [(conversation, _)] = model.seen
    assert len(conversation) == 999  # at most 1,000, and the first is a question
    assert conversation[0].text == "question 1001"
    assert conversation[-1].text == "still there?"
    expect(page.locator(".turn .text").last).to_have_text("still there?")
    expect(page.get_by_test_id("unseen")).to_contain_text("2,002")


def long_conversation(n_exchange):
    """Return an export file with a long conversation."""
    turns = []
    for index in range(2 * n_exchange):
        role = "user" if index % 2 == 0 else "assistant"
        text = f"{'question' if role == 'user' else 'answer'} {index // 2}"
        parent = str(index - 1) if index else None
        turns.append({"id": str(index), "parent": parent, "role": role, "text": text})
        turns[-1]["created"] = index
    info = {"title": "long", "head": str(2 * n_exchange - 1)}
    body = {"format": "chatwright.conversations", "version": 1}
    body["conversations"] = [{"info": info, "turns": turns}]
    return {
        "name": "long.json",
        "mimeType": "application/json",
        "buffer": json.dumps(body).encode(),
    }
