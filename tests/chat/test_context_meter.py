"""The meter against the rendered ids, and its promise about the next question against the cut itself."""

import pytest

from chatwright.chat.assistant import Assistant
from chatwright.chat.context_meter import measure
from chatwright.chat.context_window import ConversationTooLong, fit
from chatwright.conversation import Message
from chatwright.engine.sampling import SamplingConfig
from chatwright.tokenizer.chat_template import render_turns
from chatwright.tokenizer.tool_call_text import message_from_turn
from tests.chat.scripted import ByteTokenizer

TOKENIZER = ByteTokenizer()
SYSTEM = Message("system", "be brief")


def talk(n: int) -> list[Message]:
    return [
        message
        for i in range(n)
        for message in (Message("user", f"question {i}"), Message("assistant", f"answer {i}"))
    ]


@pytest.mark.parametrize(
    "conversation",
    [
        [],
        [SYSTEM],
        talk(1),
        [SYSTEM, *talk(9)],
        talk(3)[:-1],
        [*talk(1)[:1], message_from_turn("command", "F")],
        [*talk(1)[:1], message_from_turn("command", "F"), message_from_turn("result", "é")],
    ],
)
def test_the_meter_equals_the_length_of_the_rendered_ids(conversation: list[Message]) -> None:
    use = measure(conversation, TOKENIZER, 200, 10)  # type: ignore[arg-type]
    assert use.used == len(render_turns(use.messages, TOKENIZER).token_ids)  # type: ignore[arg-type]
    assert use.n_cut + len(use.messages) == len(conversation)
    assert str(use) == f"context {use.used} of 200 tokens"
    assert (use.n_cut > 0) == (len(conversation) > 10)


def test_a_reply_that_ended_itself_takes_what_its_usage_says(real: Assistant) -> None:
    for seed in range(200):
        finished = real.replies([[SYSTEM, Message("user", "hi")]], SamplingConfig(seed=seed))[0]
        if (
            finished.ended_by_itself
            and finished.message.role == "assistant"
            and finished.message.text.isascii()
        ):
            use = measure(
                [SYSTEM, Message("user", "hi"), finished.message],
                TOKENIZER,
                real.engine.context_length,
                None,
            )  # type: ignore[arg-type]
            assert use.used == finished.usage.prompt_tokens + finished.usage.completion_tokens
            return
    pytest.fail("no reply ended by itself: take other seeds")


@pytest.mark.parametrize("max_tokens", [10, None])
def test_a_question_that_is_said_to_fit_fits_and_one_token_more_does_not(
    max_tokens: int | None,
) -> None:
    conversation = [SYSTEM, *talk(2)]
    use = measure(conversation, TOKENIZER, 200, max_tokens)  # type: ignore[arg-type]
    for more, n_cut in ((0, 0), (1, 2)):
        question = Message("user", "y" * (use.n_free + more))
        assert fit([*conversation, question], TOKENIZER, 200, max_tokens).n_cut == n_cut  # type: ignore[arg-type]


def test_what_is_seen_is_listed() -> None:
    """An exchange takes 12 + 10 tokens, the last question 122, its answer 3: five older exchanges fit into 250 - 10."""
    lines = measure(
        [*talk(9), Message("user", "ab\n" * 40), Message("assistant", "x")], TOKENIZER, 250, 10
    ).lines()  # type: ignore[arg-type]
    assert lines[0] == "The oldest 8 messages are left out."
    assert lines[1:3] == [
        "user          12 tokens  question 4",
        "assistant     10 tokens  answer 4",
    ]
    assert lines[-3] == "user         122 tokens  " + ("ab " * 20) + "..."
    assert (
        lines[-1]
        == "context 236 of 250 tokens; 14 are left: a question of up to 1 tokens pushes nothing out."
    )


def test_what_could_not_be_answered_is_an_error() -> None:
    with pytest.raises(ConversationTooLong, match="Shorten the message"):
        measure([Message("user", "y" * 80)], TOKENIZER, 64, None)  # type: ignore[arg-type]
