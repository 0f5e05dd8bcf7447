"""Loop settings that are safe for pretrained weights.

The rates of `LoopConfig` suit random weights and would erase what a published model has learned.
These are those of the literature: AdamW at 2e-5 (Devlin et al. 2018, appendix A.3; Reimers &
Gurevych 2019, section 3.1). The best weights are kept.
"""

from dataclasses import dataclass, field
from typing import Literal

from chatwright.training.loop_config import LoopConfig
from chatwright.training.optim.optimizer import OptimizerConfig


@dataclass(frozen=True, kw_only=True)
class FineTuningOptimizerConfig(OptimizerConfig):
    """Settings of the optimizer, with defaults for pretrained weights."""

    kind: Literal["muon", "adamw"] = "adamw"
    """Optimizer of the matrices inside the blocks. Others use AdamW or sparse_kind."""
    learning_rate: float = 2e-5
    """Peak learning rate of AdamW."""
    beta2: float = 0.999
    """Decay of the mean squared gradient in AdamW and in sparse_kind=rms."""
    eps: float = 1e-8
    """Added to the root of the mean squared gradient in AdamW."""
    weight_decay: float = 0.01
    """Weight decay of matrices inside the blocks. Norms, biases and embeddings have none."""


@dataclass(frozen=True, kw_only=True)
class FineTuningLoopConfig(LoopConfig):
    """Settings of the training loop, with defaults for pretrained weights."""

    steps: int = 500
    """Optimizer steps in the run."""
    warmup: int = 50
    """Steps until the learning rate reaches its peak."""
    decay_share: float = 0.9
    """Share of a wsd run in which the learning rate falls."""
    patience: int = 5
    """Stop after this many evaluations without a better one and keep the best weights; 0: never."""
    evaluate_every: int = 25
    """Steps between evaluations on the validation data."""
    optimizer: FineTuningOptimizerConfig = field(default_factory=FineTuningOptimizerConfig)
