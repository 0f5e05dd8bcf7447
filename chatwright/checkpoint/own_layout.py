"""Our own layout, for shapes that no public family has: every parameter once, a decoder's under names like Qwen 3's, others' under our own."""

from typing import Any

from chatwright.checkpoint import architectures
from chatwright.checkpoint.families.encoder_fields import label_table
from chatwright.checkpoint.family import Weight
from chatwright.model.encoder_config import EncoderConfig
from chatwright.model.gpt import GPT
from chatwright.model.gpt_config import GPTConfig
from chatwright.model.model import Model, ModelConfig

MODEL_TYPE = "chatwright"

# our module path -> the name written, in the order the replacement is tried
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
    # As transformers calls the output of its classifiers and reward models on decoders.
    ("label_head.labels.", "score."),
    ("scalar_head.score.", "score."),
]


def settings(config: ModelConfig) -> dict[str, Any]:
    """config.json, but for our own settings: enough for other tools to say what they do not know, and the names of labels."""
    labels = label_table(config) if isinstance(config, EncoderConfig | GPTConfig) else {}
    return {
        "architectures": [f"Chatwright-{architectures.for_config(config).name}"],
        "model_type": MODEL_TYPE,
        "vocab_size": config.vocab_size,
    } | labels


def weights(model: Model) -> list[Weight]:
    return [
        Weight((name,), _written(name) if isinstance(model, GPT) else name)
        for name, _ in model.named_parameters()
    ]


def _written(name: str) -> str:
    for ours, theirs in RENAMES:
        if name.startswith(ours) or (ours.startswith(".") and ours in name):
            name = name.replace(ours, theirs, 1)
    return "model." + name if name.startswith("norm.") else name
