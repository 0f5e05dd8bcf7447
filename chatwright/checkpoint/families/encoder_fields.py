"""What the families of encoders have in common: the head a file ends in, its labels, its activation, and weights that come with a bias."""

from typing import Any, Literal, cast

from chatwright.checkpoint.family import Weight
from chatwright.checkpoint.public_config import PublicConfig
from chatwright.model.encoder import EncoderConfig, Task

Activation = Literal["gelu", "gelu_exact", "relu"]
ACTIVATIONS: dict[str, Activation] = {"gelu": "gelu_exact", "gelu_new": "gelu", "gelu_pytorch_tanh": "gelu", "relu": "relu"}
# What every one of these families is: norms after the residuals, biases everywhere, a learned table of positions.
SHAPE = {"norm_first": False, "bias": True, "qk_norm": False, "position": "learned", "embedding_norm": True, "head_norm": "layer", "ngrams": ()}
SUFFIXES: dict[str, Task] = {"ForMaskedLM": "masked-lm", "ForPreTraining": "masked-lm", "ForSequenceClassification": "classify", "Model": "embed"}


def has_shape(config: Any, **wanted: Any) -> bool:
    """Whether an encoder has the settings of `SHAPE` and those wanted, and a place in the layout for its activation and heads."""
    return (isinstance(config, EncoderConfig) and all(getattr(config, name) == value for name, value in (SHAPE | wanted).items())
            and config.activation in ACTIVATIONS.values() and config.head_activation == config.activation)


def is_plain(config: EncoderConfig) -> bool:
    """Every layer its own block, as wide as the stream."""
    return (config.n_own_block == config.n_layer and config.word_width == config.width and config.n_head * config.head_dim == config.width
            and not config.bottleneck and not config.neighbours)


def class_name(config: EncoderConfig, prefix: str) -> str:
    return prefix + next(suffix for suffix, task in SUFFIXES.items() if task == config.task)


def task_and_labels(table: PublicConfig) -> dict[str, Any]:
    """{"task": ..., "labels": ...} from the class a config.json names and its id2label."""
    named = (table.get("architectures") or ["Model"])[0]
    task = next((task for suffix, task in SUFFIXES.items() if named.endswith(suffix)), None)
    if task is None:
        raise ValueError(f"architectures = {named!r}: this head is not known here; known are {', '.join(SUFFIXES)}. Import one of those.")
    if task != "classify":
        return {"task": task}
    if (kind := table.get("problem_type")) not in (None, "single_label_classification"):
        raise ValueError(f"problem_type = {kind!r}: only one label for each text is known here. Import a model for single-label classification.")
    names = table.get("id2label") or {"0": "LABEL_0", "1": "LABEL_1"}
    return {"task": task, "labels": tuple(str(names[key]) for key in sorted(names, key=int))}


def label_table(config: EncoderConfig) -> dict[str, Any]:
    if config.task != "classify":
        return {}
    return {"id2label": {str(i): name for i, name in enumerate(config.labels)}, "label2id": {name: i for i, name in enumerate(config.labels)},
            "problem_type": "single_label_classification"}


def activation_of(name: Any) -> Activation:
    if name not in ACTIVATIONS:
        raise ValueError(f"hidden_act = {name!r}: not known here (known: {', '.join(ACTIVATIONS)}).")
    return ACTIVATIONS[name]


def public_activation(config: EncoderConfig) -> str:
    return next(name for name, ours in ACTIVATIONS.items() if ours == config.activation)


def require(table: PublicConfig, name: str, value: Any) -> None:
    """Refuse a field that stands there with another value than the only one known."""
    if name in table and table[name] != value:
        raise ValueError(f"{name} = {table[name]!r}: only {value!r} is known here.")


def label_dropout(table: PublicConfig, name: str) -> float:
    """Where a file gives none for the labels, that of the layers counts."""
    given = table.get(name)
    return cast(float, table.get("hidden_dropout_prob", 0.0) if given is None else given)


def pairs(names: dict[str, str], ours: str = "", theirs: str = "") -> list[Weight]:
    """Weight and bias of each layer named, with prefixes."""
    return [Weight((f"{ours}{a}.{part}",), f"{theirs}{b}.{part}") for a, b in names.items() for part in ("weight", "bias")]


def matrices(names: dict[str, str], ours: str = "", theirs: str = "") -> list[Weight]:
    return [Weight((f"{ours}{a}",), f"{theirs}{b}") for a, b in names.items()]
