"""Qwen 3 (Qwen team 2025): Llama's layout with norms of queries and keys. Our own default shape."""

from typing import Any

from chatwright.checkpoint.families import llama
from chatwright.checkpoint.families.qwen2 import late_layers
from chatwright.checkpoint.families.windows import public_windows, windows_of
from chatwright.checkpoint.family import Family
from chatwright.checkpoint.public_config import PublicConfig
from chatwright.model.gpt_config import GPTConfig


def expresses(config: Any) -> bool:
    return llama.has(config, "rotary_scaling", "window", qk_norm=True) and llama.biases(config) in (
        (False, False, False),
        (True, True, False),
    )


def to_public(config: GPTConfig) -> dict[str, Any]:
    return (
        llama.public_shape(config)
        | public_windows(config)
        | {"attention_bias": config.has_bias("qkv")}
    )


def from_public(table: PublicConfig) -> GPTConfig:
    shape, attention = (
        llama.shape_of(table) | {"qk_norm": True, "head_dim": table.integer("head_dim", 128)},
        table.flag("attention_bias", False),
    )
    return GPTConfig(
        **shape,
        bias=llama.named_biases(attention, attention, False),
        **windows_of(table, shape["n_layer"], late_layers(table, shape["n_layer"])),
    )


QWEN3 = Family("qwen3", ("Qwen3ForCausalLM",), expresses, to_public, from_public, llama.weights)
