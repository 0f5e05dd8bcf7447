"""The characters tokenizer: one id per character, and a clear refusal of others."""

import pytest

from chatwright.tokenizer.characters import CharacterTokenizer
from chatwright.tokenizer.tokenizer import load_tokenizer


def test_ids_are_places_in_the_sorted_characters():
    tokenizer = CharacterTokenizer.train(["cab", "bad\n"])
    assert tokenizer.encode("\nabcd") == [0, 1, 2, 3, 4]
    assert tokenizer.vocab_size == 5 + 10
    assert tokenizer.control.bos == 5


def test_decode_gives_back_what_encode_took():
    text = "Zwölf 🙂 東京\r\n\t\x00"
    tokenizer = CharacterTokenizer.train([text])
    assert tokenizer.decode(tokenizer.encode(text)) == text
    assert (
        tokenizer.decode([tokenizer.control.bos, *tokenizer.encode("🙂"), tokenizer.control.end])
        == "🙂"
    )
    assert tokenizer.token_bytes(tokenizer.control.end) == b""
    assert tokenizer.encode_batch([text, ""]) == [tokenizer.encode(text), []]


def test_an_unknown_character_is_named_with_a_remedy():
    tokenizer = CharacterTokenizer.train(["abc"])
    with pytest.raises(
        ValueError,
        match=r"the character '\\xe9' \(U\+00E9, at position 2\).*3 characters.*byte-level BPE",
    ):
        tokenizer.encode("abé")


def test_control_strings_are_ordinary_characters():
    tokenizer = CharacterTokenizer.train(["<|end|>"])
    assert max(tokenizer.encode("<|end|>")) < tokenizer.control.bos


def test_an_id_of_another_tokenizer_is_refused():
    with pytest.raises(ValueError, match="token id 99 is outside this tokenizer's 13 ids"):
        CharacterTokenizer.train(["abc"]).decode([99])


def test_save_and_load_give_the_same_tokenizer(tmp_path):
    tokenizer = CharacterTokenizer.train(["aé🙂\n\u2028"])
    tokenizer.save(tmp_path)
    loaded = load_tokenizer(tmp_path)
    assert isinstance(loaded, CharacterTokenizer)
    assert loaded.encode("🙂é\u2028a\n") == tokenizer.encode("🙂é\u2028a\n")
    assert loaded.control == tokenizer.control


@pytest.mark.parametrize(
    "content",
    [
        "",
        "{",
        "[]",
        "{}",
        '{"characters": "abc"}',
        '{"characters": ["ab"]}',
        '{"characters": ["a", "a"]}',
        '{"characters": [1]}',
        '{"characters": []}',
        '{"characters": ["\\ud800"]}',
    ],
)
def test_a_broken_file_is_refused_by_name(tmp_path, content):
    (tmp_path / "characters.json").write_text(content)
    with pytest.raises(ValueError, match=r"characters\.json is not a characters tokenizer"):
        load_tokenizer(tmp_path)


def test_no_text_is_an_error():
    with pytest.raises(ValueError, match="at least one character"):
        CharacterTokenizer.train([""])
