"""What is cut, what stays, and what is an error."""

import pytest

from chatwright.chat.context_window import ConversationTooLong, fit
from chatwright.conversation import Message
from chatwright.tokenizer.chat_template import render_prompt
from chatwright.tokenizer.tool_call_text import message_from_turn
from tests.chat.scripted import ByteTokenizer

TOKENIZER = ByteTokenizer()
SYSTEM = Message("system", "be brief")


def talk(n: int) -> list[Message]:
    return [
        message
        for i in range(n)
        for message in (Message("user", f"question {i}"), Message("assistant", f"answer {i}"))
    ][:-1]


def length(messages: list[Message]) -> int:
    return len(render_prompt(messages, TOKENIZER))  # type: ignore[arg-type]


def test_what_fits_is_left_alone_to_the_last_token() -> None:
    conversation = [SYSTEM, *talk(4)]
    n = length(conversation)
    fitted = fit(conversation, TOKENIZER, n + 10, 10)  # type: ignore[arg-type]
    assert (fitted.n_cut, fitted.messages, len(fitted.token_ids)) == (0, conversation, n)
    assert fit(conversation, TOKENIZER, n + 9, 10).n_cut == 2  # type: ignore[arg-type]


@pytest.mark.parametrize("with_system", [False, True])
def test_whole_exchanges_go_oldest_first_and_as_few_as_possible(with_system: bool) -> None:
    conversation = [SYSTEM, *talk(12)] if with_system else talk(12)
    for context in range(length([SYSTEM, *talk(1)]) + 5, length(conversation) + 10, 7):
        fitted = fit(conversation, TOKENIZER, context, 4)  # type: ignore[arg-type]
        start = 1 if with_system else 0
        assert fitted.messages == conversation[:start] + conversation[start + fitted.n_cut :]
        assert fitted.messages[start].role == "user"
        assert len(fitted.token_ids) + 4 <= context
        if fitted.n_cut:  # one exchange more would not have fitted
            more = conversation[:start] + conversation[start + fitted.n_cut - 2 :]
            assert length(more) + 4 > context


def test_a_command_and_its_result_go_with_their_question() -> None:
    first = [
        Message("user", "weather?"),
        message_from_turn("command", "FETCH"),
        message_from_turn("result", "sunny"),
        Message("assistant", "It is sunny."),
    ]
    conversation = [*first, Message("user", "and now?")]
    fitted = fit(conversation, TOKENIZER, length(conversation) + 3, 4)  # type: ignore[arg-type]
    assert (fitted.n_cut, fitted.messages) == (4, [Message("user", "and now?")])


def test_without_max_tokens_a_quarter_of_the_context_is_kept_free_as_long_as_something_can_be_cut() -> (
    None
):
    conversation = talk(6)
    fitted = fit(conversation, TOKENIZER, 100, None)  # type: ignore[arg-type]
    assert len(fitted.token_ids) <= 75
    single = [Message("user", "y" * 90)]
    assert fit(single, TOKENIZER, length(single) + 1, None).n_cut == 0  # type: ignore[arg-type]


def test_a_message_that_alone_is_too_long_is_an_error_with_numbers() -> None:
    with pytest.raises(
        ConversationTooLong,
        match=r"the last message takes 54 tokens, which with a reply of 20 is more than the 64",
    ):
        fit([*talk(3)[:-1], Message("user", "y" * 50)], TOKENIZER, 64, 20)  # type: ignore[arg-type]
    with pytest.raises(ConversationTooLong, match="the last message and the system message"):
        fit([SYSTEM, Message("user", "y" * 50)], TOKENIZER, 64, 20)  # type: ignore[arg-type]
