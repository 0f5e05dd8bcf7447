"""Llama 2 and 3 (Touvron et al. 2023, Llama team 2024) and SmolLM 2.

Pre-norm layers with RMS norm, rotary positions, SwiGLU, grouped key/value heads. Mistral, Qwen and
SmolLM 3 have the same layers with one or two more settings, and use the functions of this module.
"""

from collections.abc import Mapping
from typing import Any

from chatwright.checkpoint.family import Family, Weight
from chatwright.checkpoint.public_config import PublicConfig
from chatwright.model.gpt_config import GPTConfig
from chatwright.model.positions import RotaryScaling

SHAPE = {
    "activation": "swiglu",
    "norm": "rms",
    "norm_first": True,
    "qk_norm": False,
    "position": "rotary",
    "rotary_scaling": None,
    "nope_layers": (),
    "window": 0,
    "sandwich_norm": False,
    "query_pre_attn_scalar": 0,
    "window_rotary_base": 0.0,
    "embedding_scale": False,
}
# Settings that these families lack. A model with other values is saved with our own names.
OWN_SETTINGS = {"head": "language_model", "ngrams": (), "n_previous": 0, "embedding_norm": False}

# Our names -> Llama's names.
LAYER = {
    "attention_norm": "input_layernorm",
    "attention.query": "self_attn.q_proj",
    "attention.key": "self_attn.k_proj",
    "attention.value": "self_attn.v_proj",
    "attention.query_norm": "self_attn.q_norm",
    "attention.key_norm": "self_attn.k_norm",
    "attention.output": "self_attn.o_proj",
    "feed_forward_norm": "post_attention_layernorm",
    "feed_forward.gate": "mlp.gate_proj",
    "feed_forward.up": "mlp.up_proj",
    "feed_forward.down": "mlp.down_proj",
}
# Layer -> the name in our setting `bias` that gives this layer a bias.
BIAS_PARTS: dict[str, Any] = {
    "attention.query": "qkv",
    "attention.key": "qkv",
    "attention.value": "qkv",
    "attention.output": "output",
    "feed_forward.gate": "feed_forward",
    "feed_forward.up": "feed_forward",
    "feed_forward.down": "feed_forward",
}


def has_shape(config: Any, *free: str, **required: Any) -> bool:
    """Return whether a decoder has Llama's shape.

    Args:
        config: The settings.
        free: Names of settings that may have any value.
        required: Required values that are not Llama's.
    """
    settings = {
        name: value for name, value in (SHAPE | OWN_SETTINGS | required).items() if name not in free
    }
    return isinstance(config, GPTConfig) and all(
        getattr(config, name) == value for name, value in settings.items()
    )


def biases(config: GPTConfig) -> tuple[bool, bool, bool]:
    """Return whether there are biases in query/key/value, attention output and feed-forward."""
    return config.has_bias("qkv"), config.has_bias("output"), config.has_bias("feed_forward")


def bias_setting(qkv: bool, output: bool, feed_forward: bool) -> Any:
    """Return our setting `bias`: the parts that have biases, or False if none has."""
    parts = {"qkv": qkv, "output": output, "feed_forward": feed_forward}
    return tuple(name for name, has_bias in parts.items() if has_bias) or False


def public_shape(config: GPTConfig) -> dict[str, Any]:
    """Return the fields of config.json that Llama, Mistral, Qwen and SmolLM 3 share."""
    return {
        "vocab_size": config.vocab_size,
        "hidden_size": config.d_model,
        "intermediate_size": config.d_ff,
        "num_hidden_layers": config.n_layer,
        "num_attention_heads": config.n_head,
        "num_key_value_heads": config.n_kv_head,
        "head_dim": config.head_dim,
        "hidden_act": "silu",
        "max_position_embeddings": config.context_length,
        "rms_norm_eps": config.norm_eps,
        "tie_word_embeddings": config.tied,
        "attention_dropout": 0.0,
        "initializer_range": 0.02,
        **_public_rotary(config),
    }


def _public_rotary(config: GPTConfig) -> dict[str, Any]:
    scaling = config.rotary_scaling
    if scaling is None:
        return {"rope_theta": config.rotary_base}
    numbers: dict[str, Any] = {"rope_type": scaling.kind, "factor": scaling.factor}
    if scaling.kind == "llama3":
        numbers |= {
            "low_freq_factor": scaling.low,
            "high_freq_factor": scaling.high,
            "original_max_position_embeddings": scaling.original_length,
        }
    return {"rope_theta": config.rotary_base, "rope_scaling": numbers}


