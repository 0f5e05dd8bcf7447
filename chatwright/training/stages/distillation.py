"""Knowledge distillation: learn from a teacher's probabilities (Hinton et al. 2015).

    loss = (1 - a) x cross-entropy + a x T^2 x KL(teacher || student, both at temperature T)
           [+ w x mean squared distance of P(student features) and teacher features]

It wraps any stage. Student and teacher must score the same classes: tokens of one vocabulary, or
labels. The projection P of the last term (DistilBERT and TinyBERT match hidden states in this way)
is trained with the student and then discarded. Validation measures the student alone, so its losses
are comparable with those of other runs. The cost is one forward pass of the teacher in every step.
"""

from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, Literal

import torch
from torch import Tensor, nn

from chatwright.model.linear import Linear
from chatwright.model.model import Model
from chatwright.training import checks
from chatwright.training.cross_entropy import NUMBERS_AT_ONCE
from chatwright.training.outputs import HasOutputs, Outputs
from chatwright.training.setting_checks import require_setting
from chatwright.training.stage import Batch, Loss, M, Micro, Stage
from chatwright.training.stages.wrapped_stage import WrappedStage


@dataclass(frozen=True, kw_only=True)
class DistillationConfig:
    """Settings of learning from a teacher."""

    teacher: str = ""
    """Model directory or training run of the teacher."""
    temperature: float = 2.0
    """Softens both distributions; higher values give small probabilities more weight."""
    share: float = 0.5
    """Weight of the teacher in the loss; the rest is the weight of the data's targets."""
    hidden_weight: float = 0.0
    """Weight of the distance between the last hidden states; 0: not compared."""
    start: Literal["fresh", "every-other-layer"] = "fresh"
    """Initial weights of the student: random, or the teacher's layers 1, 3, 5, ..."""

    def __post_init__(self) -> None:
        require = partial(require_setting, self, "distillation")
        require("teacher", bool(self.teacher), "names no model. Give a model directory")
        require("temperature", self.temperature > 0, "must be above 0")
        require(
            "share",
            0.0 < self.share <= 1.0,
            "must be above 0 and at most 1. To train without a teacher, remove distillation",
        )
        require("hidden_weight", self.hidden_weight >= 0, "must be at least 0")


class Distillation(WrappedStage[M, Micro]):
    """A stage whose student also learns from a teacher."""

    def __init__(
        self,
        inner: Stage[M, Micro],
        teacher: Model,
        identity: str,
        config: DistillationConfig,
        d_student: int,
        generator: torch.Generator,
    ) -> None:
        """Add a teacher to the inner stage.

        Args:
            inner: The stage that supplies batches and the student's loss.
            teacher: The teacher, on the student's device.
            identity: Hash of the teacher's weights, which identifies the run.
            config: Settings.
            d_student: Width of the student's hidden states.
            generator: Draws the projection.
        """
        super().__init__(inner)
        assert isinstance(inner, HasOutputs), f"{inner.name} has no outputs to compare"
        # This is `inner` again, with the type that has `outputs`.
        self.outputs_of: HasOutputs = inner
        self.teacher = teacher.eval().requires_grad_(False)
        self.identity = identity
        self.config = config
        self.teacher_figures: dict[str, float] = {}
        self.projection = None
        if config.hidden_weight:
            self.projection = _fresh_projection(d_student, teacher, generator)

    def loss(self, model: M, micro_batch: Micro) -> Loss:
        """Return the distillation loss in training, the inner stage's loss in evaluation."""
        if not model.training:
            return super().loss(model, micro_batch)
        student = self.outputs_of.outputs(model, micro_batch)
        with torch.no_grad():
            teacher = self.outputs_of.outputs(self.teacher, micro_batch)
        total = DistilledCrossEntropy.apply(
            student.features,
            student.weight,
            student.bias,
            student.targets,
            teacher,
            self.config.temperature,
            self.config.share,
        )
        if self.projection is not None:
            distance = self.projection(student.features).float() - teacher.features.float()
            total = total + self.config.hidden_weight * distance.square().mean(dim=1).sum()
        return Loss(total, len(student.targets))

    def check_start(self, model: M, batch: Batch[Micro], parent: Path | None) -> float:
        """Check the first loss, unless the student begins with layers of its teacher.

        The first loss of such a student is not known in advance.
        """
        if self.config.start != "every-other-layer":
            return super().check_start(model, batch, parent)
        loss = checks.mean_loss(model, self, batch)
        checks.check_finite(loss, "the loss", 0)
        return loss

    def evaluate(self, model: M) -> dict[str, float]:
        """Return the student's figures, and the teacher's as `teacher_...`."""
        if not self.teacher_figures:
            figures = self.inner.evaluate(self.teacher)  # type: ignore[arg-type]
            self.teacher_figures = {f"teacher_{name}": value for name, value in figures.items()}
        return super().evaluate(model) | self.teacher_figures

    def own_weights(self) -> dict[str, nn.Parameter]:
        """Return the inner stage's own weights and the projection."""
        weights = super().own_weights()
        if self.projection is not None:
            weights = weights | {"projection": self.projection.weight}
        return weights

    def describe(self) -> dict[str, Any]:
        """Return the inner stage's description and the teacher's hash."""
        return super().describe() | {"teacher": self.identity}


