"""BERT (Devlin et al. 2018): post-norm, learned positions, two token types, a pooler with tanh before the labels.

Dropout of attention weights is not known here; it matters in training only.
"""

from typing import Any

from chatwright.checkpoint.families import encoder_fields as fields
from chatwright.checkpoint.family import Family, Weight
from chatwright.checkpoint.public_config import PublicConfig
from chatwright.model.encoder_config import EncoderConfig

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
MASKED = {"head.dense": "transform.dense", "head.norm": "transform.LayerNorm"}


def expresses(config: Any) -> bool:
    return (
        fields.has_shape(config, norm="layer", position_offset=0, wide_head=False)
        and fields.is_plain(config)
        and config.n_token_type > 0
        and (config.pooler == "tanh" or config.head == "masked_lm")
    )


def to_public(config: EncoderConfig) -> dict[str, Any]:
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
    } | fields.label_table(config)


def from_public(table: PublicConfig, position_offset: int = 0) -> EncoderConfig:
    for name, value in (
        ("position_embedding_type", "absolute"),
        ("is_decoder", False),
        ("tie_word_embeddings", True),
    ):
        table.must_be(name, value)
    shape = fields.shape_of(table)
    if shape["context_length"] <= position_offset:
        raise table.refused(
            "max_position_embeddings",
            f"more than the {position_offset} places before the first are expected",
        )
    return EncoderConfig(
        **(shape | {"context_length": shape["context_length"] - position_offset}),
        position_offset=position_offset,
        pooler="tanh",
        n_token_type=table.integer("type_vocab_size", 2),
        norm_eps=table.real("layer_norm_eps", 1e-12),
        label_dropout=fields.label_dropout(table, "classifier_dropout"),
    )


def weights(config: EncoderConfig) -> list[Weight]:
    body = body_weights(config, "bert.")
    match config.head:
        case "masked_lm":
            return [
                *body,
                *fields.pairs(MASKED, theirs="cls.predictions."),
                Weight(("head.bias",), "cls.predictions.bias"),
            ]
        case "labels":
            return [
                *body,
                *fields.pairs(
                    {"label_head.dense": "bert.pooler.dense", "label_head.labels": "classifier"}
                ),
            ]
        case _:
            return [*body_weights(config, ""), *fields.pairs({"label_head.dense": "pooler.dense"})]


def body_weights(config: EncoderConfig, prefix: str) -> list[Weight]:
    return [
        *fields.matrices(EMBEDDINGS, theirs=f"{prefix}embeddings."),
        *fields.pairs({"embedding_norm": f"{prefix}embeddings.LayerNorm"}),
        *(
            w
            for i in range(config.n_layer)
            for w in fields.pairs(LAYER, f"blocks.{i}.", f"{prefix}encoder.layer.{i}.")
        ),
    ]


BERT = Family(
    "bert",
    ("BertForMaskedLM", "BertForPreTraining", "BertForSequenceClassification", "BertModel"),
    expresses,
    to_public,
    from_public,
    weights,
    ignored_suffixes=fields.IGNORED,
)
