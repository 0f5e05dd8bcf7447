"""The page in a real browser, with a real server and real (small, untrained) models behind it.

What a reply says is compared with what its model says alone. Nothing sleeps: a reply is held at a gate where its middle matters,
and the browser waits for what it is to show.
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
from chatwright.engine.sampling import SamplingConfig
from chatwright.model.gpt import GPT, init_weights
from chatwright.model.gpt_config import GPTConfig
from chatwright.server.app import serve_beside
from chatwright.server.build_status import BuildStatus
from chatwright.tokenizer.characters import CharacterTokenizer
from chatwright.training.watcher import Progress

playwright = pytest.importorskip(
    "playwright.sync_api",
    reason="needs the package playwright: pip install -c constraints.txt -e '.[dev]'",
)
expect = playwright.expect

PHONE, DESKTOP = {"width": 390, "height": 844}, {"width": 1280, "height": 800}
TOKENIZER = CharacterTokenizer.train(
    [string.ascii_letters + string.digits + string.punctuation + " \n"]
)
TALK_ON = {
    id_: -100.0
    for id_ in range(TOKENIZER.vocab_size)
    if id_ not in TOKENIZER.encode(string.ascii_lowercase)
}
CONTEXT, REPLY = 192, 24
PIECES_BEFORE_THE_GATE = 8


@pytest.fixture(scope="module")
def browser():
    chromium = shutil.which("chromium")
    if chromium is None:
        pytest.skip("needs the browser chromium (apt-get install chromium), which is not here")
    with playwright.sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=chromium, args=["--no-sandbox"])
        yield browser
        browser.close()


@pytest.fixture(scope="module")
def engines():
    """Two models that say different things, each twice: one to be served, and its twin to be asked alone at the same time."""
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
    """Letters only, always as many, always the same ones; the temperature stays the page's."""
    return replace(sampling, logit_bias=TALK_ON, seed=7, max_tokens=REPLY)


class Held:
    """A real model whose replies stop in their middle until the gate is opened; the gate begins open."""

    tokenizer = TOKENIZER

    def __init__(self, served, twin):
        self.assistant, self.twin, self.gate = (
            Assistant(served, TOKENIZER),
            Assistant(twin, TOKENIZER),
            threading.Event(),
        )
        self.gate.set()

    def reply(self, conversation, sampling):
        for place, event in enumerate(self.assistant.reply(conversation, settings(sampling))):
            if place == PIECES_BEFORE_THE_GATE:
                assert self.gate.wait(30), "nobody opened the gate"
            yield event

    def alone(self, *texts):
        """What it answers to a conversation, without a server."""
        roles = ["user", "assistant"] * len(texts)
        *_, finished = self.twin.reply(
            [Message(role, text) for role, text in zip(roles, texts, strict=False)],
            settings(SamplingConfig(temperature=CHAT_TEMPERATURE)),
        )
        return finished.message.text


@pytest.fixture
def held(engines):
    models = [Held(*pair) for pair in engines]
    yield models
    for model in models:
        model.gate.set()


class Build:
    """A served build under our hands: `board` is what `chatwright up` reports to, `service` what it publishes to."""

    def __init__(self, port=0):
        self.now = 0.0
        self.board = BuildStatus([("pretrain", 100), ("sft", 300)], clock=lambda: self.now)
        self._stack = ExitStack()
        self.service, self.address = self._stack.enter_context(
            serve_beside("starter", port, status=self.board.status)
        )

    def report(self, stage, step, loss=None, samples=(), seconds_per_step=1.0):
        steps = {"pretrain": 100, "sft": 300}[stage]
        self.now += 0.0 if step == 0 else seconds_per_step * (step - self._at)
        self._at = step
        figures = {} if loss is None else {"validation_loss": loss}
        self.board.progress(
            Progress(stage, step, steps, 1.0, 1, self.now, float("nan"), figures, list(samples))
        )

    def publish(self, assistant, description=""):
        self.service.publish(assistant, "starter", description)

    def finish(self, assistant):
        self.publish(assistant)
        self.board.ready()

    def stop(self):
        self._stack.close()


@pytest.fixture
def build(
    held,
):  # asked for after `held`, so stopped before its gates are opened: a held reply must not keep it waiting
    build = Build()
    yield build
    for model in held:
        model.gate.set()
    build.stop()


