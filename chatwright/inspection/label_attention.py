"""Attention of [CLS] to every token of a classified text, by layer and head.

A text longer than the model's context is classified in pieces. The label is computed from the
vector at [CLS]. Attention shows which tokens were used for that vector. It does not explain the
label.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from chatwright.inspection.attention_maps import observed_weights, token_labels
from chatwright.model.attention import Attention
from chatwright.model.encoder import Encoder
from chatwright.tokenizer.tokenizer import Tokenizer


@dataclass(frozen=True)
class LabelAttention:
    """The attention of [CLS] to one piece of a text."""

    tokens: list[str]
    """The tokens, with [CLS] and [SEP]."""
    weights: Tensor
    """(n_layer, H, T); each row sums to 1."""


@torch.no_grad()
def label_attention(model: Encoder, tokenizer: Tokenizer, piece: Sequence[int]) -> LabelAttention:
    """Collect the weights while the model reads a piece: token ids with [CLS] and [SEP]."""
    attentions: list[Attention] = []
    for block in model.blocks:
        assert isinstance(block.attention, Attention), "every block has an attention layer"
        attentions.append(block.attention)
    row = torch.tensor([list(piece)], device=model.device)
    layers = observed_weights({"blocks": attentions}, lambda: model(row))["blocks"]
    of_cls = torch.stack([weights[:, 0] for weights in layers])  # (n_layer, H, T)
    return LabelAttention(token_labels(tokenizer, piece), of_cls)
