"""The character tokenizer: one id per character, and an error for unknown characters."""

from pathlib import Path

import pytest

from chatwright.errors import InputError
from chatwright.tokenizer.characters import CharacterTokenizer
from chatwright.tokenizer.tokenizer import load_tokenizer


def test_ids_are_indices_into_the_sorted_characters() -> None:
    tokenizer = CharacterTokenizer.train(["cab", "bad\n"])
    assert tokenizer.encode("\nabcd") == [0, 1, 2, 3, 4]
    assert tokenizer.vocab_size == 5 + 10
    assert tokenizer.control.bos == 5


def test_decoding_inverts_encoding() -> None:
    text = "Zwölf 🙂 東京\r\n\t\x00"
    tokenizer = CharacterTokenizer.train([text])
    assert tokenizer.decode(tokenizer.encode(text)) == text
    assert tokenizer.encode_batch([text, ""]) == [tokenizer.encode(text), []]


def test_control_ids_decode_to_nothing() -> None:
    tokenizer = CharacterTokenizer.train(["🙂"])
    control = tokenizer.control
    assert tokenizer.decode([control.bos, *tokenizer.encode("🙂"), control.end]) == "🙂"
    assert tokenizer.token_bytes(control.end) == b""


def test_an_unknown_character_is_refused_with_its_position() -> None:
    tokenizer = CharacterTokenizer.train(["abc"])
    with pytest.raises(InputError, match=r"U\+00E9\) at position 2") as caught:
        tokenizer.encode("abé")
    assert (caught.value.field, caught.value.value) == ("text", "é")
    assert caught.value.remedy


def test_control_strings_are_encoded_as_ordinary_characters() -> None:
    tokenizer = CharacterTokenizer.train(["<|end|>"])
    assert max(tokenizer.encode("<|end|>")) < tokenizer.control.bos


def test_an_id_outside_the_vocabulary_is_refused() -> None:
    with pytest.raises(InputError) as caught:
        CharacterTokenizer.train(["abc"]).decode([99])
    assert (caught.value.field, caught.value.value) == ("token_id", 99)


def test_a_saved_tokenizer_loads_unchanged(tmp_path: Path) -> None:
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
def test_a_damaged_file_is_refused(tmp_path: Path, content: str) -> None:
    (tmp_path / "characters.json").write_text(content)
    with pytest.raises(InputError) as caught:
        load_tokenizer(tmp_path)
    assert caught.value.field == "characters.json"


def test_training_without_text_is_refused() -> None:
    with pytest.raises(InputError) as caught:
        CharacterTokenizer.train([""])
    assert caught.value.field == "characters"
