"""The page in a real browser, with a real server and small untrained models.

Replies are compared with those of the same model without a server. No test sleeps: a reply can
pause in its middle (at a gate), and the browser waits for the text that it should show.
"""

import re
import shutil
import string
import threading
from contextlib import ExitStack
from dataclasses import replace

import pytest

from chatwright.chat.assistant import Assistant
from chatwright.chat.dialogue import CHAT_TEMPERATURE
from chatwright.conversation import Message
from chatwright.devices import generator
from chatwright.engine.engine import Engine
from chatwright.engine.messages import SamplingConfig
from chatwright.model.gpt import GPT, init_weights
from chatwright.model.gpt_config import GPTConfig
from chatwright.server.build_status import BuildStatus
from chatwright.server.http_server import serve_in_thread
from chatwright.server.opening_status import OpeningStatus
from chatwright.tokenizer.characters import CharacterTokenizer
from chatwright.training.watcher import Progress
from tests.server.test_thinking import ThinkingAssistant

playwright = pytest.importorskip(
    "playwright.sync_api",
    reason="needs the package playwright: pip install -c constraints.txt -e '.[dev]'",
)
expect = playwright.expect
pytestmark = pytest.mark.ci

PHONE = {"width": 390, "height": 844}
DESKTOP = {"width": 1280, "height": 800}
TOKENIZER = CharacterTokenizer.train(
    [string.ascii_letters + string.digits + string.punctuation + " \n"]
)
LETTERS_ONLY = {
    id_: -100.0
    for id_ in range(TOKENIZER.vocab_size)
    if id_ not in TOKENIZER.encode(string.ascii_lowercase)
}
CONTEXT = 192
REPLY = 24
EVENTS_BEFORE_GATE = 8
BUILD_FINISHED = "The build is finished. The finished model replies from now on."


@pytest.fixture(scope="module")
def browser():
    chromium = shutil.which("chromium")
    if chromium is None:
        pytest.skip("needs the browser chromium (apt-get install chromium)")
    with playwright.sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=chromium, args=["--no-sandbox"])
        yield browser
        browser.close()


@pytest.fixture(scope="module")
def engines():
    """Two models with different replies, each twice: served, and as a twin without a server."""
    shape = {"n_layer": 1, "n_head": 2, "n_kv_head": 1, "head_dim": 16, "d_model": 32, "d_ff": 64}
    with ExitStack() as stack:
        engines = []
        for seed in (5, 6):
            pair = []
            for _ in ("served", "twin"):
                model = GPT(
                    GPTConfig(vocab_size=TOKENIZER.vocab_size, context_length=CONTEXT, **shape)
                )
                init_weights(model, generator(seed, "init"))
                pair.append(stack.enter_context(Engine(model)))
            engines.append(pair)
        yield engines


def settings(sampling):
    """Return the settings, limited to a fixed number of letters and a fixed seed."""
    return replace(sampling, logit_bias=LETTERS_ONLY, seed=7, max_tokens=REPLY)


class GatedModel:
    """A real model whose replies pause in the middle while its gate is closed; it starts open."""

    tokenizer = TOKENIZER

    def __init__(self, served, twin):
        self.assistant = Assistant(served, TOKENIZER)
        self.context_length = self.assistant.context_length
        self.twin = Assistant(twin, TOKENIZER)
        self.gate = threading.Event()
        self.gate.set()

    def reply(self, conversation, sampling, thinking=None):
        events = self.assistant.reply(conversation, settings(sampling))
        for index, event in enumerate(events):
            if index == EVENTS_BEFORE_GATE:
                assert self.gate.wait(30), "the gate stayed closed"
            yield event

    def reply_alone(self, *texts):
        """Return the reply to a conversation without a server."""
        roles = ["user", "assistant"] * len(texts)
        *_, finished = self.twin.reply(
            [Message(role, text) for role, text in zip(roles, texts, strict=False)],
            settings(SamplingConfig(temperature=CHAT_TEMPERATURE)),
        )
        return finished.message.text


