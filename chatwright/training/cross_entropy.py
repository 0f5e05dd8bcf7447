"""Cross-entropy as a sum and a count, without a matrix of all logits.

On a CPU, storing the (tokens x vocabulary) matrix of logits takes longer than computing it.
`HeadCrossEntropy` therefore computes head, softmax and both gradients together, for a few tokens at
a time. `head_loss` skips tokens without a target. The softmax is in float32 even if the model
computes in bfloat16, because a sum of thousands of bfloat16 terms would be inexact.
"""

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from chatwright.model import masks
from chatwright.model.gpt import GPT
from chatwright.model.linear import Linear
from chatwright.model.lora import LoRALinear
from chatwright.model.masks import Mask
from chatwright.training.outputs import Outputs
from chatwright.training.stage import Loss, MicroBatch

IGNORED = -100
"""The target of a token without loss, as in torch's cross_entropy."""
NUMBERS_AT_ONCE = 2**21
"""Logits held at a time: 8 MB in float32. Fewer make more and shorter products and sums."""


class HeadCrossEntropy(torch.autograd.Function):
    """Compute -sum log softmax(hidden W^T)[target] and its gradients.

    hidden (N, D), weight (V, D), targets (N,) -> scalar. With label smoothing e, the target
    distribution gives 1 - e to the token and e in equal parts to all V tokens (Szegedy et al. 2016,
    section 7). The equal parts need only the mean logit, hidden . mean(W), so the logits are not
    read a second time.
    """

    @staticmethod
    def forward(
        ctx: Any, hidden: Tensor, weight: Tensor, targets: Tensor, smoothing: float = 0.0
    ) -> Tensor:
        """Return the summed loss and keep the gradients for the backward pass."""
        dtype = torch.float32 if hidden.dtype == torch.bfloat16 else hidden.dtype
        total = torch.zeros((), dtype=dtype, device=hidden.device)
        wants_gradient = any(ctx.needs_input_grad)
        trains_weight = ctx.needs_input_grad[1]  # not below an adapter, where it is frozen
        grad_hidden = torch.empty_like(hidden)
        grad_weight = torch.zeros_like(weight if trains_weight else weight[:0], dtype=dtype)
        rows = max(1, NUMBERS_AT_ONCE // len(weight))
        for start in range(0, len(hidden), rows):
            part = hidden[start : start + rows]  # (rows, D)
            target = targets[start : start + rows, None]  # (rows, 1)
            logits = (part @ weight.T).to(dtype)  # (rows, V)
            peak = logits.amax(dim=1, keepdim=True)
            above_peak = (logits.gather(1, target) - peak).sum()
            total -= (1 - smoothing) * above_peak - smoothing * peak.sum()
            exponentials = logits.sub_(peak).exp_()
            norm = exponentials.sum(dim=1, keepdim=True)
            total += norm.log().sum()
            if wants_gradient:
                # softmax - (1 - e) x one-hot; `_smooth` subtracts the equal parts e / V.
                minus_target = torch.full_like(norm, smoothing - 1.0)
                grad_logits = exponentials.div_(norm).scatter_add_(1, target, minus_target)
                grad_logits = grad_logits.to(weight.dtype)
                torch.mm(grad_logits, weight, out=grad_hidden[start : start + rows])
                if trains_weight:
                    grad_weight += grad_logits.T @ part
        if smoothing:
            total -= _smooth(hidden, weight, smoothing, grad_hidden, grad_weight, wants_gradient)
        ctx.save_for_backward(grad_hidden, grad_weight)
        return total

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, Tensor | None, None, None]:
        """Scale the stored gradients."""
        grad_hidden, grad_weight = ctx.saved_tensors
        trains_weight = ctx.needs_input_grad[1]
        return (
            grad_hidden * grad.to(grad_hidden.dtype),
            (grad_weight * grad).to(grad_weight.dtype) if trains_weight else None,
            None,
            None,
        )


