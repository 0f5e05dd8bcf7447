"""GPT-1 (Radford et al. 2018): GPT-2 with post-norm layers and without a final norm."""

from typing import Any

from chatwright.checkpoint.families import gpt2
from chatwright.checkpoint.family import Family, Weight
from chatwright.checkpoint.public_config import PublicConfig
from chatwright.model.gpt_config import GPTConfig

# Name in config.json -> our name. GPT-1's "gelu" is the tanh form, as is ours.
ACTIVATIONS = {
    "gelu": "gelu",
    "relu": "relu",
    "silu": "silu",
    "swish": "silu",
}


def supports(config: Any) -> bool:
    """Return whether GPT-1's files can hold a model with these settings."""
    return (
        gpt2.has_shape(config, norm_first=False)
        and config.activation in ACTIVATIONS
        and config.d_ff == 4 * config.d_model
    )


def to_public(config: GPTConfig) -> dict[str, Any]:
    """Return GPT-1's fields of config.json."""
    return gpt2.public_shape(config) | {"afn": config.activation}


def from_public(public: PublicConfig) -> GPTConfig:
    """Convert GPT-1's config.json to our settings."""
    shape = gpt2.read_shape(public)
    return GPTConfig(
        **shape,
        d_ff=4 * shape["d_model"],
        norm_first=False,
        activation=public.one_of("afn", ACTIVATIONS, "gelu"),
    )


def weights(config: GPTConfig) -> list[Weight]:
    """Return the tensors of a GPT-1 file."""
    head = [] if config.tied else [Weight(("head.weight",), "lm_head.weight")]
    return [
        Weight(("embedding.weight",), "transformer.tokens_embed.weight"),
        Weight(("position_embedding.weight",), "transformer.positions_embed.weight"),
        *(weight for i in range(config.n_layer) for weight in gpt2.layer_weights(i)),
        *head,
    ]


GPT1 = Family(
    "openai-gpt",
    ("OpenAIGPTLMHeadModel",),
    supports,
    to_public,
    from_public,
    weights,
    prefix="transformer.",
    ignored_suffixes=(".attn.bias",),
)
