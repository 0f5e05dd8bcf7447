"""Padded pairs hold the same tokens and targets as the conversations one by one."""

from dataclasses import replace

import torch
from small_run import CPU, character_tokenizer, preference_rows

from chatwright.data.encoded.preferences import encode_preferences
from chatwright.training.batches.preferences import PreferenceBatchConfig, PreferenceBatches
from chatwright.training.cross_entropy import IGNORED


def batches(rows: int = 3) -> PreferenceBatches:
    tokenizer = character_tokenizer()
    pairs = encode_preferences(preference_rows(), tokenizer, 64)
    config = PreferenceBatchConfig(rows=rows)
    return PreferenceBatches(pairs, tokenizer.control.pad, config, 1, CPU)


def test_every_row_holds_one_conversation_and_targets_are_the_next_tokens_of_its_reply() -> None:
    source = batches()
    seen = []
    for micro in source.all_rows():
        both = [source.preferences.chosen, source.preferences.rejected]
        rows = [side[int(pair)] for side in both for pair in micro.pairs]
        for row, rendered in enumerate(rows):
            for position, target in enumerate(rendered.token_ids[1:]):
                has_loss = rendered.loss_mask[position + 1]
                assert micro.texts.token_ids[row, position] == rendered.token_ids[position]
                assert micro.texts.targets[row, position] == (target if has_loss else IGNORED)
            assert (micro.texts.targets[row, len(rendered.token_ids) - 1 :] == IGNORED).all()
        seen += micro.pairs.tolist()
    assert sorted(seen) == list(range(len(source.preferences)))


def test_an_epoch_holds_every_pair_once_and_the_state_continues_it() -> None:
    source = batches(rows=2)
    first = source.next_batch()
    other = batches(rows=2)
    other.load_state_dict(source.state_dict())
    for batch, again in zip(
        [source.next_batch() for _ in range(5)], [other.next_batch() for _ in range(5)], strict=True
    ):
        assert batch.count == again.count == 2
        for micro, same in zip(batch.micro_batches, again.micro_batches, strict=True):
            assert torch.equal(micro.texts.token_ids, same.texts.token_ids)
            assert torch.equal(micro.pairs, same.pairs)
    epoch = [first, *[batches(rows=2).next_batch()]]
    assert epoch[0].micro_batches[0].pairs.tolist() == epoch[1].micro_batches[0].pairs.tolist()
    order = replace(source.config, rows=4)
    whole = PreferenceBatches(source.preferences, source.pad, order, 1, CPU).next_batch()
    pairs = torch.cat([micro.pairs for micro in whole.micro_batches]).tolist()
    assert sorted(pairs) == [0, 1, 2, 3]