@pytest.fixture
def models(engines):
    gated = [GatedModel(*pair) for pair in engines]
    yield gated
    for model in gated:
        model.gate.set()


class Build:
    """A server during a build; the test reports the progress, as `chatwright up` does."""

    def __init__(self, port=0):
        self.now = 0.0
        self.status = BuildStatus([("pretrain", 100), ("sft", 300)], clock=lambda: self.now)
        self._stack = ExitStack()
        self.service, self.address = self._stack.enter_context(
            serve_in_thread("starter", port, status=self.status.status)
        )

    def report(self, stage, step, loss=None, samples=(), seconds_per_step=1.0):
        steps = {"pretrain": 100, "sft": 300}[stage]
        self.now += 0.0 if step == 0 else seconds_per_step * (step - self._last_step)
        self._last_step = step
        evaluation = {} if loss is None else {"validation_loss": loss}
        self.status.update(
            Progress(stage, step, steps, 1.0, 1, self.now, float("nan"), evaluation, list(samples))
        )

    def publish(self, assistant, description=""):
        self.service.publish(assistant, "starter", description)

    def finish(self, assistant):
        self.publish(assistant)
        self.status.set_ready()

    def stop(self):
        self._stack.close()


@pytest.fixture
def build(models):
    """Yield a server during a build. At the end all gates open, so that no reply stays paused."""
    build = Build()
    yield build
    for model in models:
        model.gate.set()
    build.stop()


@pytest.fixture
def open_page(browser):
    """Open an address in a new window; at the end, fail if the console reported an error."""
    contexts = []
    errors = []

    def record(message):
        if message.type == "error" and not message.text.startswith("Failed to load resource"):
            errors.append(message.text)

    def start(address, viewport=DESKTOP, **options):
        contexts.append(browser.new_context(viewport=viewport, reduced_motion="reduce", **options))
        page = contexts[-1].new_page()
        page.on("pageerror", lambda error: errors.append(str(error)))
        page.on("console", record)
        page.goto(address)
        return page

    yield start
    for context in contexts:
        context.close()
    assert not errors


NAME_OF_FOCUSED = """
(() => {
  const node = document.activeElement;
  return (node.innerText || node.id || "").trim().split("\\n")[0];
})()
"""


def ask(page, text):
    page.get_by_label("Your message").fill(text)
    page.get_by_label("Your message").press("Enter")


def expect_conversation(page, *texts):
    """Expect these messages and replies, in order."""
    expect(page.locator(".turn:visible .text")).to_have_text(list(texts))


def wait_for_reply(page):
    expect(page.get_by_role("button", name="Send")).to_be_visible()


def assert_fits_window(page):
    """Check that nothing is wider than the window, and that the message box is inside it."""
    for element in ("document.documentElement", "document.querySelector('main')"):
        assert page.evaluate(f"{element}.scrollWidth <= innerWidth")
    composer = page.locator("#composer")
    if composer.is_visible():
        box = composer.bounding_box()
        window = page.viewport_size
        assert box["y"] + box["height"] <= window["height"] + 1


def test_a_model_that_is_fetched_shows_its_download_and_then_replies(models, open_page):
    opening = OpeningStatus("small")
    with serve_in_thread("small", 0, status=opening.status) as (service, address):
        page = open_page(address, PHONE)
        expect(page.get_by_role("heading", name="Opening small")).to_be_visible()
        opening.say("downloading")
        opening.downloaded(25, 100)
        expect(page.get_by_role("heading", name="Downloading")).to_be_visible()
        expect(page.locator("#time-left")).to_have_text("25 %")
        expect(page.locator("#no-results")).to_be_hidden()
        service.publish(models[0], "small")
        opening.set_ready()
        expect(page.get_by_label("Your message")).to_be_visible()
        expect(page.locator("#build-bar")).to_be_hidden()
        expect(page.locator("#welcome code").first).to_have_text("chatwright up")
        assert_fits_window(page)
        ask(page, "hi")
        expect_conversation(page, "hi", models[0].reply_alone("hi"))
        expect(page.locator(".news")).to_have_count(0)


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


