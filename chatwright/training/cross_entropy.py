"""Next-token cross-entropy as a sum and a count.

Logits are scored in float32 whatever the model computes in: a sum of thousands of bfloat16 terms would lose its digits.
"""

import torch
import torch.nn.functional as F

from chatwright.model import masks
from chatwright.model.gpt import GPT
from chatwright.training.stage import Loss, MicroBatch

IGNORED = -100


def next_token_loss(model: GPT, batch: MicroBatch, dtype: torch.dtype | None = None) -> Loss:
    """-sum log p(target) over the supervised tokens of one micro-batch."""
    mask = masks.CAUSAL if batch.document_ids is None else masks.documents(batch.document_ids)
    logits = model(batch.token_ids, mask=mask, positions=batch.positions, dtype=dtype)      # (B, T, V)
    loss = F.cross_entropy(logits.flatten(0, 1).float(), batch.targets.flatten(), ignore_index=IGNORED, reduction="sum")
    return Loss(loss, count_supervised(batch))


def count_supervised(batch: MicroBatch) -> int:
    return int((batch.targets != IGNORED).sum())
