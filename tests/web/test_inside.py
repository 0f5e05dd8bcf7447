"""The view into a reply: its figures equal a trace of our own; heads, places and continuations."""

import re

import numpy as np
import pytest
from playwright.sync_api import expect

from chatwright.conversation import Message
from chatwright.engine.engine import Engine
from chatwright.engine.messages import SamplingConfig
from chatwright.inspection.decoder_trace import trace_decoder
from chatwright.inspection.sampling_view import sampled_distribution
from chatwright.model.head_name import Head
from chatwright.server.completions_api.token_text import token_text
from chatwright.tokenizer.chat_template import render_prompt
from tests.web.page_actions import (
    PHONE,
    action,
    ask,
    assert_fits_window,
    expect_conversation,
    wait_for_reply,
)
from tests.web.served_models import REPLY, TOKENIZER, settings
from tests.web.traced_model import LettersAssistant, serve_traced_model, traced_model

pytestmark = pytest.mark.ci


@pytest.fixture(scope="module")
def address(tmp_path_factory):
    with serve_traced_model(tmp_path_factory.mktemp("inside") / "model") as address:
        yield address


@pytest.fixture
def opened(address, open_page):
    """Open the view into a reply; yield the page, the view and the ids of prompt and reply."""
    page = open_page(address)
    ask(page, "one")
    wait_for_reply(page)
    reply = page.locator(".turn .text").nth(1).inner_text()
    assert len(reply) == REPLY
    action(page, 1, "Look inside this reply").click()
    view = page.locator("#inside")
    expect(view.locator(".token")).to_have_count(REPLY + 1)  # and the place after it
    prompt = render_prompt([Message("user", "one")], TOKENIZER)
    return page, view, prompt, TOKENIZER.encode(reply)


def shares(view, table, column):
    """Return the numbers that a column of meters shows."""
    cells = view.get_by_test_id(table).locator(f"tbody td:nth-child({column}) meter")
    return cells.evaluate_all("all => all.map((meter) => meter.value)")


def choose(view, place):
    view.locator(".token").nth(place).click()
    expect(view.locator(".token").nth(place)).to_have_attribute("aria-pressed", "true")


def set_slider(view, name, value):
    view.locator(f"#inside-{name}").fill(str(value))


def test_alternatives_equal_a_trace(opened):
    _, view, prompt, reply = opened
    choose(view, 5)
    trace = trace_decoder(traced_model(), [*prompt, *reply])
    position = len(prompt) + 4
    best = trace.next_tokens(position, 20)
    rows = view.get_by_test_id("choices").locator("tbody tr")
    expect(rows.first.locator("td").nth(1)).to_have_text(str(best[0].token_id))
    ids = [int(text) for text in rows.locator("td:nth-child(2)").all_inner_texts()]
    assert ids[:20] == [token.token_id for token in best]
    assert reply[5] in ids
    found = shares(view, "choices", 4)
    np.testing.assert_allclose(found[:20], [token.probability for token in best], rtol=1e-4)
    set_slider(view, "temperature", 1.5)
    set_slider(view, "top_k", 3)
    expect(view.get_by_test_id("possible")).to_contain_text("3 tokens")
    drawn = sampled_distribution(trace.logits(position), SamplingConfig(temperature=1.5, top_k=3))
    np.testing.assert_allclose(shares(view, "choices", 6), drawn[ids], rtol=1e-4)


def test_attention_lens_and_heads_equal_a_trace(opened):
    _, view, prompt, reply = opened
    trace = trace_decoder(traced_model(), [*prompt, *reply])
    position = len(prompt) + 9
    choose(view, 10)
    view.get_by_role("tab", name="Attention").click()
    view.get_by_test_id("layer").select_option("1")
    view.get_by_test_id("head").select_option("1")
    row = trace.attention(1)[1, position, : position + 1]
    order = np.argsort(-row, kind="stable")[:8]
    table = view.get_by_test_id("attends-to").locator("tbody tr")
    expect(table.first.locator("td").first).to_have_text(str(order[0]))
    expect(table.nth(7).locator("td").first).to_have_text(str(order[7]))
    np.testing.assert_allclose(shares(view, "attends-to", 4), row[order], rtol=1e-4)
    pixels = view.get_by_test_id("heat-map").evaluate(
        "(c) => [...c.getContext('2d').getImageData(0, 0, c.width, c.height).data]"
    )
    n = len(prompt) + REPLY
    shown = (np.array(pixels).reshape(n, n, 4)[:, :, 3] / 255) ** 2  # opacity: root of the weight
    np.testing.assert_allclose(shown, trace.attention(1)[1], atol=0.005)

    view.get_by_role("tab", name="Layers").click()
    expected = [[token.token_id for token in layer] for layer in trace.logit_lens(position, 5)]
    cells = view.get_by_test_id("lens").locator("tbody tr")
    expect(cells).to_have_count(2)
    for layer, row in zip(expected, cells.all(), strict=True):
        texts = [TOKENIZER.decode([id_]) for id_ in layer if id_ not in TOKENIZER.control.all()]
        for text in texts:
            expect(row).to_contain_text(text.strip())

    view.get_by_role("tab", name="Heads").click()
    rows = view.get_by_test_id("heads").locator("tbody tr")
    expect(rows).to_have_count(4)
    view.get_by_role("button", name="First token").click()
    firsts = [
        (trace.attention(layer)[head, position, 0], f"{layer}.{head}")
        for layer in range(2)
        for head in range(2)
    ]
    names = [name for _, name in sorted(firsts, reverse=True)]
    expect(rows.locator("td:first-child")).to_have_text(names)


