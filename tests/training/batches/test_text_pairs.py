"""Batches of text pairs: complete epochs, right candidates, no false wrong answers."""

import pytest
import torch
from small_embedding import CPU, PAIRS, TOY, batches, encoded, tokenizer

from chatwright.data.rows import TextPair
from chatwright.errors import InputError
from chatwright.training.batches.text_pairs import (
    PaddedTexts,
    TextPairBatchConfig,
    by_length,
    padded,
)


def texts_of(padded_texts: PaddedTexts) -> list[list[int]]:
    rows = zip(padded_texts.token_ids.tolist(), padded_texts.lengths.tolist(), strict=True)
    return [ids[:length] for ids, length in rows]


def test_every_pair_comes_once_in_an_epoch_in_a_new_order() -> None:
    source = batches(PAIRS, rows=14)
    epochs = []
    for _ in range(2):
        micros = [source.next_batch().micro_batches[0] for _ in range(4)]
        epochs.append([tuple(ids) for micro in micros for ids in texts_of(micro.anchors)])
    expected = sorted(tuple(source.pairs.texts.token_ids[i]) for i in source.pairs.anchors)
    assert sorted(epochs[0]) == sorted(epochs[1]) == expected
    assert epochs[0] != epochs[1]


def test_candidates_are_the_positives_in_the_anchors_order_then_the_negatives() -> None:
    rows = [
        TextPair("the cat", "neko", TOY, "inu"),
        TextPair("the dog", "inu", TOY),
        TextPair("the bird", "tori", TOY, "uma to ushi"),
    ]
    source = batches(rows)
    micro = source.micro_batch([2, 0, 1])
    encode = tokenizer().encode
    control = tokenizer().encoder_tokens

    def ids(text: str) -> list[int]:
        return control.with_special_tokens(encode(text))

    assert texts_of(micro.anchors) == [ids("the bird"), ids("the cat"), ids("the dog")]
    expected = ["tori", "neko", "inu", "uma to ushi", "inu"]
    assert texts_of(micro.candidates) == [ids(text) for text in expected]
    # The negative "inu" of the cat is right for the dog.
    assert micro.is_left_out.tolist() == [
        [False, False, False, False, False],
        [False, False, False, False, False],
        [False, False, False, False, True],
    ]


def test_other_texts_of_an_anchor_and_the_anchor_itself_are_no_wrong_answers() -> None:
    rows = [
        TextPair("cat", "dog", TOY),
        TextPair("cat", "bird", TOY),
        TextPair("dog", "cat", TOY),
        TextPair("cow", "bird", TOY),
        TextPair("bear", "frog", TOY),
    ]
    micro = batches(rows).micro_batch(range(5))
    left_out = {
        (row, column)
        for row, marks in enumerate(micro.is_left_out.tolist())
        for column, is_left_out in enumerate(marks)
        if is_left_out
    }
    # Candidates: dog, bird, cat, bird, frog.
    assert left_out == {(0, 1), (0, 2), (0, 3), (1, 0), (1, 2), (1, 3), (2, 0), (3, 1)}


def test_a_step_has_no_more_rows_than_pairs() -> None:
    batch = batches(PAIRS[:5], rows=32).next_batch()
    assert batch.count == 5
    assert len(set(map(tuple, texts_of(batch.micro_batches[0].anchors)))) == 5


def test_the_state_continues_with_the_next_pairs() -> None:
    source, other = batches(PAIRS), batches(PAIRS)
    for _ in range(9):
        source.next_batch()
    other.load_state_dict(source.state_dict())
    for _ in range(3):
        first, second = (s.next_batch().micro_batches[0] for s in (source, other))
        assert torch.equal(first.anchors.token_ids, second.anchors.token_ids)


def test_groups_hold_every_pair_once() -> None:
    groups = list(batches(PAIRS, rows=10).groups())
    assert [i for group in groups for i in group] == list(range(56))
    assert [len(group) for group in groups] == [10, 10, 10, 10, 10, 6]


def test_texts_by_length_are_complete_and_limited_in_tokens() -> None:
    texts = encoded(PAIRS).texts
    found: dict[int, list[int]] = {}
    for indices, group in by_length(texts, 60, 0, CPU):
        assert group.token_ids.numel() <= 60
        found |= dict(zip(indices, texts_of(group), strict=True))
    assert [found[i] for i in range(len(found))] == texts.token_ids


def test_padding_fills_up_to_the_longest() -> None:
    group = padded([[1, 2, 3], [4]], 9, CPU)
    assert group.token_ids.tolist() == [[1, 2, 3], [4, 9, 9]]
    assert group.lengths.tolist() == [3, 1]


def test_a_single_row_is_an_error() -> None:
    with pytest.raises(InputError) as caught:
        TextPairBatchConfig(rows=1)
    assert (caught.value.field, caught.value.value) == ("batches.rows", 1)
