"""Batches of pairs: complete epochs, little padding, mixed lengths, resumable at any step."""

from typing import Any

import pytest
import torch

from chatwright.data.encoded.pairs import EncodedPairs
from chatwright.devices import generator
from chatwright.errors import InputError
from chatwright.training.batches.pairs import PairBatchConfig, PairBatches, PairMicroBatch
from chatwright.training.cross_entropy import IGNORED
from chatwright.training.stage import Batch

N_PAIR = 500
PAD = 900
BOS = 901
END = 902


def encoded_pairs() -> EncodedPairs:
    """Return pairs of random lengths; pair i begins with the token i on both sides."""
    lengths = torch.randint(3, 20, (N_PAIR, 2), generator=generator(1, "lengths")).tolist()
    sources = [[i, *range(n - 2), END] for i, (n, _) in enumerate(lengths)]
    targets = [[BOS, i, *range(n - 2), END] for i, (_, n) in enumerate(lengths)]
    return EncodedPairs(sources, targets, 0, "hash")


def pair_batches(seed: int = 1, **changes: Any) -> PairBatches:
    config = PairBatchConfig(**({"tokens": 400, "accumulate": 4} | changes))
    return PairBatches(encoded_pairs(), PAD, config, seed, torch.device("cpu"))


def epoch_of(batches: PairBatches) -> list[Batch[PairMicroBatch]]:
    epoch = batches.epoch
    steps = []
    while batches.epoch == epoch:
        steps.append(batches.next_batch())
    return steps


def pairs_of(micro: PairMicroBatch) -> list[int]:
    return micro.source_ids[:, 0].tolist()


def pairs_of_steps(steps: list[Batch[PairMicroBatch]]) -> list[int]:
    return [i for step in steps for micro in step.micro_batches for i in pairs_of(micro)]


def test_every_pair_comes_once_in_an_epoch() -> None:
    batches = pair_batches()
    for _ in range(2):
        assert sorted(pairs_of_steps(epoch_of(batches))) == list(range(N_PAIR))


def test_order_depends_on_epoch_and_seed_only() -> None:
    batches = pair_batches()
    first = pairs_of_steps(epoch_of(batches))
    assert first != pairs_of_steps(epoch_of(batches))
    assert first == pairs_of_steps(epoch_of(pair_batches()))
    assert first != pairs_of_steps(epoch_of(pair_batches(seed=2)))


def test_pairs_are_grouped_differently_in_the_next_epoch() -> None:
    batches = pair_batches()
    groups = [
        {frozenset(pairs_of(micro)) for step in epoch_of(batches) for micro in step.micro_batches}
        for _ in range(2)
    ]
    n_same = len(groups[0] & groups[1])
    assert n_same < 0.2 * len(groups[0])


def assert_rows_are_pairs(micro: PairMicroBatch, pairs: EncodedPairs) -> None:
    rows = zip(micro.source_ids, micro.source_lengths, micro.target_ids, micro.targets, strict=True)
    for source, length, target_ids, targets in rows:
        i = int(source[0])
        n = len(pairs.targets[i]) - 1
        assert source[:length].tolist() == pairs.sources[i]
        assert target_ids[:n].tolist() == pairs.targets[i][:-1]
        assert targets[:n].tolist() == pairs.targets[i][1:]
        padding = source[length:].tolist() + target_ids[n:].tolist()
        assert set(padding) <= {PAD}
        assert set(targets[n:].tolist()) <= {IGNORED}


def test_rows_are_complete_pairs_and_the_count_is_the_number_of_targets() -> None:
    pairs = encoded_pairs()
    for step in epoch_of(pair_batches()):
        n_target = sum(int((micro.targets != IGNORED).sum()) for micro in step.micro_batches)
        assert step.count == n_target
        for micro in step.micro_batches:
            assert_rows_are_pairs(micro, pairs)


def test_micro_batches_stay_within_the_token_limit_with_little_padding() -> None:
    micro_batches = [micro for step in epoch_of(pair_batches()) for micro in step.micro_batches]
    for micro in micro_batches:
        assert max(micro.source_ids.numel(), micro.target_ids.numel()) <= 100
    n_padded = sum(int((micro.targets == IGNORED).sum()) for micro in micro_batches)
    assert n_padded / sum(micro.targets.numel() for micro in micro_batches) < 0.05


def test_most_steps_mix_sentences_of_different_lengths() -> None:
    steps = epoch_of(pair_batches())
    lengths = [{micro.targets.shape[1] for micro in step.micro_batches} for step in steps]
    assert sum(len(step) > 1 for step in lengths) > 0.9 * len(steps)


def test_restored_position_continues_with_the_same_pairs() -> None:
    uninterrupted = pair_batches()
    steps = [pairs_of_steps([uninterrupted.next_batch()]) for _ in range(40)]
    assert uninterrupted.epoch >= 1, "the end of an epoch is among the steps"
    for n_done in (0, 1, 17, 39):
        stopped = pair_batches()
        for _ in range(n_done):
            stopped.next_batch()
        resumed = pair_batches()
        resumed.load_state_dict(stopped.state_dict())
        rest = [pairs_of_steps([resumed.next_batch()]) for _ in range(40 - n_done)]
        assert rest == steps[n_done:]


def test_validation_has_every_pair_once_in_a_fixed_order() -> None:
    batches = pair_batches()
    before = [pairs_of(micro) for micro in batches.all_pairs()]
    batches.next_batch()
    assert [pairs_of(micro) for micro in batches.all_pairs()] == before
    assert sorted(i for pairs in before for i in pairs) == list(range(N_PAIR))


def test_sentence_longer_than_a_micro_batch_is_an_error() -> None:
    with pytest.raises(InputError, match=r"\b19\b") as caught:
        pair_batches(tokens=64)
    assert caught.value.field == "batches.tokens"
    assert caught.value.value == 64
    assert "batches.accumulate" in caught.value.remedy


@pytest.mark.parametrize("name", ["tokens", "accumulate"])
def test_setting_below_one_is_an_error(name: str) -> None:
    with pytest.raises(InputError) as caught:
        PairBatchConfig(**{name: 0})
    assert caught.value.field == f"batches.{name}"
