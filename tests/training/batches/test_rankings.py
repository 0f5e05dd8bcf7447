"""Every reply of a ranking is in one micro-batch, whole, with its rank."""

import torch
from small_run import CPU, character_tokenizer

from chatwright.conversation import Message
from chatwright.data.encoded.rankings import EncodedRankings, encode_rankings
from chatwright.data.rows import Location, RankedRow
from chatwright.training.batches.rankings import RankingBatchConfig, RankingBatches


def data() -> EncodedRankings:
    """Return rankings of two to five replies."""
    rows = [
        RankedRow(
            (Message("user", "who sat on the mat?"),),
            tuple((Message("assistant", "the cat. " * (n + i)),) for i in range(2 + n % 4)),
            tuple(range(2 + n % 4, 0, -1)),
            "",
            Location("rows", n),
        )
        for n in range(7)
    ]
    return encode_rankings(rows, character_tokenizer(), 500)


def batches(rows: int, accumulate: int = 2) -> RankingBatches:
    pad = character_tokenizer().control.pad
    return RankingBatches(data(), pad, RankingBatchConfig(rows=rows, accumulate=accumulate), 1, CPU)


def test_the_replies_of_every_ranking_are_found_through_their_indices() -> None:
    source = batches(rows=4)
    seen = []
    for micro in source.rankings_at(range(7)):
        for row, index in enumerate(micro.rankings.tolist()):
            ranking = source.data.rankings[index]
            n_reply = len(ranking.ranks)
            assert micro.ranks[row].tolist()[:n_reply] == list(ranking.ranks)
            assert not micro.ranks[row, n_reply:].any()
            for reply, ids in zip(micro.replies[row], ranking.replies, strict=False):
                length = int(micro.lengths[reply])
                assert micro.token_ids[reply, :length].tolist() == ids
            seen.append(index)
    assert sorted(seen) == list(range(7))


def test_an_epoch_holds_every_ranking_once_and_the_state_continues_it() -> None:
    source = batches(rows=3)
    source.next_batch()
    other = batches(rows=3)
    other.load_state_dict(source.state_dict())
    for _ in range(4):
        batch, again = source.next_batch(), other.next_batch()
        for micro, same in zip(batch.micro_batches, again.micro_batches, strict=True):
            assert torch.equal(micro.rankings, same.rankings)
    whole = batches(rows=7).next_batch()
    indices = torch.cat([micro.rankings for micro in whole.micro_batches]).tolist()
    assert sorted(indices) == list(range(7))
