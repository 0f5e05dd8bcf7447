"""Compute one vector per text with an encoder, as its settings say: layers, pooling, length.

Texts are padded to one length here, as training needs it. `engine/embedding_forward.py` computes
the same vectors without padding, with bits that do not depend on the other texts.
"""

import torch
import torch.nn.functional as F
from torch import Tensor

from chatwright.model import masks
from chatwright.model.encoder import Encoder
from chatwright.model.encoder_config import EncoderConfig
from chatwright.model.pooling import pool


def text_vectors(
    model: Encoder, token_ids: Tensor, lengths: Tensor, dtype: torch.dtype | None = None
) -> Tensor:
    """Return the vectors of padded texts in float32. (B, T) -> (B, D).

    Args:
        model: The encoder; its head is not used.
        token_ids: (B, T), padded at the end.
        lengths: (B,), number of tokens of each text.
        dtype: dtype of the activations; default: that of the weights.
    """
    T = token_ids.shape[1]
    mask = None if int(lengths.min()) == T else masks.padding(lengths, T)
    hidden = model.hidden_states(token_ids, mask, dtype=dtype)  # (B, T, D)
    return pooled_vectors(hidden, None if mask is None else lengths, model.config)


def pooled_vectors(hidden: Tensor, lengths: Tensor | None, config: EncoderConfig) -> Tensor:
    """Pool the last layer's output to vectors in float32. (B, T, D) -> (B, D)."""
    vectors = pool(hidden.float(), lengths, config.pooling)
    return F.normalize(vectors, dim=1) if config.normalized_vectors else vectors
