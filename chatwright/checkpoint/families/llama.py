"""Llama 2 and 3 (Touvron et al. 2023, Llama team 2024) and SmolLM 2: RMS norm before, rotary positions, SwiGLU, grouped heads.

Mistral, Qwen and SmolLM 3 are this layout with a setting or two more; they take what is common from here.
"""

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
}
# Settings that no other tool knows: any of them away from its default makes the shape our own.
PLAIN = {"head": "language_model", "ngrams": (), "n_previous": 0, "embedding_norm": False}

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
BIASED = {
    "attention.query": "qkv",
    "attention.key": "qkv",
    "attention.value": "qkv",
    "attention.output": "output",
    "feed_forward.gate": "feed_forward",
    "feed_forward.up": "feed_forward",
    "feed_forward.down": "feed_forward",
}


def has(config: Any, *free: str, **wanted: Any) -> bool:
    """Whether a config is a decoder of this shape, but for settings that are free or wanted otherwise."""
    settings = {name: value for name, value in (SHAPE | PLAIN | wanted).items() if name not in free}
    return isinstance(config, GPTConfig) and all(
        getattr(config, name) == value for name, value in settings.items()
    )


def biases(config: GPTConfig) -> tuple[bool, bool, bool]:
    """Of queries, keys and values; of attention's output; of the feed-forward."""
    return config.has_bias("qkv"), config.has_bias("output"), config.has_bias("feed_forward")


def public_shape(config: GPTConfig) -> dict[str, Any]:
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


def shape_of(table: PublicConfig, tied: bool = False) -> dict[str, Any]:
    """Our settings, from the fields all of these families share; `tied` is what the family does when config.json does not say."""
    table.must_be("hidden_act", "silu")
    table.must_be("partial_rotary_factor", 1.0)
    d_model, n_head = table.integer("hidden_size"), table.integer("num_attention_heads")
    base, scaling = _rotary(table)
    return {
        "vocab_size": table.integer("vocab_size"),
        "d_model": d_model,
        "d_ff": table.integer("intermediate_size"),
        "n_layer": table.integer("num_hidden_layers", highest=1000),
        "n_head": n_head,
        "n_kv_head": table.integer("num_key_value_heads", n_head),
        "head_dim": table.integer("head_dim", max(1, d_model // n_head)),
        "context_length": table.integer("max_position_embeddings"),
        "norm_eps": table.real("rms_norm_eps", 1e-6),
        "rotary_base": base,
        "rotary_scaling": scaling,
        "tied": table.flag("tie_word_embeddings", tied),
        "qk_norm": False,
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


def _rotary(table: PublicConfig) -> tuple[float, RotaryScaling | None]:
    """transformers writes `rope_parameters` since version 5, and `rope_theta` beside `rope_scaling` before."""
    written = table.get("rope_parameters") or table.get("rope_scaling") or {}
    if not isinstance(written, dict):
        raise table.refused("rope_scaling", "a table is expected")
    rope = PublicConfig(written, f"{table.source}: rope_scaling")
    base = rope.real("rope_theta") if "rope_theta" in rope else table.real("rope_theta", 10_000.0)
    rope.must_be("partial_rotary_factor", 1.0)
    kind = rope.one_of(
        "rope_type" if "rope_type" in rope else "type",
        {"default": None, "linear": "linear", "llama3": "llama3"},
        "default",
    )
    if kind is None:
        return base, None
    if kind == "linear":
        return base, RotaryScaling(kind="linear", factor=rope.real("factor"))
    return base, RotaryScaling(
        kind="llama3",
        factor=rope.real("factor"),
        low=rope.real("low_freq_factor"),
        high=rope.real("high_freq_factor"),
        original_length=rope.integer("original_max_position_embeddings"),
    )


def weights(config: GPTConfig) -> list[Weight]:
    return [
        Weight(("embedding.weight",), "model.embed_tokens.weight"),
        *(
            weight
            for i in range(config.n_layer)
            for weight in _layer(f"blocks.{i}.", f"model.layers.{i}.", config)
        ),
        Weight(("norm.weight",), "model.norm.weight"),
        *([] if config.tied else [Weight(("head.weight",), "lm_head.weight")]),
    ]


def _layer(ours: str, theirs: str, config: GPTConfig) -> list[Weight]:
    names = {
        a: b
        for a, b in LAYER.items()
        if config.qk_norm or not a.endswith(("query_norm", "key_norm"))
    }
    biased = [a for a, part in BIASED.items() if config.has_bias(part)]  # type: ignore[arg-type]
    return [
        *(Weight((f"{ours}{a}.weight",), f"{theirs}{b}.weight") for a, b in names.items()),
        *(Weight((f"{ours}{a}.bias",), f"{theirs}{names[a]}.bias") for a in biased),
    ]


def expresses(config: Any) -> bool:
    if not has(config, "rotary_scaling") or config.d_model % config.n_head:
        return False
    qkv, output, _ = biases(config)
    return qkv == output


def to_public(config: GPTConfig) -> dict[str, Any]:
    attention, _, feed_forward = biases(config)
    return public_shape(config) | {"attention_bias": attention, "mlp_bias": feed_forward}


def from_public(table: PublicConfig) -> GPTConfig:
    attention, feed_forward = table.flag("attention_bias", False), table.flag("mlp_bias", False)
    return GPTConfig(**shape_of(table), bias=named_biases(attention, attention, feed_forward))


def named_biases(qkv: bool, output: bool, feed_forward: bool) -> Any:
    return (
        tuple(
            name
            for name, is_there in (("qkv", qkv), ("output", output), ("feed_forward", feed_forward))
            if is_there
        )
        or False
    )


LLAMA = Family(
    "llama",
    ("LlamaForCausalLM",),
    expresses,
    to_public,
    from_public,
    weights,
    ignored_suffixes=("rotary_emb.inv_freq",),
)
