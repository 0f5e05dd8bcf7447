"""Pool the vectors of a text's tokens into one vector of the text.

mean   the mean over all tokens, [CLS] and [SEP] included (Reimers & Gurevych 2019, section 3)
cls    the vector of the first token, [CLS]
max    the largest number in each dimension
"""

from typing import Literal, get_args

import torch
from torch import Tensor

PoolingKind = Literal["mean", "cls", "max"]
POOLING_KINDS: tuple[PoolingKind, ...] = get_args(PoolingKind)


def pool(hidden: Tensor, lengths: Tensor | None, kind: PoolingKind) -> Tensor:
    """Pool the tokens of each text. (B, T, D) -> (B, D).

    Args:
        hidden: (B, T, D), one vector per token.
        lengths: (B,), number of tokens of each text; the others are padding. None: all T.
        kind: How to pool.
    """
    if kind == "cls":
        return hidden[:, 0]
    if lengths is None:
        return hidden.mean(dim=1) if kind == "mean" else hidden.amax(dim=1)
    positions = torch.arange(hidden.shape[1], device=hidden.device)
    is_padding = (positions >= lengths[:, None])[..., None]  # (B, T, 1)
    if kind == "mean":
        return hidden.masked_fill(is_padding, 0.0).sum(dim=1) / lengths[:, None]
    return hidden.masked_fill(is_padding, float("-inf")).amax(dim=1)
