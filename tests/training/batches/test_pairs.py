"""Batches of pairs: every pair once an epoch and whole, little padding, steps of several lengths, resumable at any step."""

import pytest
import torch

from chatwright.data.encoded_pairs import EncodedPairs
from chatwright.devices import generator
from chatwright.training.batches.pairs import PairBatchConfig, PairBatches, PairMicroBatch
from chatwright.training.cross_entropy import IGNORED
from chatwright.training.stage import Batch

CPU, PAD, BOS, END = torch.device("cpu"), 900, 901, 902


def pairs(n: int = 500) -> EncodedPairs:
    """Pair i is told by its first source token."""
    lengths = torch.randint(3, 20, (n, 2), generator=generator(1, "lengths")).tolist()
    sources = [[i, *range(s - 2), END] for i, (s, _) in enumerate(lengths)]
    return EncodedPairs(
        sources, [[BOS, i, *range(t - 2), END] for i, (_, t) in enumerate(lengths)], 0, "sum"
    )


def make(seed: int = 1, **changes: int) -> PairBatches:
    return PairBatches(
        pairs(), PAD, PairBatchConfig(**({"tokens": 400, "accumulate": 4} | changes)), seed, CPU
    )


def epoch_of(batches: PairBatches) -> list[Batch[PairMicroBatch]]:
    epoch, steps = batches.epoch, []
    while batches.epoch == epoch:
        steps.append(batches.next_batch())
    return steps


def rows_of(steps: list[Batch[PairMicroBatch]]) -> list[int]:
    return [
        i for step in steps for micro in step.micro_batches for i in micro.source_ids[:, 0].tolist()
    ]


def test_every_pair_comes_once_an_epoch_in_another_order_and_other_company() -> None:
    batches = make()
    first, second = epoch_of(batches), epoch_of(batches)
    assert sorted(rows_of(first)) == sorted(rows_of(second)) == list(range(500))
    assert rows_of(first) != rows_of(second)
    assert rows_of(first) == rows_of(epoch_of(make()))
    assert rows_of(first) != rows_of(epoch_of(make(seed=2)))
    together = [
        {
            frozenset(micro.source_ids[:, 0].tolist())
            for step in steps
            for micro in step.micro_batches
        }
        for steps in (first, second)
    ]
    assert len(together[0] & together[1]) < 0.2 * len(together[0]), (
        "few lengths are shared by enough pairs here"
    )


def check_rows(micro: PairMicroBatch, made: EncodedPairs) -> None:
    for source, length, target_in, target_out in zip(
        micro.source_ids, micro.source_lengths, micro.target_ids, micro.targets, strict=True
    ):
        i = int(source[0])
        n = len(made.targets[i]) - 1
        assert source[:length].tolist() == made.sources[i]
        assert target_in[:n].tolist() == made.targets[i][:-1]
        assert target_out[:n].tolist() == made.targets[i][1:]
        assert set(source[length:].tolist()) | set(target_in[n:].tolist()) <= {PAD}
        assert set(target_out[n:].tolist()) <= {IGNORED}


def test_rows_are_whole_pairs_and_the_count_is_that_of_their_targets() -> None:
    made = pairs()
    for step in epoch_of(make()):
        assert step.count == sum(
            int((micro.targets != IGNORED).sum()) for micro in step.micro_batches
        )
        for micro in step.micro_batches:
            check_rows(micro, made)


def test_micro_batches_keep_to_the_limit_with_little_padding_and_steps_mix_lengths() -> None:
    steps = epoch_of(make())
    micros = [micro for step in steps for micro in step.micro_batches]
    assert all(max(micro.source_ids.numel(), micro.target_ids.numel()) <= 100 for micro in micros)
    padded = sum(int((micro.targets == IGNORED).sum()) for micro in micros) / sum(
        micro.targets.numel() for micro in micros
    )
    assert padded < 0.05
    assert sum(
        len({micro.targets.shape[1] for micro in step.micro_batches}) > 1 for step in steps
    ) > 0.9 * len(steps)


def test_resumed_at_any_step_equals_uninterrupted() -> None:
    whole = make()
    steps = [rows_of([whole.next_batch()]) for _ in range(40)]
    assert whole.epoch >= 1, "an epoch's border lies among them"
    for at in (0, 1, 17, 39):
        first, second = make(), make()
        for _ in range(at):
            first.next_batch()
        second.load_state_dict(first.state_dict())
        assert [rows_of([second.next_batch()]) for _ in range(40 - at)] == steps[at:]


def test_validation_sees_every_pair_once_always_alike() -> None:
    batches = make()
    seen = [micro.source_ids[:, 0].tolist() for micro in batches.all_pairs()]
    batches.next_batch()
    assert [micro.source_ids[:, 0].tolist() for micro in batches.all_pairs()] == seen
    assert sorted(i for rows in seen for i in rows) == list(range(500))


def test_a_sentence_that_fits_into_no_micro_batch_is_refused_with_a_remedy() -> None:
    with pytest.raises(
        ValueError,
        match=r"batches.tokens \(64\) in 4 micro-batches leaves 16 .* longest sentence has 19: raise batches.tokens",
    ):
        make(tokens=64)
