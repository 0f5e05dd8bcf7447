"""Settings of the optimizer for stages that change a fine-tuned model slowly."""

from dataclasses import dataclass
from typing import Literal

from chatwright.training.optim.optimizer import OptimizerConfig

ADAPTER_RATES = {"loop.optimizer.learning_rate": 2e-4}
"""An adapter has few weights and learns with larger steps."""


@dataclass(frozen=True, kw_only=True)
class FineTunedOptimizerConfig(OptimizerConfig):
    """Settings of the optimizer, with defaults that change a fine-tuned model slowly."""

    kind: Literal["muon", "adamw"] = "adamw"
    """Optimizer of the matrices inside the blocks. Others use AdamW or sparse_kind."""
    beta2: float = 0.999
    """Decay of the mean squared gradient in AdamW and in sparse_kind=rms."""
    eps: float = 1e-8
    """Added to the root of the mean squared gradient in AdamW."""
    weight_decay: float = 0.0
    """Weight decay of matrices inside the blocks. Norms, biases and embeddings have none."""
