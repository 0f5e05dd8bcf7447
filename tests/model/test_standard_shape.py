"""A rewritten decoder has the default shape and gives the original's logits."""

from typing import Any

import pytest
import torch
from torch import Tensor

from chatwright.checkpoint import families
from chatwright.devices import generator
from chatwright.model.gpt import GPT, init_weights
from chatwright.model.gpt_config import GPTConfig
from chatwright.model.presets import preset
from chatwright.model.standard_shape import can_rewrite, rewrite

BOS = 90
SPEEDRUN = {"size": "speedrun", "vocab_size": 97, "ngrams": ()}
# The starter with fewer tokens and layers.
STARTER: dict[str, Any] = SPEEDRUN | {
    "n_layer": 2,
    "d_model": 192,
    "n_head": 3,
    "n_kv_head": 3,
    "d_ff": 768,
    "context_length": 320,
    "n_previous": 3,
}
SHAPES: dict[str, dict[str, Any]] = {
    "the starter": STARTER,
    "grouped queries, few feed-forward units": SPEEDRUN
    | {"n_layer": 1, "d_model": 48, "n_head": 4, "n_kv_head": 2, "head_dim": 32, "d_ff": 20}
    | {"n_previous": 2, "context_length": 64},
    "one preceding token, tied, SwiGLU": SPEEDRUN
    | {"n_layer": 1, "d_model": 64, "n_head": 2, "n_kv_head": 2, "head_dim": 32, "d_ff": 40}
    | {"n_previous": 1, "tied": True, "activation": "swiglu"},
    "no preceding tokens": SPEEDRUN | {"n_layer": 2, "d_model": 64, "context_length": 64},
    "ReLU squared, tied": {"size": "nano", "vocab_size": 97, "activation": "relu2"},
}


def make(settings: dict[str, Any]) -> GPT:
    """Make a model in which every weight matters; those of trained models are as large."""
    model = GPT(preset(**settings))
    init_weights(model, generator(0, "weights"))
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            draws = generator(1, name)
            if parameter.ndim == 1:
                parameter.uniform_(0.5, 1.5, generator=draws)
            elif name.startswith(("embedding", "previous")):
                parameter.normal_(0.0, 1.0, generator=draws)
            else:
                parameter.normal_(0.0, parameter.shape[1] ** -0.5, generator=draws)
    return model.eval()


def text(length: int, seed: int = 0) -> Tensor:
    """Return <bos> and random other tokens, (1, length)."""
    ids = torch.randint(BOS, (1, length), generator=generator(seed, "text"))
    ids[0, 0] = BOS
    return ids


@torch.no_grad()
def relative_difference(first: GPT, second: GPT, ids: Tensor) -> float:
    expected = first(ids)
    return float((expected - second(ids)).abs().max() / expected.abs().max())


@pytest.mark.parametrize("name", SHAPES)
def test_the_rewritten_model_has_a_known_shape_and_equal_logits(name: str) -> None:
    model = make(SHAPES[name])
    rewritten = rewrite(model, BOS)
    family = families.for_config(rewritten.config)
    assert family is not None
    assert family.name == "qwen3"
    for length in (1, 2, 3, 4, 5, 40, model.config.context_length):
        assert relative_difference(model, rewritten, text(length)) < 1e-4


def test_logits_differ_where_bos_is_missing_or_in_the_middle() -> None:
    """The documented limits; they also show that the comparison can fail."""
    model = make(STARTER)
    rewritten = rewrite(model, BOS)
    without, twice = text(20), text(20)
    without[0, 0] = 5
    twice[0, 10] = BOS
    assert relative_difference(model, rewritten, without) > 1e-2
    assert relative_difference(model, rewritten, twice) > 1e-2


@torch.no_grad()
def test_heads_of_the_first_layers_attend_to_one_earlier_position() -> None:
    rewritten = rewrite(make(STARTER), BOS)
    for lag, block in zip((1, 2, 3, 0), rewritten.blocks, strict=False):
        observed: list[Tensor] = []
        stop = block.attention.observe(observed.append)
        rewritten(text(320))
        stop()
        positions = torch.arange(320)
        aimed = observed[0][0][:, positions, (positions - lag).clamp(min=0)]  # (H, T)
        torch.testing.assert_close(aimed, torch.ones(3, 320))


@pytest.mark.parametrize(
    "changes",
    [
        {"ngrams": (2,)},
        {"embedding_norm": False},
        {"n_head": 2, "n_kv_head": 2},
        {"activation": "gelu"},
        {"qk_norm": False},
        {"window": 8},
        {"head": "scalar"},
    ],
    ids=str,
)
def test_other_settings_are_not_supported(changes: dict[str, Any]) -> None:
    assert can_rewrite(preset(**STARTER))
    assert not can_rewrite(preset(**(STARTER | changes)))
    assert can_rewrite(GPTConfig(vocab_size=97, activation="relu2"))
