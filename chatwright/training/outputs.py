"""What a model ends in at the places that are learned: what a teacher and a student are compared by."""

from dataclasses import dataclass
from typing import Any, Protocol, runtime_checkable

import torch.nn.functional as F
from torch import Tensor


@dataclass(frozen=True)
class Outputs:
    """Scores of C classes (tokens, or labels) are features weight^T + bias."""

    features: Tensor  # (N, F)
    weight: Tensor  # (C, F)
    bias: Tensor | None
    targets: Tensor  # (N,)

    def logits(self) -> Tensor:
        bias = None if self.bias is None else self.bias.to(self.features.dtype)
        return F.linear(self.features, self.weight.to(self.features.dtype), bias).float()


@runtime_checkable
class Teachable(Protocol):
    """A stage that can have a teacher."""

    def outputs(self, model: Any, micro_batch: Any) -> Outputs: ...
