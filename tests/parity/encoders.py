"""Encoders to compare with transformers: every setting that changes the output, with each head.

Each case compares the outputs of a single text, of padded texts with token types, of a text of the
full context length, and of the forward pass in training.
"""

from typing import Any

import torch
from torch import Tensor

from chatwright.model import masks
from chatwright.model.encoder import Encoder
from tests.parity.case import Case, Outputs, Pairs, make_random

LENGTHS = torch.tensor([21, 30, 13])  # of three texts; the shorter ones are padded
T = 30
PAD = 1
SMALL = {
    "vocab_size": 97,
    "hidden_size": 48,
    "num_hidden_layers": 3,
    "num_attention_heads": 4,
    "intermediate_size": 96,
    "max_position_embeddings": 40,
    "pad_token_id": PAD,
}
DISTILBERT = {
    "vocab_size": 97,
    "dim": 48,
    "n_layers": 3,
    "n_heads": 4,
    "hidden_dim": 96,
    "max_position_embeddings": 40,
    "pad_token_id": PAD,
}
ALBERT = SMALL | {"embedding_size": 16}
MOBILEBERT = SMALL | {"embedding_size": 16, "intra_bottleneck_size": 24, "intermediate_size": 48}


def outputs(has_token_types: bool) -> Outputs:
    """Return a function that computes both models' outputs for every kind of input."""

    def compute(reference: Any, model: Encoder, dtype: torch.dtype | None) -> Pairs:
        is_text = torch.arange(T) < LENGTHS[:, None]  # (B, T)
        ids = random_ids(3, T).masked_fill(~is_text, PAD)
        full_context = random_ids(1, model.config.context_length)
        types = (torch.arange(T) > 9).long().expand(3, T) if has_token_types else None
        type_argument = {} if types is None else {"token_type_ids": types}
        padded = reference(input_ids=ids, attention_mask=is_text.long(), **type_argument)
        mask = masks.padding(LENGTHS, T)
        actual = model(ids, mask, token_types=types, dtype=dtype)
        trained = in_training(model, ids, mask, types, dtype)
        is_one_output_per_text = model.config.head == "labels"
        compared = slice(None) if is_one_output_per_text else is_text  # leaves out padding
        single = output_of(reference(input_ids=ids[1:2]))
        full = output_of(reference(input_ids=full_context))
        pairs = {
            "single": (single, model(ids[1:2], dtype=dtype)),
            "padded": (output_of(padded)[compared], actual[compared]),
            "training": (output_of(padded)[compared], trained[compared]),
            "full context": (full, model(full_context, dtype=dtype)),
        }
        if model.label_head is not None and model.config.head == "none":
            pairs["pooled"] = (padded.pooler_output, model.label_head.pooled(actual[:, 0]))
        return pairs

    return compute


def output_of(reference_outputs: Any) -> Tensor:
    """Return the logits, or the hidden states of a model without a head."""
    if hasattr(reference_outputs, "logits"):
        return reference_outputs.logits
    return reference_outputs.last_hidden_state


def random_ids(n_row: int, n_token: int) -> Tensor:
    """Return random token ids (n_row, n_token), without padding."""
    generator = torch.Generator().manual_seed(n_token)
    return torch.randint(2, SMALL["vocab_size"], (n_row, n_token), generator=generator)


@torch.enable_grad()
def in_training(
    model: Encoder, ids: Tensor, mask: Tensor, types: Tensor | None, dtype: torch.dtype | None
) -> Tensor:
    """Compute the outputs with gradients enabled, which selects the operations for training."""
    return model(ids, mask, token_types=types, dtype=dtype).detach()


HEADS = {
    "ForMaskedLM": "masked-LM head",
    "ForSequenceClassification": "classification head",
    "Model": "no head",
}


def _cases(
    family: str,
    prefix: str,
    variant: str,
    shape: dict[str, Any],
    has_token_types: bool = True,
    **changes: Any,
) -> list[Case]:
    """Return one case per head. Names of classes in transformers begin with `prefix`."""

    def make_reference(head: str) -> Any:
        import transformers

        config = getattr(transformers, f"{prefix}Config")(**(shape | changes), num_labels=3)
        return make_random(getattr(transformers, prefix + head), config)

    return [
        Case(
            family,
            f"{variant}: {name}",
            lambda head=head: make_reference(head),
            outputs(has_token_types),
        )
        for head, name in HEADS.items()
    ]


CASES = [
    *_cases("bert", "Bert", "default settings", SMALL),
    *_cases(
        "bert",
        "Bert",
        "tanh GELU, three token types, other epsilon",
        SMALL,
        hidden_act="gelu_new",
        type_vocab_size=3,
        layer_norm_eps=1e-5,
    ),
    *_cases(
        "bert", "Bert", "ReLU, 512 tokens", SMALL, hidden_act="relu", max_position_embeddings=512
    ),
    *_cases(
        "roberta",
        "Roberta",
        "default settings",
        SMALL,
        has_token_types=False,
        type_vocab_size=1,
        layer_norm_eps=1e-5,
        max_position_embeddings=42,
    ),
    *_cases("roberta", "Roberta", "two token types", SMALL, max_position_embeddings=42),
    *_cases("distilbert", "DistilBert", "default settings", DISTILBERT, has_token_types=False),
    *_cases(
        "distilbert",
        "DistilBert",
        "ReLU, sinusoidal positions",
        DISTILBERT,
        has_token_types=False,
        activation="relu",
        sinusoidal_pos_embds=True,
    ),
    *_cases("albert", "Albert", "default settings: one block for all layers", ALBERT),
    *_cases(
        "albert",
        "Albert",
        "three groups of layers, exact GELU",
        ALBERT,
        num_hidden_groups=3,
        hidden_act="gelu",
    ),
    *_cases("mobilebert", "MobileBert", "default settings", MOBILEBERT),
    *_cases(
        "mobilebert",
        "MobileBert",
        "attention in the bottleneck, one feed-forward network",
        MOBILEBERT,
        use_bottleneck_attention=True,
        key_query_shared_bottleneck=False,
        num_feedforward_networks=1,
    ),
    *_cases(
        "mobilebert",
        "MobileBert",
        "no trigram input, no pooler",
        MOBILEBERT,
        trigram_input=False,
        classifier_activation=False,
    ),
]
