"""Train a reward model: one number per reply, higher for replies that people prefer.

With s the scores of a ranking's replies, and i > j for "i is preferred to j":

- bradley_terry: -log sigmoid(s_i - s_j), the mean over all pairs of the data
  (Bradley & Terry 1952; Christiano et al. 2017, eq. 1)
- all_pairs: the same, but each ranking of K replies weighs 1, as the mean of its K (K - 1) / 2
  pairs (Ouyang et al. 2022, eq. 1)
- plackett_luce: the sum over i of -log(exp s_i / (exp s_i + sum of exp s_j over all j worse than
  i)) (Plackett 1975; Luce 1959)

Tied replies are not compared with each other. Without ties, `plackett_luce` is the negative
log-likelihood of the order. With ties, it is a composite likelihood: each factor is the probability
that a reply is chosen before all replies that are ranked below it. For K = 2 all three are equal.
"""

import math
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, Literal

import torch
import torch.nn.functional as F
from torch import Tensor

from chatwright.evaluation.ranked_pairs import ranked_pairs
from chatwright.model.gpt import GPT
from chatwright.model.heads import last_token
from chatwright.training import checks
from chatwright.training.batches.rankings import RankingBatches, RankingMicroBatch
from chatwright.training.stage import Batch, Loss
from chatwright.training.stages.supervised import SupervisedStage

RankingLoss = Literal["bradley_terry", "plackett_luce", "all_pairs"]


def ranking_loss(scores: Tensor, ranks: Tensor, kind: RankingLoss) -> Tensor:
    """Return the loss of each ranking; `bradley_terry` sums its pairs. (B, K), (B, K) -> (B,).

    ranks are 1 for the best reply, equal for tied ones, and 0 where there is no reply.
    """
    is_better = is_preferred(ranks)  # (B, K, K)
    if kind == "plackett_luce":
        worse = scores[:, None, :].masked_fill(~is_better, -math.inf)  # (B, K, K)
        rivals = torch.cat([scores[:, :, None], worse], 2)  # (B, K, 1 + K)
        return ((rivals.logsumexp(2) - scores) * (ranks > 0)).sum(1)
    losses = -F.logsigmoid(scores[:, :, None] - scores[:, None, :])  # (B, K, K)
    total = (losses * is_better).sum((1, 2))
    if kind == "bradley_terry":
        return total
    return total / is_better.sum((1, 2)).clamp(min=1)


def is_preferred(ranks: Tensor) -> Tensor:
    """Return whether reply i of a ranking is preferred to reply j. (B, K) -> (B, K, K)."""
    first, second = ranks[:, :, None], ranks[:, None, :]
    return (first > 0) & (second > 0) & (first < second)


def loss_count(ranks: Tensor, kind: RankingLoss) -> int:
    """Return the number by which the summed loss is divided: of pairs, or of rankings."""
    return int(is_preferred(ranks).sum()) if kind == "bradley_terry" else len(ranks)


