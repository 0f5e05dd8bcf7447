"""DistilBERT (Sanh et al. 2019): BERT with half the layers, no token types, and a relu instead of the pooler's tanh."""

from typing import Any

from chatwright.checkpoint.families import encoder_fields as fields
from chatwright.checkpoint.family import Family, Weight
from chatwright.checkpoint.public_config import PublicConfig
from chatwright.model.encoder_config import EncoderConfig

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
MASKED = {"head.dense": "vocab_transform", "head.norm": "vocab_layer_norm"}
LABELS = {"label_head.dense": "pre_classifier", "label_head.labels": "classifier"}
NORM_EPS = 1e-12


def expresses(config: Any) -> bool:
    return (
        fields.has_shape(
            config,
            norm="layer",
            norm_eps=NORM_EPS,
            position_offset=0,
            n_token_type=0,
            wide_head=False,
        )
        and fields.is_plain(config)
        and config.pooler == ("relu" if config.head == "labels" else config.pooler)
        and (config.head != "none" or config.pooler == "none")
    )


def to_public(config: EncoderConfig) -> dict[str, Any]:
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
    } | fields.label_table(config)


def from_public(table: PublicConfig) -> EncoderConfig:
    """Sine/cosine positions stand in the file like learned ones, and are read as these."""
    table.must_be("tie_word_embeddings", True)
    table.get("sinusoidal_pos_embds")
    shape = fields.shape_of(
        table, "dim", "n_layers", "n_heads", "hidden_dim", "activation", "dropout"
    )
    return EncoderConfig(
        **shape,
        norm_eps=NORM_EPS,
        pooler="none" if shape["head"] == "none" else "relu",
        label_dropout=table.real("seq_classif_dropout", 0.0),
    )


def weights(config: EncoderConfig) -> list[Weight]:
    prefix = "" if config.head == "none" else "distilbert."
    body = [
        *fields.matrices(EMBEDDINGS, theirs=f"{prefix}embeddings."),
        *fields.pairs({"embedding_norm": f"{prefix}embeddings.LayerNorm"}),
        *(
            w
            for i in range(config.n_layer)
            for w in fields.pairs(LAYER, f"blocks.{i}.", f"{prefix}transformer.layer.{i}.")
        ),
    ]
    match config.head:
        case "masked_lm":
            return [*body, *fields.pairs(MASKED), Weight(("head.bias",), "vocab_projector.bias")]
        case "labels":
            return [*body, *fields.pairs(LABELS)]
        case _:
            return body


DISTILBERT = Family(
    "distilbert",
    ("DistilBertForMaskedLM", "DistilBertForSequenceClassification", "DistilBertModel"),
    expresses,
    to_public,
    from_public,
    weights,
    ignored_suffixes=fields.IGNORED,
)
