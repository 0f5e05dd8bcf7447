"""ALBERT (Lan et al. 2019): one block serves many layers, and embeddings are narrower than the stream."""

from typing import Any

from chatwright.checkpoint.families import bert
from chatwright.checkpoint.families import encoder_fields as fields
from chatwright.checkpoint.family import Family, Weight
from chatwright.checkpoint.public_config import PublicConfig
from chatwright.model.encoder_config import EncoderConfig

LAYER = {
    "attention.query": "attention.query",
    "attention.key": "attention.key",
    "attention.value": "attention.value",
    "attention.output": "attention.dense",
    "attention_norm": "attention.LayerNorm",
    "feed_forward.up": "ffn",
    "feed_forward.down": "ffn_output",
    "feed_forward_norm": "full_layer_layer_norm",
}
MASKED = {"head.dense": "predictions.dense", "head.norm": "predictions.LayerNorm"}


def expresses(config: Any) -> bool:
    return (
        fields.has_shape(
            config,
            norm="layer",
            position_offset=0,
            wide_head=False,
            bottleneck=0,
            trigram_input=False,
            projected="sum",
        )
        and config.embedding_size not in (0, config.d_model)
        and config.n_head * config.head_dim == config.d_model
        and config.n_token_type > 0
        and (config.pooler == "tanh" or config.head == "masked_lm")
    )


def to_public(config: EncoderConfig) -> dict[str, Any]:
    public = bert.to_public(config)
    return public | {
        "architectures": [fields.class_name(config, "Albert")],
        "embedding_size": config.embedding_size,
        "inner_group_num": 1,
        "num_hidden_groups": config.n_distinct_block,
        "classifier_dropout_prob": public.pop("classifier_dropout"),
    }


def from_public(table: PublicConfig) -> EncoderConfig:
    for name, value in (
        ("inner_group_num", 1),
        ("tie_word_embeddings", True),
        ("position_embedding_type", "absolute"),
    ):
        table.must_be(name, value)
    shape, embedding_size = fields.shape_of(table), table.integer("embedding_size", 128)
    if embedding_size == shape["d_model"]:
        raise table.refused(
            "embedding_size",
            "an ALBERT whose embeddings are as wide as its stream is not known here",
        )
    return EncoderConfig(
        **shape,
        n_block=table.integer("num_hidden_groups", 1),
        embedding_size=embedding_size,
        pooler="tanh",
        n_token_type=table.integer("type_vocab_size", 2),
        norm_eps=table.real("layer_norm_eps", 1e-12),
        label_dropout=fields.label_dropout(table, "classifier_dropout_prob"),
    )


def weights(config: EncoderConfig) -> list[Weight]:
    prefix = "" if config.head == "none" else "albert."
    body = [
        *fields.matrices(bert.EMBEDDINGS, theirs=f"{prefix}embeddings."),
        *fields.pairs({"embedding_norm": f"{prefix}embeddings.LayerNorm"}),
        *fields.pairs({"projection": f"{prefix}encoder.embedding_hidden_mapping_in"}),
        *(
            w
            for i in range(config.n_distinct_block)
            for w in fields.pairs(
                LAYER, f"blocks.{i}.", f"{prefix}encoder.albert_layer_groups.{i}.albert_layers.0."
            )
        ),
    ]
    match config.head:
        case "masked_lm":
            return [*body, *fields.pairs(MASKED), Weight(("head.bias",), "predictions.bias")]
        case "labels":
            return [
                *body,
                *fields.pairs(
                    {"label_head.dense": "albert.pooler", "label_head.labels": "classifier"}
                ),
            ]
        case _:
            return [*body, *fields.pairs({"label_head.dense": "pooler"})]


ALBERT = Family(
    "albert",
    ("AlbertForMaskedLM", "AlbertForPreTraining", "AlbertForSequenceClassification", "AlbertModel"),
    expresses,
    to_public,
    from_public,
    weights,
    ignored_suffixes=fields.IGNORED,
)
