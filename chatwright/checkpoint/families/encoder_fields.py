"""What the families of encoders have in common: the head a file ends in, its labels, its activation, and weights that come with a bias."""

from typing import Any, Literal, cast

from chatwright.checkpoint.family import Weight
from chatwright.checkpoint.public_config import PublicConfig
from chatwright.model.encoder_config import EncoderConfig
from chatwright.model.heads import HeadConfig, HeadKind

Activation = Literal["gelu", "gelu_exact", "relu"]
ACTIVATIONS: dict[str, Activation] = {
    "gelu": "gelu_exact",
    "gelu_new": "gelu",
    "gelu_pytorch_tanh": "gelu",
    "relu": "relu",
}
# What every one of these families is: norms after the residuals, biases everywhere, a learned table of positions.
SHAPE = {
    "norm_first": False,
    "bias": True,
    "qk_norm": False,
    "position": "learned",
    "embedding_norm": True,
    "head_norm": "layer",
    "ngrams": (),
}
# Buffers, tied weights written twice, and heads of pretraining tasks that are no longer asked for.
IGNORED = (
    "embeddings.position_ids",
    "pooler.dense.weight",
    "pooler.dense.bias",
    "pooler.weight",
    "pooler.bias",
    "seq_relationship.weight",
    "seq_relationship.bias",
    "predictions.decoder.weight",
    "predictions.decoder.bias",
    "lm_head.decoder.weight",
    "lm_head.decoder.bias",
    "vocab_projector.weight",
    "sop_classifier.classifier.weight",
    "sop_classifier.classifier.bias",
)
SUFFIXES: dict[str, HeadKind] = {
    "ForMaskedLM": "masked_lm",
    "ForPreTraining": "masked_lm",
    "ForSequenceClassification": "labels",
    "Model": "none",
}


def has_shape(config: Any, **wanted: Any) -> bool:
    """Whether an encoder has the settings of `SHAPE` and those wanted, and a place in the layout for its activation and heads."""
    return (
        isinstance(config, EncoderConfig)
        and config.head in SUFFIXES.values()
        and all(getattr(config, name) == value for name, value in (SHAPE | wanted).items())
        and config.activation in ACTIVATIONS.values()
        and config.head_activation == config.activation
    )


def is_plain(config: EncoderConfig) -> bool:
    """Every layer its own block, as wide as the stream."""
    return (
        config.n_distinct_block == config.n_layer
        and config.d_embedding == config.d_model
        and config.n_head * config.head_dim == config.d_model
        and not config.bottleneck
        and not config.trigram_input
    )


def class_name(config: EncoderConfig, prefix: str) -> str:
    return prefix + next(suffix for suffix, head in SUFFIXES.items() if head == config.head)


def shape_of(
    table: PublicConfig,
    d_model: str = "hidden_size",
    n_layer: str = "num_hidden_layers",
    n_head: str = "num_attention_heads",
    d_ff: str = "intermediate_size",
    activation: str = "hidden_act",
    dropout: str = "hidden_dropout_prob",
) -> dict[str, Any]:
    """Our settings from the fields all of these families share; DistilBERT has other names for them."""
    heads, rate, kind = (
        table.integer(n_head),
        table.real(dropout, 0.0),
        cast(Activation, table.one_of(activation, ACTIVATIONS, "gelu")),
    )
    if table.integer(d_model) % heads:
        raise table.refused(d_model, f"a multiple of {n_head} ({heads}) is expected")
    return {
        "vocab_size": table.integer("vocab_size"),
        "d_model": table.integer(d_model),
        "n_layer": table.integer(n_layer, highest=1000),
        "n_head": heads,
        "head_dim": table.integer(d_model) // heads,
        "d_ff": table.integer(d_ff),
        "activation": kind,
        "head_activation": kind,
        "context_length": table.integer("max_position_embeddings"),
        "norm": "layer",
        "norm_first": False,
        "bias": True,
        "position": "learned",
        "embedding_norm": True,
        "dropout": rate,
        "embedding_dropout": rate,
        **head_and_labels(table),
    }


def head_and_labels(table: PublicConfig) -> dict[str, Any]:
    """{"head": ..., "labels": ...} from the class a config.json names and its id2label."""
    named = table.get("architectures", ["Model"])
    ending = str(named[0]) if isinstance(named, list) and named else ""
    head = next((head for suffix, head in SUFFIXES.items() if ending.endswith(suffix)), None)
    if head is None:
        raise table.refused("architectures", f"the heads known here are {', '.join(SUFFIXES)}")
    if head != "labels":
        return {"head": head}
    table.must_be("problem_type", None, "single_label_classification")
    names = table.get("id2label", {"0": "LABEL_0", "1": "LABEL_1"})
    if not isinstance(names, dict) or sorted(names) != sorted(map(str, range(len(names)))):
        raise table.refused("id2label", "a name for each of 0, 1, ... is expected")
    return {"head": head, "labels": tuple(str(names[str(i)]) for i in range(len(names)))}


def label_table(config: HeadConfig) -> dict[str, Any]:
    if config.head != "labels":
        return {}
    return {
        "id2label": {str(i): name for i, name in enumerate(config.labels)},
        "label2id": {name: i for i, name in enumerate(config.labels)},
        "problem_type": "single_label_classification",
    }


def public_activation(config: EncoderConfig) -> str:
    return next(name for name, ours in ACTIVATIONS.items() if ours == config.activation)


def label_dropout(table: PublicConfig, name: str) -> float:
    """Where a file gives none for the labels, that of the layers counts."""
    return table.real(name, table.real("hidden_dropout_prob", 0.0))


def pairs(names: dict[str, str], ours: str = "", theirs: str = "") -> list[Weight]:
    """Weight and bias of each layer named, with prefixes."""
    return [
        Weight((f"{ours}{a}.{part}",), f"{theirs}{b}.{part}")
        for a, b in names.items()
        for part in ("weight", "bias")
    ]


def matrices(names: dict[str, str], ours: str = "", theirs: str = "") -> list[Weight]:
    return [Weight((f"{ours}{a}",), f"{theirs}{b}") for a, b in names.items()]
