"""SmolLM 3 (Hugging Face 2025): Llama's layout in which every fourth layer does without rotary positions."""

from typing import Any

from chatwright.checkpoint.families import llama
from chatwright.checkpoint.families.windows import public_windows, windows_of
from chatwright.checkpoint.family import Family
from chatwright.checkpoint.public_config import PublicConfig
from chatwright.model.gpt_config import GPTConfig


def expresses(config: Any) -> bool:
    if (
        not llama.has(config, "rotary_scaling", "window", "nope_layers")
        or config.d_model != config.n_head * config.head_dim
    ):
        return False
    qkv, output, _ = llama.biases(config)
    return qkv == output


def to_public(config: GPTConfig) -> dict[str, Any]:
    attention, _, feed_forward = llama.biases(config)
    public = (
        llama.public_shape(config)
        | public_windows(config)
        | {"attention_bias": attention, "mlp_bias": feed_forward}
    )
    del public["head_dim"]
    return public | {
        "no_rope_layers": [int(i not in config.nope_layers) for i in range(config.n_layer)]
    }


def from_public(table: PublicConfig) -> GPTConfig:
    shape = llama.shape_of(table, tied=True)
    rotated = _rotated(table, shape["n_layer"])
    attention, feed_forward = table.flag("attention_bias", False), table.flag("mlp_bias", False)
    return GPTConfig(
        **shape,
        bias=llama.named_biases(attention, attention, feed_forward),
        nope_layers=tuple(i for i, is_rotated in enumerate(rotated) if not is_rotated),
        **windows_of(table, shape["n_layer"], [not is_rotated for is_rotated in rotated]),
    )


def _rotated(table: PublicConfig, n_layer: int) -> list[bool]:
    every = table.integer("no_rope_layer_interval", 4)
    listed = table.get("no_rope_layers", [int((i + 1) % every != 0) for i in range(n_layer)])
    if (
        not isinstance(listed, list)
        or len(listed) < n_layer
        or any(entry not in (0, 1) for entry in listed)
    ):
        raise table.refused(
            "no_rope_layers", f"a list of at least {n_layer} times 0 or 1 is expected"
        )
    return [bool(entry) for entry in listed[:n_layer]]


SMOLLM3 = Family(
    "smollm3", ("SmolLM3ForCausalLM",), expresses, to_public, from_public, llama.weights
)
