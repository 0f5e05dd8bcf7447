"""Inference of the encoder-decoder: equal to the plain forward pass; to the bit the same alone and in company; found by beam = computed anew."""

import random
from collections.abc import Iterator

import pytest
import torch

from chatwright.devices import generator
from chatwright.engine.beam_search import BeamConfig, beam_search
from chatwright.engine.encoder_decoder_forward import EncoderDecoderForward
from chatwright.model import masks
from chatwright.model.encoder_decoder import EncoderDecoder, init_weights
from chatwright.model.encoder_decoder_config import EncoderDecoderConfig

V, BOS, END = 59, 57, 58
SETTINGS = [
    {},
    {
        "norm": "rms",
        "norm_first": True,
        "position": "rotary",
        "activation": "swiglu",
        "qk_norm": True,
        "bias": False,
    },
    {"activation": "silu", "context_length": 70, "n_head": 3, "head_dim": 16, "d_ff": 83},
    {"activation": "relu2", "context_length": 530},
]


def make(**changes: object) -> EncoderDecoder:
    shape = {
        "vocab_size": V,
        "context_length": 48,
        "n_encoder_layer": 2,
        "n_decoder_layer": 2,
        "n_head": 4,
        "head_dim": 8,
        "d_model": 32,
        "d_ff": 64,
    }
    model = EncoderDecoder(EncoderDecoderConfig(**(shape | changes)))
    init_weights(model, generator(0, "weights"))
    with torch.no_grad():
        model.embedding.weight.mul_(3.0)  # opinions, so that hypotheses differ
    return model.eval()


def texts(n: int, longest: int = 20) -> list[list[int]]:
    draw = random.Random(4)
    return [[draw.randrange(50) for _ in range(draw.randint(1, longest))] + [END] for _ in range(n)]


@pytest.fixture(params=SETTINGS, ids=str)
def forward(request: pytest.FixtureRequest) -> Iterator[EncoderDecoderForward]:
    with EncoderDecoderForward(make(**request.param)) as made:
        yield made


def write(
    forward: EncoderDecoderForward, sources: list[list[int]], written: list[list[int]]
) -> torch.Tensor:
    """Logits of every step while each row writes its text. -> (steps, rows, V)"""
    rows = forward.begin(sources)
    return torch.stack(
        [
            rows.next_logits(torch.tensor([w[step] for w in written]))
            for step in range(len(written[0]))
        ]
    )


def test_steps_equal_the_plain_forward_pass(forward: EncoderDecoderForward) -> None:
    sources, written = texts(3), torch.randint(50, (3, 9), generator=generator(1, "written"))
    logits = write(forward, sources, written.tolist())
    longest = max(map(len, sources))
    padded = torch.tensor([ids + [0] * (longest - len(ids)) for ids in sources])
    plain = EncoderDecoder(forward.config)
    plain.load_state_dict(forward.model.state_dict())
    with torch.no_grad():
        expected = plain.eval()(
            padded, written, masks.padding(torch.tensor([len(ids) for ids in sources]), longest)
        )
    torch.testing.assert_close(logits.transpose(0, 1), expected, atol=1e-4, rtol=1e-4)


def test_alone_equals_in_company_to_the_bit(forward: EncoderDecoderForward) -> None:
    if not forward.is_exact:
        pytest.skip("this torch build has no packed linear kernel, so nothing is promised")
    sources, written = (
        texts(9, 40),
        torch.randint(50, (9, 12), generator=generator(1, "written")).tolist(),
    )
    together = write(forward, sources, written)
    for i in range(9):
        assert torch.equal(write(forward, [sources[i]], [written[i]])[:, 0], together[:, i]), (
            f"text {i}"
        )
    for some in ([3, 1], [8, 2, 5, 0, 7]):
        assert torch.equal(
            write(forward, [sources[i] for i in some], [written[i] for i in some]),
            together[:, some],
        )


def test_beams_alone_equal_beams_in_company_to_the_bit(forward: EncoderDecoderForward) -> None:
    if not forward.is_exact:
        pytest.skip("this torch build has no packed linear kernel, so nothing is promised")
    sources, config = texts(6), BeamConfig(width=4, n_best=3)
    together = beam_search(forward.begin(sources, 4), BOS, END, [12] * 6, config)
    for source, found in zip(sources, together, strict=True):
        assert beam_search(forward.begin([source], 4), BOS, END, [12], config)[0] == found


def test_what_a_beam_finds_has_the_probability_of_the_plain_forward_pass() -> None:
    """Rows are rearranged, dropped and cached on the way: a mistake in any of it shows here."""
    model, sources = make(), texts(5)
    with EncoderDecoderForward(model) as forward:
        found = beam_search(
            forward.begin(sources, 6), BOS, END, [9, 9, 2, 5, 9], BeamConfig(width=6, n_best=6)
        )
    for source, hypotheses in zip(sources, found, strict=True):
        assert len({h.token_ids for h in hypotheses}) == len(hypotheses)
        for h in hypotheses:
            with torch.no_grad():
                steps = model(torch.tensor([source]), torch.tensor([[BOS, *h.token_ids[:-1]]]))[
                    0
                ].log_softmax(-1)
            expected = float(steps.gather(1, torch.tensor(h.token_ids)[:, None]).sum())
            assert abs(h.log_prob - expected) < 1e-3


def test_rows_may_move_between_texts() -> None:
    """`select` is not only for beams: the source goes along with its row."""
    sources, order = texts(3), [2, 0, 1]
    with EncoderDecoderForward(make()) as forward:
        moved, still = forward.begin(sources), forward.begin([sources[i] for i in order])
        moved.next_logits(torch.tensor([1, 2, 3]))
        moved.select(torch.tensor(order))
        still.next_logits(torch.tensor([3, 1, 2]))
        torch.testing.assert_close(
            moved.next_logits(torch.tensor([4, 5, 6])), still.next_logits(torch.tensor([4, 5, 6]))
        )


def test_the_model_is_left_as_it_was_found() -> None:
    model = make(dropout=0.0, embedding_dropout=0.0).train()
    with EncoderDecoderForward(model):
        assert not model.training
    assert model.training
    model(torch.tensor([[1, 2]]), torch.tensor([[3]])).sum().backward()
