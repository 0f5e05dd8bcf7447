"""The inputs of a model's last linear layer at the supervised tokens.

Distillation computes the logits of teacher and student from them, for a few tokens at a time.
"""

from dataclasses import dataclass
from typing import Any, Protocol, runtime_checkable

import torch.nn.functional as F
from torch import Tensor


@dataclass(frozen=True)
class Outputs:
    """The logits of C classes (tokens or labels) as a product: features weight^T + bias.

    features (N, F), weight (C, F), bias (C,) or None, targets (N,).
    """

    features: Tensor
    weight: Tensor
    bias: Tensor | None
    targets: Tensor

    def logits(self) -> Tensor:
        """Return the logits in float32, (N, C)."""
        bias = None if self.bias is None else self.bias.to(self.features.dtype)
        return F.linear(self.features, self.weight.to(self.features.dtype), bias).float()


@runtime_checkable
class HasOutputs(Protocol):
    """A stage that can learn from a teacher."""

    def outputs(self, model: Any, micro_batch: Any) -> Outputs:
        """Return the outputs of `model` at the supervised tokens."""
        ...
