"""Sentence pairs as token ids: the layout of both sides, pairs left out, and the split."""

import pytest

from chatwright.data.encoded.pairs import encode_pairs, split_pairs
from chatwright.data.rows import DataError, Location, SentencePair
from chatwright.tokenizer.characters import CharacterTokenizer

TOKENIZER = CharacterTokenizer.train(["abcdefgh "])
LOCATION = Location("a.tsv", 1)


def pair(source: str, target: str) -> SentencePair:
    return SentencePair(source, target, LOCATION)


def test_the_source_ends_with_end_and_the_target_has_bos_and_end() -> None:
    encoded = encode_pairs([pair("ab", "cde")], TOKENIZER, 10)
    control = TOKENIZER.control
    assert encoded.sources == [[*TOKENIZER.encode("ab"), control.end]]
    assert encoded.targets == [[control.bos, *TOKENIZER.encode("cde"), control.end]]
    assert encode_pairs([pair("ab", "cde")], TOKENIZER, 10, start_id=3).targets == [
        [3, *TOKENIZER.encode("cde"), control.end]
    ]
    assert encoded.describe() | {"sha256": ""} == {
        "pairs": 1,
        "source_tokens": 3,
        "target_tokens": 4,
        "too_long": 0,
        "sha256": "",
    }


def test_pairs_with_a_side_that_does_not_fit_are_left_out_and_counted() -> None:
    rows = [pair("aaaa", "b"), pair("a", "bbbb"), pair("aaa", "bbb")]
    encoded = encode_pairs(rows, TOKENIZER, 4)
    assert (len(encoded), encoded.n_too_long) == (1, 2)
    assert encoded.sources == [[*TOKENIZER.encode("aaa"), TOKENIZER.control.end]]
    with pytest.raises(DataError) as caught:
        encode_pairs(rows, TOKENIZER, 3)
    assert caught.value.field == "model.context_length"


def test_hash_depends_on_the_border_between_source_and_target() -> None:
    assert (
        encode_pairs([pair("ab", "c")], TOKENIZER, 9).sha256
        != encode_pairs([pair("a", "bc")], TOKENIZER, 9).sha256
    )


def test_all_translations_of_a_sentence_are_on_the_same_side_of_the_split() -> None:
    rows = [
        pair(f"{'abcdefgh'[i % 8] * (1 + i // 16)}", f"{'abcdefgh'[i % 7]}") for i in range(200)
    ]
    train, validation = split_pairs(rows, 0.2)
    assert len(train) + len(validation) == 200
    assert not {p.source for p in train} & {p.source for p in validation}
    assert split_pairs(list(reversed(rows)), 0.2)[1] == list(reversed(validation))
    with pytest.raises(DataError) as caught:
        split_pairs(rows[:1], 0.2)
    assert caught.value.field == "validation_share"