class Reward(SupervisedStage[GPT, RankingMicroBatch]):
    """Learn to score replies from rankings."""

    name = "reward"

    def __init__(
        self,
        batches: RankingBatches,
        validation: RankingBatches,
        dtype: torch.dtype,
        kind: RankingLoss = "all_pairs",
        has_fresh_head: bool = True,
    ) -> None:
        """Set up the stage.

        Args:
            batches: Rankings for training.
            validation: Rankings for validation.
            dtype: Number format of the forward pass.
            kind: The loss.
            has_fresh_head: Whether the scores of all replies are still 0.
        """
        super().__init__(batches, validation, dtype, has_fresh_head=has_fresh_head)
        self.kind: RankingLoss = kind

    def next_batch(self, model: GPT) -> Batch[RankingMicroBatch]:
        """Return the next rankings, with the count that divides the loss."""
        batch = self.batches.next_batch()
        return replace(batch, count=sum(self._count(micro) for micro in batch.micro_batches))

    def _count(self, micro: RankingMicroBatch) -> int:
        return loss_count(micro.ranks, self.kind)

    def loss(self, model: GPT, micro_batch: RankingMicroBatch) -> Loss:
        """Return the summed loss of the rankings, with the accuracy of their pairs as a metric."""
        scores = reply_scores(model, micro_batch, self.dtype)[micro_batch.replies]  # (B, K)
        ranks = micro_batch.ranks
        with torch.no_grad():
            margin = (scores[:, :, None] - scores[:, None, :])[is_preferred(ranks)]
            accuracy = (margin > 0).float().mean() + 0.5 * (margin == 0).float().mean()
        total = ranking_loss(scores, ranks, self.kind).sum()
        return Loss(total, self._count(micro_batch), {"accuracy": float(accuracy)})

    def check_start(
        self, model: GPT, batch: Batch[RankingMicroBatch], parent: Path | None
    ) -> float:
        """Check that equal scores give the expected loss, ln 2 for pairs.

        A reward model that continues must have its parent's loss.
        """
        if not self.has_fresh_head:
            return super().check_start(model, batch, parent)
        loss = checks.mean_loss(model, self, batch)
        checks.check_finite(loss, "the loss", 0)
        expected = sum(
            float(ranking_loss(torch.zeros(micro.ranks.shape), micro.ranks.cpu(), self.kind).sum())
            for micro in batch.micro_batches
        )
        checks.check_fresh_loss(loss, expected / batch.count)
        return loss

    def evaluate(self, model: GPT) -> dict[str, float]:
        """Return loss, accuracy, and mean and spread of the rewards, all on held-out prompts."""
        rankings = self.validation.data.rankings
        # Training saw the prompts and the replies of rankings of which only the rater is held out.
        chosen = [i for i, ranking in enumerate(rankings) if ranking.held_out != "rater"]
        scores = self.validation_scores(model, chosen)
        accuracy = ranked_pairs([rankings[i] for i in chosen], scores).accuracy
        rewards = torch.tensor([score for its_scores in scores for score in its_scores])
        return {
            "validation_loss": self._mean_loss([rankings[i].ranks for i in chosen], scores),
            "accuracy": accuracy.value,
            "accuracy_low": accuracy.low,
            "accuracy_high": accuracy.high,
            "reward_mean": float(rewards.mean()),
            "reward_std": float(rewards.std(correction=0)),
        }

    def _mean_loss(
        self, ranks: Sequence[tuple[int, ...]], scores: Sequence[Sequence[float]]
    ) -> float:
        tables = [
            (torch.tensor([s]), torch.tensor([r])) for s, r in zip(scores, ranks, strict=True)
        ]
        total = sum(float(ranking_loss(s, r, self.kind)) for s, r in tables)
        return total / sum(loss_count(r, self.kind) for _, r in tables)

    @torch.no_grad()
    def validation_scores(self, model: GPT, chosen: Sequence[int]) -> list[list[float]]:
        """Return the scores of the replies of the validation rankings with indices `chosen`."""
        scores: dict[int, list[float]] = {}
        for micro in self.validation.rankings_at(chosen):
            table = reply_scores(model, micro, self.dtype)[micro.replies].cpu()  # (B, K)
            for row, index in enumerate(micro.rankings.tolist()):
                n_reply = len(self.validation.data.rankings[index].ranks)
                scores[index] = table[row, :n_reply].tolist()
        return [scores[index] for index in chosen]

    def describe(self) -> dict[str, Any]:
        """Return counts and hashes of the data, and the loss."""
        return super().describe() | {"loss": self.kind}


def reply_scores(model: GPT, batch: RankingMicroBatch, dtype: torch.dtype | None = None) -> Tensor:
    """Return the score of every conversation in float32, (N,).

    The head computes in float32: bfloat16 would round scores that differ by less than 1 % to one.
    """
    assert model.scalar_head is not None, "a reward model has a scalar head"
    hidden = model.hidden_states(batch.token_ids, dtype=dtype)  # (N, T, D)
    scores: Tensor = model.scalar_head(last_token(hidden, batch.lengths).float())
    return scores
