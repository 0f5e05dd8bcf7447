"""Gemma 3 (Gemma team 2025): windows in five of six layers, and norms around each part of a block.

Its layers are Llama's with four differences: the output of each part is normalized too, the gate of
the feed-forward network is GELU, layers with a window have other rotary frequencies, and files hold
the weights of norms minus 1. The models that read images nest these fields and tensors. Only their
text part is read.
"""

import dataclasses
from typing import Any

from chatwright.checkpoint.families import llama
from chatwright.checkpoint.families.windows import layer_types, read_unwindowed_layers
from chatwright.checkpoint.family import Family, Weight
from chatwright.checkpoint.public_config import PublicConfig
from chatwright.model.gpt_config import GPTConfig
from chatwright.model.positions import RotaryScaling

ACTIVATION = "gelu_pytorch_tanh"
LOCAL_ROTARY_BASE, GLOBAL_ROTARY_BASE = 10_000.0, 1_000_000.0
WINDOW_PERIOD = 6  # by default, every sixth layer has no window
SHAPE: dict[str, Any] = {
    "activation": "geglu",
    "sandwich_norm": True,
    "embedding_scale": True,
    "qk_norm": True,
}
LAYER = llama.LAYER | {
    "attention_output_norm": "post_attention_layernorm",
    "feed_forward_norm": "pre_feedforward_layernorm",
    "feed_forward_output_norm": "post_feedforward_layernorm",
}


def supports(config: Any) -> bool:
    """Return whether Gemma 3's files can hold a model with these settings."""
    free = ("rotary_scaling", "window", "window_rotary_base", "query_pre_attn_scalar")
    if not llama.has_shape(config, *free, **SHAPE) or config.d_model % config.n_head:
        return False
    qkv, output, feed_forward = llama.biases(config)
    return (
        qkv == output
        and not feed_forward
        and bool(config.window) == bool(config.window_rotary_base)
        and len(config.unwindowed_layers) < config.n_layer
    )


def to_public(config: GPTConfig) -> dict[str, Any]:
    """Return Gemma 3's fields of config.json."""
    public = llama.public_shape(config)
    del public["hidden_act"]
    return public | {
        "hidden_activation": ACTIVATION,
        "attention_bias": config.has_bias("qkv"),
        "query_pre_attn_scalar": config.query_pre_attn_scalar or config.head_dim,
        "rope_local_base_freq": config.window_rotary_base or LOCAL_ROTARY_BASE,
        # transformers makes a mask with a window even if no layer uses it.
        "sliding_window": config.window or config.context_length,
        "layer_types": layer_types(config),
    }


def from_public(public: PublicConfig) -> GPTConfig:
    """Convert Gemma 3's config.json to our settings. Published files leave out many fields."""
    public.must_be("hidden_activation", ACTIVATION)
    public.must_be("use_bidirectional_attention", False)
    for name in ("attn_logit_softcapping", "final_logit_softcapping"):
        public.must_be(name, None)
    has_bias, head_dim = public.flag("attention_bias", False), public.integer("head_dim", 256)
    scalar = public.integer("query_pre_attn_scalar", 256)
    n_layer = public.integer("num_hidden_layers", 26, highest=1000)
    return GPTConfig(
        **SHAPE,
        **_windows_and_positions(public, n_layer),
        vocab_size=public.integer("vocab_size", 262_208),
        d_model=public.integer("hidden_size", 2304),
        d_ff=public.integer("intermediate_size", 9216),
        n_layer=n_layer,
        n_head=public.integer("num_attention_heads", 8),
        n_kv_head=public.integer("num_key_value_heads", 4),
        head_dim=head_dim,
        query_pre_attn_scalar=0 if scalar == head_dim else scalar,
        context_length=public.integer("max_position_embeddings", 131_072),
        norm_eps=public.real("rms_norm_eps", 1e-6),
        tied=public.flag("tie_word_embeddings", True),
        bias=llama.bias_setting(has_bias, has_bias, False),
    )


