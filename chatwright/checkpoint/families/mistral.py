"""Mistral (Jiang et al. 2023): Llama with a sliding attention window."""

from typing import Any

from chatwright.checkpoint.families import llama
from chatwright.checkpoint.family import Family
from chatwright.checkpoint.public_config import PublicConfig
from chatwright.model.gpt_config import GPTConfig


def supports(config: Any) -> bool:
    """Return whether Mistral's files can hold a model with these settings."""
    has_shape = llama.has_shape(config, "rotary_scaling", "window", unwindowed_layers=())
    return has_shape and llama.biases(config) == (False, False, False)


def to_public(config: GPTConfig) -> dict[str, Any]:
    """Return Mistral's fields of config.json."""
    return llama.public_shape(config) | {"sliding_window": config.window or None}


def from_public(public: PublicConfig) -> GPTConfig:
    """Convert Mistral's config.json to our settings."""
    # An absent field means 4,096, the window of the first release. Null means no window.
    has_window = "sliding_window" not in public or public["sliding_window"] is not None
    shape = llama.read_shape(public) | {"n_kv_head": public.integer("num_key_value_heads", 8)}
    return GPTConfig(
        **shape,
        window=public.integer("sliding_window", 4096) if has_window else 0,
    )


MISTRAL = Family(
    "mistral", ("MistralForCausalLM",), supports, to_public, from_public, llama.weights
)
