"""Which label a text has: the token ids of its pieces in, probabilities out.

Each piece runs through the model by itself, without padding or company, so that a text's probabilities are the same bits whatever is asked
beside it. For whole test sets `training.classification.text_log_probs` computes many pieces together, a few times faster and equal to 1e-5.
"""

from collections.abc import Sequence

import torch
from torch import Tensor

from chatwright.model.encoder import Encoder


class ClassifierForward:
    """A classifier as it is asked."""

    def __init__(self, model: Encoder) -> None:
        if not model.config.labels:
            raise ValueError(
                f"this encoder has no labels (its head is {model.config.head!r}). "
                "Teach it some: chatwright train classify --from DIR --data FILE"
            )
        self.model = model

    @property
    def labels(self) -> tuple[str, ...]:
        return self.model.config.labels

    @property
    def max_length(self) -> int:
        """Most tokens of a piece."""
        return self.model.config.context_length

    @torch.no_grad()
    def probabilities(self, pieces: Sequence[Sequence[int]]) -> Tensor:
        """The mean of the pieces' log-probabilities, normed again. (L,)"""
        log_probs = [
            self.model(torch.tensor([list(piece)], device=self.model.device))
            .float()
            .log_softmax(-1)
            for piece in pieces
        ]
        return torch.cat(log_probs).mean(0).softmax(-1).cpu()
