"""Score conversations with a reward model: how good the last reply is, as people would rank it.

A score has a meaning only in comparison with other scores of the same model. `normalized` subtracts
the mean and divides by the standard deviation of the scores of validation data, which are stored
with the model, so that rewards of different models are on one scale.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from chatwright.conversation import Conversation
from chatwright.engine.reward_forward import TOKENS_PER_BATCH, RewardForward
from chatwright.errors import InputError
from chatwright.tokenizer.chat_template import render_scored
from chatwright.tokenizer.tokenizer import Tokenizer


@dataclass(frozen=True)
class RewardScale:
    """Mean and standard deviation of a model's scores on its validation data."""

    mean: float = 0.0
    std: float = 1.0

    def normalized(self, score: float) -> float:
        """Return the score in standard deviations from the mean."""
        return (score - self.mean) / self.std


class RewardModel:
    """Scores conversations with one model."""

    def __init__(
        self, forward: RewardForward, tokenizer: Tokenizer, scale: RewardScale = RewardScale()
    ) -> None:
        """Take the prepared model, its tokenizer, and the scale of its scores."""
        self.forward = forward
        self.tokenizer = tokenizer
        self.scale = scale

    def scores(
        self, conversations: Sequence[Conversation], tokens_at_once: int = TOKENS_PER_BATCH
    ) -> list[float]:
        """Return the normalized score of each conversation, whose last message is the reply.

        Args:
            conversations: Messages that end with a reply.
            tokens_at_once: Largest number of tokens computed together; it never changes a score.

        Raises:
            InputError: A conversation does not end with a reply, or is longer than the context.
        """
        texts = [self._encode(conversation) for conversation in conversations]
        raw = self.forward.scores(texts, tokens_at_once).tolist()
        return [self.scale.normalized(score) for score in raw]

    def _encode(self, conversation: Conversation) -> Sequence[int]:
        ids = render_scored(conversation, self.tokenizer)
        if len(ids) > self.forward.max_length:
            raise InputError(
                f"A conversation has {len(ids):,} tokens, and the reward model reads "
                f"{self.forward.max_length:,}.",
                remedy="Shorten it, or train a reward model with a longer context.",
                field="conversation",
                value=len(ids),
            )
        return ids
