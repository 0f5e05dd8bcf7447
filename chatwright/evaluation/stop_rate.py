"""The share of replies that end by themselves: a model that never stops is useless however low its loss is.

The usual cause is a loss mask that leaves out the end token, so this is measured after every fine-tuning. It says nothing
about what the replies contain; a model that stops at once scores 100 %, which is why the mean length stands beside it.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

from chatwright.evaluation.interval import Share

# Prompts in, for each one (the reply's token ids, whether it ended by itself within the limit) out, in the same order.
Generate = Callable[[Sequence[Sequence[int]]], Iterable[tuple[Sequence[int], bool]]]


@dataclass(frozen=True)
class StopRate:
    share: Share
    mean_length: float  # tokens, over all replies
    n_empty: int  # replies without a single token


def stop_rate(generate: Generate, prompts: Sequence[Sequence[int]]) -> StopRate:
    if not prompts:
        raise ValueError("there are no prompts, so there is no stop rate; give at least one")
    replies = list(generate(prompts))
    assert len(replies) == len(prompts), (
        f"{len(prompts)} prompts came back as {len(replies)} replies"
    )
    lengths = [len(token_ids) for token_ids, _ in replies]
    return StopRate(
        share=Share(sum(bool(stopped) for _, stopped in replies), len(replies)),
        mean_length=sum(lengths) / len(lengths),
        n_empty=lengths.count(0),
    )
