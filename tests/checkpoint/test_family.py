"""Tensors and settings of a model are converted to the Hugging Face format and back exactly."""

import torch

from chatwright.checkpoint.families.qwen3 import QWEN3
from chatwright.checkpoint.family import Weight, as_parameters, public_shapes, to_public_tensors
from chatwright.checkpoint.public_config import PublicConfig
from chatwright.model.presets import preset

WEIGHTS = [
    Weight(("query", "key", "value"), "fused", transposed=True),
    Weight(("plain",), "renamed"),
    Weight(("a", "b"), "bias"),
    Weight(("c",), "row", is_row=True),
    Weight(("d",), "norm", minus_one=True),
]
PARAMETERS = {
    "query": torch.rand(4, 3, generator=torch.Generator().manual_seed(1)),
    "key": torch.ones(2, 3),
    "value": torch.zeros(2, 3),
    "plain": torch.arange(6.0).view(2, 3),
    "a": torch.arange(2.0),
    "b": torch.arange(3.0),
    "c": torch.arange(4.0),
    "d": torch.tensor([1.5, 1.0, 0.25, 30.0]),
}
SHAPES = {name: tensor.shape for name, tensor in PARAMETERS.items()}


def test_tensors_converted_to_a_file_and_back_are_unchanged() -> None:
    public = to_public_tensors(WEIGHTS, PARAMETERS)
    assert public["row"].shape == (1, 4)
    assert torch.equal(public["norm"], torch.tensor([0.5, 0.0, -0.75, 29.0]))
    query_key_value = [PARAMETERS[name] for name in ("query", "key", "value")]
    assert torch.equal(public["fused"], torch.cat(query_key_value).T)
    shapes = {name: tuple(tensor.shape) for name, tensor in public.items()}
    assert shapes == public_shapes(WEIGHTS, SHAPES)
    for weight in WEIGHTS:
        stacked = as_parameters(weight, public[weight.public_name])
        parts = stacked.split([SHAPES[name][0] for name in weight.parameters])
        for name, part in zip(weight.parameters, parts, strict=True):
            assert torch.equal(part, PARAMETERS[name])


def test_one_is_added_to_a_stored_weight_in_float32() -> None:
    """In bfloat16, 1 + 0.001 is 1."""
    stored = torch.tensor([0.001, -0.003], dtype=torch.bfloat16)
    read = as_parameters(Weight(("d",), "norm", minus_one=True), stored)
    assert torch.equal(read, 1 + stored.float())


def test_settings_converted_to_config_json_and_back_are_unchanged() -> None:
    config = preset("tiny", vocab_size=300, tied=False, rotary_base=5e5)
    assert QWEN3.supports(config)
    assert QWEN3.from_public(PublicConfig(QWEN3.to_public(config), "config.json")) == config