@pytest.fixture
def open_page(browser):
    """Opens the address in a window of its own; in the end no script may have failed and nothing been refused by the page's policy."""
    contexts, complaints = [], []

    def complain(message):
        if message.type == "error" and not message.text.startswith("Failed to load resource"):
            complaints.append(message.text)

    def start(address, viewport=DESKTOP, **options):
        contexts.append(browser.new_context(viewport=viewport, reduced_motion="reduce", **options))
        page = contexts[-1].new_page()
        page.on("pageerror", lambda error: complaints.append(str(error)))
        page.on("console", complain)
        page.goto(address)
        return page

    yield start
    for context in contexts:
        context.close()
    assert not complaints


def ask(page, text):
    page.get_by_label("Your message").fill(text)
    page.get_by_label("Your message").press("Enter")


def says(page, *texts):
    """The conversation, word for word and in order."""
    expect(page.locator(".turn:visible .text")).to_have_text(list(texts))


def is_done(page):
    expect(page.get_by_role("button", name="Send")).to_be_visible()


def fits(page):
    """Nothing is wider than the window, and the box to write in is inside it."""
    assert page.evaluate(
        "document.documentElement.scrollWidth <= innerWidth && document.querySelector('main').scrollWidth <= innerWidth"
    )
    composer = page.locator("#composer")
    if composer.is_visible():
        box, window = composer.bounding_box(), page.viewport_size
        assert box["y"] + box["height"] <= window["height"] + 1


# ---- a build ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("viewport", [PHONE, DESKTOP], ids=["phone", "desktop"])
def test_a_build_from_its_first_minute_to_its_end(build, held, open_page, viewport):
    page = open_page(build.address, viewport)
    expect(page.get_by_role("heading", name="Preparing the texts")).to_be_visible()
    expect(page.get_by_text("0 % · time left not known yet")).to_be_visible()
    expect(page.get_by_label("Your message")).to_be_hidden()

    build.report("pretrain", 0, loss=7.5, samples=[("The", "xq")])
    build.report("pretrain", 50, loss=4.25, samples=[("The", "The sea is")])
    expect(page.get_by_role("heading", name="Learning to read")).to_be_visible()
    expect(
        page.get_by_text("12 % · about 6 minutes left")
    ).to_be_visible()  # 50 of 400 steps, and 350 seconds
    expect(page.locator("#loss-now")).to_have_text("7.50 → 4.25")
    expect(page.locator(".sample .text")).to_have_text(["The sea is", "xq"])
    fits(page)

    build.report("sft", 0)
    build.report("sft", 100, samples=[("Hello!", "Hh"), ("Who are you?", "I")])
    build.report(
        "sft", 200, samples=[("Hello!", "Hello! How are you?"), ("Who are you?", "I am a model.")]
    )
    build.publish(held[0], "step 200 of 300 of learning to converse")
    expect(page.get_by_label("Your message")).to_be_visible()
    expect(page.get_by_role("heading", name="Talk to it while it learns")).to_be_visible()
    strip = page.get_by_role("region", name="The build")
    expect(strip).to_contain_text("75 % · about 2 minutes left")
    expect(strip).to_contain_text("Answering now: step 200 of 300 of learning to converse")
    expect(page.get_by_text("I am a model.")).to_be_hidden()
    strip.locator("summary").click()
    expect(page.locator(".sample")).to_contain_text(["Hello!", "Who are you?"])
    expect(page.locator(".sample .text")).to_have_text(
        ["Hello! How are you?", "Hh", "I am a model.", "I"]
    )
    fits(page)
    strip.locator("summary").click()
    expect(page.locator(".sample .text").first).to_be_hidden()

    ask(page, "hi")
    reply = held[0].alone("hi")
    says(page, "hi", reply)
    build.finish(held[1])
    expect(
        page.get_by_text("The build is finished: the finished model answers from here on.")
    ).to_be_visible()
    expect(strip).to_be_hidden()
    says(page, "hi", reply)
    ask(page, "and now?")
    says(page, "hi", reply, "and now?", held[1].alone("hi", reply, "and now?"))
    expect(page.locator(".news")).to_have_count(1)
    fits(page)


def test_a_better_model_comes_in_the_middle_of_a_reply(build, held, open_page):
    build.publish(held[0], "step 100")
    page = open_page(build.address)
    held[0].gate.clear()
    ask(page, "one")
    expect(page.locator(".turn .text").last).to_have_text(re.compile("^[a-z]{4,}$"))
    build.publish(held[1], "step 200")
    expect(page.get_by_text("Answering now: step 200")).to_be_visible()
    expect(page.locator(".news")).to_have_count(0)  # not while the first is still speaking
    held[0].gate.set()
    is_done(page)
    expect(page.locator(".news")).to_have_text(
        ["A better trained model answers from here on (step 200)."]
    )
    build.publish(held[1], "step 300")  # nobody has talked since: one line, not two
    expect(page.locator(".news")).to_have_text(
        ["A better trained model answers from here on (step 300)."]
    )
    ask(page, "two")
    said = held[0].alone("one")
    assert said != held[1].alone("one"), "the models must differ, or the comparison says nothing"
    says(page, "one", said, "two", held[1].alone("one", said, "two"))
    shown = page.locator("#turns > *").evaluate_all("all => all.map((node) => node.className)")
    assert shown == ["turn user", "turn assistant", "news", "turn user", "turn assistant"]


