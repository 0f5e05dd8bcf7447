"""Mistral (Jiang et al. 2023): Llama's layout where every layer looks at the last few thousand tokens only."""

from typing import Any

from chatwright.checkpoint.families import llama
from chatwright.checkpoint.family import Family
from chatwright.checkpoint.public_config import PublicConfig
from chatwright.model.gpt_config import GPTConfig


def expresses(config: Any) -> bool:
    return llama.has(config, "rotary_scaling", "window", unwindowed_layers=()) and llama.biases(
        config
    ) == (False, False, False)


def to_public(config: GPTConfig) -> dict[str, Any]:
    return llama.public_shape(config) | {"sliding_window": config.window or None}


def from_public(table: PublicConfig) -> GPTConfig:
    # Absent is the 4,096 of the first release, null is none: they mean different things here.
    is_windowed = "sliding_window" not in table or table["sliding_window"] is not None
    n_kv_head = {"n_kv_head": table.integer("num_key_value_heads", 8)}
    return GPTConfig(
        **(llama.shape_of(table) | n_kv_head),
        window=table.integer("sliding_window", 4096) if is_windowed else 0,
    )


MISTRAL = Family(
    "mistral", ("MistralForCausalLM",), expresses, to_public, from_public, llama.weights
)
