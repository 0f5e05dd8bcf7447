"""A whole reply is read as the stream decoder reads it token by token."""

import random

import pytest

from chatwright.chat.reply_stream import ReplyStream
from chatwright.conversation import Message
from chatwright.engine.messages import RequestFinished, RequestId, SamplingConfig, TokenSampled
from chatwright.tokenizer.read_reply import read_reply, reply_stop_ids
from tests.chat.scripted import ByteTokenizer
from tests.chat.test_thinking import SWITCHED, UNSWITCHED, ThinkingTokenizer

REQUEST = RequestId("request")
TEXTS = [
    "",
    "hello",
    " hi ",
    "Zwölf 👩",
    "<think>\na b\n</think>\n\nanswer",
    "thought\n</think>\nx",
]


def streamed(token_ids: list[int], tokenizer: object) -> Message:
    stream = ReplyStream(tokenizer, SamplingConfig(), 1, call_id="")  # type: ignore[arg-type]
    for token_id in token_ids:
        list(stream.take(TokenSampled(REQUEST, 0, token_id, 0.0)))
    list(stream.take(RequestFinished(REQUEST, 0, "stop")))
    assert stream.finished is not None
    return stream.finished.message


@pytest.mark.parametrize("text", TEXTS)
@pytest.mark.parametrize(
    "tokenizer",
    [
        ByteTokenizer(),
        ThinkingTokenizer(SWITCHED),
        ThinkingTokenizer(UNSWITCHED),
        ThinkingTokenizer(SWITCHED, has_tag_tokens=True),
    ],
)
def test_a_text_is_read_as_from_the_stream(text: str, tokenizer: ByteTokenizer) -> None:
    end = tokenizer.control.end
    ids = [*tokenizer.encode(text), end]
    if isinstance(tokenizer, ThinkingTokenizer):
        ids = [*tokenizer.encode_reply(text), end]
    assert read_reply(ids, tokenizer) == streamed(ids, tokenizer)  # type: ignore[arg-type]


def test_random_replies_with_control_tokens_are_read_as_from_the_stream() -> None:
    tokenizer = ByteTokenizer()
    draws = random.Random(1)
    control = tokenizer.control.all()
    for _ in range(300):
        ids = [
            draws.choice(control) if draws.random() < 0.2 else draws.choice(b"ab \xf0\x9f")
            for _ in range(6)
        ]
        assert read_reply(ids, tokenizer) == streamed(ids, tokenizer)  # type: ignore[arg-type]


def test_a_tool_call_is_read_as_one() -> None:
    tokenizer = ByteTokenizer()
    control = tokenizer.control
    ids = [control.command, *tokenizer.encode("COMMAND=ADD 1 2"), control.end_of_command]
    message = read_reply(ids, tokenizer)  # type: ignore[arg-type]
    assert message == streamed(ids, tokenizer)
    assert message.tool_calls[0].name == "ADD"


def test_all_control_tokens_but_that_of_a_tool_call_end_a_reply() -> None:
    tokenizer = ByteTokenizer()
    stop_ids = reply_stop_ids(tokenizer)  # type: ignore[arg-type]
    assert set(stop_ids) == set(tokenizer.control.all()) - {tokenizer.control.command}
