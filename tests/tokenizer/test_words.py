"""The word tokenizer, and looking up the token that is a whole word."""

import json
from pathlib import Path

import pytest

from chatwright.errors import InputError
from chatwright.tokenizer.byte_bpe import ByteBPE
from chatwright.tokenizer.control import CONTROL_TOKENS
from chatwright.tokenizer.tokenizer import load_tokenizer
from chatwright.tokenizer.word_lookup import single_token_id, single_token_words, token_texts
from chatwright.tokenizer.words import WordTokenizer, split_words

TEXT = (
    "The king's men; the King, the _queen_! Don’t say: the king is dead. "
    "The queen, the king's queen. Don't."
)


def test_a_text_is_split_into_lower_cased_words() -> None:
    words = split_words("The King’s Men, don't: 3 of_them!")
    assert words == ["the", "king's", "men", "don't", "3", "of", "them"]


def test_the_vocabulary_is_the_most_frequent_words_that_occur_three_times() -> None:
    tokenizer = WordTokenizer.train([TEXT, TEXT], 20)
    first_words = [tokenizer.token_bytes(i).decode() for i in range(4)]
    assert first_words == ["the", "queen", "don't", "king"]
    # Five words; "men", "is" and others occur only twice.
    assert tokenizer.vocab_size == 5 + len(CONTROL_TOKENS)
    assert WordTokenizer.train([TEXT, TEXT], 13).vocab_size == 13


def test_unknown_words_punctuation_and_case_are_lost() -> None:
    tokenizer = WordTokenizer.train([TEXT, TEXT], 20)
    assert tokenizer.decode(tokenizer.encode("The QUEEN laughed, don’t?")) == "the queen don't"
    assert tokenizer.encode_batch([TEXT, ""]) == [tokenizer.encode(TEXT), []]


def test_a_saved_tokenizer_loads_unchanged(tmp_path: Path) -> None:
    tokenizer = WordTokenizer.train([TEXT] * 3, 30)
    tokenizer.save(tmp_path)
    loaded = load_tokenizer(tmp_path)
    assert isinstance(loaded, WordTokenizer)
    assert loaded.encode(TEXT) == tokenizer.encode(TEXT)
    assert loaded.control == tokenizer.control


@pytest.mark.parametrize(
    "content",
    [
        "{",
        json.dumps({"words": "the"}),
        json.dumps({"words": ["a", "a"]}),
        json.dumps({"words": ["two words"]}),
        json.dumps({"words": ["King"]}),
        json.dumps({"words": []}),
    ],
)
def test_a_damaged_file_is_refused(tmp_path: Path, content: str) -> None:
    (tmp_path / "words.json").write_text(content)
    with pytest.raises(InputError) as caught:
        WordTokenizer.load(tmp_path)
    assert caught.value.field == "words.json"


def test_training_on_a_text_without_frequent_words_is_refused() -> None:
    with pytest.raises(InputError, match="3 times") as caught:
        WordTokenizer.train(["once twice"], 100)
    assert caught.value.field == "words"


def test_a_word_is_looked_up_with_the_space_before_it() -> None:
    bpe = ByteBPE.train(["the king and the queen saw the king. " * 50], 300)
    king = single_token_id(bpe, "king")
    assert king is not None
    assert bpe.token_bytes(king) == b" king"


def test_a_word_of_several_tokens_is_not_found() -> None:
    bpe = ByteBPE.train(["the king and the queen saw the king. " * 50], 300)
    assert single_token_id(bpe, "kingqueen") is None


def test_texts_of_tokens_have_no_surrounding_spaces_and_those_of_control_tokens_are_empty() -> None:
    bpe = ByteBPE.train(["the king and the queen saw the king. " * 50], 300)
    texts = token_texts(bpe)
    assert texts[single_token_words(bpe)["queen"]] == "queen"
    assert {texts[i] for i in bpe.control.all()} == {""}


def test_a_word_is_found_in_lower_case_if_the_vocabulary_has_only_lower_case() -> None:
    words = WordTokenizer.train([TEXT] * 3, 30)
    expected = words.encode("king")[0]
    assert single_token_id(words, "King") == single_token_id(words, "king") == expected
    assert single_token_id(words, "emperor") is None
