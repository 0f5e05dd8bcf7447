"""ALBERT (Lan et al. 2019): layers share blocks, and embeddings are smaller than d_model."""

from typing import Any

from chatwright.checkpoint.families import bert
from chatwright.checkpoint.families import encoder_fields as fields
from chatwright.checkpoint.family import Family, Weight
from chatwright.checkpoint.public_config import PublicConfig
from chatwright.model.encoder_config import EncoderConfig

# Our names -> ALBERT's names.
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
MASKED_LM_HEAD = {"head.dense": "predictions.dense", "head.norm": "predictions.LayerNorm"}
LABEL_HEAD = {"label_head.dense": "albert.pooler", "label_head.labels": "classifier"}
POOLER = {"label_head.dense": "pooler"}


def supports(config: Any) -> bool:
    """Return whether ALBERT's files can hold a model with these settings."""
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
    """Return ALBERT's fields of config.json."""
    public = bert.to_public(config)
    return public | {
        "architectures": [fields.class_name(config, "Albert")],
        "embedding_size": config.embedding_size,
        "inner_group_num": 1,
        "num_hidden_groups": config.n_distinct_block,
        "classifier_dropout_prob": public.pop("classifier_dropout"),
    }


def from_public(public: PublicConfig) -> EncoderConfig:
    """Convert ALBERT's config.json to our settings."""
    public.must_be("inner_group_num", 1)
    public.must_be("tie_word_embeddings", True)
    public.must_be("position_embedding_type", "absolute")
    shape = fields.read_shape(public)
    embedding_size = public.integer("embedding_size", 128)
    if embedding_size == shape["d_model"]:
        raise public.error("embedding_size", "only a size other than hidden_size is supported")
    return EncoderConfig(
        **shape,
        n_block=public.integer("num_hidden_groups", 1),
        embedding_size=embedding_size,
        pooler="tanh",
        n_token_type=public.integer("type_vocab_size", 2),
        norm_eps=public.real("layer_norm_eps", 1e-12),
        label_dropout=fields.read_label_dropout(public, "classifier_dropout_prob"),
    )


def weights(config: EncoderConfig) -> list[Weight]:
    """Return the tensors of an ALBERT file."""
    prefix = "" if config.head == "none" else "albert."
    outside_layers = {
        "embedding_norm": f"{prefix}embeddings.LayerNorm",
        "projection": f"{prefix}encoder.embedding_hidden_mapping_in",
    }
    trunk = [
        *fields.single_weights(bert.EMBEDDINGS, public_prefix=f"{prefix}embeddings."),
        *fields.layer_weights(outside_layers),
    ]
    for i in range(config.n_distinct_block):
        public_prefix = f"{prefix}encoder.albert_layer_groups.{i}.albert_layers.0."
        trunk += fields.layer_weights(LAYER, f"blocks.{i}.", public_prefix)
    match config.head:
        case "masked_lm":
            head = fields.layer_weights(MASKED_LM_HEAD)
            return [*trunk, *head, Weight(("head.bias",), "predictions.bias")]
        case "labels":
            return [*trunk, *fields.layer_weights(LABEL_HEAD)]
        case _:
            return [*trunk, *fields.layer_weights(POOLER)]


ALBERT = Family(
    "albert",
    ("AlbertForMaskedLM", "AlbertForPreTraining", "AlbertForSequenceClassification", "AlbertModel"),
    supports,
    to_public,
    from_public,
    weights,
    ignored_suffixes=fields.IGNORED,
)