def _windows_and_positions(public: PublicConfig, n_layer: int) -> dict[str, Any]:
    """Return our settings of windows and rotary positions."""
    period = public.integer("sliding_window_pattern", WINDOW_PERIOD)
    public.get("_sliding_window_pattern")  # transformers writes it but reads layer_types
    windowed = [(i + 1) % period != 0 for i in range(n_layer)]
    unwindowed = read_unwindowed_layers(public, n_layer, windowed)
    base, local_base, scaling = _read_rotary(public)
    settings = {"rotary_base": base, "rotary_scaling": scaling}
    if len(unwindowed) == n_layer:
        return settings | {"window": 0}
    if "sliding_window" in public and public["sliding_window"] is None:
        raise public.error("sliding_window", "layers of the type sliding_attention need a window")
    return settings | {
        "window": public.integer("sliding_window", 4096),
        "unwindowed_layers": unwindowed,
        "window_rotary_base": local_base,
    }


def _read_rotary(public: PublicConfig) -> tuple[float, float, RotaryScaling | None]:
    """Return the bases of layers without and with a window, and the scaling of those without.

    Version 5 of transformers writes `rope_parameters` with an object for each type of layer.
    Earlier versions write `rope_theta`, `rope_local_base_freq` and `rope_scaling`.
    """
    if public.get("rope_parameters") is None:
        rope = _object(public, "rope_scaling")
        base = public.real("rope_theta", GLOBAL_ROTARY_BASE)
        local_base = public.real("rope_local_base_freq", LOCAL_ROTARY_BASE)
        return base, local_base, llama.read_rotary_scaling(rope)
    by_type = _object(public, "rope_parameters")
    if not {"full_attention", "sliding_attention"} >= set(by_type):
        reason = "expected the objects full_attention and sliding_attention"
        raise public.error("rope_parameters", reason)
    rope, local = _object(by_type, "full_attention"), _object(by_type, "sliding_attention")
    if llama.read_rotary_scaling(local) is not None:
        raise public.error("rope_parameters", "layers with a window cannot have a scaling")
    base = rope.real("rope_theta", GLOBAL_ROTARY_BASE)
    return base, local.real("rope_theta", LOCAL_ROTARY_BASE), llama.read_rotary_scaling(rope)


def _object(public: PublicConfig, name: str) -> PublicConfig:
    """Return the object in a field, empty if the field is absent or null."""
    fields = public.get(name, {})
    if not isinstance(fields, dict):
        raise public.error(name, "expected an object")
    return PublicConfig(fields, f"{public.source}: {name}")


def weights(config: GPTConfig) -> list[Weight]:
    """Return the tensors of a Gemma 3 file."""
    return [
        dataclasses.replace(weight, minus_one=weight.public_name.endswith("norm.weight"))
        for weight in llama.weights(config, LAYER)
    ]


def from_public_with_images(public: PublicConfig) -> GPTConfig:
    """Convert the text part of the config.json of a model that reads images."""
    if "text_config" not in public:
        raise public.error("text_config", "the settings of the text part are missing")
    return from_public(_object(public, "text_config"))


GEMMA3_TEXT = Family(
    "gemma3_text", ("Gemma3ForCausalLM",), supports, to_public, from_public, weights
)
# A model is never saved as this family, because the part that reads images is not kept.
GEMMA3 = Family(
    "gemma3",
    ("Gemma3ForConditionalGeneration",),
    lambda _: False,
    to_public,
    from_public_with_images,
    weights,
    ignored_prefixes=(
        "vision_tower.",
        "multi_modal_projector.",
        "model.vision_tower.",
        "model.multi_modal_projector.",
    ),
    renamed_prefixes={
        "language_model.model.": "model.",
        "language_model.lm_head.": "lm_head.",
        "model.language_model.": "model.",
    },
)
