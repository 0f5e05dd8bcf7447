"""Masked-language pretraining: guess hidden tokens from both sides (Devlin et al. 2018, section 3.1).

Of the tokens chosen, 80 % stand behind <mask>, 10 % are another token drawn at random and 10 % stay: a model that is later used finds no
<mask>. Masks are drawn anew each time a row comes (Liu et al. 2019), from a generator that the step alone decides, so a resumed run draws the
same. More than BERT's 15 % may be chosen: small models learn faster from more (Wettig et al. 2022).
"""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from chatwright.devices import generator
from chatwright.model import masks
from chatwright.model.encoder import Encoder
from chatwright.training.batches.packed import PackedBatches
from chatwright.training.cross_entropy import output_loss
from chatwright.training.outputs import Outputs
from chatwright.training.stage import Batch, Loss, MicroBatch, Stage

SHARE_HIDDEN, SHARE_RANDOM = 0.8, 0.1


@dataclass(frozen=True)
class MaskedMicroBatch:
    """token_ids (B, T) with tokens hidden; chosen (B, T) says which are to be guessed, targets (N,) what they were."""

    token_ids: Tensor
    chosen: Tensor
    targets: Tensor
    document_ids: Tensor
    positions: Tensor


class Masking:
    """Chooses and hides tokens. Control tokens are never chosen and never stand in for another."""

    def __init__(
        self, rate: float, mask: int, control: Iterable[int], vocab_size: int, seed: int
    ) -> None:
        self.rate, self.mask, self.seed = rate, mask, seed
        self.is_text = torch.ones(vocab_size, dtype=torch.bool).index_fill_(
            0, torch.tensor(sorted(control)), False
        )
        self.text_ids = self.is_text.nonzero().flatten()

    def of(self, batch: MicroBatch, draws: torch.Generator) -> MaskedMicroBatch:
        token_ids = batch.token_ids.cpu()
        chosen = (torch.rand(token_ids.shape, generator=draws) < self.rate) & self.is_text[
            token_ids
        ]
        fate = torch.rand(token_ids.shape, generator=draws)
        others = self.text_ids[torch.randint(len(self.text_ids), token_ids.shape, generator=draws)]
        hidden = token_ids.masked_fill(chosen & (fate < SHARE_HIDDEN), self.mask)
        hidden = torch.where(
            chosen & (fate >= SHARE_HIDDEN) & (fate < SHARE_HIDDEN + SHARE_RANDOM), others, hidden
        )
        device = batch.token_ids.device
        assert batch.document_ids is not None, (
            "packed rows say which document each token belongs to"
        )
        assert batch.positions is not None, "and where it stands in it"
        return MaskedMicroBatch(
            hidden.to(device),
            chosen.to(device),
            token_ids[chosen].to(device),
            batch.document_ids,
            batch.positions,
        )


class MaskedLM(Stage[Encoder, MaskedMicroBatch]):
    name = "masked-lm"

    def __init__(
        self,
        batches: PackedBatches,
        validation: PackedBatches,
        masking: Masking,
        dtype: torch.dtype,
    ) -> None:
        self.batches, self.validation, self.masking, self.dtype = (
            batches,
            validation,
            masking,
            dtype,
        )
        self.n_drawn = 0  # steps for which masks were drawn

    def next_batch(self) -> Batch[MaskedMicroBatch]:
        draws = generator(self.masking.seed, f"masks of step {self.n_drawn}")
        self.n_drawn += 1
        parts = [self.masking.of(part, draws) for part in self.batches.next_batch().micro_batches]
        return Batch(parts, sum(len(part.targets) for part in parts))

    def loss(self, model: Encoder, micro_batch: MaskedMicroBatch) -> Loss:
        features, weight = self._comparison(model, micro_batch)
        assert model.head is not None, "checked by the comparison"
        return Loss(
            output_loss(features, weight, micro_batch.targets, model.head.bias),
            len(micro_batch.targets),
        )

    def outputs(self, model: Encoder, micro_batch: MaskedMicroBatch) -> Outputs:
        features, weight = self._comparison(model, micro_batch)
        assert model.head is not None, "checked by the comparison"
        return Outputs(features, weight, model.head.bias, micro_batch.targets)

    def _comparison(self, model: Encoder, batch: MaskedMicroBatch) -> tuple[Tensor, Tensor]:
        """Features of the chosen tokens (N, F) and what they are compared with (V, F)."""
        hidden = model.hidden_states(
            batch.token_ids,
            masks.same_document(batch.document_ids),
            batch.positions,
            dtype=self.dtype,
        )
        assert model.head is not None, "a model with a head for masked tokens is trained"
        return model.head.features_and_weight(hidden[batch.chosen], model.embedding.weight)

    def evaluate(self, model: Encoder) -> dict[str, float]:
        """Loss and the share of tokens guessed right, with the same masks every time."""
        loss, right, count = 0.0, 0, 0
        draws = generator(self.masking.seed, "masks of validation")
        for rows in self.validation.all_rows():
            batch = self.masking.of(rows, draws)
            features, weight = self._comparison(model, batch)
            assert model.head is not None, "checked by the comparison"
            logits = F.linear(features, weight.to(features.dtype), model.head.bias).float()
            loss += float(F.cross_entropy(logits, batch.targets, reduction="sum"))
            right, count = (
                right + int((logits.argmax(-1) == batch.targets).sum()),
                count + len(batch.targets),
            )
        return {"validation_loss": loss / count, "accuracy": right / count} if count else {}

    def samples(self, model: Encoder) -> list[tuple[str, str]]:
        return []

    def describe(self) -> dict[str, Any]:
        return {
            "train": self.batches.describe(),
            "validation": self.validation.describe(),
            "batches": vars(self.batches.config),
            "mask_rate": self.masking.rate,
        }

    def state_dict(self) -> dict[str, Any]:
        return {"batches": self.batches.state_dict(), "n_drawn": self.n_drawn}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self.batches.load_state_dict(state["batches"])
        self.n_drawn = state["n_drawn"]
