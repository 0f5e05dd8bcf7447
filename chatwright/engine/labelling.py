"""Which label a text has: the token ids of its pieces in, probabilities out.

Each piece runs through the model by itself, without padding or company, so that a text's probabilities are the same bits whatever is asked
beside it. For whole test sets `training.classification.text_log_probs` computes many pieces together, a few times faster and equal to 1e-5.
"""

from collections.abc import Sequence

import torch
from torch import Tensor

from chatwright.model.encoder import Encoder


@torch.no_grad()
def label_probabilities(model: Encoder, pieces: Sequence[Sequence[int]]) -> Tensor:
    """The mean of the pieces' log-probabilities, normed again. (L,)"""
    if not model.config.labels:
        raise ValueError(f"this encoder has no labels (its task is {model.config.task!r}). "
                         "Teach it some: chatwright train classify --from DIR --data FILE")
    log_probs = [model(torch.tensor([list(piece)], device=model.device)).float().log_softmax(-1) for piece in pieces]
    return torch.cat(log_probs).mean(0).softmax(-1).cpu()
