"""An epoch holds every packed document once, and packing does not change the loss."""

from collections import Counter
from typing import Any

import pytest
import small_run
import torch
from small_run import CPU

from chatwright.tokenizer.chat_template import Rendered
from chatwright.training.batches.packed import PackedBatches
from chatwright.training.stage import Batch, BatchConfig
from chatwright.training.stages.sft import SFT
from chatwright.training.validation import PackedValidation

LENGTHS = [3, 9, 15, 4, 40, 7, 16, 17, 33, 5, 6, 12] * 5
SHORT_ROWS = BatchConfig(rows=2, context_length=48, short_rows=16)


def documents(lengths: list[int]) -> list[Rendered]:
    """Return documents of these lengths; document i consists of the token i + 1 only."""
    return [Rendered([i + 1] * length, [True] * length) for i, length in enumerate(lengths)]


def packed(lengths: list[int], config: BatchConfig) -> PackedBatches:
    return PackedBatches(documents(lengths), 0, config, 48, 1, CPU)


def count_targets(batch: Batch[Any]) -> Counter[int]:
    """Count how often each token is a target of a batch."""
    counts: Counter[int] = Counter()
    for micro in batch.micro_batches:
        counts.update(micro.targets[micro.targets >= 0].tolist())
    return counts


def epoch_of(batches: PackedBatches) -> list[Counter[int]]:
    return [count_targets(batches.next_batch()) for _ in range(batches.n_step)]


@pytest.mark.parametrize("short_rows", [0, 16])
def test_every_target_comes_once_in_an_epoch(short_rows: int) -> None:
    batches = packed(LENGTHS, BatchConfig(rows=2, context_length=48, short_rows=short_rows))
    for _ in range(2):
        counts = sum(epoch_of(batches), Counter())
        assert counts == {i + 1: length - 1 for i, length in enumerate(LENGTHS)}


@pytest.mark.parametrize("short_rows", [0, 16])
def test_count_of_a_batch_is_the_number_of_its_targets(short_rows: int) -> None:
    batches = packed(LENGTHS, BatchConfig(rows=2, context_length=48, short_rows=short_rows))
    for _ in range(2 * batches.n_step):
        batch = batches.next_batch()
        assert batch.count == sum(count_targets(batch).values()) > 0


def test_every_step_has_the_same_share_of_short_and_long_rows() -> None:
    batches = packed(LENGTHS, SHORT_ROWS)
    steps = [
        [micro.token_ids.shape for micro in batches.next_batch().micro_batches]
        for _ in range(batches.n_step)
    ]
    assert {length for step in steps for _, length in step} == {16, 48}
    for row_length in (16, 48):
        n_rows = [sum(n for n, length in step if length == row_length) for step in steps]
        assert max(n_rows) - min(n_rows) <= 1


def test_epochs_have_different_orders() -> None:
    batches = packed(LENGTHS, SHORT_ROWS)
    assert epoch_of(batches) != epoch_of(batches)


def test_restored_position_continues_with_the_same_batches() -> None:
    batches = packed(LENGTHS, SHORT_ROWS)
    for _ in range(batches.n_step + 1):
        batches.next_batch()
    resumed = packed(LENGTHS, SHORT_ROWS)
    resumed.load_state_dict(batches.state_dict())
    for _ in range(batches.n_step):
        assert count_targets(resumed.next_batch()) == count_targets(batches.next_batch())


def test_packing_does_not_change_the_validation_figures() -> None:
    model = small_run.small_model().eval()
    lengths = [5, 11, 9, 21, 16, 30, 2]
    figures = []
    for config in (
        BatchConfig(rows=1, context_length=32),
        BatchConfig(rows=4, context_length=48, short_rows=24),
    ):
        batches = packed(lengths, config)
        validation = PackedValidation(batches, torch.float32, n_bytes=100)
        with torch.no_grad():
            figures.append(SFT(batches, validation, torch.float32).evaluate(model))
    assert figures[0].keys() == {"validation_loss", "validation_bits_per_byte"}
    assert figures[0] == pytest.approx(figures[1], rel=1e-5)


def test_validation_without_documents_has_no_figures() -> None:
    batches = packed([], BatchConfig(rows=1, context_length=32))
    assert PackedValidation(batches, torch.float32).figures(small_run.small_model()) == {}
