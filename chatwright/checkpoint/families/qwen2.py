"""Qwen 2 and 2.5 (Qwen team 2024): Llama's layout with biases of queries, keys and values."""

from typing import Any

from chatwright.checkpoint.families import llama
from chatwright.checkpoint.families.windows import public_windows, windows_of
from chatwright.checkpoint.family import Family
from chatwright.checkpoint.public_config import PublicConfig
from chatwright.model.gpt_config import GPTConfig


def expresses(config: Any) -> bool:
    return (
        llama.has(config, "rotary_scaling", "window")
        and llama.biases(config) == (True, False, False)
        and config.d_model == config.n_head * config.head_dim
    )


def to_public(config: GPTConfig) -> dict[str, Any]:
    public = llama.public_shape(config) | public_windows(config)
    del public["head_dim"]
    return public


def from_public(table: PublicConfig) -> GPTConfig:
    shape = llama.shape_of(table)
    return GPTConfig(
        **shape,
        bias=("qkv",),
        **windows_of(table, shape["n_layer"], late_layers(table, shape["n_layer"])),
    )


def late_layers(table: PublicConfig, n_layer: int) -> list[bool]:
    """The window is for the layers from `max_window_layers` on."""
    first = table.integer("max_window_layers", 28, lowest=0)
    return [i >= first for i in range(n_layer)]


QWEN2 = Family("qwen2", ("Qwen2ForCausalLM",), expresses, to_public, from_public, llama.weights)
