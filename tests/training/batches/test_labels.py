"""Batches of labeled texts: complete epochs, little padding, augmentation in training only."""

import pytest
import torch
from small_encoder import CPU, encoded_labels, label_stage, wordpiece_tokenizer

from chatwright.errors import InputError
from chatwright.training.batches.labels import LabelBatchConfig, LabelBatches, LabelMicroBatch

N_TEXT = 18


def label_batches(max_length: int = 24, **changes: float) -> LabelBatches:
    config = LabelBatchConfig(**changes)
    control = wordpiece_tokenizer().encoder_tokens
    return LabelBatches(encoded_labels(max_length), control, config, 1, CPU)


def test_every_text_comes_once_in_an_epoch_in_a_new_order() -> None:
    batches = label_batches(rows=6)
    epochs = [
        [i for _ in range(3) for m in batches.next_batch().micro_batches for i in m.text.tolist()]
        for _ in range(2)
    ]
    assert sorted(epochs[0]) == sorted(epochs[1]) == list(range(N_TEXT))
    assert epochs[0] != epochs[1]


def rows_of(micro: LabelMicroBatch) -> list[tuple[int, list[int], list[int]]]:
    """Return (index of the text, token ids, padding) of every row."""
    return [
        (text, ids[:length], ids[length:])
        for text, ids, length in zip(
            micro.text.tolist(), micro.token_ids.tolist(), micro.lengths.tolist(), strict=True
        )
    ]


def test_micro_batches_are_padded_to_their_longest_text() -> None:
    batch = label_batches(rows=N_TEXT, accumulate=3).next_batch()
    pad = wordpiece_tokenizer().encoder_tokens.pad
    assert batch.count == N_TEXT
    assert [len(micro.labels) for micro in batch.micro_batches] == [6, 6, 6]
    for micro in batch.micro_batches:
        assert micro.token_ids.shape[1] == int(micro.lengths.max())
        assert all(set(padding) <= {pad} for _, _, padding in rows_of(micro))


def test_rows_keep_their_texts_and_labels() -> None:
    texts = encoded_labels()
    for micro in label_batches(rows=N_TEXT, accumulate=3).next_batch().micro_batches:
        assert micro.labels.tolist() == [texts.labels[text] for text in micro.text.tolist()]
        assert all(ids == texts.pieces[text][0] for text, ids, _ in rows_of(micro))


def test_token_dropout_masks_its_share_but_neither_cls_nor_padding() -> None:
    control = wordpiece_tokenizer().encoder_tokens
    batches = label_batches(rows=N_TEXT, token_dropout=0.5)
    micro_batches = [m for _ in range(40) for m in batches.next_batch().micro_batches]
    is_masked = torch.cat([(m.token_ids == control.mask)[:, 1:].flatten() for m in micro_batches])
    is_token = torch.cat([(m.token_ids != control.pad)[:, 1:].flatten() for m in micro_batches])
    assert float(is_masked[is_token].float().mean()) == pytest.approx(0.5, abs=0.03)
    assert not bool(is_masked[~is_token].any())
    assert all(bool((m.token_ids[:, 0] == control.cls).all()) for m in micro_batches)


def test_training_draws_one_piece_of_a_long_text_in_each_epoch() -> None:
    batches = label_batches(max_length=6, rows=N_TEXT)
    drawn = []
    for _ in range(12):
        micro_batches = batches.next_batch().micro_batches
        rows = [row for micro in micro_batches for row in rows_of(micro)]
        [piece] = [tuple(ids) for text, ids, _ in rows if text == 0]
        drawn.append(piece)
    assert len(set(drawn)) == len(batches.texts.pieces[0]) > 1


def test_validation_reads_all_pieces_of_all_texts() -> None:
    validation = label_stage(max_length=6).validation
    n_piece = sum(len(micro.text) for micro in validation.all_pieces())
    assert n_piece == sum(map(len, validation.texts.pieces)) > N_TEXT


@pytest.mark.parametrize(
    ("name", "value"), [("rows", 0), ("accumulate", 0), ("token_dropout", 1.0)]
)
def test_setting_out_of_range_is_an_error(name: str, value: float) -> None:
    with pytest.raises(InputError) as caught:
        LabelBatchConfig(**{name: value})
    assert caught.value.field == f"batches.{name}"
    assert caught.value.value == value
