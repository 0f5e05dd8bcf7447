"""Qwen 3 (Qwen team 2025), the family of our presets: Llama with norms of queries and keys."""

from typing import Any

from chatwright.checkpoint.families import llama
from chatwright.checkpoint.families.qwen2 import windowed_layers
from chatwright.checkpoint.families.windows import public_windows, read_windows
from chatwright.checkpoint.family import Family
from chatwright.checkpoint.public_config import PublicConfig
from chatwright.model.gpt_config import GPTConfig


def supports(config: Any) -> bool:
    """Return whether Qwen 3's files can hold a model with these settings."""
    if not llama.has_shape(config, "rotary_scaling", "window", qk_norm=True):
        return False
    return llama.biases(config) in ((False, False, False), (True, True, False))


def to_public(config: GPTConfig) -> dict[str, Any]:
    """Return Qwen 3's fields of config.json."""
    return (
        llama.public_shape(config)
        | public_windows(config)
        | {"attention_bias": config.has_bias("qkv")}
    )


def from_public(public: PublicConfig) -> GPTConfig:
    """Convert Qwen 3's config.json to our settings."""
    shape = llama.read_shape(public)
    shape |= {"qk_norm": True, "head_dim": public.integer("head_dim", 128)}
    has_bias, n_layer = public.flag("attention_bias", False), shape["n_layer"]
    return GPTConfig(
        **shape,
        bias=llama.bias_setting(has_bias, has_bias, False),
        **read_windows(public, n_layer, windowed_layers(public, n_layer)),
    )


QWEN3 = Family("qwen3", ("Qwen3ForCausalLM",), supports, to_public, from_public, llama.weights)
