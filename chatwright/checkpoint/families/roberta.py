"""RoBERTa (Liu et al. 2019): BERT without sentence pairs; positions count from the id of the padding upwards, labels have a head of their own."""

from typing import Any

from chatwright.checkpoint.families import bert
from chatwright.checkpoint.families import encoder_fields as fields
from chatwright.checkpoint.family import Family, Weight
from chatwright.checkpoint.public_config import PublicConfig
from chatwright.model.encoder_config import EncoderConfig

MASKED = {"head.dense": "lm_head.dense", "head.norm": "lm_head.layer_norm"}
LABELS = {"label_head.dense": "classifier.dense", "label_head.labels": "classifier.out_proj"}


def expresses(config: Any) -> bool:
    return (
        fields.has_shape(config, norm="layer", wide_head=False)
        and config.position_offset > 0
        and fields.is_plain(config)
        and config.n_token_type > 0
        and (config.pooler == "tanh" or config.head == "masked_lm")
    )


def to_public(config: EncoderConfig) -> dict[str, Any]:
    return bert.to_public(config) | {
        "architectures": [fields.class_name(config, "Roberta")],
        "pad_token_id": config.position_offset - 1,
    }


def from_public(table: PublicConfig) -> EncoderConfig:
    return bert.from_public(table, position_offset=table.integer("pad_token_id", 1, lowest=0) + 1)


def weights(config: EncoderConfig) -> list[Weight]:
    match config.head:
        case "masked_lm":
            return [
                *bert.body_weights(config, "roberta."),
                *fields.pairs(MASKED),
                Weight(("head.bias",), "lm_head.bias"),
            ]
        case "labels":
            return [*bert.body_weights(config, "roberta."), *fields.pairs(LABELS)]
        case _:
            return [
                *bert.body_weights(config, ""),
                *fields.pairs({"label_head.dense": "pooler.dense"}),
            ]


ROBERTA = Family(
    "roberta",
    ("RobertaForMaskedLM", "RobertaForSequenceClassification", "RobertaModel"),
    expresses,
    to_public,
    from_public,
    weights,
    ignored_suffixes=fields.IGNORED,
)
