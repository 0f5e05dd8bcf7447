"""Encoded pairs: equal texts are held once, long texts are cut, hashes identify the data."""

import pytest

from chatwright.data.encoded.text_pairs import encode_scored_pairs, encode_text_pairs
from chatwright.data.rows import DataError, Location, ScoredPair, TextPair
from chatwright.tokenizer import wordpiece

TOY = Location("toy")
TOKENIZER = wordpiece.train(["the cat and the dog and the log and the mat"] * 3, 60)
PAIRS = [
    TextPair("the cat", "the dog", TOY, "the log"),
    TextPair("the cat", "the mat", TOY),
    TextPair("the dog", "the cat and the dog and the log", TOY, "the mat"),
]


def test_texts_are_held_once_as_an_encoder_reads_them() -> None:
    encoded = encode_text_pairs(PAIRS, TOKENIZER, 32)
    texts = list(encoded.texts.index)
    columns = (encoded.anchors, encoded.positives)
    rebuilt = [[texts[i] for i in column] for column in columns]
    assert rebuilt == [[pair.anchor for pair in PAIRS], [pair.positive for pair in PAIRS]]
    assert [None if i is None else texts[i] for i in encoded.negatives] == [
        "the log",
        None,
        "the mat",
    ]
    assert len(texts) == len(set(texts)) == 5
    control = TOKENIZER.encoder_tokens
    for text, ids in zip(texts, encoded.texts.token_ids, strict=True):
        assert ids == [control.cls, *TOKENIZER.encode(text), control.sep]
    assert encoded.texts.n_cut == 0


def test_all_texts_that_belong_to_an_anchor_are_known() -> None:
    encoded = encode_text_pairs(PAIRS, TOKENIZER, 32)
    index = encoded.texts.index
    assert encoded.positives_of[index["the cat"]] == {index["the dog"], index["the mat"]}


def test_long_texts_are_cut_at_the_end_and_keep_sep() -> None:
    encoded = encode_text_pairs(PAIRS, TOKENIZER, 6)
    control = TOKENIZER.encoder_tokens
    cut = encoded.texts.token_ids[encoded.positives[2]]
    assert cut == [control.cls, *TOKENIZER.encode(PAIRS[2].positive)[:4], control.sep]
    assert encoded.texts.n_cut == 1
    assert max(map(len, encoded.texts.token_ids)) == 6


def test_the_counts_and_the_hash_identify_the_data() -> None:
    described = encode_text_pairs(PAIRS, TOKENIZER, 32).describe()
    counts = (described["pairs"], described["negatives"], described["texts"], described["cut"])
    assert counts == (3, 2, 5, 0)
    changed = [*PAIRS[:2], TextPair("the dog", PAIRS[2].positive, TOY)]
    other = encode_text_pairs(changed, TOKENIZER, 32).describe()
    assert other["sha256"] != described["sha256"]
    assert encode_text_pairs(PAIRS, TOKENIZER, 32).describe() == described


def test_pairs_with_one_anchor_only_have_no_wrong_answers() -> None:
    with pytest.raises(DataError) as caught:
        encode_text_pairs(PAIRS[:2], TOKENIZER, 32)
    assert caught.value.field == "anchor"


def test_scored_pairs_keep_their_order_and_scores() -> None:
    pairs = [ScoredPair("the cat", "the dog", 0.5, TOY), ScoredPair("the log", "the cat", -1, TOY)]
    encoded = encode_scored_pairs(pairs, TOKENIZER, 32)
    assert list(encoded.texts.index) == ["the cat", "the dog", "the log"]
    assert (encoded.first, encoded.second, encoded.scores) == ([0, 2], [1, 0], [0.5, -1])
    assert encoded.describe()["pairs"] == 2
