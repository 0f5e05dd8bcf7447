"""Words by frequency, lower-cased, without what is between them; saved and loaded the same; which token spells a word."""

import json
from pathlib import Path

import pytest

from chatwright.tokenizer.byte_bpe import ByteBPE
from chatwright.tokenizer.tokenizer import load_tokenizer
from chatwright.tokenizer.word_lookup import single_token_id, single_token_words, token_texts
from chatwright.tokenizer.words import WordTokenizer, words_of

TEXT = "The king's men; the King, the _queen_! Don’t say: the king is dead. The queen, the king's queen. Don't."


def test_words_of_a_text_by_hand() -> None:
    assert words_of("The King’s Men, don't: 3 of_them!") == [
        "the",
        "king's",
        "men",
        "don't",
        "3",
        "of",
        "them",
    ]


def test_the_most_frequent_words_seen_often_enough_are_the_vocabulary() -> None:
    tokenizer = WordTokenizer.train([TEXT, TEXT], 20)
    assert [tokenizer.token_bytes(i).decode() for i in range(4)] == [
        "the",
        "queen",
        "don't",
        "king",
    ]
    assert tokenizer.vocab_size == 5 + 10  # "men", "is" and others were seen only twice
    assert WordTokenizer.train([TEXT, TEXT], 13).vocab_size == 13
    assert tokenizer.decode(tokenizer.encode("The QUEEN laughed, don’t?")) == "the queen don't"
    assert tokenizer.encode_batch([TEXT, ""]) == [tokenizer.encode(TEXT), []]


def test_saved_and_loaded_it_is_the_same(tmp_path: Path) -> None:
    tokenizer = WordTokenizer.train([TEXT] * 3, 30)
    tokenizer.save(tmp_path)
    loaded = load_tokenizer(tmp_path)
    assert isinstance(loaded, WordTokenizer)
    assert loaded.encode(TEXT) == tokenizer.encode(TEXT)
    assert loaded.control == tokenizer.control


@pytest.mark.parametrize(
    ("document", "message"),
    [
        ("{", "is not a words tokenizer"),
        ({"words": "the"}, "words is not a list"),
        ({"words": ["a", "a"]}, "distinct"),
        ({"words": ["two words"]}, "without spaces"),
        ({"words": ["King"]}, "lower-cased"),
        ({"words": []}, "at least one word"),
    ],
)
def test_a_damaged_file_is_refused_by_name(tmp_path: Path, document: object, message: str) -> None:
    (tmp_path / "words.json").write_text(
        document if isinstance(document, str) else json.dumps(document)
    )
    with pytest.raises(ValueError, match=message):
        WordTokenizer.load(tmp_path)


def test_a_text_without_frequent_words_says_so() -> None:
    with pytest.raises(ValueError, match="none was seen 3 times"):
        WordTokenizer.train(["once twice"], 100)


def test_a_word_is_looked_up_as_it_stands_inside_a_sentence() -> None:
    bpe = ByteBPE.train(["the king and the queen saw the king. " * 50], 300)
    assert bpe.token_bytes(single_token_id(bpe, "king")) == b" king"
    assert single_token_id(bpe, "kingqueen") is None
    rows = single_token_words(bpe)
    assert token_texts(bpe)[rows["queen"]] == "queen"
    assert {token_texts(bpe)[i] for i in bpe.control.all()} == {""}


def test_words_are_looked_up_in_lower_case_where_the_vocabulary_has_only_that() -> None:
    words = WordTokenizer.train([TEXT] * 3, 30)
    assert (
        single_token_id(words, "King") == single_token_id(words, "king") == words.encode("king")[0]
    )
    assert single_token_id(words, "emperor") is None
