"""SmolLM 3 (Hugging Face 2025): Llama, but every fourth layer has no positions (NoPE)."""

from typing import Any

from chatwright.checkpoint.families import llama
from chatwright.checkpoint.families.windows import public_windows, read_windows
from chatwright.checkpoint.family import Family
from chatwright.checkpoint.public_config import PublicConfig
from chatwright.model.gpt_config import GPTConfig


def supports(config: Any) -> bool:
    """Return whether SmolLM 3's files can hold a model with these settings."""
    has_shape = llama.has_shape(config, "rotary_scaling", "window", "nope_layers")
    if not has_shape or config.d_model != config.n_head * config.head_dim:
        return False
    qkv, output, _ = llama.biases(config)
    return qkv == output


def to_public(config: GPTConfig) -> dict[str, Any]:
    """Return SmolLM 3's fields of config.json."""
    attention, _, feed_forward = llama.biases(config)
    public = llama.public_shape(config) | public_windows(config)
    del public["head_dim"]
    return public | {
        "attention_bias": attention,
        "mlp_bias": feed_forward,
        "no_rope_layers": [int(i not in config.nope_layers) for i in range(config.n_layer)],
    }


def from_public(public: PublicConfig) -> GPTConfig:
    """Convert SmolLM 3's config.json to our settings."""
    shape = llama.read_shape(public, tied=True)
    is_rotary = _rotary_layers(public, shape["n_layer"])
    attention, feed_forward = public.flag("attention_bias", False), public.flag("mlp_bias", False)
    return GPTConfig(
        **shape,
        bias=llama.bias_setting(attention, attention, feed_forward),
        nope_layers=tuple(i for i, rotary in enumerate(is_rotary) if not rotary),
        **read_windows(public, shape["n_layer"], [not rotary for rotary in is_rotary]),
    )


def _rotary_layers(public: PublicConfig, n_layer: int) -> list[bool]:
    """Return for each layer whether it has rotary positions."""
    interval = public.integer("no_rope_layer_interval", 4)
    default = [int((i + 1) % interval != 0) for i in range(n_layer)]
    flags = public.get("no_rope_layers", default)
    is_list = isinstance(flags, list) and len(flags) >= n_layer
    if not is_list or any(flag not in (0, 1) for flag in flags):
        raise public.error("no_rope_layers", f"expected a list of at least {n_layer} 0s and 1s")
    return [bool(flag) for flag in flags[:n_layer]]


SMOLLM3 = Family(
    "smollm3", ("SmolLM3ForCausalLM",), supports, to_public, from_public, llama.weights
)
