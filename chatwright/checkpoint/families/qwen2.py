"""Qwen 2 and 2.5 (Qwen team 2024): Llama with biases of queries, keys and values."""

from typing import Any

from chatwright.checkpoint.families import llama
from chatwright.checkpoint.families.windows import public_windows, read_windows
from chatwright.checkpoint.family import Family
from chatwright.checkpoint.public_config import PublicConfig
from chatwright.model.gpt_config import GPTConfig


def supports(config: Any) -> bool:
    """Return whether Qwen 2's files can hold a model with these settings."""
    return (
        llama.has_shape(config, "rotary_scaling", "window")
        and llama.biases(config) == (True, False, False)
        and config.d_model == config.n_head * config.head_dim
    )


def to_public(config: GPTConfig) -> dict[str, Any]:
    """Return Qwen 2's fields of config.json."""
    public = llama.public_shape(config) | public_windows(config)
    del public["head_dim"]
    return public


def from_public(public: PublicConfig) -> GPTConfig:
    """Convert Qwen 2's config.json to our settings."""
    shape = llama.read_shape(public)
    n_layer = shape["n_layer"]
    windows = read_windows(public, n_layer, windowed_layers(public, n_layer))
    return GPTConfig(**shape, bias=("qkv",), **windows)


def windowed_layers(public: PublicConfig, n_layer: int) -> list[bool]:
    """Return for each layer whether it has a window, as those from `max_window_layers` on have."""
    first = public.integer("max_window_layers", 28, lowest=0)
    return [i >= first for i in range(n_layer)]


QWEN2 = Family("qwen2", ("Qwen2ForCausalLM",), supports, to_public, from_public, llama.weights)