def test_a_head_that_is_off_changes_what_follows(opened):
    _, view, prompt, reply = opened
    choose(view, 10)
    ids = [*prompt, *reply]
    view.get_by_role("tab", name="Heads").click()
    view.get_by_label("Switch head 1.0 off").check()
    view.get_by_role("button", name=re.compile("both ways")).click()
    written = view.get_by_test_id("written-off")
    expect(view.get_by_role("button", name=re.compile("both ways"))).to_be_enabled(timeout=30_000)
    for text, off in ((view.get_by_test_id("written-on"), []), (written, [Head(1, 0)])):
        begun = ids[: len(prompt) + 10]
        for _ in range(3):
            begun.append(trace_decoder(traced_model(), begun, off).next_tokens(-1, 1)[0].token_id)
        expected = "".join(token_text(TOKENIZER, id_)[0] for id_ in begun[-3:])
        assert text.text_content().startswith(expected)
    # A head that is on again leaves no trace: the text and its numbers are those of before.
    view.get_by_role("button", name="Switch head 1.0 on").click()
    expect(view.get_by_label("Switch head 1.0 off")).not_to_be_checked()
    view.get_by_role("tab", name="Alternatives").click()
    plain = trace_decoder(traced_model(), ids).next_tokens(len(prompt) + 9, 20)
    rows = view.get_by_test_id("choices").locator("tbody tr")
    expect(rows.first.locator("td").nth(1)).to_have_text(str(plain[0].token_id))
    expect(view.get_by_test_id("choices").locator("th", has_text="Heads off")).to_have_count(0)
    shown = shares(view, "choices", 4)[:20]
    np.testing.assert_allclose(shown, [t.probability for t in plain], rtol=1e-4)
    # Off: all twenty probabilities are those of a trace without the head, beside those with it.
    view.get_by_role("tab", name="Heads").click()
    view.get_by_label("Switch head 1.0 off").check()
    view.get_by_role("tab", name="Alternatives").click()
    expect(view.get_by_test_id("choices").locator("th", has_text="Heads off")).to_be_visible()
    without = trace_decoder(traced_model(), ids, [Head(1, 0)]).next_log_probs(len(prompt) + 9)
    best = [int(id_) for id_ in np.argsort(-without, kind="stable")[:20]]
    expect(rows.first.locator("td").nth(1)).to_have_text(str(best[0]))
    np.testing.assert_allclose(shares(view, "choices", 5)[:20], np.exp(without[best]), rtol=1e-4)
    assert np.abs(np.exp(without[best]) - shown).max() > 1e-4
    off = trace_decoder(traced_model(), ids, [Head(1, 0)]).next_tokens(len(prompt) + 9, 1)[0]
    first = view.get_by_test_id("choices").locator("tbody tr").first
    expect(first.locator("td").nth(1)).to_have_text(str(off.token_id))
    expect(view.get_by_test_id("choices").locator("th", has_text="Heads off")).to_be_visible()


