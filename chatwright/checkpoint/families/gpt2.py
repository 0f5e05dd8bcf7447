"""GPT-2 (Radford et al. 2019): layer norm before, learned positions, GELU, biases everywhere; matrices are kept transposed, q, k and v as one."""

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
    "ngrams": (),
    "n_previous": 0,
    "embedding_norm": False,
}
ACTIVATIONS = {
    "gelu": "gelu_new",
    "gelu_exact": "gelu",
    "relu": "relu",
    "silu": "silu",
}  # ours -> theirs
READ = {
    "gelu_new": "gelu",
    "gelu": "gelu_exact",
    "gelu_pytorch_tanh": "gelu",
    "gelu_fast": "gelu",
    "relu": "relu",
    "silu": "silu",
    "swish": "silu",
}
QKV = ("attention.query", "attention.key", "attention.value")


def has(config: Any, norm_first: bool) -> bool:
    return (
        isinstance(config, GPTConfig)
        and all(getattr(config, name) == value for name, value in SHAPE.items())
        and config.norm_first == norm_first
        and config.activation in ACTIVATIONS
        and config.n_kv_head == config.n_head
        and config.n_head * config.head_dim == config.d_model
    )


def public_shape(config: GPTConfig) -> dict[str, Any]:
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


def shape_of(table: PublicConfig) -> dict[str, Any]:
    d_model, n_head = table.integer("n_embd"), table.integer("n_head")
    if d_model % n_head:
        raise table.refused("n_embd", f"a multiple of n_head ({n_head}) is expected")
    return {
        "vocab_size": table.integer("vocab_size"),
        "context_length": table.integer("n_positions"),
        "d_model": d_model,
        "n_layer": table.integer("n_layer", highest=1000),
        "n_head": n_head,
        "n_kv_head": n_head,
        "head_dim": d_model // n_head,
        "norm": "layer",
        "norm_eps": table.real("layer_norm_epsilon", 1e-5),
        "qk_norm": False,
        "bias": True,
        "position": "learned",
        "dropout": table.real("resid_pdrop", 0.0),
        "embedding_dropout": table.real("embd_pdrop", 0.0),
        "tied": table.flag("tie_word_embeddings", True),
    }


def layer_weights(i: int) -> list[Weight]:
    def pair(ours: tuple[str, ...], theirs: str, transposed: bool) -> list[Weight]:
        names = tuple(f"blocks.{i}.{name}" for name in ours)
        return [
            Weight(
                tuple(f"{name}.weight" for name in names),
                f"transformer.h.{i}.{theirs}.weight",
                transposed,
            ),
            Weight(tuple(f"{name}.bias" for name in names), f"transformer.h.{i}.{theirs}.bias"),
        ]

    return [
        *pair(("attention_norm",), "ln_1", False),
        *pair(QKV, "attn.c_attn", True),
        *pair(("attention.output",), "attn.c_proj", True),
        *pair(("feed_forward_norm",), "ln_2", False),
        *pair(("feed_forward.up",), "mlp.c_fc", True),
        *pair(("feed_forward.down",), "mlp.c_proj", True),
    ]


def expresses(config: Any) -> bool:
    return has(config, norm_first=True)


def to_public(config: GPTConfig) -> dict[str, Any]:
    return public_shape(config) | {
        "activation_function": ACTIVATIONS[config.activation],
        "n_inner": config.d_ff,
    }


def from_public(table: PublicConfig) -> GPTConfig:
    for name, value in (
        ("scale_attn_weights", True),
        ("scale_attn_by_inverse_layer_idx", False),
        ("add_cross_attention", False),
    ):
        table.must_be(name, value)
    shape = shape_of(table)
    return GPTConfig(
        **shape,
        d_ff=table.integer("n_inner", 4 * shape["d_model"]),
        activation=table.one_of("activation_function", READ, "gelu_new"),
    )


def weights(config: GPTConfig) -> list[Weight]:
    return [
        Weight(("embedding.weight",), "transformer.wte.weight"),
        Weight(("position_embedding.weight",), "transformer.wpe.weight"),
        *(weight for i in range(config.n_layer) for weight in layer_weights(i)),
        Weight(("norm.weight",), "transformer.ln_f.weight"),
        Weight(("norm.bias",), "transformer.ln_f.bias"),
        *([] if config.tied else [Weight(("head.weight",), "lm_head.weight")]),
    ]


# The oldest files hold the causal mask beside the weights, and name everything without the first word.
GPT2 = Family(
    "gpt2",
    ("GPT2LMHeadModel",),
    expresses,
    to_public,
    from_public,
    weights,
    prefix="transformer.",
    ignored_suffixes=(".attn.bias", ".attn.masked_bias"),
)