def _fresh_projection(d_student: int, teacher: Any, generator: torch.Generator) -> Linear:
    """Draw a projection from the student's hidden states to the teacher's."""
    projection = Linear(d_student, teacher.config.d_model)
    with torch.no_grad():
        projection.weight.normal_(0.0, 1.0, generator=generator).div_(d_student**0.5)
    return projection.to(teacher.device)


class DistilledCrossEntropy(torch.autograd.Function):
    """Compute the first two terms of the loss, summed, together with their gradients.

    features (N, F), weight (C, F), bias (C,) or None, targets (N,) -> scalar. Like
    `HeadCrossEntropy` it works on a few rows at a time, so the (N, C) logits of either model never
    exist as a whole.
    """

    @staticmethod
    def forward(
        ctx: Any,
        features: Tensor,
        weight: Tensor,
        bias: Tensor | None,
        targets: Tensor,
        teacher: Outputs,
        temperature: float,
        share: float,
    ) -> Tensor:
        """Return the summed loss and keep the gradients for the backward pass."""
        total = features.new_zeros((), dtype=torch.float32)
        student = Outputs(features, weight, bias, targets)
        grad_features = torch.empty_like(features)
        grad_weight = torch.zeros_like(weight)
        grad_bias = weight.new_zeros(len(weight))
        rows = max(1, NUMBERS_AT_ONCE // len(weight))
        for start in range(0, len(features), rows):
            chunk = slice(start, start + rows)
            part = _rows(student, chunk)
            loss, grad_logits = loss_and_gradient(
                part.logits(), _rows(teacher, chunk).logits(), part.targets, temperature, share
            )
            total += loss
            grad_bias += grad_logits.sum(dim=0)
            grad_logits = grad_logits.to(features.dtype)
            torch.mm(grad_logits, weight.to(features.dtype), out=grad_features[chunk])
            grad_weight += grad_logits.T @ part.features
        ctx.save_for_backward(grad_features, grad_weight, grad_bias)
        ctx.has_bias = bias is not None
        return total

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
        """Scale the stored gradients."""
        grad_features, grad_weight, grad_bias = ctx.saved_tensors
        return (
            grad_features * grad.to(grad_features.dtype),
            grad_weight * grad,
            grad_bias * grad if ctx.has_bias else None,
            None,
            None,
            None,
            None,
        )


def _rows(outputs: Outputs, chunk: slice) -> Outputs:
    return Outputs(outputs.features[chunk], outputs.weight, outputs.bias, outputs.targets[chunk])


def loss_and_gradient(
    student: Tensor, teacher: Tensor, targets: Tensor, temperature: float, share: float
) -> tuple[Tensor, Tensor]:
    """Return the summed loss and its gradient with respect to the student's logits.

    student, teacher (N, C), targets (N,) -> scalar, (N, C). The factor T^2 keeps the gradient of
    the soft targets as large as that of the hard ones at any temperature (Hinton et al. 2015,
    section 2).
    """
    hard = student.log_softmax(dim=1)
    soft = (student / temperature).log_softmax(dim=1)
    soft_targets = (teacher / temperature).log_softmax(dim=1)
    divergence = (soft_targets.exp() * (soft_targets - soft)).sum()
    log_likelihood = hard.gather(1, targets[:, None]).sum()
    loss = share * temperature**2 * divergence - (1 - share) * log_likelihood
    gradient = (1 - share) * hard.exp() + share * temperature * (soft.exp() - soft_targets.exp())
    minus_one_hot = torch.full_like(targets[:, None], share - 1, dtype=gradient.dtype)
    return loss, gradient.scatter_add_(1, targets[:, None], minus_one_hot)
