"""MobileBERT (Sun et al. 2020): blocks with a bottleneck and several feed-forward networks.

A scale and a shift replace layer normalization.
"""

from typing import Any

from chatwright.checkpoint.families import bert
from chatwright.checkpoint.families import encoder_fields as fields
from chatwright.checkpoint.family import Family, Weight
from chatwright.checkpoint.public_config import PublicConfig
from chatwright.model.encoder_config import EncoderConfig

# Our names -> MobileBERT's names.
BOTTLENECK_INPUT = {
    "narrowed.linear": "bottleneck.input.dense",
    "narrowed.norm": "bottleneck.input.LayerNorm",
}
BOTTLENECK_ATTENTION = {
    "asking.linear": "bottleneck.attention.dense",
    "asking.norm": "bottleneck.attention.LayerNorm",
}
ATTENTION = {name: public for name, public in bert.LAYER.items() if name.startswith("attention")}
BLOCK_OUTPUT = {"widen": "output.bottleneck.dense", "norm": "output.bottleneck.LayerNorm"}
EMBEDDING_LAYERS = {"embedding_norm": "LayerNorm", "projection": "embedding_transformation"}
MASKED_LM_HEAD = {
    "head.dense": "cls.predictions.transform.dense",
    "head.norm": "cls.predictions.transform.LayerNorm",
}


def supports(config: Any) -> bool:
    """Return whether MobileBERT's files can hold a model with these settings."""
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
    """Return MobileBERT's fields of config.json."""
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


def from_public(public: PublicConfig) -> EncoderConfig:
    """Convert MobileBERT's config.json to our settings."""
    public.must_be("use_bottleneck", True)
    public.must_be("normalization_type", "no_norm")
    public.must_be("tie_word_embeddings", True)
    bottleneck = public.integer("intra_bottleneck_size", 128)
    has_bottleneck_values = public.flag("use_bottleneck_attention", False)
    if not public.flag("key_query_shared_bottleneck", True) and not has_bottleneck_values:
        raise public.error(
            "key_query_shared_bottleneck", "queries and keys without a bottleneck are not supported"
        )
    shape = fields.read_shape(public)
    shape["norm"] = "affine"
    shape["head_dim"] = bottleneck // shape["n_head"]
    return EncoderConfig(
        **shape,
        embedding_size=public.integer("embedding_size", 128),
        projected="words",
        trigram_input=public.flag("trigram_input", True),
        bottleneck=bottleneck,
        bottleneck_values=has_bottleneck_values,
        n_feed_forward=public.integer("num_feedforward_networks", 4, highest=100),
        wide_head=True,
        pooler="tanh" if public.flag("classifier_activation", True) else "none",
        n_token_type=public.integer("type_vocab_size", 2),
        norm_eps=public.real("layer_norm_eps", 1e-12),
        label_dropout=fields.read_label_dropout(public, "classifier_dropout"),
    )


def weights(config: EncoderConfig) -> list[Weight]:
    """Return the tensors of a MobileBERT file."""
    prefix = "" if config.head == "none" else "mobilebert."
    trunk = [
        *fields.single_weights(bert.EMBEDDINGS, public_prefix=f"{prefix}embeddings."),
        *fields.layer_weights(EMBEDDING_LAYERS, public_prefix=f"{prefix}embeddings."),
    ]
    for i in range(config.n_layer):
        trunk += _layer(config, f"blocks.{i}.", f"{prefix}encoder.layer.{i}.")
    if config.head == "masked_lm":
        return [*trunk, *_masked_lm_head(config)]
    label_head = {"label_head.dense": f"{prefix}pooler.dense"} if config.pooler == "tanh" else {}
    if config.head == "labels":
        label_head["label_head.labels"] = "classifier"
    return [*trunk, *fields.layer_weights(label_head)]


def _masked_lm_head(config: EncoderConfig) -> list[Weight]:
    head = [*fields.layer_weights(MASKED_LM_HEAD), Weight(("head.bias",), "cls.predictions.bias")]
    if config.d_embedding < config.d_model:
        extra = Weight(("head.extra",), "cls.predictions.dense.weight", transposed=True)
        head.append(extra)
    return head


def _layer(config: EncoderConfig, prefix: str, public_prefix: str) -> list[Weight]:
    # The names of the last feed-forward network have no prefix ffn.
    public_names = [f"ffn.{j}." for j in range(config.n_feed_forward - 1)] + [""]
    feed_forward = {}
    for j, public in enumerate(public_names):
        feed_forward[f"feed_forwards.{j}.up"] = f"{public}intermediate.dense"
        feed_forward[f"feed_forwards.{j}.down"] = f"{public}output.dense"
        feed_forward[f"feed_forward_norms.{j}"] = f"{public}output.LayerNorm"
    query_key_input = {} if config.bottleneck_values else BOTTLENECK_ATTENTION
    names = BOTTLENECK_INPUT | query_key_input | ATTENTION | feed_forward | BLOCK_OUTPUT
    return fields.layer_weights(names, prefix, public_prefix)


MOBILEBERT = Family(
    "mobilebert",
    (
        "MobileBertForMaskedLM",
        "MobileBertForPreTraining",
        "MobileBertForSequenceClassification",
        "MobileBertModel",
    ),
    supports,
    to_public,
    from_public,
    weights,
    ignored_suffixes=fields.IGNORED,
)
