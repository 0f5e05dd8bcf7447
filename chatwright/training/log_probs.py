"""Log-probabilities of given tokens with their gradients, without a matrix of all logits."""

from typing import Any

import torch
from torch import Tensor

from chatwright.model.gpt import GPT
from chatwright.training.cross_entropy import IGNORED, NUMBERS_AT_ONCE, next_token_outputs
from chatwright.training.stage import MicroBatch


class TargetLogProbs(torch.autograd.Function):
    """log softmax(hidden W^T + b)[target] of every row.

    hidden (N, D), weight (V, D), bias (V,) or None, targets (N,) -> (N,) in float32. The backward
    pass computes the logits a second time, a few rows at a time, so that memory stays bounded.
    """

    @staticmethod
    def forward(
        ctx: Any, hidden: Tensor, weight: Tensor, bias: Tensor | None, targets: Tensor
    ) -> Tensor:
        """Return the log-probabilities."""
        ctx.save_for_backward(hidden, weight, bias, targets)
        out = hidden.new_empty(len(hidden), dtype=_wide(hidden))
        for part in _parts(hidden, weight):
            logits = _logits(hidden[part], weight, bias)
            # torch's logsumexp makes five passes over the logits, of which the maximum is slow.
            out[part] = logits.log_softmax(1).gather(1, targets[part, None])[:, 0]
        return out

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, Tensor, Tensor | None, None]:
        """Return the gradients of hidden, weight and bias."""
        hidden, weight, bias, targets = ctx.saved_tensors
        grad_hidden = torch.empty_like(hidden)
        grad_weight = torch.zeros_like(weight, dtype=_wide(weight))
        grad_bias = None if bias is None else torch.zeros_like(bias, dtype=_wide(bias))
        for part in _parts(hidden, weight):
            # d log p[target] / d logits = one-hot - softmax
            grad_logits = _logits(hidden[part], weight, bias).softmax(1).neg_()
            grad_logits.scatter_add_(1, targets[part, None], torch.ones_like(grad[part, None]))
            grad_logits *= grad[part, None]
            if grad_bias is not None:
                grad_bias += grad_logits.sum(0)
            narrow = grad_logits.to(hidden.dtype)
            grad_hidden[part] = narrow @ weight
            grad_weight += narrow.T @ hidden[part]
        bias_gradient = None if grad_bias is None else grad_bias.to(bias.dtype)
        return grad_hidden, grad_weight.to(weight.dtype), bias_gradient, None


def _wide(x: Tensor) -> torch.dtype:
    return torch.float64 if x.dtype == torch.float64 else torch.float32


def _parts(hidden: Tensor, weight: Tensor) -> list[slice]:
    rows = max(1, NUMBERS_AT_ONCE // len(weight))
    return [slice(start, start + rows) for start in range(0, len(hidden), rows)]


def _logits(hidden: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
    logits = (hidden @ weight.T).to(_wide(hidden))
    return logits if bias is None else logits + bias.to(logits.dtype)


def token_log_probs(model: GPT, batch: MicroBatch, dtype: torch.dtype | None = None) -> Tensor:
    """Return the log-probability of every target, (B, T) in float32; 0 where there is no target.

    Args:
        model: A decoder with a language-model head.
        batch: The tokens and their targets.
        dtype: dtype of the activations; default: that of the weights.
    """
    outputs = next_token_outputs(model, batch, dtype)
    bias = None if outputs.bias is None else outputs.bias.to(outputs.features.dtype)
    weight = outputs.weight.to(outputs.features.dtype)
    log_probs: Tensor = TargetLogProbs.apply(outputs.features, weight, bias, outputs.targets)
    has_target = batch.targets != IGNORED
    placed = log_probs.new_zeros(batch.targets.shape)
    return placed.masked_scatter(has_target, log_probs)


def reply_log_probs(model: GPT, batch: MicroBatch, dtype: torch.dtype | None = None) -> Tensor:
    """Return the summed log-probability of every row's targets, (B,) in float32."""
    return token_log_probs(model, batch, dtype).sum(1)


@torch.no_grad()
def frozen_log_probs(model: GPT, batch: MicroBatch, dtype: torch.dtype | None = None) -> Tensor:
    """Return what `reply_log_probs` does, in evaluation mode and without a gradient, (B,)."""
    was_training = model.training
    model.eval()
    log_probs = reply_log_probs(model, batch, dtype)
    model.train(was_training)
    return log_probs
