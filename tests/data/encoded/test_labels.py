"""Labeled texts as token ids: special tokens, pieces of long texts, and unknown labels."""

import pytest

from chatwright.data.encoded.labels import encode_labeled
from chatwright.data.rows import DataError, LabeledText, Location
from chatwright.tokenizer import wordpiece
from chatwright.tokenizer.encoder_tokens import split_evenly

LOCATION = Location("x")


@pytest.mark.parametrize(
    ("n", "room", "lengths"), [(0, 5, [0]), (5, 5, [5]), (6, 5, [3, 3]), (11, 5, [3, 4, 4])]
)
def test_split_evenly_gives_the_fewest_pieces_of_nearly_equal_length(
    n: int, room: int, lengths: list[int]
) -> None:
    pieces = split_evenly(list(range(n)), room)
    assert [len(piece) for piece in pieces] == lengths
    assert [i for piece in pieces for i in piece] == list(range(n))


def test_texts_are_between_cls_and_sep_and_an_unknown_label_is_refused() -> None:
    tokenizer = wordpiece.train(["the cat sat on the mat"] * 3, 60)
    encoder_tokens = tokenizer.encoder_tokens
    ids = tokenizer.encode("the cat sat on the mat")
    rows = [LabeledText("the cat sat on the mat", "b", LOCATION), LabeledText("", "a", LOCATION)]
    encoded = encode_labeled(rows, tokenizer, ("a", "b"), 5)
    assert encoded.pieces == [
        [encoder_tokens.with_special_tokens(ids[:3]), encoder_tokens.with_special_tokens(ids[3:])],
        [[encoder_tokens.cls, encoder_tokens.sep]],
    ]
    assert encoded.labels == [1, 0]
    assert encoded.describe()["labels"] == {"a": 1, "b": 1}
    with pytest.raises(DataError) as caught:
        encode_labeled(rows, tokenizer, ("a", "c"), 5)
    assert caught.value.field == "label"
