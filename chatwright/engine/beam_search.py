"""Beam search: extend the `width` most probable unfinished hypotheses together, token by token.

    score = log p(tokens) / ((5 + length) / 6)^length_penalty                Wu et al. 2016, eq. 14

Beam search also finds texts whose first tokens are not the most probable ones. It works on token
ids, with any model that implements `DecodingBatch`. Width 1 is greedy search.

A hypothesis is finished when its end token is among the best `width` candidates of its text. The
next best unfinished one then takes its row. A text is done when it has `width` finished hypotheses,
or when an upper bound shows that no unfinished one can still enter the best `n_best`.
"""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor

from chatwright.errors import InputError


@dataclass(frozen=True, kw_only=True)
class BeamConfig:
    """Settings of a beam search."""

    width: int = 5
    """Number of unfinished hypotheses of each text. 1: greedy search."""
    length_penalty: float = 1.0
    """Exponent of the length in the score. 0: scores are log-probabilities, so short texts win."""
    n_best: int = 1
    """Number of hypotheses to return for each text."""

    def __post_init__(self) -> None:
        if self.width < 1:
            raise self._refused("width", "must be at least 1.", "Use 1 for greedy search.")
        if not -10 <= self.length_penalty <= 10:
            reason = "must be from -10 to 10."
            raise self._refused("length_penalty", reason, "Use 0 for no penalty.")
        if not 1 <= self.n_best <= self.width:
            reason = f"must be from 1 to the beam's width ({self.width})."
            raise self._refused("n_best", reason, "Lower n_best, or raise width.")

    def _refused(self, name: str, reason: str, remedy: str) -> InputError:
        value = getattr(self, name)
        return InputError(f"{name} ({value}) {reason}", remedy=remedy, field=name, value=value)


@dataclass(frozen=True)
class Hypothesis:
    """A possible output text."""

    token_ids: tuple[int, ...]
    """Its tokens, with the end token if it has one."""
    log_prob: float
    """Log-probability of all its tokens."""
    score: float
    """Log-probability divided by the length penalty."""
    ended: bool
    """Whether it has an end token; False: it was cut off at the limit."""


class DecodingBatch(Protocol):
    """A model with one row per unfinished text, such as `TranslationBatch`."""

    def next_logits(self, token_ids: Tensor) -> Tensor:
        """Add one token to each row and compute the logits after it. (N,) -> (N, V)."""
        ...

    def select(self, rows: Tensor) -> None:
        """Copy row rows[i] to row i, for every i, and drop the rows beyond. (N',)."""
        ...


def beam_search(
    batch: DecodingBatch,
    start_id: int,
    end_id: int,
    limits: Sequence[int],
    config: BeamConfig,
    banned: Collection[int] = (),
) -> list[list[Hypothesis]]:
    """Search at most `n_best` hypotheses for each text, best first.

    Args:
        batch: `width` equal rows per text, next to each other.
        start_id: Token that starts every hypothesis; it is not part of the result.
        end_id: Token that ends a hypothesis.
        limits: Most tokens of each text's hypotheses, with the end token.
        config: Settings of the search.
        banned: Tokens that are never chosen.
    """
    search = _Search(start_id, end_id, limits, config, banned)
    while search.texts:
        rows = search.advance(batch.next_logits(search.tokens[:, :, -1].flatten()))
        if len(rows):
            batch.select(rows)
    return [search.results(text) for text in range(len(limits))]


