"""The tokens of a reply: probabilities equal a direct forward pass; another token can be chosen."""

import math
import re

import pytest
import torch
from playwright.sync_api import expect

from chatwright.conversation import Message
from chatwright.tokenizer.chat_template import render_prompt
from tests.web.page_actions import action, ask, expect_conversation, wait_for_reply
from tests.web.served_models import REPLY, TOKENIZER

pytestmark = pytest.mark.ci


def probabilities(model, *texts):
    """Return the probability of every id after a conversation and the beginning of its reply."""
    question, begun = texts
    ids = render_prompt([Message("user", question)], TOKENIZER) + TOKENIZER.encode(begun)
    with torch.no_grad():
        logits = model(torch.tensor([ids]))[0, -1]
    return logits.double().softmax(-1)


def test_tokens_show_the_probabilities_of_a_direct_forward_pass(page, models, weights):
    ask(page, "one")
    wait_for_reply(page)
    reply = models[0].reply_alone("one")
    action(page, 1, "Tokens and their probabilities").click()
    view = page.get_by_test_id("tokens-view")
    expect(view.locator(".token")).to_have_count(REPLY)
    assert "".join(view.locator(".token").all_inner_texts()) == reply
    model = weights[0]
    for index in (0, 5, REPLY - 1):
        view.locator(".token").nth(index).click()
        expected = probabilities(model, "one", reply[:index])
        rows = view.locator("tbody tr")
        ids = [int(text) for text in rows.locator("td:nth-child(2)").all_inner_texts()]
        assert ids[:20] == expected.topk(20).indices.tolist()[: len(ids)]
        assert TOKENIZER.encode(reply[index])[0] in ids
        shares = rows.locator("meter").evaluate_all("all => all.map((meter) => meter.value)")
        for id_, share in zip(ids, shares, strict=True):
            assert math.isclose(share, expected[id_].item(), rel_tol=1e-4)
        expect(rows.filter(has_text="sampled")).to_have_count(1)


def test_a_reply_continues_from_another_token(page, models):
    ask(page, "one")
    wait_for_reply(page)
    reply = models[0].reply_alone("one")
    action(page, 1, "Tokens and their probabilities").click()
    view = page.get_by_test_id("tokens-view")
    view.locator(".token").nth(4).click()
    others = view.get_by_role("button", name=re.compile(r"^Continue from [a-z]$"))
    letter = others.first.get_attribute("aria-label")[-1]
    assert letter != reply[4]
    others.first.click()
    wait_for_reply(page)
    begun = reply[:4] + letter
    expect_conversation(page, "one", begun + models[0].continue_alone("one", begun))
    expect(page.get_by_test_id("version")).to_have_text("2/2")
    # The tokens of the new version are known, too: the beginning and what followed.
    action(page, 1, "Tokens and their probabilities").click()
    expect(page.get_by_test_id("tokens-view").locator(".token")).to_have_count(5 + REPLY)


def test_the_arrow_keys_walk_over_the_tokens(page, models):
    ask(page, "one")
    wait_for_reply(page)
    reply = models[0].reply_alone("one")
    action(page, 1, "Tokens and their probabilities").click()
    tokens = page.get_by_test_id("tokens-view").locator(".token")
    tokens.first.focus()
    page.keyboard.press("Enter")
    for index in (1, 2):
        page.keyboard.press("ArrowRight")
        expect(tokens.nth(index)).to_be_focused()
        expect(page.locator(".alternatives")).to_contain_text(f"Token {reply[index]},")
    page.keyboard.press("ArrowLeft")
    expect(tokens.nth(1)).to_be_focused()


def test_the_prompt_of_a_cut_conversation_is_the_one_the_model_saw(page, models, weights):
    texts = ("a" * 40, "b" * 40, "c" * 40)
    for text in texts:
        ask(page, text)
        wait_for_reply(page)
    replies = page.locator(".turn.assistant .text").all_inner_texts()
    action(page, 5, "Tokens and their probabilities").click()
    view = page.get_by_test_id("tokens-view")
    view.locator(".token").first.click()
    seen = [
        Message("user", texts[1]),
        Message("assistant", replies[1]),
        Message("user", texts[2]),
    ]
    with torch.no_grad():
        logits = weights[0](torch.tensor([render_prompt(seen, TOKENIZER)]))[0, -1]
    expected = logits.double().softmax(-1)
    ids = view.locator("tbody td:nth-child(2)").all_inner_texts()
    shares = view.locator("meter").evaluate_all("all => all.map((meter) => meter.value)")
    for id_, share in zip(ids, shares, strict=True):
        assert math.isclose(share, expected[int(id_)].item(), rel_tol=1e-4)