def test_a_reply_is_written_again_without_heads_beside_the_original(opened):
    page, view, prompt, reply = opened
    off = [Head(0, 1), Head(1, 0)]
    view.get_by_role("tab", name="Heads").click()
    for layer, number in off:
        view.get_by_label(f"Switch head {layer}.{number} off").check()
    with page.expect_request("**/v1/chat/completions") as sent:
        view.get_by_role("button", name="Reply again without these heads").click()
    body = sent.value.post_data_json
    assert body["heads_off"] == [[0, 1], [1, 0]]
    original = view.get_by_test_id("reply-on")
    without = view.get_by_test_id("reply-off")
    expect(without).to_have_text(re.compile(f"^.{{{REPLY}}}$", re.DOTALL))
    assert TOKENIZER.encode(original.text_content()) == reply
    written = TOKENIZER.encode(without.text_content())
    assert written != reply
    # Every token follows from the distribution without these heads: drawn with the reply's seed.
    model = traced_model()
    with Engine(model) as engine:
        for heads, expected in ((off, written), ([], reply)):
            sampling = settings(
                SamplingConfig(
                    temperature=body["temperature"], seed=body["seed"], heads_off=tuple(heads)
                )
            )
            *_, last = LettersAssistant(engine, TOKENIZER).continue_ids(prompt, sampling)
            assert TOKENIZER.encode(last.message.text) == expected
    # The conversation has both versions; the new one opens with its heads off.
    page.keyboard.press("Escape")
    expect(page.locator(".turn .text").nth(1)).to_have_text(TOKENIZER.decode(written))
    action(page, 1, "Look inside this reply").click()
    view = page.locator("#inside")
    view.get_by_role("tab", name="Heads").click()
    expect(view.get_by_label("Switch head 1.0 off")).to_be_checked()
    expect(view.get_by_label("Switch head 0.0 off")).not_to_be_checked()


def test_a_reply_continues_from_another_token_and_the_versions_part_there(opened):
    page, view, _, reply = opened
    choose(view, 5)
    letter = "q" if TOKENIZER.decode([reply[5]]) != "q" else "z"
    view.get_by_role("button", name=f"Continue the reply with {letter}", exact=True).click()
    expect(view).to_have_count(0)
    wait_for_reply(page)
    begun = TOKENIZER.decode(reply[:5]) + letter
    text = page.locator(".turn .text").nth(1)
    expect(text).to_have_text(re.compile(f"^{begun}"))
    expect_conversation(page, "one", text.inner_text())
    action(page, 1, "Look inside this reply").click()
    view.get_by_role("tab", name="Compare").click()
    expect(view.get_by_test_id("parting")).to_contain_text("first 5 tokens")
    expect(view.get_by_test_id("way-0").locator("code")).to_have_text(letter)
    expect(view.get_by_test_id("way-1").locator("code")).to_have_text(TOKENIZER.decode([reply[5]]))


def test_any_text_on_a_phone_by_keyboard(address, open_page):
    page = open_page(address, PHONE)
    page.get_by_role("button", name="Show conversations").click()
    page.get_by_role("button", name="Look inside a text").click()
    view = page.locator("#inside")
    view.get_by_role("textbox").fill("hello")
    view.get_by_role("button", name="Look inside").press("Enter")
    expect(view.locator(".token")).to_have_count(7)  # <bos>, five letters, what follows
    view.locator(".token").nth(6).press("ArrowLeft")
    expect(view.locator(".token").nth(5)).to_be_focused()
    assert view.evaluate("(d) => d.scrollWidth <= d.clientWidth")
    assert_fits_window(page)
    page.keyboard.press("Escape")
    expect(view).to_have_count(0)


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_axe_finds_nothing_serious(address, open_page, accessibility_problems, scheme):
    page = open_page(address, color_scheme=scheme)
    ask(page, "one")
    wait_for_reply(page)
    action(page, 1, "Look inside this reply").click()
    view = page.locator("#inside")
    choose(view, 5)
    for name, content in (
        ("Alternatives", "choices"),
        ("Attention", "attends-to"),
        ("Layers", "lens"),
        ("Heads", "heads"),
    ):
        view.get_by_role("tab", name=name).click()
        expect(view.get_by_test_id(content).locator("tbody tr").first).to_be_visible()
        assert accessibility_problems(page) == []
    view.get_by_label("Switch head 0.1 off").check()
    expect(view.get_by_label("Switch head 0.1 on")).to_be_visible()
    assert accessibility_problems(page) == []


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_axe_finds_nothing_serious_in_a_lesson(address, open_page, accessibility_problems, scheme):
    page = open_page(address, color_scheme=scheme)
    page.get_by_role("button", name="Lessons").click()
    view = page.locator("#lessons")
    view.get_by_role("button", name="9. Sampling").click()
    view.get_by_role("button", name="Run", exact=True).click()
    expect(view.get_by_test_id("result")).to_be_visible()
    view.get_by_role("group").last.get_by_role("radio").first.check()
    assert accessibility_problems(page) == []