def _smooth(
    hidden: Tensor,
    weight: Tensor,
    smoothing: float,
    grad_hidden: Tensor,
    grad_weight: Tensor,
    wants_gradient: bool,
) -> Tensor:
    """Return `smoothing` x the summed mean logits, and subtract their gradients in place."""
    mean_weight = weight.to(grad_weight.dtype).mean(dim=0)  # (D,)
    sum_hidden = hidden.to(grad_weight.dtype).sum(dim=0)  # (D,)
    if wants_gradient:
        grad_hidden -= (smoothing * mean_weight).to(grad_hidden.dtype)
        if len(grad_weight):
            grad_weight -= smoothing / len(weight) * sum_hidden
    return smoothing * (sum_hidden @ mean_weight)


def output_loss(
    hidden: Tensor, weight: Tensor, targets: Tensor, bias: Tensor | None = None
) -> Tensor:
    """Return -sum log softmax(hidden W^T + b)[target].

    hidden (N, D), weight (V, D), targets (N,), bias (V,) or None -> scalar.
    """
    weight = weight.to(hidden.dtype)
    if hidden.device.type != "cpu":  # a GPU has the memory, and one large product is faster there
        bias = None if bias is None else bias.to(hidden.dtype)
        logits = F.linear(hidden, weight, bias).float()
        return F.cross_entropy(logits, targets, reduction="sum")
    if bias is not None:  # the bias is one more column of the weight: [hidden, 1] . [W, b]
        hidden = torch.cat([hidden, hidden.new_ones(len(hidden), 1)], dim=1)
        weight = torch.cat([weight, bias.to(weight.dtype)[:, None]], dim=1)
    return HeadCrossEntropy.apply(hidden, weight, targets)


def next_token_loss(model: GPT, batch: MicroBatch, dtype: torch.dtype | None = None) -> Loss:
    """Return -sum log p(target) over the supervised tokens of a micro-batch."""
    assert model.head is not None, "next-token training needs a language-model head"
    return head_loss(model.head, _hidden_states(model, batch, dtype), batch.targets)


def next_token_outputs(model: GPT, batch: MicroBatch, dtype: torch.dtype | None = None) -> Outputs:
    """Return the last hidden states of the supervised tokens, and the head's weights."""
    assert model.head is not None, "next-token training needs a language-model head"
    hidden, targets = _supervised(_hidden_states(model, batch, dtype), batch.targets)
    weight = model.head.merged_weight() if isinstance(model.head, LoRALinear) else model.head.weight
    return Outputs(hidden, weight, model.head.bias, targets)


def _hidden_states(model: GPT, batch: MicroBatch, dtype: torch.dtype | None) -> Tensor:
    """Return the last hidden states (B, T, D); a document of a row attends to itself only."""
    mask: Mask = masks.CAUSAL
    if batch.document_ids is not None:
        mask = masks.causal_documents(batch.document_ids)
    return model.hidden_states(batch.token_ids, mask=mask, positions=batch.positions, dtype=dtype)


def _supervised(hidden: Tensor, targets: Tensor) -> tuple[Tensor, Tensor]:
    """Return the N tokens that have a target.

    hidden (..., D), targets (...) -> (N, D), (N,).
    """
    hidden = hidden.flatten(0, -2)
    targets = targets.flatten()
    is_supervised = targets != IGNORED
    if bool(is_supervised.all()):
        return hidden, targets
    return hidden[is_supervised], targets[is_supervised]


def head_loss(head: Linear, hidden: Tensor, targets: Tensor, smoothing: float = 0.0) -> Loss:
    """Return the summed cross-entropy of a head's logits over the tokens that have a target.

    hidden (..., D), targets (...).
    """
    hidden, targets = _supervised(hidden, targets)
    # A GPU has the memory, and one large product is faster there. A head with an adapter computes
    # more than the product with its weight.
    if head.bias is not None or isinstance(head, LoRALinear) or hidden.device.type != "cpu":
        logits = head(hidden).float()
        loss = F.cross_entropy(logits, targets, reduction="sum", label_smoothing=smoothing)
    else:
        loss = HeadCrossEntropy.apply(hidden, head.weight.to(hidden.dtype), targets, smoothing)
    return Loss(loss, len(targets))
