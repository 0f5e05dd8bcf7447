"""Which messages are left out of the context, and which conversations do not fit."""

import pytest

from chatwright.chat.context_window import ConversationTooLong, fit_to_context
from chatwright.conversation import Message
from chatwright.tokenizer.chat_template import render_prompt
from chatwright.tokenizer.tool_call_text import message_from_turn
from tests.chat.scripted import ByteTokenizer, exchanges

TOKENIZER = ByteTokenizer()
SYSTEM = Message("system", "be brief")


def up_to_question(n: int) -> list[Message]:
    """Return n exchanges, the last without its answer."""
    return exchanges(n)[:-1]


def length(messages: list[Message]) -> int:
    return len(render_prompt(messages, TOKENIZER))  # type: ignore[arg-type]


def test_a_conversation_that_exactly_fits_is_unchanged() -> None:
    conversation = [SYSTEM, *up_to_question(4)]
    n = length(conversation)
    fitted = fit_to_context(conversation, TOKENIZER, n + 10, 10)  # type: ignore[arg-type]
    assert (fitted.n_cut, fitted.messages, len(fitted.token_ids)) == (0, conversation, n)
    assert fit_to_context(conversation, TOKENIZER, n + 9, 10).n_cut == 2  # type: ignore[arg-type]


@pytest.mark.parametrize("with_system", [False, True])
def test_the_oldest_exchanges_are_left_out_and_as_few_as_possible(with_system: bool) -> None:
    conversation = [SYSTEM, *up_to_question(12)] if with_system else up_to_question(12)
    start = 1 if with_system else 0
    shortest = length([SYSTEM, *up_to_question(1)]) + 5
    for context in range(shortest, length(conversation) + 10, 7):
        fitted = fit_to_context(conversation, TOKENIZER, context, 4)  # type: ignore[arg-type]
        assert fitted.messages == conversation[:start] + conversation[start + fitted.n_cut :]
        assert fitted.messages[start].role == "user"
        assert len(fitted.token_ids) + 4 <= context
        if fitted.n_cut:
            one_more = conversation[:start] + conversation[start + fitted.n_cut - 2 :]
            assert length(one_more) + 4 > context


def test_a_tool_call_and_its_result_are_left_out_with_their_question() -> None:
    first = [
        Message("user", "weather?"),
        message_from_turn("tool_call", "FETCH"),
        message_from_turn("tool", "sunny"),
        Message("assistant", "It is sunny."),
    ]
    conversation = [*first, Message("user", "and now?")]
    fitted = fit_to_context(conversation, TOKENIZER, length(conversation) + 3, 4)
    assert (fitted.n_cut, fitted.messages) == (4, [Message("user", "and now?")])


def test_without_max_tokens_a_quarter_of_the_context_stays_free_if_exchanges_can_be_left_out() -> (
    None
):
    fitted = fit_to_context(up_to_question(6), TOKENIZER, 100, None)  # type: ignore[arg-type]
    assert len(fitted.token_ids) <= 75
    single = [Message("user", "y" * 90)]
    context_length = length(single) + 1
    assert fit_to_context(single, TOKENIZER, context_length, None).n_cut == 0


def test_no_message_is_left_out_for_a_reply_longer_than_a_quarter_of_the_context() -> None:
    """A client that always sends max_tokens = 8000 to a model of 8,192 lost its history."""
    conversation = [SYSTEM, *up_to_question(8)]
    n = length(conversation)
    context = n + n // 2
    for max_tokens in (n // 2, n // 2 + 1, context - length([SYSTEM, conversation[-1]])):
        fitted = fit_to_context(conversation, TOKENIZER, context, max_tokens)
        assert (fitted.n_cut, len(fitted.token_ids)) == (0, n)
        assert fitted.max_tokens == n // 2, "the reply gets the room that is left"
    assert fit_to_context(conversation, TOKENIZER, context, 5).max_tokens == 5
    assert fit_to_context(conversation, TOKENIZER, context, None).max_tokens is None


def test_a_last_message_that_does_not_fit_is_refused_with_numbers() -> None:
    long_question = Message("user", "y" * 50)
    with pytest.raises(ConversationTooLong) as caught:
        fit_to_context([*exchanges(2), long_question], TOKENIZER, 64, 20)  # type: ignore[arg-type]
    assert (caught.value.field, caught.value.value) == ("max_tokens", 20)
    assert "64" in caught.value.problem
    assert caught.value.remedy
    with pytest.raises(ConversationTooLong) as caught:
        fit_to_context([SYSTEM, long_question], TOKENIZER, 64, 20)  # type: ignore[arg-type]
    assert caught.value.field == "messages"
    assert caught.value.value == length([SYSTEM, long_question])
    assert "system message" in caught.value.remedy
