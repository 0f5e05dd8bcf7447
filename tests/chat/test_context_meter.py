"""The measured context use, compared with the rendered ids and the messages left out."""

import pytest

from chatwright.chat.assistant import Assistant
from chatwright.chat.context_meter import measure_context
from chatwright.chat.context_window import ConversationTooLong, fit_to_context
from chatwright.conversation import Message
from chatwright.engine.messages import SamplingConfig
from chatwright.tokenizer.chat_template import render_turns
from chatwright.tokenizer.tool_call_text import message_from_turn
from tests.chat.scripted import ByteTokenizer, exchanges

TOKENIZER = ByteTokenizer()
SYSTEM = Message("system", "be brief")
QUESTION = exchanges(1)[:1]


@pytest.mark.parametrize(
    "conversation",
    [
        [],
        [SYSTEM],
        exchanges(1),
        [SYSTEM, *exchanges(9)],
        exchanges(3)[:-1],
        [*QUESTION, message_from_turn("tool_call", "F")],
        [*QUESTION, message_from_turn("tool_call", "F"), message_from_turn("tool", "é")],
    ],
)
def test_the_measured_use_equals_the_length_of_the_rendered_ids(
    conversation: list[Message],
) -> None:
    use = measure_context(conversation, TOKENIZER, 200, 10)  # type: ignore[arg-type]
    assert use.n_used == len(render_turns(use.messages, TOKENIZER).token_ids)
    assert use.n_cut + len(use.messages) == len(conversation)
    assert use.context_length == 200
    assert (use.n_cut > 0) == (len(conversation) > 10)


def test_a_reply_that_ended_itself_uses_the_tokens_that_its_usage_reports(
    untrained: Assistant,
) -> None:
    conversation = [SYSTEM, Message("user", "hi")]
    for seed in range(200):
        finished = untrained.replies([conversation], SamplingConfig(seed=seed))[0]
        message = finished.message
        # Text that is not ASCII may hold U+FFFD for invalid bytes, which encodes to other ids.
        if finished.ended_by_itself and not message.tool_calls and message.text.isascii():
            context_length = untrained.engine.context_length
            use = measure_context([*conversation, message], TOKENIZER, context_length, None)
            assert use.n_used == finished.usage.prompt_tokens + finished.usage.completion_tokens
            return
    pytest.fail("no reply ended by itself: take other seeds")


@pytest.mark.parametrize("max_tokens", [10, None])
def test_a_question_of_n_free_tokens_leaves_no_message_out_and_a_longer_one_does(
    max_tokens: int | None,
) -> None:
    conversation = [SYSTEM, *exchanges(2)]
    use = measure_context(conversation, TOKENIZER, 200, max_tokens)  # type: ignore[arg-type]
    for more, n_cut in ((0, 0), (1, 2)):
        question = Message("user", "y" * (use.n_free + more))
        fitted = fit_to_context([*conversation, question], TOKENIZER, 200, max_tokens)
        assert fitted.n_cut == n_cut


def test_a_conversation_too_long_for_any_reply_is_refused() -> None:
    with pytest.raises(ConversationTooLong):
        measure_context([Message("user", "y" * 80)], TOKENIZER, 64, None)  # type: ignore[arg-type]
