"""Contrastive training of text vectors: find the text that belongs to each anchor.

    -log( exp(cos(a_i, p_i) / t) / sum over candidates c of exp(cos(a_i, c) / t) )

with anchors a, positives p and temperature t (InfoNCE: van den Oord et al. 2018, eq. 4). The
candidates are the positives of all pairs in the batch (in-batch negatives: Henderson et al. 2017,
section 4.4) and the negatives that the data give.
"""

import math
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from chatwright.data.encoded.text_pairs import EncodedScoredPairs, EncodedTexts
from chatwright.evaluation.correlation import spearman
from chatwright.evaluation.retrieval import retrieve_pairs
from chatwright.model.encoder import Encoder
from chatwright.model.text_vectors import text_vectors
from chatwright.training import checks
from chatwright.training.batches.text_pairs import (
    PaddedTexts,
    TextPairBatches,
    TextPairMicroBatch,
    by_length,
)
from chatwright.training.checks import RunFailed
from chatwright.training.stage import Batch, Loss
from chatwright.training.stages.supervised import SupervisedStage

EVALUATION_TOKENS = 8192
"""Tokens of validation texts computed together, padding included."""
ROUNDING = 1e-3
"""Share of a bound by which rounding may cross it."""


class ContrastiveEmbedding(SupervisedStage[Encoder, TextPairMicroBatch]):
    """Learn vectors of texts from pairs that belong together."""

    name = "embedding"
    batches: TextPairBatches
    validation: TextPairBatches

    def __init__(
        self,
        batches: TextPairBatches,
        validation: TextPairBatches,
        dtype: torch.dtype,
        temperature: float = 0.05,
        scored: EncodedScoredPairs | None = None,
    ) -> None:
        """Set up the stage; `scored` are pairs for Spearman's correlation at each evaluation."""
        super().__init__(batches, validation, dtype)
        self.temperature = temperature
        self.scored = scored

    def loss(self, model: Encoder, micro_batch: TextPairMicroBatch) -> Loss:
        """Return the summed loss, and the share of anchors that find their text in the batch."""
        cosines = self._cosines(model, micro_batch)
        return self.contrastive_loss(cosines, micro_batch.is_left_out)

    def contrastive_loss(self, cosines: Tensor, is_left_out: Tensor) -> Loss:
        """Return the summed loss. Candidate i belongs to anchor i. (B, C), (B, C) -> ()."""
        logits = (cosines / self.temperature).masked_fill(is_left_out, float("-inf"))
        targets = torch.arange(len(logits), device=logits.device)
        total = F.cross_entropy(logits, targets, reduction="sum")
        accuracy = (logits.detach().argmax(dim=1) == targets).float().mean()
        return Loss(total, len(logits), {"accuracy": float(accuracy)})

    def _cosines(self, model: Encoder, micro_batch: TextPairMicroBatch) -> Tensor:
        """Return the cosine of every anchor with every candidate, (B, C)."""
        anchors = self._unit_vectors(model, micro_batch.anchors)
        candidates = self._unit_vectors(model, micro_batch.candidates)
        return anchors @ candidates.T

    def _unit_vectors(self, model: Encoder, texts: PaddedTexts) -> Tensor:
        return F.normalize(text_vectors(model, texts.token_ids, texts.lengths, self.dtype))

    def check_start(
        self, model: Encoder, batch: Batch[TextPairMicroBatch], parent: Path | None
    ) -> float:
        """Check the loss against its bounds, and against the parent's loss."""
        loss = checks.mean_loss(model, self, batch)
        checks.check_finite(loss, "the loss", 0)
        self._check_bounds(loss, self.random_pairs_loss(model, batch), batch)
        if parent is not None:
            changes = {"pooling": model.config.pooling}
            expected = checks.parent_loss(model, self, batch, parent, changes)
            checks.check_continued_loss(loss, expected)
        return loss

    @torch.no_grad()
    def random_pairs_loss(self, model: Encoder, batch: Batch[TextPairMicroBatch]) -> float:
        """Return the mean loss over all assignments of the positives to the anchors by rotation.

        Whatever the cosines are, it is at least ln B: log-sum-exp is at least ln B plus the mean.
        """
        was_training = model.training
        model.eval()
        [micro] = batch.micro_batches
        cosines = self._cosines(model, micro)  # (B, C)
        model.train(was_training)
        n_row = len(cosines)
        positives, negatives = cosines[:, :n_row], cosines[:, n_row:]
        none = torch.zeros_like(micro.is_left_out)
        losses = [
            float(self.contrastive_loss(torch.cat([rolled, negatives], dim=1), none).sum)
            for rolled in (positives.roll(shift, dims=1) for shift in range(n_row))
        ]
        return sum(losses) / n_row**2

    def _check_bounds(
        self, loss: float, random_loss: float, batch: Batch[TextPairMicroBatch]
    ) -> None:
        """Fail if a loss is impossible for cosines, which lie between -1 and 1."""
        n_candidate = batch.micro_batches[0].is_left_out.shape[1]
        lowest = math.log(batch.count)
        highest = math.log(n_candidate) + 2 / self.temperature
        if random_loss < lowest * (1 - ROUNDING) or max(loss, random_loss) > highest + ROUNDING:
            raise RunFailed(
                f"step 0: the loss is {loss:.4f} and that of randomly assigned pairs "
                f"{random_loss:.4f}; the latter must be at least ln {batch.count} = {lowest:.4f}, "
                f"and neither can be above {highest:.4f}. The loss is computed wrongly. This is a "
                "bug unless you changed the stage.",
                check="random_pairs",
            )

    def evaluate(self, model: Encoder) -> dict[str, float]:
        """Return validation loss, recall of the nearest text, and the mean reciprocal rank.

        With scored pairs, Spearman's correlation is added.
        """
        pairs = self.validation.pairs
        vectors = F.normalize(self._all_vectors(model, pairs.texts))
        found = retrieve_pairs(pairs, vectors)
        low, high = found.recall(1).interval
        figures = {
            "validation_loss": self._validation_loss(vectors),
            "recall_at_1": found.recall(1).value,
            "recall_at_1_low": low,
            "recall_at_1_high": high,
            "mean_reciprocal_rank": found.mean_reciprocal_rank,
        }
        return figures | self._spearman(model)

    def _validation_loss(self, vectors: Tensor) -> float:
        """Return the mean loss in groups as large as a batch; the last group may be smaller."""
        pairs = self.validation.pairs
        total = 0.0
        for rows in self.validation.groups():
            anchors = [pairs.anchors[i] for i in rows]
            candidates = self.validation.candidates(rows)
            is_left_out = self.validation.is_left_out(anchors, candidates)
            cosines = vectors[anchors] @ vectors[candidates].T
            total += float(self.contrastive_loss(cosines, is_left_out).sum)
        return total / len(pairs)

    def _spearman(self, model: Encoder) -> dict[str, float]:
        if self.scored is None:
            return {}
        vectors = F.normalize(self._all_vectors(model, self.scored.texts))
        cosines = (vectors[self.scored.first] * vectors[self.scored.second]).sum(dim=1)
        correlation = spearman(cosines.tolist(), self.scored.scores)
        low, high = correlation.interval
        return {"spearman": correlation.value, "spearman_low": low, "spearman_high": high}

    @torch.no_grad()
    def _all_vectors(self, model: Encoder, texts: EncodedTexts) -> Tensor:
        """Return the vectors of distinct texts, (N, D), on the CPU."""
        batches = self.validation
        vectors = torch.empty(len(texts.token_ids), model.config.d_model)
        for indices, micro in by_length(texts, EVALUATION_TOKENS, batches.pad, batches.device):
            found = text_vectors(model, micro.token_ids, micro.lengths, self.dtype)
            vectors[indices] = found.cpu()
        return vectors

    def describe(self) -> dict[str, Any]:
        """Return counts and hashes of the data, and the temperature."""
        described = super().describe() | {"temperature": self.temperature}
        return described if self.scored is None else described | {"scored": self.scored.describe()}