@pytest.mark.parametrize("viewport", [PHONE, DESKTOP], ids=["phone", "desktop"])
def test_a_build_shows_its_progress_and_then_the_finished_model(build, models, open_page, viewport):
    page = open_page(build.address, viewport)
    expect(page.get_by_role("heading", name="Preparing the texts")).to_be_visible()
    expect(page.locator("#time-left")).to_have_text("0 % · time left unknown")
    expect(page.get_by_label("Your message")).to_be_hidden()

    build.report("pretrain", 0, loss=7.5, samples=[("The", "xq")])
    build.report("pretrain", 50, loss=4.25, samples=[("The", "The sea is")])
    expect(page.get_by_role("heading", name="Learning to read")).to_be_visible()
    # 50 of 400 steps are done, and 350 seconds are left.
    expect(page.locator("#time-left")).to_have_text("12 % · about 6 minutes left")
    expect(page.locator("#loss-change")).to_have_text("7.50 → 4.25")
    expect(page.locator(".sample .text")).to_have_text(["The sea is", "xq"])
    assert_fits_window(page)

    build.report("sft", 0)
    build.report("sft", 100, samples=[("Hello!", "Hh"), ("Who are you?", "I")])
    build.report(
        "sft", 200, samples=[("Hello!", "Hello! How are you?"), ("Who are you?", "I am a model.")]
    )
    build.publish(models[0], "step 200 of 300, learning to converse")
    expect(page.get_by_label("Your message")).to_be_visible()
    expect(page.locator("#welcome-title")).to_contain_text("while it learns")
    bar = page.locator("#build-bar")
    expect(bar).to_contain_text("75 % · about 2 minutes left")
    expect(bar).to_contain_text("Replying now: step 200 of 300, learning to converse")
    expect(page.get_by_text("I am a model.")).to_be_hidden()
    bar.locator("summary").click()
    expect(page.locator(".sample")).to_contain_text(["Hello!", "Who are you?"])
    expect(page.locator(".sample .text")).to_have_text(
        ["Hello! How are you?", "Hh", "I am a model.", "I"]
    )
    assert_fits_window(page)
    bar.locator("summary").click()
    expect(page.locator(".sample .text").first).to_be_hidden()

    ask(page, "hi")
    reply = models[0].reply_alone("hi")
    expect_conversation(page, "hi", reply)
    build.finish(models[1])
    expect(page.get_by_text(BUILD_FINISHED)).to_be_visible()
    expect(bar).to_be_hidden()
    expect_conversation(page, "hi", reply)
    ask(page, "and now?")
    expect_conversation(
        page, "hi", reply, "and now?", models[1].reply_alone("hi", reply, "and now?")
    )
    expect(page.locator(".news")).to_have_count(1)
    assert_fits_window(page)


def test_a_better_model_that_arrives_during_a_reply_is_announced_after_it(build, models, open_page):
    build.publish(models[0], "step 100")
    page = open_page(build.address)
    models[0].gate.clear()
    ask(page, "one")
    expect(page.locator(".turn .text").last).to_have_text(re.compile("^[a-z]{4,}$"))
    build.publish(models[1], "step 200")
    expect(page.get_by_text("Replying now: step 200")).to_be_visible()
    expect(page.locator(".news")).to_have_count(0)  # not during the reply
    models[0].gate.set()
    wait_for_reply(page)
    expect(page.locator(".news")).to_have_text(
        ["A better trained model replies from now on (step 200)."]
    )
    build.publish(models[1], "step 300")  # no message was sent since: the line is replaced
    expect(page.locator(".news")).to_have_text(
        ["A better trained model replies from now on (step 300)."]
    )
    ask(page, "two")
    first = models[0].reply_alone("one")
    assert first != models[1].reply_alone("one"), "equal models would prove nothing"
    expect_conversation(page, "one", first, "two", models[1].reply_alone("one", first, "two"))
    shown = page.locator("#turns > *").evaluate_all("all => all.map((node) => node.className)")
    assert shown == ["turn user", "turn assistant", "news", "turn user", "turn assistant"]


