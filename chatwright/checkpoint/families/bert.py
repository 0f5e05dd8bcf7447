"""BERT (Devlin et al. 2018): post-norm, learned positions, two token types, a tanh pooler.

Dropout of attention weights, which matters only in training, is not supported.
"""

from typing import Any

from chatwright.checkpoint.families import encoder_fields as fields
from chatwright.checkpoint.family import Family, Weight
from chatwright.checkpoint.public_config import PublicConfig
from chatwright.model.encoder_config import EncoderConfig

# Our names -> BERT's names.
EMBEDDINGS = {
    "embedding.weight": "word_embeddings.weight",
    "position_embedding.weight": "position_embeddings.weight",
    "token_type_embedding.weight": "token_type_embeddings.weight",
}
LAYER = {
    "attention.query": "attention.self.query",
    "attention.key": "attention.self.key",
    "attention.value": "attention.self.value",
    "attention.output": "attention.output.dense",
    "attention_norm": "attention.output.LayerNorm",
    "feed_forward.up": "intermediate.dense",
    "feed_forward.down": "output.dense",
    "feed_forward_norm": "output.LayerNorm",
}
MASKED_LM_HEAD = {"head.dense": "transform.dense", "head.norm": "transform.LayerNorm"}
LABEL_HEAD = {"label_head.dense": "bert.pooler.dense", "label_head.labels": "classifier"}
POOLER = {"label_head.dense": "pooler.dense"}


def supports(config: Any) -> bool:
    """Return whether BERT's files can hold a model with these settings."""
    return (
        fields.has_shape(config, norm="layer", position_offset=0, wide_head=False)
        and fields.has_plain_layers(config)
        and config.n_token_type > 0
        and (config.pooler == "tanh" or config.head == "masked_lm")
    )


def to_public(config: EncoderConfig) -> dict[str, Any]:
    """Return BERT's fields of config.json."""
    return {
        "architectures": [fields.class_name(config, "Bert")],
        "vocab_size": config.vocab_size,
        "hidden_size": config.d_model,
        "num_hidden_layers": config.n_layer,
        "num_attention_heads": config.n_head,
        "intermediate_size": config.d_ff,
        "hidden_act": fields.public_activation(config),
        "max_position_embeddings": config.position_offset + config.context_length,
        "type_vocab_size": config.n_token_type,
        "layer_norm_eps": config.norm_eps,
        "hidden_dropout_prob": config.dropout,
        "attention_probs_dropout_prob": 0.0,
        "classifier_dropout": config.label_dropout,
        "initializer_range": 0.02,
        "tie_word_embeddings": True,
    } | fields.label_fields(config)


def from_public(public: PublicConfig, position_offset: int = 0) -> EncoderConfig:
    """Convert config.json to our settings. The first token has the position `position_offset`."""
    public.must_be("position_embedding_type", "absolute")
    public.must_be("is_decoder", False)
    public.must_be("tie_word_embeddings", True)
    shape = fields.read_shape(public)
    if shape["context_length"] <= position_offset:
        raise public.error(
            "max_position_embeddings",
            f"expected more than {position_offset}, the position of the first token",
        )
    shape["context_length"] -= position_offset
    return EncoderConfig(
        **shape,
        position_offset=position_offset,
        pooler="tanh",
        n_token_type=public.integer("type_vocab_size", 2),
        norm_eps=public.real("layer_norm_eps", 1e-12),
        label_dropout=fields.read_label_dropout(public, "classifier_dropout"),
    )


def weights(config: EncoderConfig) -> list[Weight]:
    """Return how our weights map to the tensors of a BERT file."""
    match config.head:
        case "masked_lm":
            return [
                *trunk_weights(config, "bert."),
                *fields.layer_weights(MASKED_LM_HEAD, public_prefix="cls.predictions."),
                Weight(("head.bias",), "cls.predictions.bias"),
            ]
        case "labels":
            return [*trunk_weights(config, "bert."), *fields.layer_weights(LABEL_HEAD)]
        case _:
            return [*trunk_weights(config, ""), *fields.layer_weights(POOLER)]


def trunk_weights(config: EncoderConfig, prefix: str) -> list[Weight]:
    """Return the mapping of all weights but the head's; public names begin with `prefix`."""
    norm = {"embedding_norm": f"{prefix}embeddings.LayerNorm"}
    listed = [
        *fields.single_weights(EMBEDDINGS, public_prefix=f"{prefix}embeddings."),
        *fields.layer_weights(norm),
    ]
    for i in range(config.n_layer):
        listed += fields.layer_weights(LAYER, f"blocks.{i}.", f"{prefix}encoder.layer.{i}.")
    return listed


BERT = Family(
    "bert",
    ("BertForMaskedLM", "BertForPreTraining", "BertForSequenceClassification", "BertModel"),
    supports,
    to_public,
    from_public,
    weights,
    ignored_suffixes=fields.IGNORED,
)
