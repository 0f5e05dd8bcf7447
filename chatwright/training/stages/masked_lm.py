"""Masked-language pretraining: predict masked tokens from both sides.

Devlin et al. 2018, section 3.1. Of the selected tokens 80 % become <mask>, 10 % another random
token, and 10 % stay, because the model meets no <mask> after pretraining. Masks are drawn anew for
each epoch (Liu et al. 2019). They depend on the seed and the step alone, so a resumed run draws the
same masks. Selecting more than BERT's 15 % can be better (Wettig et al. 2022).
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
from chatwright.training.stage import Batch, Loss, MicroBatch, StageState
from chatwright.training.stages.supervised import SupervisedStage

SHARE_MASKED = 0.8
"""Share of the selected tokens that become <mask>."""
SHARE_RANDOM = 0.1
"""Share of the selected tokens that become another random token."""


@dataclass(frozen=True)
class MaskedMicroBatch:
    """Rows with some tokens masked.

    token_ids (B, T) after masking; is_selected (B, T) marks the tokens to predict; targets (N,) are
    their original ids; document_ids, positions (B, T) as in `MicroBatch`.
    """

    token_ids: Tensor
    is_selected: Tensor
    targets: Tensor
    document_ids: Tensor
    positions: Tensor


class Masking:
    """Select and mask tokens. Control tokens are neither selected nor used as random tokens."""

    def __init__(
        self, rate: float, mask: int, control: Iterable[int], vocab_size: int, seed: int
    ) -> None:
        self.rate = rate
        self.mask = mask
        self.seed = seed
        self.is_text = torch.ones(vocab_size, dtype=torch.bool)
        self.is_text[torch.tensor(sorted(control))] = False
        self.text_ids = self.is_text.nonzero().flatten()

    def apply(self, batch: MicroBatch, draws: torch.Generator) -> MaskedMicroBatch:
        """Mask the rows of a packed micro-batch."""
        assert batch.document_ids is not None, "packed rows have document ids"
        assert batch.positions is not None, "packed rows have positions"
        token_ids = batch.token_ids.cpu()
        shape = token_ids.shape
        is_selected = torch.rand(shape, generator=draws) < self.rate
        is_selected &= self.is_text[token_ids]
        replacement_draw = torch.rand(shape, generator=draws)
        random_index = torch.randint(len(self.text_ids), shape, generator=draws)
        is_masked = is_selected & (replacement_draw < SHARE_MASKED)
        is_random = (
            is_selected
            & (replacement_draw >= SHARE_MASKED)
            & (replacement_draw < SHARE_MASKED + SHARE_RANDOM)
        )
        masked = token_ids.masked_fill(is_masked, self.mask)
        masked = torch.where(is_random, self.text_ids[random_index], masked)
        device = batch.token_ids.device
        return MaskedMicroBatch(
            masked.to(device),
            is_selected.to(device),
            token_ids[is_selected].to(device),
            batch.document_ids,
            batch.positions,
        )


class MaskedLM(SupervisedStage[Encoder, MaskedMicroBatch]):
    """Learn to predict masked tokens."""

    name = "masked-lm"

    def __init__(
        self,
        batches: PackedBatches,
        validation: PackedBatches,
        masking: Masking,
        dtype: torch.dtype,
    ) -> None:
        # The batches hold unmasked rows; `next_batch` masks them.
        super().__init__(batches, validation, dtype)  # type: ignore[arg-type]
        self.masking = masking
        self.n_batch = 0
        """Number of batches drawn so far, which seeds the masks of the next batch."""

    def next_batch(self, model: Encoder) -> Batch[MaskedMicroBatch]:
        """Return the next packed rows, with masks drawn for this step."""
        draws = generator(self.masking.seed, f"masks of step {self.n_batch}")
        self.n_batch += 1
        unmasked: Batch[Any] = self.batches.next_batch()
        parts = [self.masking.apply(part, draws) for part in unmasked.micro_batches]
        return Batch(parts, sum(len(part.targets) for part in parts))

    def loss(self, model: Encoder, micro_batch: MaskedMicroBatch) -> Loss:
        """Return the summed cross-entropy of the selected tokens."""
        out = self.outputs(model, micro_batch)
        return Loss(output_loss(out.features, out.weight, out.targets, out.bias), len(out.targets))

    def outputs(self, model: Encoder, micro_batch: MaskedMicroBatch) -> Outputs:
        """Return the head's features of the selected tokens (N, F) and the token matrix (V, F)."""
        hidden = model.hidden_states(
            micro_batch.token_ids,
            masks.same_document(micro_batch.document_ids),
            micro_batch.positions,
            dtype=self.dtype,
        )
        assert model.head is not None, "masked-language training needs a head for masked tokens"
        selected = hidden[micro_batch.is_selected]
        features, weight = model.head.features_and_weight(selected, model.embedding.weight)
        return Outputs(features, weight, model.head.bias, micro_batch.targets)

    def evaluate(self, model: Encoder) -> dict[str, float]:
        """Return validation loss and accuracy, with the same masks every time."""
        loss = 0.0
        n_right = 0
        count = 0
        draws = generator(self.masking.seed, "masks of validation")
        for rows in self.validation.all_rows():
            out = self.outputs(model, self.masking.apply(rows, draws))
            logits = out.logits()
            loss += float(F.cross_entropy(logits, out.targets, reduction="sum"))
            n_right += int((logits.argmax(-1) == out.targets).sum())
            count += len(out.targets)
        return {"validation_loss": loss / count, "accuracy": n_right / count} if count else {}

    def describe(self) -> dict[str, Any]:
        """Return counts and hashes of the data, and the mask rate."""
        return super().describe() | {"mask_rate": self.masking.rate}

    def state(self) -> StageState:
        """Return the position in the data and the number of batches drawn."""
        return StageState({"batches": self.batches.state_dict(), "n_batch": self.n_batch})

    def load_state(self, state: StageState) -> None:
        """Continue from a position that `state` returned."""
        self.batches.load_state_dict(state.numbers["batches"])
        self.n_batch = state.numbers["n_batch"]