def test_news_before_the_first_message_stands_in_the_welcome(build, held, open_page):
    build.publish(held[0], "step 100")
    page = open_page(build.address)
    expect(page.get_by_role("heading", name="Talk to it while it learns")).to_be_visible()
    build.finish(held[1])
    expect(page.get_by_role("heading", name="Ask it something")).to_be_visible()
    expect(
        page.get_by_text("The build is finished: the finished model answers from here on.")
    ).to_be_visible()


def test_a_reply_tells_of_its_model_before_the_status_does(build, held, open_page):
    build.publish(held[0], "step 100")
    page = open_page(build.address)
    ask(page, "one")
    is_done(page)
    page.route(
        "**/api/status", lambda route: route.abort()
    )  # from here on only the replies can say it
    expect(page.get_by_text("The server does not answer.")).to_be_visible()
    build.publish(held[1], "step 200")
    ask(page, "two")
    expect(page.locator("#turns > *").nth(3)).to_have_text(
        "A better trained model answers from here on (step 200)."
    )


def test_a_build_that_fails_before_it_can_speak(build, open_page):
    build.report("pretrain", 0)
    build.board.failed("the loss is not finite at step 7: lower the learning rate")
    page = open_page(build.address, PHONE)
    expect(page.get_by_role("heading", name="The build stopped")).to_be_visible()
    expect(
        page.get_by_text("The loss is not finite at step 7: lower the learning rate", exact=True)
    ).to_be_visible()
    expect(page.get_by_label("Your message")).to_be_hidden()
    expect(page.get_by_role("progressbar")).to_be_hidden()


def test_a_build_that_fails_later_leaves_a_model_to_talk_to(build, held, open_page):
    build.report("sft", 0)
    build.publish(held[0], "step 0")
    page = open_page(build.address)
    ask(page, "one")
    is_done(page)
    build.board.failed("the disk is full")
    expect(
        page.get_by_role("alert").filter(
            has_text="The disk is full\nYou can go on talking to the model as it is now."
        )
    ).to_be_visible()
    said = held[0].alone("one")
    ask(page, "two")
    says(page, "one", said, "two", held[0].alone("one", said, "two"))


# ---- a conversation -----------------------------------------------------------------------------------------------


@pytest.fixture
def page(build, held, open_page):
    """A finished model, and the keyboard where one writes."""
    build.finish(held[0])
    page = open_page(build.address)
    expect(page.get_by_label("Your message")).to_be_focused()
    return page


def test_everything_can_be_done_with_the_keyboard(build, held, open_page):
    build.report("sft", 0, loss=3.0, samples=[("Hello!", "Hh")])
    build.publish(held[0], "step 0")
    page = open_page(build.address)
    question = page.get_by_label("Your message")
    expect(question).to_be_focused()

    page.keyboard.press("Enter")
    page.keyboard.type("  ")
    page.keyboard.press("Enter")
    expect(page.locator(".turn")).to_have_count(0)  # nothing was said, so nothing is sent

    page.keyboard.press("ControlOrMeta+a")
    page.keyboard.type("a")
    page.keyboard.press("Shift+Enter")
    page.keyboard.type("b")
    expect(question).to_have_value("a\nb")
    page.keyboard.press("Enter")
    is_done(page)
    assert page.locator(".turn.user .text").inner_text() == "a\nb"
    expect(question).to_be_focused()

    held[0].gate.clear()
    page.keyboard.type("go on")
    page.keyboard.press("Enter")
    expect(page.locator(".turn .text").last).to_have_text(re.compile("^[a-z]{4,}$"))
    page.keyboard.press("Escape")
    expect(page.get_by_text("You stopped this reply.")).to_be_visible()
    held[0].gate.set()
    expect(question).to_be_focused()

    names = []
    page.evaluate("document.activeElement.blur(); document.body.focus()")
    page.get_by_role("button", name="New chat").focus()
    for _ in range(8):
        names.append(
            page.evaluate(
                "(document.activeElement.innerText || document.activeElement.id || '').trim().split('\\n')[0]"
            )
        )
        page.keyboard.press("Tab")
    order = [
        name
        for name in names
        if name in ("New chat", "Edit", "Again", "question", "Send", "temperature")
    ]
    assert order == ["New chat", "Edit", "Again", "question", "Send", "temperature"], names
    assert any(name.startswith("Learning to converse · 25 %") for name in names), names

    page.locator("summary").focus()
    page.keyboard.press("Enter")
    expect(page.locator(".sample .text")).to_be_visible()
    page.keyboard.press("Enter")
    expect(page.locator(".sample .text")).to_be_hidden()


