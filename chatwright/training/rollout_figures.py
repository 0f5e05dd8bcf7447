"""Figures of sampled replies: length, share that stop, entropy, repetition, variety.

They are pure functions of token ids and log-probabilities. Alarms watch them (`alarms.py`), and the
stages of reinforcement learning log them. A reply's tokens include the end token of a reply that
stopped.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

REPEAT_N = 3
"""Tokens of an n-gram that counts as repetition. Shorter ones repeat in every normal text."""
DISTINCT_N = 2
"""Tokens of an n-gram of `distinct_share`."""


class SampledReply(Protocol):
    """What the figures read of a reply that a model sampled."""

    @property
    def reply_ids(self) -> Sequence[int]:
        """Tokens of the reply, with its end token if it stopped."""
        ...

    @property
    def log_probs(self) -> Sequence[float]:
        """Log-probability of every reply token when it was sampled."""
        ...

    @property
    def reason(self) -> str:
        """Why the reply ended: "stop" if the model ended it."""
        ...


@dataclass(frozen=True, kw_only=True)
class RolloutFigures:
    """Means over the replies of one step. A figure that was not measured is nan."""

    length: float = math.nan
    """Tokens per reply, without the end token."""
    stop_rate: float = math.nan
    """Share of the replies that the model ended itself."""
    entropy: float = math.nan
    """Estimated entropy of the next token, in nats: minus the mean log-probability."""
    repetition: float = math.nan
    """Share of the n-grams of a reply that repeat an earlier one of the same reply."""
    distinct: float = math.nan
    """Share of different n-grams over replies to different prompts."""
    kl: float = math.nan
    """Estimated KL divergence from the reference, in nats per reply."""
    reward: float = math.nan
    """Mean reward."""


def rollout_figures(
    groups: Sequence[Sequence[SampledReply]], kl: float = math.nan, reward: float = math.nan
) -> RolloutFigures:
    """Return the figures of one step.

    Args:
        groups: For each prompt, its replies.
        kl: Estimated KL divergence from the reference, in nats per reply.
        reward: Mean reward of the replies.
    """
    replies = [reply for group in groups for reply in group]
    if not replies:
        return RolloutFigures(kl=kl, reward=reward)
    texts = [[_text_ids(reply) for reply in group] for group in groups]
    flat = [ids for group in texts for ids in group]
    log_probs = [value for reply in replies for value in reply.log_probs]
    return RolloutFigures(
        length=_mean([len(ids) for ids in flat]),
        stop_rate=_mean([float(reply.reason == "stop") for reply in replies]),
        entropy=-_mean(log_probs),
        repetition=_mean([repeated_share(ids) for ids in flat]),
        distinct=distinct_share(texts),
        kl=kl,
        reward=reward,
    )


def repeated_share(token_ids: Sequence[int], n: int = REPEAT_N) -> float:
    """Return the share of n-grams that occurred before in the same text; 0 for short texts."""
    n_grams = _n_grams(token_ids, n)
    return 1 - len(set(n_grams)) / len(n_grams) if n_grams else 0.0


def distinct_share(groups: Sequence[Sequence[Sequence[int]]], n: int = DISTINCT_N) -> float:
    """Return the share of different n-grams over replies to different prompts.

    The k-th replies of all prompts form one set. The result is the mean of the sets' shares, so
    that equal replies to one prompt do not lower it; equal replies to all prompts do. Texts shorter
    than n count as one n-gram. nan if there are fewer than two prompts.

    Args:
        groups: For each prompt, the token ids of its replies.
        n: Tokens of an n-gram (distinct-n of Li et al. 2016, section 5.1).
    """
    if len(groups) < 2:
        return math.nan
    shares = []
    for k in range(min(len(group) for group in groups)):
        n_grams = [g for group in groups for g in _n_grams(group[k], n) or [tuple(group[k])]]
        shares.append(len(set(n_grams)) / len(n_grams))
    return _mean(shares)


def _text_ids(reply: SampledReply) -> Sequence[int]:
    return reply.reply_ids[:-1] if reply.reason == "stop" else reply.reply_ids


def _n_grams(token_ids: Sequence[int], n: int) -> list[tuple[int, ...]]:
    return [tuple(token_ids[i : i + n]) for i in range(len(token_ids) - n + 1)]


def _mean(values: Sequence[float]) -> float:
    return math.fsum(values) / len(values) if values else math.nan
