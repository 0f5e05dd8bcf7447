"""RoBERTa (Liu et al. 2019): BERT with another label head and shifted positions.

The first token's position is the padding token's id plus one.
"""

from typing import Any

from chatwright.checkpoint.families import bert
from chatwright.checkpoint.families import encoder_fields as fields
from chatwright.checkpoint.family import Family, Weight
from chatwright.checkpoint.public_config import PublicConfig
from chatwright.model.encoder_config import EncoderConfig

MASKED_LM_HEAD = {"head.dense": "lm_head.dense", "head.norm": "lm_head.layer_norm"}
LABEL_HEAD = {"label_head.dense": "classifier.dense", "label_head.labels": "classifier.out_proj"}


def supports(config: Any) -> bool:
    """Return whether RoBERTa's files can hold a model with these settings."""
    return (
        fields.has_shape(config, norm="layer", wide_head=False)
        and config.position_offset > 0
        and fields.has_plain_layers(config)
        and config.n_token_type > 0
        and (config.pooler == "tanh" or config.head == "masked_lm")
    )


def to_public(config: EncoderConfig) -> dict[str, Any]:
    """Return RoBERTa's fields of config.json."""
    return bert.to_public(config) | {
        "architectures": [fields.class_name(config, "Roberta")],
        "pad_token_id": config.position_offset - 1,
    }


def from_public(public: PublicConfig) -> EncoderConfig:
    """Convert RoBERTa's config.json to our settings."""
    pad_id = public.integer("pad_token_id", 1, lowest=0)
    return bert.from_public(public, position_offset=pad_id + 1)


def weights(config: EncoderConfig) -> list[Weight]:
    """Return the tensors of a RoBERTa file."""
    match config.head:
        case "masked_lm":
            return [
                *bert.trunk_weights(config, "roberta."),
                *fields.layer_weights(MASKED_LM_HEAD),
                Weight(("head.bias",), "lm_head.bias"),
            ]
        case "labels":
            return [*bert.trunk_weights(config, "roberta."), *fields.layer_weights(LABEL_HEAD)]
        case _:
            return [*bert.trunk_weights(config, ""), *fields.layer_weights(bert.POOLER)]


ROBERTA = Family(
    "roberta",
    ("RobertaForMaskedLM", "RobertaForSequenceClassification", "RobertaModel"),
    supports,
    to_public,
    from_public,
    weights,
    ignored_suffixes=fields.IGNORED,
)
