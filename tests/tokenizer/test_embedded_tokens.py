"""Tokenizers with fewer or more tokens than their model has embedding rows."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from chatwright.errors import InputError
from chatwright.tokenizer import embedded_tokens, imported_files
from chatwright.tokenizer.byte_bpe import ByteBPE
from chatwright.tokenizer.control import ControlIds
from chatwright.tokenizer.imported import ImportedTokenizer
from chatwright.tokenizer.tokenizer import load_tokenizer, unused_ids
from tests.tokenizer.example_tokenizers import (
    hard_strings,
    write_byte_level,
    write_chatml,
    write_json,
    write_unigram,
    write_word_pieces,
)

WRITERS = [write_byte_level, write_chatml, write_unigram, write_word_pieces]


def read(directory: Path, vocab_size: int | None = None) -> ImportedTokenizer:
    return ImportedTokenizer(imported_files.read(directory), vocab_size)


@pytest.mark.parametrize("write_files", WRITERS)
def test_ids_of_a_larger_model_are_unused_and_decode_to_nothing(
    write_files: Callable[[Path], Path], tmp_path: Path
) -> None:
    directory = write_files(tmp_path)
    n_token = len(read(directory).vocabulary.tokens)
    tokenizer = read(directory, n_token + 2400)
    assert tokenizer.vocab_size == n_token + 2400
    assert unused_ids(tokenizer) == tuple(range(n_token, n_token + 2400))
    assert tokenizer.decode(unused_ids(tokenizer)) == ""
    dog = tokenizer.encode("the dog")
    assert tokenizer.decode([*dog, n_token, n_token + 2399]) == tokenizer.decode(dog)
    with pytest.raises(InputError):
        tokenizer.decode([n_token + 2400])


def test_a_gap_between_the_ids_of_a_tokenizer_is_unused(tmp_path: Path) -> None:
    directory = write_byte_level(tmp_path)
    n_token = len(read(directory).vocabulary.tokens)
    write_json(directory / "added_tokens.json", {"[NEW]": n_token + 3})
    assert unused_ids(read(directory)) == (n_token, n_token + 1, n_token + 2)


def test_chatwrights_own_tokenizers_have_no_unused_ids() -> None:
    assert unused_ids(ByteBPE.train(["the cat"], 300)) == ()


@pytest.mark.parametrize("write_files", WRITERS)
def test_added_tokens_without_an_embedding_are_left_out(
    write_files: Callable[[Path], Path], tmp_path: Path
) -> None:
    """A token was added without resizing the model: as padding, and as an ordinary word."""
    source, saved = tmp_path / "source", tmp_path / "saved"
    source.mkdir()
    directory = write_files(source)
    before = read(directory)
    n_token = len(before.vocabulary.tokens)
    added = {"[NEW]": n_token, "zyzzyva": n_token + 1}
    write_json(directory / "added_tokens.json", added)
    write_json(directory / "special_tokens_map.json", {"pad_token": "[NEW]"})
    files = imported_files.read(directory)
    assert embedded_tokens.unembedded_tokens(files, n_token) == ["[NEW]", "zyzzyva"]
    tokenizer = ImportedTokenizer(files, n_token)
    texts = ["a zyzzyva [NEW]", *hard_strings(200)]
    assert tokenizer.encode_batch(texts) == before.encode_batch(texts)
    assert max(max(ids, default=0) for ids in tokenizer.encode_batch(texts)) < n_token
    assert tokenizer.control.pad < n_token
    tokenizer.save(saved)
    assert json.loads((saved / "added_tokens.json").read_text()) == added
    assert load_tokenizer(saved).encode_batch(texts) == before.encode_batch(texts)


def test_control_tokens_get_ids_within_the_unused_ids_of_the_model(tmp_path: Path) -> None:
    directory = write_chatml(tmp_path)
    n_token = len(read(directory).vocabulary.tokens)
    extended = read(directory, n_token + 64).with_control_tokens()
    assert isinstance(extended.control, ControlIds)
    assert extended.vocab_size == n_token + 64
    assert extended.control.bos == n_token
    assert unused_ids(extended) == tuple(range(n_token + 10, n_token + 64))
