"""Byte-level BPE: decoding inverts encoding, and transformers gives the same ids."""

import json
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from chatwright.errors import InputError
from chatwright.tokenizer import byte_bpe
from chatwright.tokenizer.byte_bpe import ByteBPE
from chatwright.tokenizer.control import CONTROL_TOKENS
from chatwright.tokenizer.tokenizer import load_tokenizer

TRAINING_TEXTS = [
    "The quick brown fox jumps over the lazy dog. "
    "The dog doesn't mind; it's 12:30 and 2024 was long ago.\n" * 20,
    "def add(a, b):\n    return a + b\n\n\n\tif x == 1000:\n        print('hello world')\n" * 20,
    "Zwölf Boxkämpfer jagen Viktor quer über den großen Sylter Deich. 東京は日本の首都です。 🙂🙂\n"
    * 20,
]

HARD_STRINGS = [
    "",
    " ",
    "\n",
    "\r\n",
    "\r",
    "\t",
    "   \n \n  x",
    " \u00a0\u2003\u200b",
    "a\x00b",
    "\x1b[31m",
    "\x1c\x1d\x85",
    "é",
    "e\u0301",
    "ﬁ ½ Ⅷ ²",
    "👩‍👩‍👧‍👦🏳️‍🌈",
    "العربية עברית हिन्दी ไทย",
    "\ufeffbom",
    "\ufffd\uffff",
    "\U0010ffff",
    "don't DON'T 'S 'll",
    "x" * 1000,
    " " * 1000,
    "\n" * 1000,
    "1234567890" * 50,
    "٣٤٥ 一二三",
    "a.b+c@mail.example.org",
    "C:\\dir\\file",
    "<|",
    "|>",
    "a .",
    "n't 's",
    "  two  spaces  ",
    "Ġ Ċ ĉ",
    "##word ▁word",
    "\u2028\u2029",
]


@pytest.fixture(scope="module")
def bpe() -> ByteBPE:
    return ByteBPE.train(TRAINING_TEXTS, 400)


@pytest.fixture(scope="module")
def prefixed() -> ByteBPE:
    """A tokenizer that adds a space before every text."""
    return ByteBPE.train(TRAINING_TEXTS, 400, prefix=" ")


@pytest.mark.parametrize("text", HARD_STRINGS)
def test_decoding_inverts_encoding_of_hard_strings(
    bpe: ByteBPE, prefixed: ByteBPE, text: str
) -> None:
    assert bpe.decode(bpe.encode(text)) == text
    assert prefixed.decode(prefixed.encode(text)) == text


@settings(max_examples=300, deadline=None, derandomize=True)
@given(st.text())
def test_decoding_inverts_encoding_of_any_text(bpe: ByteBPE, text: str) -> None:
    ids = bpe.encode(text)
    assert bpe.decode(ids) == text
    assert b"".join(map(bpe.token_bytes, ids)) == text.encode("utf-8")


@settings(max_examples=300, deadline=None, derandomize=True)
@given(st.text())
def test_a_prefix_is_encoded_and_removed_when_decoding(prefixed: ByteBPE, text: str) -> None:
    ids = prefixed.encode(text)
    assert prefixed.decode(ids) == text
    expected = b" " + text.encode("utf-8") if text else b""
    assert b"".join(map(prefixed.token_bytes, ids)) == expected


def test_with_a_prefix_a_word_has_one_token_at_the_beginning_and_inside_a_text(
    bpe: ByteBPE, prefixed: ByteBPE
) -> None:
    at_beginning, inside = "dog", "The dog"
    assert prefixed.encode(at_beginning)[-1] == prefixed.encode(inside)[-1]
    assert bpe.encode(at_beginning)[-1] != bpe.encode(inside)[-1]


def test_decoding_keeps_email_addresses(bpe: ByteBPE) -> None:
    text = "write to Jane.Doe+lists@mail.example.co.uk, or <x_y@z.org>."
    assert bpe.decode(bpe.encode(text)) == text