def test_an_announcement_before_the_first_message_is_shown_in_the_welcome(build, models, open_page):
    build.publish(models[0], "step 100")
    page = open_page(build.address)
    expect(page.locator("#welcome-title")).to_contain_text("while it learns")
    build.finish(models[1])
    expect(page.locator("#welcome-title")).to_have_text("Ask it something")
    expect(page.locator("#welcome-news")).to_have_text(BUILD_FINISHED)


def test_a_reply_announces_a_new_model_while_the_status_is_unreachable(build, models, open_page):
    build.publish(models[0], "step 100")
    page = open_page(build.address)
    ask(page, "one")
    wait_for_reply(page)
    page.route("**/api/status", lambda route: route.abort())
    expect(page.locator("#notice")).to_contain_text("does not answer")
    build.publish(models[1], "step 200")
    ask(page, "two")
    expect(page.locator("#turns > *").nth(3)).to_have_text(
        "A better trained model replies from now on (step 200)."
    )


def test_a_build_that_fails_before_a_model_is_served_shows_its_message(build, open_page):
    build.report("pretrain", 0)
    build.status.set_failed("the loss is not finite at step 7: lower the learning rate")
    page = open_page(build.address, PHONE)
    expect(page.get_by_role("heading", name="The build stopped")).to_be_visible()
    expect(
        page.get_by_text("The loss is not finite at step 7: lower the learning rate", exact=True)
    ).to_be_visible()
    expect(page.get_by_label("Your message")).to_be_hidden()
    expect(page.get_by_role("progressbar")).to_be_hidden()


def test_after_a_failed_build_the_model_served_before_still_replies(build, models, open_page):
    build.report("sft", 0)
    build.publish(models[0], "step 0")
    page = open_page(build.address)
    ask(page, "one")
    wait_for_reply(page)
    build.status.set_failed("the disk is full")
    expect(page.get_by_role("alert").filter(has_text="The disk is full\n")).to_be_visible()
    first = models[0].reply_alone("one")
    ask(page, "two")
    expect_conversation(page, "one", first, "two", models[0].reply_alone("one", first, "two"))


@pytest.fixture
def page(build, models, open_page):
    """Open the page with a finished model; the message box has the focus."""
    build.finish(models[0])
    page = open_page(build.address)
    expect(page.get_by_label("Your message")).to_be_focused()
    return page


def test_everything_can_be_done_with_the_keyboard(build, models, open_page):
    build.report("sft", 0, loss=3.0, samples=[("Hello!", "Hh")])
    build.publish(models[0], "step 0")
    page = open_page(build.address)
    question = page.get_by_label("Your message")
    expect(question).to_be_focused()

    page.keyboard.press("Enter")
    page.keyboard.type("  ")
    page.keyboard.press("Enter")
    expect(page.locator(".turn")).to_have_count(0)  # empty and blank messages are not sent

    page.keyboard.press("ControlOrMeta+a")
    page.keyboard.type("a")
    page.keyboard.press("Shift+Enter")
    page.keyboard.type("b")
    expect(question).to_have_value("a\nb")
    page.keyboard.press("Enter")
    wait_for_reply(page)
    assert page.locator(".turn.user .text").inner_text() == "a\nb"
    expect(question).to_be_focused()

    models[0].gate.clear()
    page.keyboard.type("go on")
    page.keyboard.press("Enter")
    expect(page.locator(".turn .text").last).to_have_text(re.compile("^[a-z]{4,}$"))
    page.keyboard.press("Escape")
    expect(page.get_by_text("You stopped this reply.")).to_be_visible()
    models[0].gate.set()
    expect(question).to_be_focused()

    focused = []
    page.evaluate("document.activeElement.blur(); document.body.focus()")
    page.get_by_role("button", name="New chat").focus()
    for _ in range(8):
        focused.append(page.evaluate(NAME_OF_FOCUSED))
        page.keyboard.press("Tab")
    order = [
        name
        for name in focused
        if name in ("New chat", "Edit", "Again", "question", "Send", "temperature")
    ]
    assert order == ["New chat", "Edit", "Again", "question", "Send", "temperature"], focused
    assert any(name.startswith("Learning to converse · 25 %") for name in focused), focused

    page.locator("summary").focus()
    page.keyboard.press("Enter")
    expect(page.locator(".sample .text")).to_be_visible()
    page.keyboard.press("Enter")
    expect(page.locator(".sample .text")).to_be_hidden()


