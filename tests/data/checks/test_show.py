"""The displayed loss mask, line by line, agrees with the loss mask of the tokens.

In Chatwright's own chat format `<|command|>` begins a tool call, and `<EOC>` (end of command) ends
it.
"""

import pytest

from chatwright.conversation import Message
from chatwright.data.checks.show import CONTROL, LEARNED, segments, show_mask, show_row
from chatwright.data.rows import ChatRow, Location, PreferenceRow, SentencePair, TextRow
from chatwright.tokenizer.byte_bpe import ByteBPE
from chatwright.tokenizer.chat_template import render
from chatwright.tokenizer.tool_call_text import message_from_turn

LOCATION = Location("a", 1)


@pytest.fixture(scope="module")
def bpe():
    return ByteBPE.train(["some words to learn from\n" * 10], 300)


def test_a_conversation_is_shown_line_by_line(bpe):
    row = ChatRow(
        (
            Message("user", "two\nlines"),
            message_from_turn("tool_call", "add"),
            message_from_turn("tool", "5"),
            Message("assistant", "Five.\nYes."),
        ),
        LOCATION,
    )
    shown = show_mask(row, bpe).plain
    assert shown.splitlines()[:-1] == [
        "     | <|bos|><|user|>two",
        "     | lines<|end_of_question|><|assistant|>",
        "loss | <|command|>add<EOC>",
        "     | <|result|>5<|end|><|assistant|>",
        "loss | Five.",
        "loss | Yes.<|end|>",
    ]
    rendered = render(row.messages, bpe)
    assert (
        shown.splitlines()[-1]
        == f"{sum(rendered.loss_mask)} of {len(rendered.token_ids)} tokens carry loss"
    )


def test_all_tokens_of_a_text_row_after_bos_carry_loss(bpe):
    shown = show_mask(TextRow("words", LOCATION), bpe).plain
    assert shown.splitlines()[:2] == ["     | <|bos|>", "loss | words<|end|>"]


def test_a_preference_row_shows_both_endings(bpe):
    row = PreferenceRow(
        (Message("user", "q"),),
        (Message("assistant", "good"),),
        (Message("assistant", "bad"),),
        LOCATION,
    )
    shown = show_mask(row, bpe).plain
    assert (
        shown.index("chosen\n")
        < shown.index("loss | good<|end|>")
        < shown.index("rejected\n")
        < shown.index("loss | bad<|end|>")
    )


def test_joined_segments_are_the_whole_row(bpe):
    row = ChatRow(
        (Message("system", "é🙂"), Message("user", "a  b"), Message("assistant", "東京")), LOCATION
    )
    parts = segments(render(row.messages, bpe), bpe)
    expected = "<|bos|><|system|>é🙂<|end|><|user|>a  b<|end_of_question|><|assistant|>東京<|end|>"
    assert "".join(part.text for part in parts) == expected
    assert "".join(part.text for part in parts if part.is_learned) == "東京<|end|>"


def test_text_that_looks_like_a_control_token_has_another_style(bpe):
    shown = show_mask(
        ChatRow((Message("user", "a"), Message("assistant", "<|end|>")), LOCATION), bpe
    )
    first, second = (
        position
        for position in range(len(shown.plain))
        if shown.plain.startswith("<|end|>", position)
    )
    styles = {
        position: [span.style for span in shown.spans if span.start <= position < span.end]
        for position in (first, second)
    }
    assert styles == {first: [LEARNED], second: [CONTROL]}


def test_control_characters_in_a_row_are_escaped(bpe):
    shown = show_mask(
        ChatRow((Message("user", "\x1b]0;title\x07\r\u202e"), Message("assistant", "a")), LOCATION),
        bpe,
    ).plain
    assert "\\u001b]0;title\\u0007\\u000d\\u202e" in shown
    assert all(c.isprintable() or c == "\n" for c in shown)


def test_answer_that_is_not_to_be_learned_is_shown_without_loss(bpe):
    messages = (Message("user", "q"), Message("assistant", "wrong"), Message("user", "no"))
    row = ChatRow((*messages, Message("assistant", "right")), LOCATION, (True, False, True, True))
    shown = show_mask(row, bpe).plain
    assert "loss | right<|end|>" in shown
    assert "     | <|bos|><|user|>q<|end_of_question|><|assistant|>wrong<|end|>" in shown


def test_a_sentence_pair_has_loss_on_its_target_only(bpe):
    shown = show_mask(SentencePair("some", "words", LOCATION), bpe).plain
    source, target = shown.split("target\n")
    assert "loss |" not in source
    assert target.splitlines()[:2] == ["     | <|bos|>", "loss | words<|end|>"]
    assert (
        show_row(SentencePair("some", "words", LOCATION)).plain == "source: some\ntarget: words\n"
    )


def test_conversation_without_an_answer_to_be_learned_is_shown_as_left_out(bpe):
    row = ChatRow((Message("user", "q"), Message("assistant", "a")), LOCATION, (False, False))
    shown = show_mask(row, bpe).plain
    assert shown.startswith("user: q\nassistant: a\n")
    assert "left out" in shown