class _Search:
    """The beams of all texts that are not done.

    b texts, W = width: tokens (b, W, t), log_probs (b, W) in float64. `texts` holds the index of
    each text; b shrinks as texts are done.
    """

    def __init__(
        self,
        start_id: int,
        end_id: int,
        limits: Sequence[int],
        config: BeamConfig,
        banned: Collection[int],
    ) -> None:
        self.end_id = end_id
        self.limits = limits
        self.config = config
        self.banned = sorted(banned)
        self.texts = list(range(len(limits)))
        self.finished: list[list[Hypothesis]] = [[] for _ in limits]
        self.tokens = torch.full((len(limits), config.width, 1), start_id)
        # At first each text has one hypothesis, in its first row; the others have probability 0.
        self.log_probs = torch.full((len(limits), config.width), float("-inf"), dtype=torch.float64)
        self.log_probs[:, 0] = 0.0

    def advance(self, logits: Tensor) -> Tensor:
        """Add one token to every hypothesis.

        (b * W, V) -> (b' * W,): for each remaining row, the row whose tokens it continues.
        """
        best, rows, tokens = self._candidates(logits)  # (b, 2W)
        is_end = (tokens == self.end_id) & (best > float("-inf"))
        W = self.config.width
        self._finish(best[:, :W], rows[:, :W], is_end[:, :W])
        unfinished = best.masked_fill(is_end, float("-inf"))
        kept = unfinished.argsort(dim=1, descending=True, stable=True)[:, :W]  # (b, W)
        parents = rows.gather(1, kept)  # (b, W)
        indices = parents[..., None].expand(-1, -1, self.tokens.shape[2])
        earlier = self.tokens.gather(1, indices)  # (b, W, t)
        self.tokens = torch.cat([earlier, tokens.gather(1, kept)[..., None]], dim=2)
        self.log_probs = unfinished.gather(1, kept)
        return self._drop_done_texts(parents)

    def _candidates(self, logits: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Find each text's best 2W continuations: log-probability, row and token, each (b, 2W).

        At most one per row is an end token, so at least W of them are unfinished.
        """
        b, W = self.log_probs.shape
        # The best 2W of a text are among the best 2W of its rows.
        n = min(2 * W, logits.shape[1])
        token_log_probs = logits.float().log_softmax(dim=-1)
        token_log_probs[:, self.banned] = float("-inf")
        best_of_rows = token_log_probs.topk(n, dim=-1)
        token_log_probs, tokens = (x.cpu().view(b, W, n) for x in best_of_rows)
        total = (self.log_probs[:, :, None] + token_log_probs).flatten(1)  # (b, W * n)
        best, indices = total.topk(min(2 * W, W * n), dim=1)
        return best, indices // n, tokens.flatten(1).gather(1, indices)

    def _finish(self, log_probs: Tensor, rows: Tensor, is_end: Tensor) -> None:
        """Store the hypotheses whose end token is among the best W candidates. (b, W) each."""
        for i, rank in is_end.nonzero().tolist():
            token_ids = (*self.tokens[i, rows[i, rank], 1:].tolist(), self.end_id)
            hypothesis = self._hypothesis(token_ids, float(log_probs[i, rank]), ended=True)
            self.finished[self.texts[i]].append(hypothesis)

    def _hypothesis(self, token_ids: tuple[int, ...], log_prob: float, ended: bool) -> Hypothesis:
        score = log_prob / self._length_factor(len(token_ids))
        return Hypothesis(token_ids, log_prob, score, ended)

    def _length_factor(self, length: int) -> float:
        return ((5 + length) / 6) ** self.config.length_penalty

    def _drop_done_texts(self, parents: Tensor) -> Tensor:
        remaining = [i for i in range(len(self.texts)) if not self._is_done(i)]
        for i in set(range(len(self.texts))) - set(remaining):
            self._add_unfinished(i)
        kept = torch.tensor(remaining, dtype=torch.long)
        rows = (kept[:, None] * self.config.width + parents[kept]).flatten()
        self.texts = [self.texts[i] for i in remaining]
        self.tokens = self.tokens[kept]
        self.log_probs = self.log_probs[kept]
        return rows

    def _is_done(self, i: int) -> bool:
        finished, limit = self.finished[self.texts[i]], self.limits[self.texts[i]]
        length = self.tokens.shape[2] - 1
        best = float(self.log_probs[i, 0])
        if length >= limit or len(finished) >= self.config.width or best == float("-inf"):
            return True
        if len(finished) < self.config.n_best:
            return False
        # A log-probability never rises with more tokens, and the length factor is monotonic. So an
        # unfinished hypothesis scores at most this, wherever it ends.
        bound = max(best / self._length_factor(length + 1), best / self._length_factor(limit))
        scores = sorted((hypothesis.score for hypothesis in finished), reverse=True)
        return scores[self.config.n_best - 1] >= bound

    def _add_unfinished(self, i: int) -> None:
        """Add the best unfinished hypotheses of a text where fewer than n_best have ended."""
        finished = self.finished[self.texts[i]]
        rows = zip(self.tokens[i, :, 1:].tolist(), self.log_probs[i].tolist(), strict=True)
        for token_ids, log_prob in rows:
            if len(finished) < self.config.n_best and log_prob > float("-inf"):
                finished.append(self._hypothesis(tuple(token_ids), log_prob, ended=False))

    def results(self, text: int) -> list[Hypothesis]:
        """Return the n_best hypotheses of a text: ended ones first, then by score."""
        ranked = sorted(self.finished[text], key=lambda h: (not h.ended, -h.score))
        return ranked[: self.config.n_best]