def test_a_reply_can_be_requested_again_and_the_last_question_edited(page, models):
    ask(page, "one")
    wait_for_reply(page)
    page.get_by_role("button", name="Another reply").click()
    wait_for_reply(page)
    first = models[0].reply_alone("one")  # the same seed, so the same reply
    expect_conversation(page, "one", first)

    ask(page, "two")
    wait_for_reply(page)
    page.get_by_label("Your message").fill("half a thought")
    page.get_by_role("button", name="Edit").click()
    expect(page.get_by_label("Your message")).to_have_value("two")
    page.keyboard.press("Escape")
    expect(page.get_by_label("Your message")).to_have_value("half a thought")

    page.get_by_role("button", name="Edit").click()
    ask(page, "three")
    wait_for_reply(page)
    expect(page.get_by_label("Your message")).to_have_value("half a thought")
    expect_conversation(page, "one", first, "three", models[0].reply_alone("one", first, "three"))


def test_stopping_an_empty_reply_restores_the_question(page, models):
    models[0].gate.clear()
    page.route("**/v1/chat/completions", lambda route: None)  # never answered
    ask(page, "one")
    page.get_by_role("button", name="Stop").click()
    expect(page.get_by_label("Your message")).to_have_value("one")
    expect(page.locator(".turn")).to_have_count(0)
    expect(page.locator("#welcome-title")).to_have_text("Ask it something")


def test_a_new_chat_starts_without_the_old_messages(page, models):
    ask(page, "one")
    wait_for_reply(page)
    page.get_by_role("button", name="New chat").click()
    expect(page.locator(".turn")).to_have_count(0)
    ask(page, "two")
    wait_for_reply(page)
    expect_conversation(page, "two", models[0].reply_alone("two"))


def test_a_message_that_is_too_long_is_refused_and_kept(page):
    question = page.get_by_label("Your message")
    refusals = {
        10_000: "192 tokens",
        100_001: "100,001 characters",
    }
    for length, reason in refusals.items():
        question.fill("a" * length)
        question.press("Enter")
        expect(page.get_by_role("alert").filter(has_text=reason)).to_be_visible()
        assert len(question.input_value()) == length
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


@pytest.mark.parametrize("text", ["<b>bold</b><img src=x onerror=alert(1)>"])
def test_markup_in_any_text_stays_text(build, models, open_page, text):
    build.report("sft", 0, samples=[(text, text)])
    page = open_page(build.address)
    expect(page.locator(".sample .text")).to_have_text(text)
    build.publish(models[0], text)
    expect(page.get_by_text(f"Replying now: {text}")).to_be_visible()
    ask(page, text)
    wait_for_reply(page)
    expect(page.locator(".turn.user .text")).to_have_text(text)
    expect(page.locator("b, img")).to_have_count(0)


def test_the_page_works_again_after_the_server_stopped_and_started(open_page, models):
    build = Build()
    build.publish(models[0], "step 0")
    page = open_page(build.address)
    ask(page, "one")
    wait_for_reply(page)
    build.stop()
    expect(page.locator("#notice")).to_contain_text("does not answer")
    first = models[0].reply_alone("one")
    ask(page, "two")
    expect(page.get_by_label("Your message")).to_have_value("two")
    expect_conversation(page, "one", first)

    second = Build(int(build.address.rsplit(":", 1)[1]))
    try:
        second.finish(models[1])
        expect(page.locator("#notice")).to_be_hidden()
        page.get_by_label("Your message").press("Enter")
        expect_conversation(page, "one", first, "two", models[1].reply_alone("one", first, "two"))
    finally:
        second.stop()
