"""GPT-2 (Radford et al. 2019): pre-norm layers, learned positions, GELU, biases.

Files store the transposes of matrices, and query, key and value as one matrix.
"""

from typing import Any

from chatwright.checkpoint.family import Family, Weight
from chatwright.checkpoint.public_config import PublicConfig
from chatwright.model.gpt_config import GPTConfig

SHAPE = {
    "head": "language_model",
    "norm": "layer",
    "qk_norm": False,
    "bias": True,
    "position": "learned",
    "window": 0,
    "sandwich_norm": False,
    "query_pre_attn_scalar": 0,
    "window_rotary_base": 0.0,
    "embedding_scale": False,
    "ngrams": (),
    "n_previous": 0,
    "embedding_norm": False,
}
# Our name -> name in config.json.
PUBLIC_ACTIVATIONS = {
    "gelu": "gelu_new",
    "gelu_exact": "gelu",
    "relu": "relu",
    "silu": "silu",
}
# Name in config.json -> our name.
ACTIVATIONS = {
    "gelu_new": "gelu",
    "gelu": "gelu_exact",
    "gelu_pytorch_tanh": "gelu",
    "gelu_fast": "gelu",
    "relu": "relu",
    "silu": "silu",
    "swish": "silu",
}
QKV = ("attention.query", "attention.key", "attention.value")


def has_shape(config: Any, norm_first: bool) -> bool:
    """Return whether a model has GPT-2's shape, with pre-norm or else post-norm layers."""
    return (
        isinstance(config, GPTConfig)
        and all(getattr(config, name) == value for name, value in SHAPE.items())
        and config.norm_first == norm_first
        and config.activation in PUBLIC_ACTIVATIONS
        and config.n_kv_head == config.n_head
        and config.n_head * config.head_dim == config.d_model
    )


def public_shape(config: GPTConfig) -> dict[str, Any]:
    """Return the fields of config.json that GPT-1 and GPT-2 share."""
    return {
        "vocab_size": config.vocab_size,
        "n_positions": config.context_length,
        "n_embd": config.d_model,
        "n_layer": config.n_layer,
        "n_head": config.n_head,
        "layer_norm_epsilon": config.norm_eps,
        "resid_pdrop": config.dropout,
        "embd_pdrop": config.embedding_dropout,
        "attn_pdrop": 0.0,
        "initializer_range": 0.02,
        "tie_word_embeddings": config.tied,
    }


def read_shape(public: PublicConfig) -> dict[str, Any]:
    """Return our settings from the fields that GPT-1 and GPT-2 share."""
    d_model, n_head = public.integer("n_embd"), public.integer("n_head")
    if d_model % n_head:
        raise public.error("n_embd", f"expected a multiple of n_head ({n_head})")
    return {
        "vocab_size": public.integer("vocab_size"),
        "context_length": public.integer("n_positions"),
        "d_model": d_model,
        "n_layer": public.integer("n_layer", highest=1000),
        "n_head": n_head,
        "n_kv_head": n_head,
        "head_dim": d_model // n_head,
        "norm": "layer",
        "norm_eps": public.real("layer_norm_epsilon", 1e-5),
        "qk_norm": False,
        "bias": True,
        "position": "learned",
        "dropout": public.real("resid_pdrop", 0.0),
        "embedding_dropout": public.real("embd_pdrop", 0.0),
        "tied": public.flag("tie_word_embeddings", True),
    }


def layer_weights(i: int) -> list[Weight]:
    """Return the tensors of layer `i`, which have the same names in GPT-1 and GPT-2."""

    def weight_and_bias(names: tuple[str, ...], public: str, transposed: bool) -> list[Weight]:
        weights = tuple(f"blocks.{i}.{name}.weight" for name in names)
        biases = tuple(f"blocks.{i}.{name}.bias" for name in names)
        return [
            Weight(weights, f"transformer.h.{i}.{public}.weight", transposed),
            Weight(biases, f"transformer.h.{i}.{public}.bias"),
        ]

    return [
        *weight_and_bias(("attention_norm",), "ln_1", transposed=False),
        *weight_and_bias(QKV, "attn.c_attn", transposed=True),
        *weight_and_bias(("attention.output",), "attn.c_proj", transposed=True),
        *weight_and_bias(("feed_forward_norm",), "ln_2", transposed=False),
        *weight_and_bias(("feed_forward.up",), "mlp.c_fc", transposed=True),
        *weight_and_bias(("feed_forward.down",), "mlp.c_proj", transposed=True),
    ]


def supports(config: Any) -> bool:
    """Return whether GPT-2's files can hold a model with these settings."""
    return has_shape(config, norm_first=True)


def to_public(config: GPTConfig) -> dict[str, Any]:
    """Return GPT-2's fields of config.json."""
    return public_shape(config) | {
        "activation_function": PUBLIC_ACTIVATIONS[config.activation],
        "n_inner": config.d_ff,
    }


def from_public(public: PublicConfig) -> GPTConfig:
    """Convert GPT-2's config.json to our settings."""
    public.must_be("scale_attn_weights", True)
    public.must_be("scale_attn_by_inverse_layer_idx", False)
    public.must_be("add_cross_attention", False)
    shape = read_shape(public)
    return GPTConfig(
        **shape,
        d_ff=public.integer("n_inner", 4 * shape["d_model"]),
        activation=public.one_of("activation_function", ACTIVATIONS, "gelu_new"),
    )


def weights(config: GPTConfig) -> list[Weight]:
    """Return the tensors of a GPT-2 file."""
    head = [] if config.tied else [Weight(("head.weight",), "lm_head.weight")]
    return [
        Weight(("embedding.weight",), "transformer.wte.weight"),
        Weight(("position_embedding.weight",), "transformer.wpe.weight"),
        *(weight for i in range(config.n_layer) for weight in layer_weights(i)),
        Weight(("norm.weight",), "transformer.ln_f.weight"),
        Weight(("norm.bias",), "transformer.ln_f.bias"),
        *head,
    ]


# The oldest files leave out the prefix of names and also store the causal mask.
GPT2 = Family(
    "gpt2",
    ("GPT2LMHeadModel",),
    supports,
    to_public,
    from_public,
    weights,
    prefix="transformer.",
    ignored_suffixes=(".attn.bias", ".attn.masked_bias"),
)