def read_shape(public: PublicConfig, tied: bool = False) -> dict[str, Any]:
    """Return our settings from the fields that Llama, Mistral, Qwen and SmolLM 3 share.

    `tied` is the family's default for tie_word_embeddings.
    """
    public.must_be("hidden_act", "silu")
    public.must_be("partial_rotary_factor", 1.0)
    d_model, n_head = public.integer("hidden_size"), public.integer("num_attention_heads")
    rotary_base, rotary_scaling = _read_rotary(public)
    return {
        "vocab_size": public.integer("vocab_size"),
        "d_model": d_model,
        "d_ff": public.integer("intermediate_size"),
        "n_layer": public.integer("num_hidden_layers", highest=1000),
        "n_head": n_head,
        "n_kv_head": public.integer("num_key_value_heads", n_head),
        "head_dim": public.integer("head_dim", max(1, d_model // n_head)),
        "context_length": public.integer("max_position_embeddings"),
        "norm_eps": public.real("rms_norm_eps", 1e-6),
        "rotary_base": rotary_base,
        "rotary_scaling": rotary_scaling,
        "tied": public.flag("tie_word_embeddings", tied),
        "qk_norm": False,
    }


def _read_rotary(public: PublicConfig) -> tuple[float, RotaryScaling | None]:
    """Return the base and the scaling of rotary positions.

    Version 5 of transformers writes `rope_parameters`. Earlier versions write `rope_theta` and
    `rope_scaling`.
    """
    fields = public.get("rope_parameters") or public.get("rope_scaling") or {}
    if not isinstance(fields, dict):
        raise public.error("rope_scaling", "expected an object")
    rope = PublicConfig(fields, f"{public.source}: rope_scaling")
    base = rope.real("rope_theta") if "rope_theta" in rope else public.real("rope_theta", 10_000.0)
    return base, read_rotary_scaling(rope)


def read_rotary_scaling(rope: PublicConfig) -> RotaryScaling | None:
    """Return the scaling in an object `rope_scaling` or `rope_parameters`."""
    rope.must_be("partial_rotary_factor", 1.0)
    kind_field = "rope_type" if "rope_type" in rope else "type"
    kinds = {"default": None, "linear": "linear", "llama3": "llama3"}
    kind = rope.one_of(kind_field, kinds, "default")
    if kind is None:
        return None
    if kind == "linear":
        return RotaryScaling(kind="linear", factor=rope.real("factor"))
    return RotaryScaling(
        kind="llama3",
        factor=rope.real("factor"),
        low=rope.real("low_freq_factor"),
        high=rope.real("high_freq_factor"),
        original_length=rope.integer("original_max_position_embeddings"),
    )


def weights(config: GPTConfig, layer_names: Mapping[str, str] = LAYER) -> list[Weight]:
    """Return the tensors of a Llama file. `layer_names` gives our names of layers other names."""
    listed = [Weight(("embedding.weight",), "model.embed_tokens.weight")]
    for i in range(config.n_layer):
        listed += _layer(f"blocks.{i}.", f"model.layers.{i}.", config, layer_names)
    listed.append(Weight(("norm.weight",), "model.norm.weight"))
    if not config.tied:
        listed.append(Weight(("head.weight",), "lm_head.weight"))
    return listed


def _layer(
    prefix: str, public_prefix: str, config: GPTConfig, layer_names: Mapping[str, str]
) -> list[Weight]:
    names = {
        name: public_name
        for name, public_name in layer_names.items()
        if config.qk_norm or not name.endswith(("query_norm", "key_norm"))
    }
    with_bias = [name for name, part in BIAS_PARTS.items() if config.has_bias(part)]
    weights = [
        Weight((f"{prefix}{name}.weight",), f"{public_prefix}{public_name}.weight")
        for name, public_name in names.items()
    ]
    biases = [
        Weight((f"{prefix}{name}.bias",), f"{public_prefix}{names[name]}.bias")
        for name in with_bias
    ]
    return weights + biases


def supports(config: Any) -> bool:
    """Return whether Llama's files can hold a model with these settings."""
    if not has_shape(config, "rotary_scaling") or config.d_model % config.n_head:
        return False
    qkv, output, _ = biases(config)
    return qkv == output


def to_public(config: GPTConfig) -> dict[str, Any]:
    """Return Llama's fields of config.json."""
    attention, _, feed_forward = biases(config)
    return public_shape(config) | {"attention_bias": attention, "mlp_bias": feed_forward}


def from_public(public: PublicConfig) -> GPTConfig:
    """Convert Llama's config.json to our settings."""
    attention, feed_forward = public.flag("attention_bias", False), public.flag("mlp_bias", False)
    bias = bias_setting(attention, attention, feed_forward)
    return GPTConfig(**read_shape(public), bias=bias)


LLAMA = Family(
    "llama",
    ("LlamaForCausalLM",),
    supports,
    to_public,
    from_public,
    weights,
    ignored_suffixes=("rotary_emb.inv_freq",),
)
