"""GPT-1 (Radford et al. 2018): as GPT-2 but for the norms, which come after, and for the last one, which is not there."""

from typing import Any

from chatwright.checkpoint.families import gpt2
from chatwright.checkpoint.family import Family, Weight
from chatwright.checkpoint.public_config import PublicConfig
from chatwright.model.gpt_config import GPTConfig

READ = {
    "gelu": "gelu",
    "relu": "relu",
    "silu": "silu",
    "swish": "silu",
}  # its "gelu" is the tanh form


def expresses(config: Any) -> bool:
    return (
        gpt2.has(config, norm_first=False)
        and config.activation in READ
        and config.d_ff == 4 * config.d_model
    )


def to_public(config: GPTConfig) -> dict[str, Any]:
    return gpt2.public_shape(config) | {"afn": config.activation}


def from_public(table: PublicConfig) -> GPTConfig:
    shape = gpt2.shape_of(table)
    return GPTConfig(
        **shape,
        d_ff=4 * shape["d_model"],
        norm_first=False,
        activation=table.one_of("afn", READ, "gelu"),
    )


def weights(config: GPTConfig) -> list[Weight]:
    return [
        Weight(("embedding.weight",), "transformer.tokens_embed.weight"),
        Weight(("position_embedding.weight",), "transformer.positions_embed.weight"),
        *(weight for i in range(config.n_layer) for weight in gpt2.layer_weights(i)),
        *([] if config.tied else [Weight(("head.weight",), "lm_head.weight")]),
    ]


GPT1 = Family(
    "openai-gpt",
    ("OpenAIGPTLMHeadModel",),
    expresses,
    to_public,
    from_public,
    weights,
    prefix="transformer.",
    ignored_suffixes=(".attn.bias",),
)
