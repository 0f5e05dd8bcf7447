"""Encoders: every configuration branch and every head, alone and padded, with token types, as long as they read, and in training's way."""

from typing import Any

import torch
from torch import Tensor

from chatwright.model import masks
from chatwright.model.encoder import Encoder
from tests.parity.case import Case, Outputs, make_random

LENGTHS = torch.tensor([21, 30, 13])  # the shorter ones are padded
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
DISTILLED = {
    "vocab_size": 97,
    "dim": 48,
    "n_layers": 3,
    "n_heads": 4,
    "hidden_dim": 96,
    "max_position_embeddings": 40,
    "pad_token_id": PAD,
}
FACTORISED = SMALL | {"embedding_size": 16}
NARROW = SMALL | {"embedding_size": 16, "intra_bottleneck_size": 24, "intermediate_size": 48}


def outputs(has_types: bool) -> Outputs:
    def compared(
        theirs: Any, ours: Encoder, dtype: torch.dtype | None
    ) -> dict[str, tuple[Tensor, Tensor]]:
        token_ids, exists = (
            draw(3, 30).masked_fill(torch.arange(30) >= LENGTHS[:, None], PAD),
            torch.arange(30) < LENGTHS[:, None],
        )
        types = (torch.arange(30) > 9).long().expand(3, 30) if has_types else None
        given = {} if types is None else {"token_type_ids": types}
        padded = theirs(input_ids=token_ids, attention_mask=exists.long(), **given)
        mask, long = masks.padding(LENGTHS, 30), draw(1, ours.config.context_length)
        pairs = {
            "alone": (result(theirs(input_ids=token_ids[1:2])), ours(token_ids[1:2], dtype=dtype)),
            "padded": (result(padded), ours(token_ids, mask, token_types=types, dtype=dtype)),
            "training": (result(padded), in_training(ours, token_ids, mask, types, dtype)),
            "as long as it reads": (result(theirs(input_ids=long)), ours(long, dtype=dtype)),
        }
        if ours.label_head is not None and ours.config.head == "none":
            pairs["pooled"] = (
                padded.pooler_output,
                ours.label_head.pooled(ours(token_ids, mask, token_types=types, dtype=dtype)[:, 0]),
            )
        if ours.config.head == "labels":
            return pairs
        return {
            name: (a[exists], b[exists]) if name in ("padded", "training") else (a, b)
            for name, (a, b) in pairs.items()
        }

    return compared


def result(theirs: Any) -> Tensor:
    return theirs.logits if hasattr(theirs, "logits") else theirs.last_hidden_state


def draw(n_row: int, n_token: int) -> Tensor:
    return torch.randint(2, 97, (n_row, n_token), generator=torch.Generator().manual_seed(n_token))


@torch.enable_grad()
def in_training(
    ours: Encoder, token_ids: Tensor, mask: Tensor, types: Tensor | None, dtype: torch.dtype | None
) -> Tensor:
    return ours(token_ids, mask, token_types=types, dtype=dtype).detach()


def _cases(
    family: str,
    prefix: str,
    branch: str,
    shape: dict[str, Any],
    has_types: bool = True,
    **changes: Any,
) -> list[Case]:
    """One for each head."""

    def make(head: str) -> Any:
        import transformers

        config = getattr(transformers, f"{prefix}Config")(**(shape | changes), num_labels=3)
        return make_random(getattr(transformers, prefix + head), config)

    heads = {
        "ForMaskedLM": "masked tokens",
        "ForSequenceClassification": "labels",
        "Model": "vectors",
    }
    return [
        Case(family, f"{branch}: {what}", lambda head=head: make(head), outputs(has_types))
        for head, what in heads.items()
    ]


CASES = [
    *_cases("bert", "Bert", "as published", SMALL),
    *_cases(
        "bert",
        "Bert",
        "tanh GELU, three token types, another eps",
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
        "as published",
        SMALL,
        has_types=False,
        type_vocab_size=1,
        layer_norm_eps=1e-5,
        max_position_embeddings=42,
    ),
    *_cases("roberta", "Roberta", "two token types", SMALL, max_position_embeddings=42),
    *_cases("distilbert", "DistilBert", "as published", DISTILLED, has_types=False),
    *_cases(
        "distilbert",
        "DistilBert",
        "ReLU, sine positions",
        DISTILLED,
        has_types=False,
        activation="relu",
        sinusoidal_pos_embds=True,
    ),
    *_cases("albert", "Albert", "as published: one block", FACTORISED),
    *_cases(
        "albert",
        "Albert",
        "three blocks, exact GELU",
        FACTORISED,
        num_hidden_groups=3,
        hidden_act="gelu",
    ),
    *_cases("mobilebert", "MobileBert", "as published", NARROW),
    *_cases(
        "mobilebert",
        "MobileBert",
        "all of attention narrow, one feed-forward",
        NARROW,
        use_bottleneck_attention=True,
        key_query_shared_bottleneck=False,
        num_feedforward_networks=1,
    ),
    *_cases(
        "mobilebert",
        "MobileBert",
        "words without neighbours, no pooler",
        NARROW,
        trigram_input=False,
        classifier_activation=False,
    ),
]
