"""Beam search: the `width` most probable beginnings go on together, so that a good sentence with a modest first word is not lost.

    score = log p(tokens) / ((5 + length) / 6)^length_penalty                         Wu et al. 2016, eq. 14

Ids only, and any model: what it searches is whatever answers `next_logits` and can be rearranged. Greedy search is width 1. A hypothesis is
finished when its end token is among the best `width` of its text's candidates; it leaves the beam, which stays `width` wide, and competes
by its own length. A text is done with `width` finished ones, or when nothing unfinished can still enter the best `n_best`: that bound is exact.
"""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor


@dataclass(frozen=True, kw_only=True)
class BeamConfig:
    width: int = 5  # 1 is greedy search
    length_penalty: float = (
        1.0  # 0 compares log-probabilities as they are, which favours short texts
    )
    n_best: int = 1

    def __post_init__(self) -> None:
        if self.width < 1:
            raise ValueError(f"width ({self.width}) must be at least 1; 1 is greedy search")
        if not -10 <= self.length_penalty <= 10:
            raise ValueError(
                f"length_penalty ({self.length_penalty}) must be from -10 to 10; 0 compares log-probabilities as they are"
            )
        if not 1 <= self.n_best <= self.width:
            raise ValueError(
                f"n_best ({self.n_best}) must be at least 1 and at most the width of the beam ({self.width})"
            )


@dataclass(frozen=True)
class Hypothesis:
    token_ids: tuple[int, ...]  # the end token included, if it ended
    log_prob: float  # of all its tokens, under the model itself
    score: float
    ended: bool  # False: cut off at the limit


class Beginnings(Protocol):
    """Rows of unfinished texts inside a model; `engine/encoder_decoder_forward.py` is one."""

    def next_logits(self, token_ids: Tensor) -> Tensor:
        """Each row reads one more token and says what it expects after it. (N,) -> (N, V)"""
        ...

    def select(self, rows: Tensor) -> None:
        """Row i goes on from where row rows[i] stands; others are dropped. (N',)"""
        ...


def beam_search(
    beginnings: Beginnings,
    first: int,
    end: int,
    limits: Sequence[int],
    config: BeamConfig,
    banned: Collection[int] = (),
) -> list[list[Hypothesis]]:
    """For each text, at most `n_best` hypotheses, best first. `beginnings` holds `width` equal rows a text, next to each other.

    `limits`: most tokens of each text's hypotheses, the end token included. `banned` ids are never chosen.
    """
    search = Search(first, end, limits, config, banned)
    while search.texts:
        rows = search.advance(beginnings.next_logits(search.tokens[:, :, -1].flatten()))
        if len(rows):
            beginnings.select(rows)
    return [search.results(text) for text in range(len(limits))]


class Search:
    """The beams of the texts not done yet. b texts, W = width.  tokens (b, W, t), log_probs (b, W) in float64"""

    def __init__(
        self,
        first: int,
        end: int,
        limits: Sequence[int],
        config: BeamConfig,
        banned: Collection[int],
    ) -> None:
        self.end, self.limits, self.config, self.banned = end, limits, config, sorted(banned)
        self.texts = list(range(len(limits)))
        self.finished: list[list[Hypothesis]] = [[] for _ in limits]
        self.tokens = torch.full((len(limits), config.width, 1), first)
        # One beginning, in the first row; the others are not there until it has branched.
        self.log_probs = torch.full((len(limits), config.width), float("-inf"), dtype=torch.float64)
        self.log_probs[:, 0] = 0.0

    def advance(self, logits: Tensor) -> Tensor:
        """One more token for every beginning. (b * W, V) -> the rows that go on (b' * W,)"""
        best, rows, chosen = self._candidates(logits)  # (b, 2W)
        ends = (chosen == self.end) & (best > float("-inf"))
        W = self.config.width
        self._finish(best[:, :W], rows[:, :W], ends[:, :W])
        unfinished = best.masked_fill(ends, float("-inf"))
        kept = unfinished.argsort(dim=1, descending=True, stable=True)[:, :W]  # (b, W)
        came_from = rows.gather(1, kept)
        earlier = self.tokens.gather(1, came_from[..., None].expand(-1, -1, self.tokens.shape[2]))
        self.tokens = torch.cat([earlier, chosen.gather(1, kept)[..., None]], dim=2)
        self.log_probs = unfinished.gather(1, kept)
        return self._drop_what_is_done(came_from)

    def _candidates(self, logits: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """The best 2W one token longer, best first: log-probability, beginning, token. At most W of them end, so W can go on. (b, 2W)"""
        (b, W), n = self.log_probs.shape, min(2 * self.config.width, logits.shape[1])
        step = logits.float().log_softmax(dim=-1)
        step[:, self.banned] = float("-inf")
        step, tokens = (
            x.cpu().view(b, W, n) for x in step.topk(n, dim=-1)
        )  # no text's best 2W lie beyond a beginning's best 2W
        best, places = (self.log_probs[:, :, None] + step).flatten(1).topk(min(2 * W, W * n), dim=1)
        return best, places // n, tokens.flatten(1).gather(1, places)

    def _finish(self, log_probs: Tensor, rows: Tensor, ends: Tensor) -> None:
        for place, rank in ends.nonzero().tolist():
            tokens = (*self.tokens[place, rows[place, rank], 1:].tolist(), self.end)
            self.finished[self.texts[place]].append(
                self._hypothesis(tokens, float(log_probs[place, rank]), ended=True)
            )

    def _hypothesis(self, tokens: tuple[int, ...], log_prob: float, ended: bool) -> Hypothesis:
        return Hypothesis(tokens, log_prob, log_prob / self._divisor(len(tokens)), ended)

    def _divisor(self, length: int) -> float:
        return ((5 + length) / 6) ** self.config.length_penalty

    def _drop_what_is_done(self, came_from: Tensor) -> Tensor:
        places = [place for place in range(len(self.texts)) if not self._is_done(place)]
        for place in set(range(len(self.texts))) - set(places):
            self._cut_off(place)
        going_on = torch.tensor(places, dtype=torch.long)
        rows = (going_on[:, None] * self.config.width + came_from[going_on]).flatten()
        self.texts = [self.texts[place] for place in places]
        self.tokens, self.log_probs = self.tokens[going_on], self.log_probs[going_on]
        return rows

    def _is_done(self, place: int) -> bool:
        finished, n, length = (
            self.finished[self.texts[place]],
            self.config.n_best,
            self.tokens.shape[2] - 1,
        )
        limit, best = self.limits[self.texts[place]], float(self.log_probs[place, 0])
        if length >= limit or len(finished) >= self.config.width or best == float("-inf"):
            return True
        if len(finished) < n:
            return False
        # A log-probability only falls, so an unfinished hypothesis scores at most this, ending now or at the limit.
        bound = max(best / self._divisor(length + 1), best / self._divisor(limit))
        return sorted((h.score for h in finished), reverse=True)[n - 1] >= bound

    def _cut_off(self, place: int) -> None:
        """Where too few ended within the limit, the best that did not."""
        text = self.texts[place]
        for tokens, log_prob in zip(
            self.tokens[place, :, 1:].tolist(), self.log_probs[place].tolist(), strict=True
        ):
            if len(self.finished[text]) < self.config.n_best and log_prob > float("-inf"):
                self.finished[text].append(self._hypothesis(tuple(tokens), log_prob, ended=False))

    def results(self, text: int) -> list[Hypothesis]:
        return sorted(self.finished[text], key=lambda h: (not h.ended, -h.score))[
            : self.config.n_best
        ]
