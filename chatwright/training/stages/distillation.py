"""Learn from a teacher: beside the right answer, everything else the teacher thinks possible (Hinton et al. 2015).

    loss = (1 - a) x cross-entropy + a x T^2 x KL(teacher at temperature T || student at T)  [+ w x mean (P features - teacher's features)^2]

Works around any stage whose model ends in scores over the same classes as the teacher's: tokens of one vocabulary, or labels. The projection P
of the last term (DistilBERT and TinyBERT match hidden states so) is learned along and thrown away. In evaluation the student stands alone, so
losses compare with those of any other run. It costs the teacher's forward pass in every step.
"""

from dataclasses import dataclass
from typing import Any, Literal

import torch
from torch import Tensor, nn

from chatwright.model.linear import Linear
from chatwright.model.model import Model
from chatwright.training.cross_entropy import NUMBERS_AT_ONCE
from chatwright.training.outputs import Outputs, Teachable
from chatwright.training.stage import Loss, M, Micro, Stage
from chatwright.training.stages.wrapped_stage import WrappedStage


@dataclass(frozen=True, kw_only=True)
class DistillationConfig:
    teacher: str = ""  # a model directory, or the folder of a training run
    temperature: float = 2.0  # above 1 the teacher's small probabilities count for more
    share: float = 0.5  # of the teacher in the loss; the rest is the data's own answer
    hidden_weight: float = 0.0  # of the distance between the last layers' outputs
    start: Literal["fresh", "every-other-layer"] = (
        "fresh"  # the student's first weights: drawn, or the teacher's layers 1, 3, 5, ...
    )

    def __post_init__(self) -> None:
        if not self.teacher:
            raise ValueError(
                "teacher is empty: give the directory of a trained model, for example distillation.teacher=runs/large"
            )
        if not self.temperature > 0:
            raise ValueError(f"temperature ({self.temperature}) must be above 0")
        if not 0.0 < self.share <= 1.0:
            raise ValueError(
                f"share ({self.share}) must be above 0 and at most 1; without a teacher leave distillation out"
            )
        if self.hidden_weight < 0:
            raise ValueError(f"hidden_weight ({self.hidden_weight}) must be at least 0")


class Distillation(WrappedStage[M, Micro]):
    def __init__(
        self,
        inner: Stage[M, Micro],
        teacher: Model,
        identity: str,
        config: DistillationConfig,
        student_width: int,
        generator: torch.Generator,
    ) -> None:
        super().__init__(inner)
        assert isinstance(inner, Teachable), (
            f"a stage of the kind {inner.name} does not say what its models end in"
        )
        self.learned: Teachable = inner
        self.teacher, self.identity, self.config = (
            teacher.eval().requires_grad_(False),
            identity,
            config,
        )
        self.teachers_figures: dict[str, float] = {}
        self.projection = (
            _projection(student_width, teacher, generator) if config.hidden_weight else None
        )

    def loss(self, model: M, micro_batch: Micro) -> Loss:
        if not model.training:
            return super().loss(model, micro_batch)
        own = self.learned.outputs(model, micro_batch)
        with torch.no_grad():
            theirs = self.learned.outputs(self.teacher, micro_batch)
        total = DistilledCrossEntropy.apply(
            own.features,
            own.weight,
            own.bias,
            own.targets,
            theirs,
            self.config.temperature,
            self.config.share,
        )
        if self.projection is not None:
            distance = self.projection(own.features).float() - theirs.features.float()
            total = total + self.config.hidden_weight * distance.square().mean(dim=1).sum()
        return Loss(total, len(own.targets))

    def fresh_loss(self, model: M) -> float:
        """No number where the student begins with layers of its teacher: what such a model knows cannot be said beforehand."""
        return (
            float("nan") if self.config.start == "every-other-layer" else super().fresh_loss(model)
        )

    def evaluate(self, model: M) -> dict[str, float]:
        """The student's figures, and the teacher's beside them."""
        if not self.teachers_figures:
            found = self.inner.evaluate(self.teacher)  # type: ignore[arg-type]
            self.teachers_figures = {f"teacher_{name}": value for name, value in found.items()}
        return super().evaluate(model) | self.teachers_figures

    def own_weights(self) -> dict[str, nn.Parameter]:
        return super().own_weights() | (
            {"projection": self.projection.weight} if self.projection is not None else {}
        )

    def describe(self) -> dict[str, Any]:
        return super().describe() | {"teacher": self.identity}


def _projection(student_width: int, teacher: Any, generator: torch.Generator) -> Linear:
    made = Linear(student_width, teacher.config.d_model)
    with torch.no_grad():
        made.weight.normal_(0.0, 1.0, generator=generator).div_(student_width**0.5)
    return made.to(teacher.device)


class DistilledCrossEntropy(torch.autograd.Function):
    """The first two terms of the loss, as a sum.  features (N, F), weight (C, F), bias (C,) or None, targets (N,) -> scalar

    Like `HeadCrossEntropy` a few rows at a time, both gradients along with the loss: neither model's table of logits ever exists whole.
    """

    @staticmethod
    def forward(
        ctx: Any,
        features: Tensor,
        weight: Tensor,
        bias: Tensor | None,
        targets: Tensor,
        theirs: Outputs,
        temperature: float,
        share: float,
    ) -> Tensor:
        total = features.new_zeros((), dtype=torch.float32)
        own = Outputs(features, weight, bias, targets)
        grad_features, grad_weight, grad_bias = (
            torch.empty_like(features),
            torch.zeros_like(weight),
            weight.new_zeros(len(weight)),
        )
        rows = max(1, NUMBERS_AT_ONCE // len(weight))
        for start in range(0, len(features), rows):
            here = slice(start, start + rows)
            part = _rows(own, here)
            loss, slope = loss_and_slope(
                part.logits(), _rows(theirs, here).logits(), part.targets, temperature, share
            )
            total += loss
            grad_bias += slope.sum(dim=0)
            slope = slope.to(features.dtype)
            torch.mm(slope, weight.to(features.dtype), out=grad_features[here])
            grad_weight += slope.T @ part.features
        ctx.save_for_backward(grad_features, grad_weight, grad_bias)
        ctx.has_bias = bias is not None
        return total

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
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


def _rows(outputs: Outputs, here: slice) -> Outputs:
    return Outputs(outputs.features[here], outputs.weight, outputs.bias, outputs.targets[here])


def loss_and_slope(
    own: Tensor, theirs: Tensor, targets: Tensor, temperature: float, share: float
) -> tuple[Tensor, Tensor]:
    """The summed loss of some rows and its gradient by their logits. (N, C), (N, C), (N,) -> scalar, (N, C)

    T^2 keeps the soft part's gradient as large as the hard part's at any temperature (Hinton et al. 2015, section 2).
    """
    hard, soft = own.log_softmax(dim=1), (own / temperature).log_softmax(dim=1)
    wanted = (theirs / temperature).log_softmax(dim=1)
    divergence = (wanted.exp() * (wanted - soft)).sum()
    right = hard.gather(1, targets[:, None]).sum()
    loss = share * temperature**2 * divergence - (1 - share) * right
    slope = (1 - share) * hard.exp() + share * temperature * (soft.exp() - wanted.exp())
    return loss, slope.scatter_add_(
        1, targets[:, None], torch.full_like(targets[:, None], share - 1, dtype=slope.dtype)
    )
