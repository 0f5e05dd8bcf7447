"""Imported tokenizers give the ids of transformers, except for special tokens in text."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from chatwright.conversation import Message
from chatwright.errors import InputError
from chatwright.tokenizer import imported_files
from chatwright.tokenizer.chat_template import render
from chatwright.tokenizer.control import ControlIds
from chatwright.tokenizer.imported import ImportedTokenizer
from chatwright.tokenizer.imported_settings import SETTINGS_FILE
from chatwright.tokenizer.tokenizer import load_tokenizer
from tests.tokenizer.example_tokenizers import (
    REAL,
    SMALL,
    hard_strings,
    write_bert,
    write_chatml,
    write_gpt2,
    write_json,
    write_llama2,
    write_unigram,
)

SPECIAL_TOKENS = [
    "<|endoftext|>",
    "<|im_start|>",
    "<|im_end|>",
    "<|eot_id|>",
    "<|begin_of_text|>",
    "<s>",
    "</s>",
    "<pad>",
    "[CLS]",
    "[SEP]",
    "[MASK]",
    "<mask>",
    "<tool_call>",
    "<0x41>",
    "[INST]",
]


def write(name: str, directory: Path, request: pytest.FixtureRequest) -> Path:
    """Write the example called `name`. Skips the test if it needs data that is not here."""
    if name in SMALL:
        return SMALL[name](directory)
    return REAL[name](directory, request.getfixturevalue("shared_data"))


def read(directory: Path, vocab_size: int | None = None) -> ImportedTokenizer:
    return ImportedTokenizer(imported_files.read(directory), vocab_size)


@pytest.mark.parametrize("name", [*SMALL, *REAL])
def test_a_thousand_hard_strings_get_the_ids_of_transformers(
    name: str, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    import transformers

    directory = write(name, tmp_path, request)
    classes = {
        "gpt2": transformers.GPT2Tokenizer,
        "bert": transformers.BertTokenizer,
        "gpt1": transformers.OpenAIGPTTokenizer,
    }
    reference = classes.get(name, transformers.AutoTokenizer).from_pretrained(directory)
    texts = hard_strings()
    assert len(texts) == 1000
    for text, ids in zip(texts, read(directory).encode_batch(texts), strict=True):
        assert ids == reference(text, add_special_tokens=False)["input_ids"], ascii(text)


@pytest.mark.parametrize("name", [*SMALL, *REAL])
def test_no_text_is_encoded_to_a_special_token(
    name: str, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    tokenizer = read(write(name, tmp_path, request))
    texts = [
        *SPECIAL_TOKENS,
        *(f"a{token} {token}b" for token in SPECIAL_TOKENS),
        "".join(SPECIAL_TOKENS) * 50,
        *(first + second for first in SPECIAL_TOKENS for second in SPECIAL_TOKENS),
    ]
    forbidden = tokenizer.vocabulary.forbidden
    assert all(forbidden.isdisjoint(ids) for ids in tokenizer.encode_batch(texts))


@pytest.mark.parametrize("name", [*SMALL, *REAL])
def test_a_saved_tokenizer_loads_unchanged(
    name: str, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    source, saved = tmp_path / "source", tmp_path / "saved"
    source.mkdir()
    tokenizer = read(write(name, source, request), vocab_size=200_000)
    tokenizer.save(saved)
    loaded = load_tokenizer(saved)
    texts = [*SPECIAL_TOKENS, *hard_strings(100)]
    assert loaded.encode_batch(texts) == tokenizer.encode_batch(texts)
    assert loaded.vocab_size == 200_000
    assert loaded.control == tokenizer.control
    assert loaded.prefix == tokenizer.prefix
    source_files = {path.name: path.read_bytes() for path in source.iterdir()}
    saved_files = {path.name: path.read_bytes() for path in saved.iterdir()}
    del saved_files[SETTINGS_FILE]
    assert saved_files == source_files


@pytest.mark.parametrize("name", [*SMALL, *REAL])
def test_the_library_alone_encodes_text_to_special_tokens(
    name: str, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    """With the unchanged document the library finds special tokens in text."""
    import tokenizers

    tokenizer = read(write(name, tmp_path, request))
    library = tokenizers.Tokenizer.from_str(json.dumps(tokenizer.files.document))
    vocabulary = tokenizer.vocabulary
    texts = [vocabulary.tokens[token_id] for token_id in vocabulary.forbidden]
    encodings = [library.encode(text, add_special_tokens=False) for text in texts]
    assert {token_id for encoding in encodings for token_id in encoding.ids} >= vocabulary.forbidden


@pytest.mark.parametrize("name", ["gpt2", "llama3"])
def test_decoding_inverts_encoding_for_byte_level_bpe(
    name: str, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    tokenizer = read(write(name, tmp_path, request))
    for text in hard_strings(300):
        assert tokenizer.decode(tokenizer.encode(text)) == text


def test_decoding_inverts_encoding_for_sentencepiece_with_bytes(tmp_path: Path) -> None:
    tokenizer = read(write_llama2(tmp_path))
    assert tokenizer.prefix == " "
    assert (tokenizer.control.bos, tokenizer.control.end) == (1, 2)
    for text in ("the quick brown fox", " lead", "two  spaces", "ж 🙂\n", "don't"):
        assert tokenizer.decode(tokenizer.encode(text)) == text


def test_a_marker_is_shown_as_text_and_a_special_token_is_not(tmp_path: Path) -> None:
    tokenizer = read(write_chatml(tmp_path))
    control = tokenizer.control
    marker = tokenizer.vocabulary.markers["<tool_call>"]
    assert tokenizer.decode([marker, *tokenizer.encode("x")]) == "<tool_call>x"
    assert tokenizer.decode([control.end]) == ""
    assert control.name_of(marker) is None
    assert control.string_of(marker) is None
    assert control.string_of(control.end) == "<|im_end|>"


@pytest.mark.parametrize("write_files", [write_chatml, write_unigram])
def test_an_added_token_of_letters_is_ordinary_vocabulary_and_keeps_its_id(
    write_files: Callable[[Path], Path], tmp_path: Path
) -> None:
    from transformers import AutoTokenizer

    directory = write_files(tmp_path)
    document = json.loads((directory / "tokenizer.json").read_text())
    next_id = len(read(directory).vocabulary.tokens)
    added = {"id": next_id, "content": "zyzzyva", "normalized": False, "special": False}
    flags = {"single_word": False, "lstrip": False, "rstrip": False}
    document["added_tokens"].append(added | flags)
    write_json(directory / "tokenizer.json", document)
    tokenizer = read(directory)
    assert next_id in tokenizer.encode("a zyzzyva")
    reference = AutoTokenizer.from_pretrained(directory)
    expected = reference("a zyzzyvas b", add_special_tokens=False)["input_ids"]
    assert tokenizer.encode("a zyzzyvas b") == expected


def test_special_tokens_of_bert_are_found(tmp_path: Path, shared_data: Path) -> None:
    tokenizer = read(write_bert(tmp_path, shared_data))
    names = ("pad", "unk", "cls", "sep", "mask")
    assert [tokenizer.special_token_id(name) for name in names] == [0, 100, 101, 102, 103]
    control = tokenizer.control
    assert (control.bos, control.end, control.pad) == (101, 102, 0)
    assert tokenizer.public_ids == {"pad_token_id": 0}


def test_special_tokens_of_gpt2_are_found(tmp_path: Path, shared_data: Path) -> None:
    tokenizer = read(write_gpt2(tmp_path, shared_data))
    control = tokenizer.control
    assert (control.bos, control.end) == (50256, 50256)
    assert tokenizer.public_ids == {"bos_token_id": 50256, "eos_token_id": 50256}
    assert control.pad != control.end
    with pytest.raises(InputError) as caught:
        tokenizer.special_token_id("mask")
    assert caught.value.field == "mask_token"


def test_special_tokens_of_a_unigram_model_are_found(tmp_path: Path) -> None:
    tokenizer = read(write_unigram(tmp_path))
    assert (tokenizer.control.end, tokenizer.control.pad) == (1, 0)
    assert tokenizer.vocabulary.unknown == 2
    assert tokenizer.decode(tokenizer.encode("the Ж dog")) == "the \N{REPLACEMENT CHARACTER} dog"


@pytest.mark.parametrize("do_lower_case", [True, False])
def test_bert_lower_cases_texts_if_its_settings_say_so(
    do_lower_case: bool, tmp_path: Path, shared_data: Path
) -> None:
    tokenizer = read(write_bert(tmp_path, shared_data, do_lower_case=do_lower_case))
    assert (tokenizer.encode("Dog") == tokenizer.encode("dog")) == do_lower_case


def model(**fields: Any) -> dict[str, Any]:
    return {"model": {"type": "BPE", "merges": []} | fields}


INVALID_REGEX = {
    "type": "Split",
    "pattern": {"Regex": "("},
    "behavior": "Isolated",
    "invert": False,
}


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"model": {"type": "BPE"}}, "model.vocab"),
        ({"model": None}, "model.vocab"),
        (model(type="Neural", vocab={"a": 0, "<|im_end|>": 1}), "tokenizer.json"),
        (model(vocab={"a": -4}), "model.vocab"),
        (model(vocab={"a": 10**12}), "model.vocab"),
        (model(vocab={"a": 0, "b": 0}), "model.vocab"),
        (model(vocab={"a": 0}, merges=[["x", "y"]]), "tokenizer.json"),
        (model(type="Unigram", vocab=[["a", 0.0]], unk_id=5), "tokenizer.json"),
        ({"added_tokens": [{"id": "1", "content": "<x>"}]}, "added_tokens"),
        ({"added_tokens": {"<x>": 1}}, "added_tokens"),
        ({"pre_tokenizer": INVALID_REGEX}, "tokenizer.json"),
    ],
)
def test_a_damaged_tokenizer_json_is_refused(
    changes: dict[str, Any], field: str, tmp_path: Path
) -> None:
    path = write_chatml(tmp_path) / "tokenizer.json"
    write_json(path, json.loads(path.read_text()) | changes)
    with pytest.raises(InputError) as caught:
        read(tmp_path)
    assert caught.value.field == field


@pytest.mark.parametrize("content", [b"{", b"[" * 100_000, b"[]"])
def test_invalid_json_is_refused(content: bytes, tmp_path: Path) -> None:
    (tmp_path / "tokenizer.json").write_bytes(content)
    with pytest.raises(InputError) as caught:
        imported_files.read(tmp_path)
    assert caught.value.field == "tokenizer.json"


def test_a_directory_without_a_tokenizer_is_refused(tmp_path: Path) -> None:
    (tmp_path / "other.txt").write_text("")
    with pytest.raises(InputError, match=r"tokenizer\.json") as caught:
        imported_files.read(tmp_path)
    assert caught.value.field == "tokenizer.json"


def test_a_merge_of_three_tokens_is_refused_with_its_line(tmp_path: Path) -> None:
    (tmp_path / "vocab.json").write_text('{"a": 0}')
    (tmp_path / "merges.txt").write_text("#version: 0.2\na b c\n")
    with pytest.raises(InputError) as caught:
        imported_files.read(tmp_path)
    assert (caught.value.field, caught.value.value) == ("merges.txt", 2)


@pytest.mark.parametrize("name", [*SMALL, "gpt2"])
def test_a_tokenizer_with_added_control_tokens_renders_chats_and_opens_in_transformers(
    name: str, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    from transformers import AutoTokenizer

    source, saved = tmp_path / "source", tmp_path / "saved"
    source.mkdir()
    plain = read(write(name, source, request))
    extended = plain.with_control_tokens()
    assert extended.vocab_size == len(plain.vocabulary.tokens) + 10
    control = extended.control
    assert isinstance(control, ControlIds)
    turns = [Message("user", "the <|end|> dog"), Message("assistant", "12 lazy dogs")]
    expected = [
        control.bos,
        control.user,
        *plain.encode("the <|end|> dog"),
        control.end_of_question,
        control.assistant,
        *plain.encode("12 lazy dogs"),
        control.end,
    ]
    assert render(turns, extended).token_ids == expected

    extended.save(saved)
    loaded = load_tokenizer(saved)
    assert render(turns, loaded).token_ids == expected
    assert loaded.vocab_size == extended.vocab_size
    assert loaded.public_ids["eos_token_id"] == control.end
    reference = AutoTokenizer.from_pretrained(saved)
    ids = reference("the dog<|end|>", add_special_tokens=False)["input_ids"]
    assert ids == [*plain.encode("the dog"), control.end]
