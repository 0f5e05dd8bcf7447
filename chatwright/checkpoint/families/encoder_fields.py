"""Settings, heads, labels and activations that the families of encoders share."""

from typing import Any, Literal, cast

from chatwright.checkpoint.family import Weight
from chatwright.checkpoint.public_config import PublicConfig
from chatwright.model.encoder_config import EncoderConfig
from chatwright.model.heads import HeadConfig, HeadKind

Activation = Literal["gelu", "gelu_exact", "relu"]
# Name in config.json -> our name.
ACTIVATIONS: dict[str, Activation] = {
    "gelu": "gelu_exact",
    "gelu_new": "gelu",
    "gelu_pytorch_tanh": "gelu",
    "relu": "relu",
}
# Settings of all families of encoders: post-norm, biases everywhere, learned positions.
SHAPE = {
    "norm_first": False,
    "bias": True,
    "qk_norm": False,
    "position": "learned",
    "embedding_norm": True,
    "head_norm": "layer",
    "ngrams": (),
}
# Ends of the names of tensors that a model may not need: buffers, second copies of tied weights,
# poolers, and heads that were used only in pretraining.
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
# End of the class name in config.json -> our head.
HEADS: dict[str, HeadKind] = {
    "ForMaskedLM": "masked_lm",
    "ForPreTraining": "masked_lm",
    "ForSequenceClassification": "labels",
    "Model": "none",
}


def has_shape(config: Any, **required: Any) -> bool:
    """Return whether an encoder has the settings of `SHAPE` and the `required` ones.

    Its activation and its head must be among `ACTIVATIONS` and `HEADS`.
    """
    return (
        isinstance(config, EncoderConfig)
        and config.head in HEADS.values()
        and all(getattr(config, name) == value for name, value in (SHAPE | required).items())
        and config.activation in ACTIVATIONS.values()
        and config.head_activation == config.activation
    )


def has_plain_layers(config: EncoderConfig) -> bool:
    """Return whether the layers are BERT's: not shared, without bottleneck, all of size d_model."""
    return (
        config.n_distinct_block == config.n_layer
        and config.d_embedding == config.d_model
        and config.n_head * config.head_dim == config.d_model
        and not config.bottleneck
        and not config.trigram_input
    )


def class_name(config: EncoderConfig, prefix: str) -> str:
    """Return the class name for config.json, such as BertForMaskedLM for the prefix Bert."""
    return prefix + next(suffix for suffix, head in HEADS.items() if head == config.head)


def read_shape(
    public: PublicConfig,
    d_model: str = "hidden_size",
    n_layer: str = "num_hidden_layers",
    n_head: str = "num_attention_heads",
    d_ff: str = "intermediate_size",
    activation: str = "hidden_act",
    dropout: str = "hidden_dropout_prob",
) -> dict[str, Any]:
    """Return our settings from the fields that all families of encoders have.

    All arguments but the first are names of fields, which differ for DistilBERT.
    """
    heads, width = public.integer(n_head), public.integer(d_model)
    if width % heads:
        raise public.error(d_model, f"expected a multiple of {n_head} ({heads})")
    dropout_rate = public.real(dropout, 0.0)
    function = cast(Activation, public.one_of(activation, ACTIVATIONS, "gelu"))
    return {
        "vocab_size": public.integer("vocab_size"),
        "d_model": width,
        "n_layer": public.integer(n_layer, highest=1000),
        "n_head": heads,
        "head_dim": width // heads,
        "d_ff": public.integer(d_ff),
        "activation": function,
        "head_activation": function,
        "context_length": public.integer("max_position_embeddings"),
        "norm": "layer",
        "norm_first": False,
        "bias": True,
        "position": "learned",
        "embedding_norm": True,
        "dropout": dropout_rate,
        "embedding_dropout": dropout_rate,
        **_read_head(public),
    }


def _read_head(public: PublicConfig) -> dict[str, Any]:
    """Return our settings `head` and `labels`, from the class name and id2label."""
    classes = public.get("architectures", ["Model"])
    name = str(classes[0]) if isinstance(classes, list) and classes else ""
    head = next((head for suffix, head in HEADS.items() if name.endswith(suffix)), None)
    if head is None:
        raise public.error("architectures", f"the supported heads are {', '.join(HEADS)}")
    if head != "labels":
        return {"head": head}
    public.must_be("problem_type", None, "single_label_classification")
    names = public.get("id2label", {"0": "LABEL_0", "1": "LABEL_1"})
    if not isinstance(names, dict) or sorted(names) != sorted(map(str, range(len(names)))):
        raise public.error("id2label", "expected a name for each of 0, 1, ...")
    return {"head": head, "labels": tuple(str(names[str(i)]) for i in range(len(names)))}


def label_fields(config: HeadConfig) -> dict[str, Any]:
    """Return the fields of config.json that name the labels."""
    if config.head != "labels":
        return {}
    return {
        "id2label": {str(i): name for i, name in enumerate(config.labels)},
        "label2id": {name: i for i, name in enumerate(config.labels)},
        "problem_type": "single_label_classification",
    }


def public_activation(config: EncoderConfig) -> str:
    """Return the activation's name in config.json."""
    return next(name for name, own in ACTIVATIONS.items() if own == config.activation)


def read_label_dropout(public: PublicConfig, name: str) -> float:
    """Return the dropout before the label head; if it is absent, the dropout of the layers."""
    return public.real(name, public.real("hidden_dropout_prob", 0.0))


def layer_weights(names: dict[str, str], prefix: str = "", public_prefix: str = "") -> list[Weight]:
    """Return the weight and the bias of each layer in `names` (our name -> public name)."""
    return [
        Weight((f"{prefix}{name}.{part}",), f"{public_prefix}{public_name}.{part}")
        for name, public_name in names.items()
        for part in ("weight", "bias")
    ]


def single_weights(
    names: dict[str, str], prefix: str = "", public_prefix: str = ""
) -> list[Weight]:
    """Return each tensor in `names` (our name -> public name)."""
    return [
        Weight((f"{prefix}{name}",), f"{public_prefix}{public_name}")
        for name, public_name in names.items()
    ]
