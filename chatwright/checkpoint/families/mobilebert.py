"""MobileBERT (Sun et al. 2020): narrow blocks in a wide stream, several feed-forwards in each, and a scale and a shift instead of norms."""

from typing import Any

from chatwright.checkpoint.families import bert
from chatwright.checkpoint.families import encoder_fields as fields
from chatwright.checkpoint.family import Family, Weight
from chatwright.checkpoint.public_config import PublicConfig
from chatwright.model.encoder_config import EncoderConfig

NARROWED = {
    "narrowed.linear": "bottleneck.input.dense",
    "narrowed.norm": "bottleneck.input.LayerNorm",
}
ASKING = {
    "asking.linear": "bottleneck.attention.dense",
    "asking.norm": "bottleneck.attention.LayerNorm",
}
ATTENTION = {ours: theirs for ours, theirs in bert.LAYER.items() if ours.startswith("attention")}
WIDEN = {"widen": "output.bottleneck.dense", "norm": "output.bottleneck.LayerNorm"}
MASKED = {
    "head.dense": "cls.predictions.transform.dense",
    "head.norm": "cls.predictions.transform.LayerNorm",
}


def expresses(config: Any) -> bool:
    return (
        fields.has_shape(
            config, norm="affine", position_offset=0, wide_head=True, projected="words"
        )
        and config.bottleneck > 0
        and config.n_distinct_block == config.n_layer
        and config.n_token_type > 0
        and config.pooler in ("tanh", "none")
        and (config.trigram_input or config.d_embedding != config.d_model)
    )


def to_public(config: EncoderConfig) -> dict[str, Any]:
    return bert.to_public(config) | {
        "architectures": [fields.class_name(config, "MobileBert")],
        "embedding_size": config.d_embedding,
        "trigram_input": config.trigram_input,
        "use_bottleneck": True,
        "intra_bottleneck_size": config.bottleneck,
        "use_bottleneck_attention": config.bottleneck_values,
        "key_query_shared_bottleneck": not config.bottleneck_values,
        "num_feedforward_networks": config.n_feed_forward,
        "normalization_type": "no_norm",
        "classifier_activation": config.pooler == "tanh",
    }


def from_public(table: PublicConfig) -> EncoderConfig:
    for name, value in (
        ("use_bottleneck", True),
        ("normalization_type", "no_norm"),
        ("tie_word_embeddings", True),
    ):
        table.must_be(name, value)
    has_bottleneck_values, bottleneck = (
        table.flag("use_bottleneck_attention", False),
        table.integer("intra_bottleneck_size", 128),
    )
    if not table.flag("key_query_shared_bottleneck", True) and not has_bottleneck_values:
        raise table.refused(
            "key_query_shared_bottleneck",
            "queries and keys as wide as the stream are not known here",
        )
    shape = fields.shape_of(table)
    shape |= {
        "norm": "affine",
        "head_dim": bottleneck // shape["n_head"],
        "embedding_size": table.integer("embedding_size", 128),
    }
    return EncoderConfig(
        **shape,
        projected="words",
        trigram_input=table.flag("trigram_input", True),
        bottleneck=bottleneck,
        bottleneck_values=has_bottleneck_values,
        n_feed_forward=table.integer("num_feedforward_networks", 4, highest=100),
        wide_head=True,
        pooler="tanh" if table.flag("classifier_activation", True) else "none",
        n_token_type=table.integer("type_vocab_size", 2),
        norm_eps=table.real("layer_norm_eps", 1e-12),
        label_dropout=fields.label_dropout(table, "classifier_dropout"),
    )


def weights(config: EncoderConfig) -> list[Weight]:
    prefix = "" if config.head == "none" else "mobilebert."
    body = [
        *fields.matrices(bert.EMBEDDINGS, theirs=f"{prefix}embeddings."),
        *fields.pairs(
            {"embedding_norm": "LayerNorm", "projection": "embedding_transformation"},
            theirs=f"{prefix}embeddings.",
        ),
        *(
            w
            for i in range(config.n_layer)
            for w in _layer(config, f"blocks.{i}.", f"{prefix}encoder.layer.{i}.")
        ),
    ]
    pooler = {"label_head.dense": f"{prefix}pooler.dense"} if config.pooler == "tanh" else {}
    match config.head:
        case "masked_lm":
            extra = (
                [Weight(("head.extra",), "cls.predictions.dense.weight", transposed=True)]
                if config.d_embedding < config.d_model
                else []
            )
            return [
                *body,
                *fields.pairs(MASKED),
                Weight(("head.bias",), "cls.predictions.bias"),
                *extra,
            ]
        case "labels":
            return [*body, *fields.pairs(pooler | {"label_head.labels": "classifier"})]
        case _:
            return [*body, *fields.pairs(pooler)]


def _layer(config: EncoderConfig, ours: str, theirs: str) -> list[Weight]:
    last = config.n_feed_forward - 1
    places = [f"ffn.{j}." for j in range(last)] + [""]
    stack = [
        {
            f"feed_forwards.{j}.up": f"{place}intermediate.dense",
            f"feed_forwards.{j}.down": f"{place}output.dense",
            f"feed_forward_norms.{j}": f"{place}output.LayerNorm",
        }
        for j, place in enumerate(places)
    ]
    tables = [NARROWED, *([] if config.bottleneck_values else [ASKING]), ATTENTION, *stack, WIDEN]
    return [weight for table in tables for weight in fields.pairs(table, ours, theirs)]


MOBILEBERT = Family(
    "mobilebert",
    (
        "MobileBertForMaskedLM",
        "MobileBertForPreTraining",
        "MobileBertForSequenceClassification",
        "MobileBertModel",
    ),
    expresses,
    to_public,
    from_public,
    weights,
    ignored_suffixes=fields.IGNORED,
)
