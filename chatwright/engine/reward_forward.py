"""Compute the scores of texts with a reward model, from their token ids.

Each text is padded to a multiple of BLOCK tokens that depends on its own length only, and texts of
one padded length are computed together. So on a CPU in float32 the score of a text is bit-identical
whatever other texts are scored, as the logits of `forward.py` are.
"""

from collections.abc import Iterator, Sequence

import torch
from torch import Tensor

from chatwright.engine.packed_model import PackedModel
from chatwright.errors import InputError
from chatwright.model.gpt import GPT
from chatwright.model.heads import last_token

BLOCK = 32
"""Texts are padded to a multiple of this many tokens."""
TOKENS_PER_BATCH = 4096
"""Largest number of tokens computed together; a longer text is computed alone."""


class RewardForward(PackedModel[GPT]):
    """Computes scores of texts. Use it in a `with` statement, or call `close`."""

    def __init__(self, model: GPT) -> None:
        """Pack the model (`packed_model.py`) and put it in eval mode.

        Raises:
            InputError: The model has no scalar head.
        """
        if model.scalar_head is None:
            raise InputError(
                f"This model has the head {model.config.head!r}, which gives no score.",
                remedy="Train a reward model: chatwright train reward --from DIR --data FILE",
                field="head",
                value=model.config.head,
            )
        super().__init__(model)
        self.weight = model.scalar_head.score.weight[0].detach()

    @property
    def max_length(self) -> int:
        """Longest text, in tokens."""
        return self.model.config.context_length

    @torch.no_grad()
    def scores(
        self, texts: Sequence[Sequence[int]], tokens_at_once: int = TOKENS_PER_BATCH
    ) -> Tensor:
        """Compute the scores of texts as token ids. -> (N,), float32, on the CPU.

        Args:
            texts: The token ids, at most `max_length` of each.
            tokens_at_once: Largest number of tokens computed together.
        """
        scores = torch.empty(len(texts))
        for length, indices in self._batches(texts, tokens_at_once):
            token_ids = torch.zeros(len(indices), length, dtype=torch.long)
            for row, index in enumerate(indices):
                token_ids[row, : len(texts[index])] = torch.tensor(list(texts[index]))
            lengths = torch.tensor([len(texts[i]) for i in indices], device=self.device)
            hidden = last_token(self.model.hidden_states(token_ids.to(self.device)), lengths)
            # Text by text: a product over a batch could add in an order that depends on its size.
            for row, index in enumerate(indices):
                scores[index] = (hidden[row] * self.weight).sum()
        return scores

    def _batches(
        self, texts: Sequence[Sequence[int]], tokens_at_once: int
    ) -> Iterator[tuple[int, list[int]]]:
        """Yield (padded length, indices of texts), at most `tokens_at_once` tokens together."""
        by_length: dict[int, list[int]] = {}
        for index, ids in enumerate(texts):
            padded = min(-(-len(ids) // BLOCK) * BLOCK, self.max_length)
            by_length.setdefault(padded, []).append(index)
        for length, indices in sorted(by_length.items()):
            size = max(1, tokens_at_once // length)
            for start in range(0, len(indices), size):
                yield length, indices[start : start + size]
