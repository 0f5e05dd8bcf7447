"""Encoder-decoder inference equals the plain model and is bit-identical in any batch."""

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

V = 59  # tokens in the vocabulary, with BOS and END
BOS = 57
END = 58
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
        model.embedding.weight.mul_(3.0)  # larger differences of logits, so that hypotheses differ
    return model.eval()


def texts(n: int, longest: int = 20) -> list[list[int]]:
    draw = random.Random(4)
    return [[draw.randrange(50) for _ in range(draw.randint(1, longest))] + [END] for _ in range(n)]


@pytest.fixture(params=SETTINGS, ids=str)
def forward(request: pytest.FixtureRequest) -> Iterator[EncoderDecoderForward]:
    with EncoderDecoderForward(make(**request.param)) as opened:
        yield opened


def decode(
    forward: EncoderDecoderForward, sources: list[list[int]], targets: list[list[int]]
) -> torch.Tensor:
    """Feed each target token by token; return all logits. -> (steps, rows, V)."""
    batch = forward.start(sources)
    steps = zip(*targets, strict=True)
    return torch.stack([batch.next_logits(torch.tensor(tokens)) for tokens in steps])


def test_logits_of_decoding_steps_equal_a_plain_forward_pass(
    forward: EncoderDecoderForward,
) -> None:
    sources, targets = texts(3), torch.randint(50, (3, 9), generator=generator(1, "targets"))
    logits = decode(forward, sources, targets.tolist())
    longest = max(map(len, sources))
    padded = torch.tensor([ids + [0] * (longest - len(ids)) for ids in sources])
    plain = EncoderDecoder(forward.config)
    plain.load_state_dict(forward.model.state_dict())
    with torch.no_grad():
        lengths = torch.tensor([len(ids) for ids in sources])
        expected = plain.eval()(padded, targets, masks.padding(lengths, longest))
    torch.testing.assert_close(logits.transpose(0, 1), expected, atol=1e-4, rtol=1e-4)


def test_logits_are_bit_identical_alone_and_in_a_batch(forward: EncoderDecoderForward) -> None:
    if not forward.has_packed_kernels:
        pytest.skip("this torch build has no packed linear kernel")
    sources = texts(9, 40)
    targets = torch.randint(50, (9, 12), generator=generator(1, "targets")).tolist()
    together = decode(forward, sources, targets)
    for chosen in ([3, 1], [8, 2, 5, 0, 7], *([i] for i in range(9))):
        logits = decode(forward, [sources[i] for i in chosen], [targets[i] for i in chosen])
        assert torch.equal(logits, together[:, chosen]), f"texts {chosen}"


def test_beam_search_is_bit_identical_alone_and_in_a_batch(forward: EncoderDecoderForward) -> None:
    if not forward.has_packed_kernels:
        pytest.skip("this torch build has no packed linear kernel")
    sources, config = texts(6), BeamConfig(width=4, n_best=3)
    together = beam_search(forward.start(sources, 4), BOS, END, [12] * 6, config)
    for source, expected in zip(sources, together, strict=True):
        assert beam_search(forward.start([source], 4), BOS, END, [12], config)[0] == expected


def test_log_probs_of_hypotheses_equal_those_of_the_plain_model() -> None:
    """An error in caching, rearranging or dropping rows would change a log-probability."""
    model, sources = make(), texts(5)
    with EncoderDecoderForward(model) as forward:
        config = BeamConfig(width=6, n_best=6)
        results = beam_search(forward.start(sources, 6), BOS, END, [9, 9, 2, 5, 9], config)
    for source, hypotheses in zip(sources, results, strict=True):
        assert len({h.token_ids for h in hypotheses}) == len(hypotheses)
        for h in hypotheses:
            target = torch.tensor([[BOS, *h.token_ids[:-1]]])
            with torch.no_grad():
                log_probs = model(torch.tensor([source]), target)[0].log_softmax(-1)
            expected = float(log_probs.gather(1, torch.tensor(h.token_ids)[:, None]).sum())
            assert abs(h.log_prob - expected) < 1e-3


def test_select_reorders_the_sources_together_with_the_rows() -> None:
    sources, order = texts(3), [2, 0, 1]
    with EncoderDecoderForward(make()) as forward:
        moved = forward.start(sources)
        expected = forward.start([sources[i] for i in order])
        moved.next_logits(torch.tensor([1, 2, 3]))
        moved.select(torch.tensor(order))
        expected.next_logits(torch.tensor([3, 1, 2]))
        token_ids = torch.tensor([4, 5, 6])
        torch.testing.assert_close(moved.next_logits(token_ids), expected.next_logits(token_ids))


def test_closing_makes_the_model_trainable_again() -> None:
    model = make(dropout=0.0, embedding_dropout=0.0).train()
    with EncoderDecoderForward(model):
        assert not model.training
    assert model.training
    model(torch.tensor([[1, 2]]), torch.tensor([[3]])).sum().backward()
