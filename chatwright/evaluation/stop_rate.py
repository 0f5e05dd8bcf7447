"""Stop rate: the share of replies that the model ends itself, before the length limit.

A model that never stops is useless however low its loss is; the usual cause is a loss mask without
the end token. Fine-tuning therefore reports this rate. The rate says nothing about the content: a
model that stops at once has a stop rate of 100 %. Its mean length of replies is then near 0.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

from chatwright.errors import InputError
from chatwright.evaluation.interval import Share

# From prompts to (token ids of the reply, whether the model ended it), in the same order.
Generate = Callable[[Sequence[Sequence[int]]], Iterable[tuple[Sequence[int], bool]]]


@dataclass(frozen=True)
class StopRate:
    """How many replies ended by themselves."""

    share: Share
    mean_length: float
    """Mean length of all replies, in tokens."""
    n_empty: int
    """Number of replies without tokens."""


def stop_rate(generate: Generate, prompts: Sequence[Sequence[int]]) -> StopRate:
    """Generate a reply to each prompt and count those that ended by themselves.

    Raises:
        InputError: There are no prompts.
    """
    if not prompts:
        raise InputError(
            "There are no prompts to measure a stop rate on.",
            remedy="Give at least one conversation with a user message.",
            field="prompts",
            value=0,
        )
    replies = list(generate(prompts))
    assert len(replies) == len(prompts), f"{len(prompts)} prompts gave {len(replies)} replies"
    lengths = [len(token_ids) for token_ids, _ in replies]
    return StopRate(
        share=Share(sum(bool(has_ended) for _, has_ended in replies), len(replies)),
        mean_length=sum(lengths) / len(lengths),
        n_empty=lengths.count(0),
    )
