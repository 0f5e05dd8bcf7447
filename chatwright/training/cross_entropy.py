"""Next-token cross-entropy as a sum and a count.

Head, softmax and both gradients are computed together, a few rows at a time, so that the (tokens x vocabulary) table of logits never
exists: on a CPU that table, not the head's product, was most of the cost. Positions without a target are not computed at all.
The softmax is in float32 whatever the model computes in: a sum of thousands of bfloat16 terms would lose its digits.
"""

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from chatwright.model import masks
from chatwright.model.gpt import GPT
from chatwright.training.stage import Loss, MicroBatch

IGNORED = -100
NUMBERS_AT_ONCE = 2**19    # logits held at a time: 2 MB, which stays in a core's cache


class HeadCrossEntropy(torch.autograd.Function):
    """-sum log softmax(hidden W^T)[target].  hidden (N, D), weight (V, D), targets (N,) -> scalar"""

    @staticmethod
    def forward(ctx: Any, hidden: Tensor, weight: Tensor, targets: Tensor) -> Tensor:
        total = torch.zeros((), dtype=torch.float32 if hidden.dtype == torch.bfloat16 else hidden.dtype, device=hidden.device)
        wants_gradient = any(ctx.needs_input_grad)
        grad_hidden, grad_weight = torch.empty_like(hidden), torch.zeros_like(weight, dtype=total.dtype)
        rows = max(1, NUMBERS_AT_ONCE // len(weight))
        for start in range(0, len(hidden), rows):
            part, wanted = hidden[start: start + rows], targets[start: start + rows, None]
            logits = (part @ weight.T).to(total.dtype)                       # (rows, V)
            peak = logits.amax(dim=1, keepdim=True)
            total -= (logits.gather(1, wanted) - peak).sum()
            weights = logits.sub_(peak).exp_()
            norm = weights.sum(dim=1, keepdim=True)
            total += norm.log().sum()
            if wants_gradient:    # softmax - onehot
                weights.div_(norm).scatter_add_(1, wanted, torch.full_like(norm, -1.0))
                slope = weights.to(weight.dtype)
                torch.mm(slope, weight, out=grad_hidden[start: start + rows])
                grad_weight += slope.T @ part
        ctx.save_for_backward(grad_hidden, grad_weight)
        return total

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, Tensor, None]:
        grad_hidden, grad_weight = ctx.saved_tensors
        return grad_hidden * grad.to(grad_hidden.dtype), (grad_weight * grad).to(grad_weight.dtype), None


def next_token_loss(model: GPT, batch: MicroBatch, dtype: torch.dtype | None = None) -> Loss:
    """-sum log p(target) over the supervised tokens of one micro-batch."""
    mask = masks.CAUSAL if batch.document_ids is None else masks.documents(batch.document_ids)
    hidden = model.hidden(batch.token_ids, mask=mask, positions=batch.positions, dtype=dtype).flatten(0, 1)      # (B*T, D)
    targets = batch.targets.flatten()
    supervised = targets != IGNORED
    count = int(supervised.sum())
    if count < len(targets):
        hidden, targets = hidden[supervised], targets[supervised]
    if model.device.type != "cpu":    # a GPU has the memory, and one large product is faster there
        loss = F.cross_entropy(model.head(hidden).float(), targets, reduction="sum")
    else:
        loss = HeadCrossEntropy.apply(hidden, model.head.weight.to(hidden.dtype), targets)
    return Loss(loss, count)
