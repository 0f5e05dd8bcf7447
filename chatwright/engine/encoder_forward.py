"""Compute the label probabilities of a text from the token ids of its pieces.

Each piece is computed alone, without padding, so a text's probabilities are bit-identical whatever
else is classified. `training.stages.classification.text_log_probs` computes many pieces together:
several times faster, and equal within 1e-5.
"""

from collections.abc import Sequence

import torch
from torch import Tensor

from chatwright.errors import InputError
from chatwright.model.encoder import Encoder


class ClassifierForward:
    """Computes the label probabilities of one text at a time."""

    def __init__(self, model: Encoder) -> None:
        """Take a model with a label head.

        Raises:
            InputError: The model has no labels.
        """
        if not model.config.labels:
            raise InputError(
                f"This model has no labels: its head is {model.config.head!r}.",
                remedy="Train labels: chatwright train classify --from DIR --data FILE",
                field="head",
                value=model.config.head,
            )
        self.model = model

    @property
    def labels(self) -> tuple[str, ...]:
        """Label names, in the order of the probabilities."""
        return self.model.config.labels

    @property
    def max_length(self) -> int:
        """Longest piece, in tokens."""
        return self.model.config.context_length

    @torch.no_grad()
    def probabilities(self, pieces: Sequence[Sequence[int]]) -> Tensor:
        """Average the pieces' log-probabilities and normalize the result. -> (L,)."""
        log_probs = [
            self.model(torch.tensor([list(piece)], device=self.model.device))
            .float()
            .log_softmax(-1)
            for piece in pieces
        ]
        return torch.cat(log_probs).mean(0).softmax(-1).cpu()
