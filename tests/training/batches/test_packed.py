"""Every document once an epoch, whatever rows it lies in, and the same learning from short rows as from long ones."""

from collections import Counter

import pytest
import small_run
import torch

from chatwright.tokenizer.chat_template import Rendered
from chatwright.training.batches.packed import PackedBatches
from chatwright.training.stage import Batch, BatchConfig
from chatwright.training.stages.sft import SFT
from chatwright.training.validation import PackedValidation

CPU = torch.device("cpu")


def documents(lengths: list[int]) -> list[Rendered]:
    """Document i holds only the token i + 1."""
    return [Rendered([i + 1] * length, [True] * length) for i, length in enumerate(lengths)]


def tokens(batch: Batch) -> Counter[int]:
    found: Counter[int] = Counter()
    for micro in batch.micro_batches:
        found.update(micro.targets[micro.targets >= 0].tolist())
    return found


LENGTHS = [3, 9, 15, 4, 40, 7, 16, 17, 33, 5, 6, 12] * 5


@pytest.mark.parametrize("short_rows", [0, 16])
def test_an_epoch_holds_every_target_once(short_rows: int) -> None:
    config = BatchConfig(rows=2, context_length=48, short_rows=short_rows)
    batches = PackedBatches(documents(LENGTHS), 0, config, 48, 1, CPU)
    for _ in range(2):
        seen: Counter[int] = Counter()
        for _ in range(batches.n_step):
            batch = batches.next_batch()
            assert batch.count == sum(tokens(batch).values()) > 0
            seen += tokens(batch)
        assert seen == {i + 1: length - 1 for i, length in enumerate(LENGTHS)}


def test_short_documents_lie_in_short_rows_and_every_step_has_its_share_of_both() -> None:
    batches = PackedBatches(
        documents(LENGTHS), 0, BatchConfig(rows=2, context_length=48, short_rows=16), 48, 1, CPU
    )
    steps = [
        [micro.token_ids.shape for micro in batches.next_batch().micro_batches]
        for _ in range(batches.n_step)
    ]
    assert {shape[1] for step in steps for shape in step} == {16, 48}
    for width in (16, 48):
        counts = [sum(shape[0] for shape in step if shape[1] == width) for step in steps]
        assert max(counts) - min(counts) <= 1


def test_epochs_differ_and_a_restored_position_goes_on() -> None:
    def make() -> PackedBatches:
        return PackedBatches(
            documents(LENGTHS), 0, BatchConfig(rows=2, context_length=48, short_rows=16), 48, 1, CPU
        )

    batches = make()
    first = [tokens(batches.next_batch()) for _ in range(batches.n_step)]
    assert first != [tokens(batches.next_batch()) for _ in range(batches.n_step)]
    batches.next_batch()
    resumed = make()
    resumed.load_state_dict(batches.state_dict())
    for _ in range(batches.n_step):
        assert tokens(resumed.next_batch()) == tokens(batches.next_batch())


def test_the_loss_does_not_depend_on_how_documents_are_packed() -> None:
    model = small_run.model().eval()
    rendered = documents([5, 11, 9, 21, 16, 30, 2])
    figures = []
    for config in (
        BatchConfig(rows=1, context_length=32),
        BatchConfig(rows=4, context_length=48, short_rows=24),
    ):
        packed = PackedBatches(rendered, 0, config, 48, 1, CPU)
        stage = SFT(packed, PackedValidation(packed, torch.float32, n_bytes=100), torch.float32)
        with torch.no_grad():  # as the loop evaluates
            figures.append(stage.evaluate(model))
    for name in ("validation_loss", "validation_bits_per_byte"):
        assert figures[0][name] == pytest.approx(figures[1][name], rel=1e-5)


def test_nothing_to_measure_is_no_figure() -> None:
    packed = PackedBatches([], 0, BatchConfig(rows=1, context_length=32), 48, 1, CPU)
    assert PackedValidation(packed, torch.float32).figures(small_run.model()) == {}
