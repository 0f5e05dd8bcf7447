"""A prompt of 3,500 tokens beside a stream, counted in passes of the model: no time is measured.

Between two tokens of the stream the engine may decode at most three times and read at most one
chunk of the prompt. The events and the passes are in one list, because one thread makes both.
"""

import threading
from dataclasses import dataclass
from typing import Any

import pytest

from chatwright.chat.assistant import Assistant
from chatwright.chat.reply_events import TextDelta
from chatwright.conversation import Message
from chatwright.engine.engine import Engine, EngineConfig
from chatwright.engine.messages import SamplingConfig
from chatwright.server.replies.engine_thread import EngineThread
from chatwright.server.replies.pending_reply import PendingReply
from tests.server.small_model import NO_CONTROL_TOKENS, TOKENIZER, small_model

BIAS = {int(token_id): bias for token_id, bias in NO_CONTROL_TOKENS.items()}
N_PROMPT = 3_500
CHUNK = EngineConfig().prefill_tokens


@dataclass
class Pause:
    """What the engine did between two tokens of the stream."""

    n_decoding: int = 0
    """Passes that read one token of each reply."""
    chunks: tuple[int, ...] = ()
    """Tokens of each chunk of a prompt, padding included."""


def pauses(config: EngineConfig) -> list[Pause]:
    """Stream a reply, ask for one with a long prompt, and return the pauses of the stream."""
    log: list[int | None] = []  # tokens of a pass, or None for a token of the stream
    with Engine(small_model(context_length=4_096), config) as engine:
        thread = EngineThread(Assistant(engine, TOKENIZER, reports_waiting=True))
        hidden_states = engine.forward.hidden_states

        def logged(chunks: list[list[int]], *arguments: Any) -> Any:
            log.append(len(chunks) * max(map(len, chunks)))
            return hidden_states(chunks, *arguments)

        engine.forward.hidden_states = logged  # type: ignore[method-assign]
        ended = threading.Event()
        n_token = 0

        def take(event: Any) -> None:
            nonlocal n_token
            if isinstance(event, TextDelta):
                log.append(None)
                n_token += 1
                if n_token == 5:
                    thread.submit([pending("a" * N_PROMPT, 20, lambda event: None)])
            elif event is None:
                ended.set()

        try:
            thread.submit([pending("abc", 200, take)])
            assert ended.wait(300)
            assert thread.wait_until_idle(300)
        finally:
            thread.close()
    return divide(log)


def pending(text: str, max_tokens: int, deliver: Any) -> PendingReply:
    sampling = SamplingConfig(seed=1, max_tokens=max_tokens, logit_bias=BIAS)
    return PendingReply([Message("user", text)], sampling, deliver)


def divide(log: list[int | None]) -> list[Pause]:
    """Return the pauses between the first and the last token of the stream."""
    first = log.index(None)
    last = len(log) - 1 - log[::-1].index(None)
    found = [Pause()]
    for entry in log[first + 1 : last + 1]:
        if entry is None:
            found.append(Pause())
        elif entry <= EngineConfig().n_slot:
            found[-1].n_decoding += 1
        else:
            found[-1].chunks += (entry,)
    return found[:-1]


def longest(found: list[Pause]) -> tuple[int, int, int]:
    """Return the most decoding passes, the most chunks, and the largest chunk of a pause."""
    return (
        max(pause.n_decoding for pause in found),
        max(len(pause.chunks) for pause in found),
        max((chunk for pause in found for chunk in pause.chunks), default=0),
    )


@pytest.mark.ci
def test_a_long_prompt_delays_a_stream_by_one_chunk_at_most() -> None:
    found = pauses(EngineConfig())
    n_read = sum(chunk for pause in found for chunk in pause.chunks)
    assert n_read > N_PROMPT - CHUNK, "the prompt was read beside the stream"
    n_decoding, n_chunk, largest = longest(found)
    print(f"most decoding passes {n_decoding}, chunks {n_chunk} of at most {largest} tokens")
    assert n_decoding <= 3
    assert n_chunk <= 1
    assert largest <= CHUNK


@pytest.mark.ci
def test_an_engine_that_reads_the_prompt_at_once_is_noticed() -> None:
    assert longest(pauses(EngineConfig(prefill_tokens=4_096)))[2] > N_PROMPT
