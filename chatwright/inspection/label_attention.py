"""What <cls> looked at while a label was told: its attention to every token of the text, by layer and head.

Where attention went is not why a label was told: it says what was looked at, not what was made of it.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from chatwright.inspection.attention_maps import labels
from chatwright.model.attention import Attention
from chatwright.model.encoder import Encoder
from chatwright.tokenizer.tokenizer import Tokenizer


@dataclass(frozen=True)
class LabelAttention:
    tokens: list[str]  # as a person reads them, the frame included
    weights: Tensor  # (n_layer, H, T) of <cls>, each row sums to 1


@torch.no_grad()
def label_attention(model: Encoder, tokenizer: Tokenizer, piece: Sequence[int]) -> LabelAttention:
    """Of one framed piece, from the very pass that tells its label."""
    rows: list[Tensor] = []
    attentions: list[Attention] = []
    for block in model.blocks:
        assert isinstance(block.attention, Attention), "every block has an attention layer"
        attentions.append(block.attention)
    stops = [
        attention.observe(lambda weights: rows.append(weights[0, :, 0].float().cpu()))
        for attention in attentions
    ]
    try:
        model(torch.tensor([list(piece)], device=model.device))
    finally:
        for stop in stops:
            stop()
    return LabelAttention(labels(tokenizer, piece), torch.stack(rows))
