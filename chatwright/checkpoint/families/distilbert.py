"""DistilBERT (Sanh et al. 2019): BERT with half the layers, no token types, a ReLU pooler."""

from typing import Any

from chatwright.checkpoint.families import encoder_fields as fields
from chatwright.checkpoint.family import Family, Weight
from chatwright.checkpoint.public_config import PublicConfig
from chatwright.model.encoder_config import EncoderConfig

# Our names -> DistilBERT's names.
EMBEDDINGS = {
    "embedding.weight": "word_embeddings.weight",
    "position_embedding.weight": "position_embeddings.weight",
}
LAYER = {
    "attention.query": "attention.q_lin",
    "attention.key": "attention.k_lin",
    "attention.value": "attention.v_lin",
    "attention.output": "attention.out_lin",
    "attention_norm": "sa_layer_norm",
    "feed_forward.up": "ffn.lin1",
    "feed_forward.down": "ffn.lin2",
    "feed_forward_norm": "output_layer_norm",
}
MASKED_LM_HEAD = {"head.dense": "vocab_transform", "head.norm": "vocab_layer_norm"}
LABEL_HEAD = {"label_head.dense": "pre_classifier", "label_head.labels": "classifier"}
NORM_EPS = 1e-12


def supports(config: Any) -> bool:
    """Return whether DistilBERT's files can hold a model with these settings."""
    if not fields.has_shape(
        config,
        norm="layer",
        norm_eps=NORM_EPS,
        position_offset=0,
        n_token_type=0,
        wide_head=False,
    ):
        return False
    poolers = {"labels": ("relu",), "none": ("none",)}
    has_pooler = config.head not in poolers or config.pooler in poolers[config.head]
    return fields.has_plain_layers(config) and has_pooler


def to_public(config: EncoderConfig) -> dict[str, Any]:
    """Return DistilBERT's fields of config.json."""
    return {
        "architectures": [fields.class_name(config, "DistilBert")],
        "vocab_size": config.vocab_size,
        "dim": config.d_model,
        "n_layers": config.n_layer,
        "n_heads": config.n_head,
        "hidden_dim": config.d_ff,
        "activation": fields.public_activation(config),
        "max_position_embeddings": config.context_length,
        "sinusoidal_pos_embds": False,
        "dropout": config.dropout,
        "attention_dropout": 0.0,
        "seq_classif_dropout": config.label_dropout,
        "initializer_range": 0.02,
        "tie_word_embeddings": True,
    } | fields.label_fields(config)


def from_public(public: PublicConfig) -> EncoderConfig:
    """Convert config.json to our settings.

    Files also store sinusoidal positions as a tensor, which is read as learned positions.
    """
    public.must_be("tie_word_embeddings", True)
    public.get("sinusoidal_pos_embds")  # counts as read, so that it is not listed as unused
    shape = fields.read_shape(
        public, "dim", "n_layers", "n_heads", "hidden_dim", "activation", "dropout"
    )
    return EncoderConfig(
        **shape,
        norm_eps=NORM_EPS,
        pooler="none" if shape["head"] == "none" else "relu",
        label_dropout=public.real("seq_classif_dropout", 0.0),
    )


def weights(config: EncoderConfig) -> list[Weight]:
    """Return the tensors of a DistilBERT file."""
    prefix = "" if config.head == "none" else "distilbert."
    norm = {"embedding_norm": f"{prefix}embeddings.LayerNorm"}
    trunk = [
        *fields.single_weights(EMBEDDINGS, public_prefix=f"{prefix}embeddings."),
        *fields.layer_weights(norm),
    ]
    for i in range(config.n_layer):
        trunk += fields.layer_weights(LAYER, f"blocks.{i}.", f"{prefix}transformer.layer.{i}.")
    match config.head:
        case "masked_lm":
            head = fields.layer_weights(MASKED_LM_HEAD)
            return [*trunk, *head, Weight(("head.bias",), "vocab_projector.bias")]
        case "labels":
            return [*trunk, *fields.layer_weights(LABEL_HEAD)]
        case _:
            return trunk


DISTILBERT = Family(
    "distilbert",
    ("DistilBertForMaskedLM", "DistilBertForSequenceClassification", "DistilBertModel"),
    supports,
    to_public,
    from_public,
    weights,
    ignored_suffixes=fields.IGNORED,
)