def test_every_digit_is_a_token() -> None:
    bpe = ByteBPE.train(["2024 2024 2024 1000 1000 " * 50], 300)
    tokens = [bpe.token_bytes(token_id) for token_id in bpe.encode("2024")]
    assert tokens == [b"2", b"0", b"2", b"4"]


def test_vocab_size_includes_the_control_tokens(bpe: ByteBPE) -> None:
    assert bpe.vocab_size == 400
    assert bpe.control.all() == tuple(range(390, 400))
    assert bpe.control.bos == 390
    assert bpe.control.result == 399


def test_control_ids_decode_to_nothing(bpe: ByteBPE) -> None:
    ids = bpe.encode("one")
    assert bpe.decode([bpe.control.bos, *ids, bpe.control.end]) == "one"
    assert bpe.token_bytes(bpe.control.end) == b""


@pytest.mark.parametrize("token_id", [400, -1])
def test_an_id_outside_the_vocabulary_is_refused(bpe: ByteBPE, token_id: int) -> None:
    with pytest.raises(InputError) as caught:
        bpe.decode([token_id])
    assert (caught.value.field, caught.value.value) == ("token_id", token_id)


def test_a_lone_surrogate_is_refused_with_its_position(bpe: ByteBPE) -> None:
    with pytest.raises(InputError) as caught:
        bpe.encode("ab\ud800")
    assert caught.value.value == 2


def test_a_vocab_size_below_256_bytes_and_the_control_tokens_is_refused() -> None:
    with pytest.raises(InputError, match="266") as caught:
        ByteBPE.train(["text"], 265)
    assert (caught.value.field, caught.value.value) == ("vocab_size", 265)


@pytest.mark.parametrize("texts", [[], ["", ""]])
def test_training_without_text_is_refused(texts: list[str]) -> None:
    with pytest.raises(InputError) as caught:
        ByteBPE.train(texts, 300)
    assert caught.value.field == "texts"


def test_training_twice_gives_the_same_files(bpe: ByteBPE, tmp_path: Path) -> None:
    bpe.save(tmp_path / "a")
    ByteBPE.train(iter(TRAINING_TEXTS), 400).save(tmp_path / "b")
    for name in ("tokenizer.json", "tokenizer_config.json", "chat_template.jinja"):
        assert (tmp_path / "a" / name).read_bytes() == (tmp_path / "b" / name).read_bytes()


def test_encoding_a_batch_equals_encoding_one_by_one(bpe: ByteBPE) -> None:
    assert bpe.encode_batch(HARD_STRINGS) == [bpe.encode(text) for text in HARD_STRINGS]
    assert bpe.encode_batch([]) == []


def test_splitting_a_long_text_into_chunks_changes_no_id(
    bpe: ByteBPE, monkeypatch: pytest.MonkeyPatch
) -> None:
    lines = "\n\n  indented\n_under\n9 lives\r\nend \n\n\n'll\n" * 50
    text = "".join(TRAINING_TEXTS) + lines
    whole = bpe._library.encode(text, add_special_tokens=False).ids
    monkeypatch.setattr(byte_bpe, "CHUNK_LENGTH", 7)
    assert len(list(byte_bpe.split_long_text(text))) > 100
    assert bpe.encode(text) == whole


@settings(max_examples=200, deadline=None, derandomize=True)
@given(st.text(alphabet=" \n\r\tab1_'.é\u0301東\u2028", max_size=40))
def test_splitting_at_every_safe_position_changes_no_id(bpe: ByteBPE, text: str) -> None:
    whole = bpe._library.encode(text, add_special_tokens=False).ids
    chunks = byte_bpe.SAFE_SPLIT.sub("\n\0", text).split("\0")
    assert [token_id for chunk in chunks for token_id in bpe.encode(chunk)] == whole


