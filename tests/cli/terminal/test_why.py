"""The table's probabilities against the slow oracle, and tokens as a person sees them."""

import math

import pytest
import torch

from chatwright.chat.assistant import Assistant, Finished, TextDelta
from chatwright.cli.terminal.why import N_BESIDE, place_table, probability, table, visible
from chatwright.conversation import Message
from chatwright.engine.generate import generate, next_logits
from chatwright.engine.request import RequestId, TokenSampled
from chatwright.engine.sampling import SamplingConfig
from chatwright.tokenizer.chat_template import render_prompt
from tests.chat.scripted import ByteTokenizer

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


def test_every_probability_equals_the_softmax_of_the_oracles_logits(real: Assistant) -> None:
    sampling = SamplingConfig(seed=4, max_tokens=10, temperature=1.3, top_log_probs=20)
    tokens = sampled(real, sampling)
    prompt = render_prompt(HI, TOKENIZER)  # type: ignore[arg-type]
    oracle = generate(real.engine.forward, prompt, sampling, TOKENIZER.control.all())
    assert [token.token_id for token in tokens] == oracle.token_ids, (
        "every token is there, the one that stopped it too"
    )
    lines = table(tokens, TOKENIZER)[1:]  # type: ignore[arg-type]
    for place, token in enumerate(tokens):
        probs = (
            next_logits(real.engine.forward, [*prompt, *oracle.token_ids[:place]])
            .double()
            .softmax(dim=-1)
        )
        best = [int(id_) for id_ in probs.topk(20).indices]
        torch.testing.assert_close(
            torch.tensor([math.exp(p) for _, p in token.alternatives], dtype=torch.float64),
            probs[best],
        )
        expected = [
            str(place + 1),
            visible(token.token_id, TOKENIZER),
            f"{probs[token.token_id]:.4f}",
        ]  # type: ignore[arg-type]
        for other in [id_ for id_ in best if id_ != token.token_id][:N_BESIDE]:
            expected += [visible(other, TOKENIZER), f"{probs[other]:.4f}"]  # type: ignore[arg-type]
        assert lines[place].split() == " ".join(expected).split()
        shown = place_table(tokens, place + 1, TOKENIZER)  # type: ignore[arg-type]
        assert sum(line.startswith("->") for line in shown) == 1
        rest = 1 - sum(float(probs[id_]) for id_ in {*best, token.token_id})
        assert shown[-1] == f"all other tokens together {rest:.4f}"


def test_alternatives_do_not_change_what_is_drawn(real: Assistant) -> None:
    with_, without = (
        sampled(real, SamplingConfig(seed=4, max_tokens=10, top_log_probs=n)) for n in (20, 0)
    )
    assert [token.token_id for token in with_] == [token.token_id for token in without]


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
def test_a_token_is_shown_so_that_it_can_be_told_from_every_other(
    content: bytes, seen: str
) -> None:
    class Tokenizer(ByteTokenizer):
        prefix = ""

        def token_bytes(self, token_id: int) -> bytes:
            return content

    assert visible(7, Tokenizer()) == seen  # type: ignore[arg-type]


def test_control_tokens_are_shown_by_name_and_unused_ids_as_such() -> None:
    assert visible(TOKENIZER.control.end, TOKENIZER) == "<|end|>"  # type: ignore[arg-type]
    assert visible(TOKENIZER.vocab_size + 3, TOKENIZER) == "(id 269, unused)"  # type: ignore[arg-type]


def test_probabilities_by_hand() -> None:
    assert [
        probability(p) for p in (0.0, math.log(0.25), math.log(0.00006), math.log(0.00004))
    ] == ["1.0000", "0.2500", "0.0001", "<.0001"]
    token = TokenSampled(
        RequestId("r"), 0, 97, math.log(0.2), ((98, math.log(0.5)), (99, math.log(0.25)))
    )
    assert table([token], TOKENIZER) == [
        "place  token  prob    most probable others",  # type: ignore[arg-type]
        '1      "a"    0.2000  "b" 0.5000  "c" 0.2500',
    ]
    assert place_table([token], 1, TOKENIZER) == [
        "    token  prob",
        '    "b"    0.5000',
        '    "c"    0.2500',  # type: ignore[arg-type]
        '->  "a"    0.2000',
        "all other tokens together 0.0500",
    ]
