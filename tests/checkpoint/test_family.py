"""A public file's tensors are ours under other names: fused rows, transposed matrices, and back, to the bit."""

import torch

from chatwright.checkpoint.families.qwen3 import QWEN3
from chatwright.checkpoint.family import Weight, public_shapes, to_model_tensors, to_public_tensors
from chatwright.checkpoint.public_config import PublicConfig
from chatwright.model.presets import preset

WEIGHTS = [
    Weight(("query", "key", "value"), "fused", transposed=True),
    Weight(("plain",), "renamed"),
    Weight(("a", "b"), "bias"),
    Weight(("c",), "row", is_row=True),
]
OURS = {
    "query": torch.rand(4, 3, generator=torch.Generator().manual_seed(1)),
    "key": torch.ones(2, 3),
    "value": torch.zeros(2, 3),
    "plain": torch.arange(6.0).view(2, 3),
    "a": torch.arange(2.0),
    "b": torch.arange(3.0),
    "c": torch.arange(4.0),
}
SHAPES = {name: tensor.shape for name, tensor in OURS.items()}


def test_there_and_back_is_the_same() -> None:
    theirs = to_public_tensors(WEIGHTS, OURS)
    assert theirs["row"].shape == (1, 4)
    assert torch.equal(theirs["fused"], torch.cat([OURS["query"], OURS["key"], OURS["value"]]).T)
    assert {name: tuple(t.shape) for name, t in theirs.items()} == public_shapes(WEIGHTS, SHAPES)
    back = to_model_tensors(WEIGHTS, theirs, SHAPES)
    assert back.keys() == OURS.keys()
    assert all(torch.equal(back[name], tensor) for name, tensor in OURS.items())


def test_a_config_comes_back_from_what_is_published_of_it() -> None:
    config = preset("tiny", vocab_size=300, tied=False, rotary_base=5e5)
    assert QWEN3.expresses(config)
    assert QWEN3.from_public(PublicConfig(QWEN3.to_public(config), "here")) == config
