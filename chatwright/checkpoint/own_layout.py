"""Names in the files of models whose settings no family of transformers supports.

Every parameter is stored once. Decoders use Qwen 3's names for parameters; other models use ours.
"""

from typing import Any

from chatwright.checkpoint import architectures
from chatwright.checkpoint.families.encoder_fields import label_fields
from chatwright.checkpoint.family import Weight
from chatwright.model.encoder_config import EncoderConfig
from chatwright.model.gpt import GPT
from chatwright.model.gpt_config import GPTConfig
from chatwright.model.model import Model, ModelConfig

MODEL_TYPE = "chatwright"

# Part of our parameter's name -> part of the stored name, in the order of replacement.
RENAMES = [
    ("blocks.", "model.layers."),
    (".attention.query_norm.", ".self_attn.q_norm."),
    (".attention.key_norm.", ".self_attn.k_norm."),
    (".attention.query.", ".self_attn.q_proj."),
    (".attention.key.", ".self_attn.k_proj."),
    (".attention.value.", ".self_attn.v_proj."),
    (".attention.output.", ".self_attn.o_proj."),
    (".attention_norm.", ".input_layernorm."),
    (".feed_forward_norm.", ".post_attention_layernorm."),
    (".feed_forward.", ".mlp."),
    (".gate.", ".gate_proj."),
    (".up.", ".up_proj."),
    (".down.", ".down_proj."),
    ("position_embedding.", "model.embed_positions."),
    ("embedding.", "model.embed_tokens."),
    ("head.", "lm_head."),
    # transformers uses this name for the output layer of classifiers and reward models.
    ("label_head.labels.", "score."),
    ("scalar_head.score.", "score."),
]


def settings(config: ModelConfig) -> dict[str, Any]:
    """Return the fields of config.json that other tools read.

    From these fields, other tools see that they do not know the model, and what its labels mean.
    """
    labels = label_fields(config) if isinstance(config, EncoderConfig | GPTConfig) else {}
    return {
        "architectures": [f"Chatwright-{architectures.for_config(config).name}"],
        "model_type": MODEL_TYPE,
        "vocab_size": config.vocab_size,
    } | labels


def weights(model: Model) -> list[Weight]:
    """Return the stored name of every parameter."""
    return [
        Weight((name,), _stored_name(name) if isinstance(model, GPT) else name)
        for name, _ in model.named_parameters()
    ]


def _stored_name(name: str) -> str:
    for old, new in RENAMES:
        if name.startswith(old) or (old.startswith(".") and old in name):
            name = name.replace(old, new, 1)
    return "model." + name if name.startswith("norm.") else name
