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
from chatwright.model.linear import Linear
from chatwright.model.lora import LoRALinear
from chatwright.training.outputs import Outputs
from chatwright.training.stage import Loss, MicroBatch

IGNORED = -100
NUMBERS_AT_ONCE = 2**19  # logits held at a time: 2 MB, which stays in a core's cache


class HeadCrossEntropy(torch.autograd.Function):
    """-sum log softmax(hidden W^T)[target].  hidden (N, D), weight (V, D), targets (N,) -> scalar

    With `smoothing` e the target is (1 - e) of the token and e of all V tokens alike (Szegedy et al. 2016, eq. 5). The even part needs only
    the mean logit, which is hidden . mean(W): no further pass over the logits.
    """

    @staticmethod
    def forward(
        ctx: Any, hidden: Tensor, weight: Tensor, targets: Tensor, smoothing: float = 0.0
    ) -> Tensor:
        total = torch.zeros(
            (),
            dtype=torch.float32 if hidden.dtype == torch.bfloat16 else hidden.dtype,
            device=hidden.device,
        )
        wants_gradient = any(ctx.needs_input_grad)
        grad_hidden, grad_weight = (
            torch.empty_like(hidden),
            torch.zeros_like(weight, dtype=total.dtype),
        )
        rows = max(1, NUMBERS_AT_ONCE // len(weight))
        for start in range(0, len(hidden), rows):
            part, wanted = hidden[start : start + rows], targets[start : start + rows, None]
            logits = (part @ weight.T).to(total.dtype)  # (rows, V)
            peak = logits.amax(dim=1, keepdim=True)
            total -= (1 - smoothing) * (
                logits.gather(1, wanted) - peak
            ).sum() - smoothing * peak.sum()
            weights = logits.sub_(peak).exp_()
            norm = weights.sum(dim=1, keepdim=True)
            total += norm.log().sum()
            if wants_gradient:  # softmax - (1 - e) onehot; the rest below
                weights.div_(norm).scatter_add_(1, wanted, torch.full_like(norm, smoothing - 1.0))
                slope = weights.to(weight.dtype)
                torch.mm(slope, weight, out=grad_hidden[start : start + rows])
                grad_weight += slope.T @ part
        if smoothing:
            mean_weight, sum_hidden = (
                weight.to(total.dtype).mean(dim=0),
                hidden.to(total.dtype).sum(dim=0),
            )  # (D,)
            total -= smoothing * (sum_hidden @ mean_weight)
            if wants_gradient:
                grad_hidden -= (smoothing * mean_weight).to(grad_hidden.dtype)
                grad_weight -= smoothing / len(weight) * sum_hidden
        ctx.save_for_backward(grad_hidden, grad_weight)
        return total

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, Tensor, None, None]:
        grad_hidden, grad_weight = ctx.saved_tensors
        return (
            grad_hidden * grad.to(grad_hidden.dtype),
            (grad_weight * grad).to(grad_weight.dtype),
            None,
            None,
        )


def output_loss(
    hidden: Tensor, weight: Tensor, targets: Tensor, bias: Tensor | None = None
) -> Tensor:
    """-sum log softmax(hidden W^T + b)[target].  hidden (N, D), weight (V, D), targets (N,), bias (V,)"""
    weight = weight.to(hidden.dtype)
    if hidden.device.type != "cpu":  # a GPU has the memory, and one large product is faster there
        return F.cross_entropy(
            F.linear(hidden, weight, None if bias is None else bias.to(hidden.dtype)).float(),
            targets,
            reduction="sum",
        )
    if bias is not None:  # one more number for each side of the product
        hidden = torch.cat([hidden, hidden.new_ones(len(hidden), 1)], dim=1)
        weight = torch.cat([weight, bias.to(weight.dtype)[:, None]], dim=1)
    return HeadCrossEntropy.apply(hidden, weight, targets)


def next_token_loss(model: GPT, batch: MicroBatch, dtype: torch.dtype | None = None) -> Loss:
    """-sum log p(target) over the supervised tokens of one micro-batch."""
    assert model.head is not None, "a model with a language-model head is trained"
    return head_loss(model.head, _hidden(model, batch, dtype), batch.targets)


def next_token_outputs(model: GPT, batch: MicroBatch, dtype: torch.dtype | None = None) -> Outputs:
    """The model's last hidden states where there is a target, and what they are compared with."""
    assert model.head is not None, "a model with a language-model head is trained"
    hidden, targets = _supervised(_hidden(model, batch, dtype), batch.targets)
    weight = model.head.merged_weight() if isinstance(model.head, LoRALinear) else model.head.weight
    return Outputs(hidden, weight, model.head.bias, targets)


def _hidden(model: GPT, batch: MicroBatch, dtype: torch.dtype | None) -> Tensor:
    mask = (
        masks.CAUSAL if batch.document_ids is None else masks.causal_documents(batch.document_ids)
    )
    return model.hidden_states(batch.token_ids, mask=mask, positions=batch.positions, dtype=dtype)


def _supervised(hidden: Tensor, targets: Tensor) -> tuple[Tensor, Tensor]:
    """(..., D), (...) -> (N, D), (N,)"""
    hidden, targets = hidden.flatten(0, -2), targets.flatten()
    supervised = targets != IGNORED
    return (
        (hidden, targets) if bool(supervised.all()) else (hidden[supervised], targets[supervised])
    )


def head_loss(head: Linear, hidden: Tensor, targets: Tensor, smoothing: float = 0.0) -> Loss:
    """The cross-entropy of what `head` makes of `hidden`, where there is a target. (..., D), (...)"""
    hidden, targets = _supervised(hidden, targets)
    # A GPU has the memory, and one large product is faster there; a head with an adapter is more than its weight.
    if head.bias is not None or isinstance(head, LoRALinear) or hidden.device.type != "cpu":
        loss = F.cross_entropy(
            head(hidden).float(), targets, reduction="sum", label_smoothing=smoothing
        )
    else:
        loss = HeadCrossEntropy.apply(hidden, head.weight.to(hidden.dtype), targets, smoothing)
    return Loss(loss, len(targets))