@pytest.mark.parametrize("name", ["bpe", "prefixed"])
def test_a_saved_tokenizer_loads_unchanged(
    name: str, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    bpe = request.getfixturevalue(name)
    bpe.save(tmp_path)
    loaded = load_tokenizer(tmp_path)
    assert isinstance(loaded, ByteBPE)
    assert loaded.control == bpe.control
    assert loaded.prefix == bpe.prefix
    assert loaded.vocab_size == bpe.vocab_size
    assert loaded.encode_batch(HARD_STRINGS) == bpe.encode_batch(HARD_STRINGS)


@pytest.mark.parametrize("name", ["bpe", "prefixed"])
def test_transformers_opens_a_saved_tokenizer_and_gives_the_same_ids(
    name: str, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    bpe = request.getfixturevalue(name)
    transformers = pytest.importorskip("transformers", reason="transformers is a development extra")
    bpe.save(tmp_path)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        reference = transformers.AutoTokenizer.from_pretrained(tmp_path)
    assert len(reference) == bpe.vocab_size
    assert reference.bos_token_id == bpe.control.bos
    assert reference.eos_token_id == bpe.control.end
    assert reference.pad_token_id == bpe.control.pad
    for text in [*HARD_STRINGS, *TRAINING_TEXTS]:
        assert reference.encode(text, add_special_tokens=False) == bpe.encode(text)
        assert reference.decode(bpe.encode(text)) == text
    for control_name, token in CONTROL_TOKENS.items():
        assert reference.convert_tokens_to_ids(token) == getattr(bpe.control, control_name)


# Each change makes tokenizer.json differ from what Chatwright saves; the word names the part.
CHANGES: list[tuple[Callable[[dict[str, Any]], Any], str]] = [
    (lambda d: d.update(normalizer={"type": "NFC"}), "normalizer"),
    # A prefix that the decoder does not remove:
    (lambda d: d.update(normalizer={"type": "Prepend", "prepend": " "}), "normalizer"),
    (lambda d: d.update(pre_tokenizer={"type": "Whitespace"}), "pre-tokenizer"),
    (lambda d: d["model"].update(type="WordPiece"), "BPE"),
    (lambda d: d["model"]["vocab"].update(zz=9999), "ids"),
    (lambda d: d["model"]["vocab"].update({"a": "x"}), "ids"),
    (lambda d: d["added_tokens"].pop(), "added tokens"),
    (lambda d: d["added_tokens"][2].update(id=0), "added tokens"),
    (lambda d: d["model"]["merges"].append(["nope", "nope"]), "read"),
]


@pytest.mark.parametrize(("change", "part"), CHANGES)
def test_the_error_for_a_changed_tokenizer_json_names_the_changed_part(
    bpe: ByteBPE, tmp_path: Path, change: Callable[[dict[str, Any]], Any], part: str
) -> None:
    bpe.save(tmp_path)
    path = tmp_path / "tokenizer.json"
    document = json.loads(path.read_text(encoding="utf-8"))
    change(document)
    path.write_text(json.dumps(document), encoding="utf-8")
    with pytest.raises(InputError, match=part) as caught:
        load_tokenizer(tmp_path)
    assert caught.value.field == "tokenizer.json"
    assert str(tmp_path) in str(caught.value)


@pytest.mark.parametrize("content", [b"", b"{", b"\xff\xfe", b"[" * 100_000, b"[]", b"null"])
def test_a_damaged_tokenizer_json_is_refused(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "tokenizer.json").write_bytes(content)
    with pytest.raises(InputError) as caught:
        load_tokenizer(tmp_path)
    assert caught.value.field == "tokenizer.json"


def test_a_directory_without_a_tokenizer_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError) as caught:
        load_tokenizer(tmp_path)
    assert caught.value.field == str(tmp_path)


def test_a_directory_with_two_tokenizers_is_refused(bpe: ByteBPE, tmp_path: Path) -> None:
    bpe.save(tmp_path)
    (tmp_path / "characters.json").write_text('{"characters": ["a"]}')
    with pytest.raises(InputError, match=r"characters\.json.*tokenizer\.json"):
        load_tokenizer(tmp_path)


def test_bytes_have_the_same_characters_as_in_the_tokenizers_library() -> None:
    from tokenizers.pre_tokenizers import ByteLevel

    characters = byte_bpe.bytes_to_unicode()
    assert sorted(characters) == sorted(ByteLevel.alphabet())
    assert len(set(characters)) == 256