def test_a_reply_is_asked_for_again_and_the_last_question_is_changed(page, held):
    ask(page, "one")
    is_done(page)
    page.get_by_role("button", name="Another reply").click()
    is_done(page)
    first = held[0].alone("one")  # the same seed, so the same reply
    says(page, "one", first)

    ask(page, "two")
    is_done(page)
    page.get_by_label("Your message").fill("half a thought")
    page.get_by_role("button", name="Edit").click()
    expect(page.get_by_label("Your message")).to_have_value("two")
    page.keyboard.press("Escape")
    expect(page.get_by_label("Your message")).to_have_value("half a thought")

    page.get_by_role("button", name="Edit").click()
    ask(page, "three")
    is_done(page)
    expect(page.get_by_label("Your message")).to_have_value("half a thought")
    says(page, "one", first, "three", held[0].alone("one", first, "three"))


def test_a_stopped_reply_without_a_word_gives_the_question_back(page, held):
    held[0].gate.clear()
    page.route("**/v1/chat/completions", lambda route: None)  # never answered
    ask(page, "one")
    page.get_by_role("button", name="Stop").click()
    expect(page.get_by_label("Your message")).to_have_value("one")
    expect(page.locator(".turn")).to_have_count(0)
    expect(page.get_by_role("heading", name="Ask it something")).to_be_visible()


def test_a_new_chat_knows_nothing_of_the_old_one(page, held):
    ask(page, "one")
    is_done(page)
    page.get_by_role("button", name="New chat").click()
    expect(page.locator(".turn")).to_have_count(0)
    ask(page, "two")
    is_done(page)
    says(page, "two", held[0].alone("two"))


def test_a_message_that_is_too_long_is_refused_in_a_sentence_and_kept(page):
    question = page.get_by_label("Your message")
    refusals = {
        10_000: "is more than the 192 the model can see. Shorten the message",
        100_001: "100,001 characters; at most 100,000 can be sent",
    }
    for length, sentence in refusals.items():
        question.fill("a" * length)
        question.press("Enter")
        expect(page.get_by_role("alert").filter(has_text=sentence)).to_be_visible()
        assert len(question.input_value()) == length
        expect(page.locator(".turn")).to_have_count(0)
        fits(page)
    ask(page, "a")
    is_done(page)
    expect(page.get_by_role("alert")).to_have_count(0)


def test_a_conversation_that_is_cut_says_so(page):
    for text in ("a" * 40, "b" * 40, "c" * 40):
        ask(page, text)
        is_done(page)
    expect(
        page.get_by_text(
            "The model sees 192 tokens: the oldest 2 messages were left out of this reply"
        )
    ).to_be_visible()


@pytest.mark.parametrize("text", ["<b>bold</b><img src=x onerror=alert(1)>"])
def test_markup_of_a_person_or_a_model_stays_text(build, held, open_page, text):
    build.report("sft", 0, samples=[(text, text)])
    page = open_page(build.address)
    expect(page.locator(".sample .text")).to_have_text(text)
    build.publish(held[0], text)
    expect(page.get_by_text(f"Answering now: {text}")).to_be_visible()
    ask(page, text)
    is_done(page)
    expect(page.locator(".turn.user .text")).to_have_text(text)
    expect(page.locator("b, img")).to_have_count(0)


def test_a_server_that_is_gone_and_comes_back(open_page, held):
    build = Build()
    build.publish(held[0], "step 0")
    page = open_page(build.address)
    ask(page, "one")
    is_done(page)
    build.stop()
    expect(page.get_by_text("The server does not answer. Is it still running?")).to_be_visible()
    said = held[0].alone("one")
    ask(page, "two")
    expect(page.get_by_label("Your message")).to_have_value("two")
    says(page, "one", said)

    again = Build(int(build.address.rsplit(":", 1)[1]))
    try:
        again.finish(held[1])
        expect(page.get_by_text("The server does not answer. Is it still running?")).to_be_hidden()
        page.get_by_label("Your message").press("Enter")
        says(page, "one", said, "two", held[1].alone("one", said, "two"))
    finally:
        again.stop()
