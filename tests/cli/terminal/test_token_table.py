"""The tables of the terminal command /why, compared with probabilities of full forward passes."""

import math

import pytest
import torch

from chatwright.chat.assistant import Assistant
from chatwright.chat.reply_events import Finished, TextDelta
from chatwright.cli.terminal.token_table import (
    N_ALTERNATIVES,
    alternatives_table,
    display_token,
    probability,
    token_table,
)
from chatwright.conversation import Message
from chatwright.engine.messages import RequestId, SamplingConfig, TokenSampled
from chatwright.tokenizer.chat_template import render_prompt
from tests.chat.scripted import ByteTokenizer
from tests.engine.slow_generation import generate, next_logits

TOKENIZER = ByteTokenizer()
HI = [Message("user", "hi")]


def sampled(assistant: Assistant, sampling: SamplingConfig) -> list[TokenSampled]:
    events = list(assistant.reply(HI, sampling))
    return [
        token
        for event in events
        if isinstance(event, TextDelta | Finished)
        for token in event.tokens
    ]


def test_every_probability_equals_that_of_a_full_forward_pass(
    untrained: Assistant,
) -> None:
    sampling = SamplingConfig(seed=4, max_tokens=10, temperature=1.3, top_log_probs=20)
    tokens = sampled(untrained, sampling)
    prompt = render_prompt(HI, TOKENIZER)  # type: ignore[arg-type]
    reference = generate(untrained.engine.forward, prompt, sampling, TOKENIZER.control.all())
    assert [token.token_id for token in tokens] == reference.token_ids, "with the stop token"
    lines = token_table(tokens, TOKENIZER)[1:]  # type: ignore[arg-type]
    for index, token in enumerate(tokens):
        probs = (
            next_logits(untrained.engine.forward, [*prompt, *reference.token_ids[:index]])
            .double()
            .softmax(dim=-1)
        )
        best = [int(id_) for id_ in probs.topk(20).indices]
        torch.testing.assert_close(
            torch.tensor([math.exp(p) for _, p in token.alternatives], dtype=torch.float64),
            probs[best],
        )
        expected = [
            str(index + 1),
            display_token(token.token_id, TOKENIZER),
            f"{probs[token.token_id]:.4f}",
        ]  # type: ignore[arg-type]
        for other in [id_ for id_ in best if id_ != token.token_id][:N_ALTERNATIVES]:
            expected += [display_token(other, TOKENIZER), f"{probs[other]:.4f}"]
        assert lines[index].split() == " ".join(expected).split()
        shown = alternatives_table(tokens, index + 1, TOKENIZER)  # type: ignore[arg-type]
        assert sum(line.startswith("->") for line in shown) == 1
        rest = 1 - sum(float(probs[id_]) for id_ in {*best, token.token_id})
        assert shown[-1] == f"all other tokens together {rest:.4f}"


def test_reporting_alternatives_does_not_change_the_sampled_tokens(untrained: Assistant) -> None:
    reported, unreported = (
        sampled(untrained, SamplingConfig(seed=4, max_tokens=10, top_log_probs=n)) for n in (20, 0)
    )
    assert [token.token_id for token in reported] == [token.token_id for token in unreported]


@pytest.mark.parametrize(
    ("content", "seen"),
    [
        (b" the", '" the"'),
        (b"\n", '"\\n"'),
        (b"\t", '"\\t"'),
        (b'"', '"\\""'),
        (b"\\n", '"\\\\n"'),
        (b"\x1b[0m", '"\\u001b[0m"'),
        ("é".encode(), '"é"'),
        (b"\xe2\x82", '"\\xe2\\x82"'),
        ("\u202e".encode(), '"\\u202e"'),
        (b"<|end|>", '"<|end|>"'),
        (b"", '""'),
    ],
)
def test_spaces_control_characters_and_incomplete_characters_of_a_token_are_visible(
    content: bytes, seen: str
) -> None:
    class Tokenizer(ByteTokenizer):
        prefix = ""

        def token_bytes(self, token_id: int) -> bytes:
            return content

    assert display_token(7, Tokenizer()) == seen  # type: ignore[arg-type]


def test_control_tokens_are_displayed_by_their_string_and_unused_ids_as_unused() -> None:
    assert display_token(TOKENIZER.control.end, TOKENIZER) == "<|end|>"  # type: ignore[arg-type]
    assert display_token(TOKENIZER.vocab_size + 3, TOKENIZER) == "(id 269, unused)"


def test_the_tables_of_one_token_equal_hand_written_lines() -> None:
    assert [
        probability(p) for p in (0.0, math.log(0.25), math.log(0.00006), math.log(0.00004))
    ] == ["1.0000", "0.2500", "0.0001", "<.0001"]
    token = TokenSampled(
        RequestId("r"), 0, 97, math.log(0.2), ((98, math.log(0.5)), (99, math.log(0.25)))
    )
    assert token_table([token], TOKENIZER) == [
        "number  token  prob    most probable alternatives",  # type: ignore[arg-type]
        '1       "a"    0.2000  "b" 0.5000  "c" 0.2500',
    ]
    assert alternatives_table([token], 1, TOKENIZER) == [
        "    token  prob",
        '    "b"    0.5000',
        '    "c"    0.2500',  # type: ignore[arg-type]
        '->  "a"    0.2000',
        "all other tokens together 0.0500",
    ]
