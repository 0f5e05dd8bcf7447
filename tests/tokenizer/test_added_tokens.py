"""Added and special tokens are read from four files and get the ids of transformers."""

import json
import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from chatwright.errors import InputError
from chatwright.tokenizer import imported_files
from chatwright.tokenizer.imported import ImportedTokenizer
from chatwright.tokenizer.tokenizer import load_tokenizer
from tests.tokenizer.example_tokenizers import (
    TEXT,
    hard_strings,
    write_byte_level,
    write_chatml,
    write_gpt1,
    write_json,
    write_llama2,
    write_unigram,
    write_word_pieces,
)

WORDS = ["zyzzyva", "Covid 19", "quokka"]
WRITERS = {
    "vocab.json": write_byte_level,
    "vocab.json-gpt1": write_gpt1,
    "vocab.txt": write_word_pieces,
    "tokenizer.json": write_chatml,
    "tokenizer.json-sentencepiece": write_llama2,
    "tokenizer.json-unigram": write_unigram,
}


def read(directory: Path, vocab_size: int | None = None) -> ImportedTokenizer:
    return ImportedTokenizer(imported_files.read(directory), vocab_size)


def reference_of(directory: Path) -> Any:
    """Return the tokenizer of transformers."""
    import transformers

    settings = json.loads((directory / "tokenizer_config.json").read_text())
    return getattr(transformers, settings["tokenizer_class"]).from_pretrained(directory)


def update_json(path: Path, changes: dict[str, Any]) -> None:
    content = json.loads(path.read_text()) if path.is_file() else {}
    write_json(path, content | changes)


def write_added_tokens_json(directory: Path, next_id: int) -> None:
    """Add "[NEW]" and WORDS; no file names "[NEW]", so it is not special."""
    tokens = ["[NEW]", *WORDS]
    ids = {token: next_id + index for index, token in enumerate(tokens)}
    write_json(directory / "added_tokens.json", ids)


def write_added_tokens_json_and_names(directory: Path, next_id: int) -> None:
    """Add "[NEW]" as padding and WORDS, and a special token that has no id yet."""
    write_added_tokens_json(directory, next_id)
    names = {"pad_token": "[NEW]", "additional_special_tokens": ["<extra>"]}
    write_json(directory / "special_tokens_map.json", names)


def write_special_tokens_map(directory: Path, next_id: int) -> None:
    """Name special tokens that are in no vocabulary."""
    pad = {"content": "[NEW]", "lstrip": False, "rstrip": False, "normalized": False}
    names = {"pad_token": pad, "additional_special_tokens": ["<x>", "<y>"]}
    write_json(directory / "special_tokens_map.json", names)


def write_added_tokens_decoder(directory: Path, next_id: int) -> None:
    """Add "[NEW]" as padding and WORDS, each with another flag."""
    entries = [
        {"content": "[NEW]", "special": True},
        {"content": WORDS[0], "special": False, "normalized": True, "single_word": True},
        {"content": WORDS[1], "special": False, "normalized": False},
        {"content": WORDS[2], "special": False, "normalized": True, "lstrip": True},
    ]
    decoder = {str(next_id + index): entry for index, entry in enumerate(entries)}
    settings = {"added_tokens_decoder": decoder, "pad_token": "[NEW]"}
    update_json(directory / "tokenizer_config.json", settings)


def texts_with_words() -> list[str]:
    """Return hard strings, and the same with WORDS inside them in several forms."""
    rng = random.Random(0)
    plain = hard_strings(200)
    texts = []
    for text in plain:
        for word in WORDS:
            forms = [word, word.lower(), word.upper(), f" {word} ", f"{word}s", f"x{word}"]
            texts.append(text[:3] + rng.choice(forms) + text[3:])
    return [*plain, *texts, *(f"{word} {word}" for word in WORDS)]


ADDITIONS = [
    write_added_tokens_json,
    write_added_tokens_json_and_names,
    write_special_tokens_map,
    write_added_tokens_decoder,
]


@pytest.mark.parametrize("write_addition", ADDITIONS)
@pytest.mark.parametrize("name", WRITERS)
def test_added_tokens_get_the_ids_of_transformers(
    name: str, write_addition: Callable[[Path, int], None], tmp_path: Path
) -> None:
    directory = WRITERS[name](tmp_path)
    write_addition(directory, len(read(directory).vocabulary.tokens))
    tokenizer = read(directory)
    reference = reference_of(directory)
    assert tokenizer.vocab_size == len(reference)
    assert tokenizer.vocabulary.ids == reference.get_vocab()
    special = tokenizer.vocabulary.special_ids | {tokenizer.vocabulary.unknown}
    assert special >= set(reference.all_special_ids)
    if reference.pad_token_id is not None:
        assert tokenizer.special_token_id("pad") == reference.pad_token_id
    texts = texts_with_words()
    for text, ids in zip(texts, tokenizer.encode_batch(texts), strict=True):
        assert ids == reference(text, add_special_tokens=False)["input_ids"], ascii(text)


def test_added_words_of_a_sentencepiece_model_get_the_ids_of_transformers(tmp_path: Path) -> None:
    """Texts that begin with a space are left out: transformers drops it, SentencePiece does not."""
    import sentencepiece
    from transformers import AddedToken, LlamaTokenizer

    corpus = tmp_path / "corpus"
    corpus.write_text("\n".join(TEXT))
    sentencepiece.SentencePieceTrainer.train(
        input=str(corpus),
        model_prefix=str(tmp_path / "tokenizer"),
        hard_vocab_limit=False,
        minloglevel=2,
        model_type="bpe",
        vocab_size=656,
        byte_fallback=True,
        normalization_rule_name="identity",
        remove_extra_whitespaces=False,
    )
    plain = read(tmp_path)
    next_id = len(plain.vocabulary.tokens)
    ids_of_words = {word: next_id + index for index, word in enumerate(WORDS)}
    write_json(tmp_path / "added_tokens.json", ids_of_words)
    tokenizer = read(tmp_path)
    model = plain.files.document["model"]
    merges = [tuple(pair) for pair in model["merges"]]
    reference = LlamaTokenizer(vocab=model["vocab"], merges=merges)
    reference.add_tokens([AddedToken(word, normalized=True) for word in WORDS])
    texts = [text for text in texts_with_words() if not text.startswith((" ", "▁"))]
    for text, ids in zip(texts, tokenizer.encode_batch(texts), strict=True):
        assert ids == reference(text, add_special_tokens=False)["input_ids"], ascii(text)


def test_a_gpt2_vocabulary_with_an_added_padding_token_is_read(tmp_path: Path) -> None:
    """An earlier version refused an added "[PAD]", because the vocabulary lacks it."""
    directory = write_byte_level(tmp_path)
    next_id = len(read(directory).vocabulary.tokens)
    write_json(directory / "added_tokens.json", {"[PAD]": next_id})
    update_json(directory / "tokenizer_config.json", {"pad_token": "[PAD]"})
    tokenizer = read(directory)
    assert tokenizer.vocab_size == next_id + 1
    assert tokenizer.control.pad == next_id
    assert next_id not in tokenizer.encode("a [PAD] b")
    assert tokenizer.decode([next_id]) == ""


def test_the_id_that_the_file_declares_is_kept(tmp_path: Path) -> None:
    directory = write_byte_level(tmp_path)
    write_json(directory / "added_tokens.json", {"zyzzyva": 500, "quokka": 450})
    tokenizer = read(directory)
    assert tokenizer.vocab_size == 501
    assert tokenizer.encode("zyzzyva") == [500]
    assert tokenizer.encode("quokka") == [450]


def test_a_token_whose_declared_id_is_taken_gets_the_next_free_id(tmp_path: Path) -> None:
    directory = write_byte_level(tmp_path)
    next_id = len(read(directory).vocabulary.tokens)
    write_json(directory / "added_tokens.json", {"zyzzyva": 5})
    tokenizer = read(directory)
    assert tokenizer.encode("zyzzyva") == [next_id]
    assert len(reference_of(directory)) == tokenizer.vocab_size


def test_an_added_token_of_the_vocabulary_keeps_its_id(tmp_path: Path) -> None:
    directory = write_word_pieces(tmp_path)
    dog = read(directory).encode("dogs")[0]
    write_json(directory / "added_tokens.json", {"dogs": 900})
    assert read(directory).encode("dogs") == [dog]
    assert reference_of(directory)("dogs", add_special_tokens=False)["input_ids"] == [dog]


def test_special_tokens_of_the_newer_file_win_over_the_older(tmp_path: Path) -> None:
    directory = write_chatml(tmp_path)
    write_json(directory / "special_tokens_map.json", {"eos_token": "<|endoftext|>"})
    for has_decoder, expected in ((False, "<|endoftext|>"), (True, "<|im_end|>")):
        if has_decoder:
            update_json(directory / "tokenizer_config.json", {"added_tokens_decoder": {}})
        tokenizer = read(directory)
        reference = reference_of(directory)
        assert reference.eos_token == expected
        assert tokenizer.special_token_id("eos") == reference.eos_token_id


def test_a_saved_tokenizer_with_added_tokens_loads_unchanged(tmp_path: Path) -> None:
    (tmp_path / "source").mkdir()
    directory = write_byte_level(tmp_path / "source")
    write_added_tokens_json_and_names(directory, len(read(directory).vocabulary.tokens))
    tokenizer = read(directory)
    tokenizer.save(tmp_path / "saved")
    loaded = load_tokenizer(tmp_path / "saved")
    assert loaded.vocab_size == tokenizer.vocab_size
    assert loaded.encode_batch(texts_with_words()) == tokenizer.encode_batch(texts_with_words())


@pytest.mark.parametrize(
    ("file", "content"),
    [
        ("added_tokens.json", {"[NEW]": "500"}),
        ("added_tokens.json", {"": 500}),
        ("added_tokens.json", {"[NEW]": -1}),
        ("tokenizer_config.json", {"added_tokens_decoder": ["[NEW]"]}),
        ("tokenizer_config.json", {"added_tokens_decoder": {"first": {"content": "[NEW]"}}}),
        ("tokenizer_config.json", {"added_tokens_decoder": {"500": "[NEW]"}}),
        ("tokenizer_config.json", {"added_tokens_decoder": {"500": {"special": True}}}),
    ],
)
def test_a_malformed_list_of_added_tokens_is_refused(
    file: str, content: dict[str, Any], tmp_path: Path
) -> None:
    directory = write_byte_level(tmp_path)
    write_json(directory / file, content)
    with pytest.raises(InputError) as caught:
        read(directory)
    assert caught.value.field == file


@pytest.mark.parametrize("name", ["vocab.json", "vocab.json-gpt1", "vocab.txt"])
@pytest.mark.parametrize("newline", [b"\r\n", b"\r"], ids=["CR LF", "CR"])
def test_line_ends_of_windows_and_classic_mac_os_change_no_id(
    name: str, newline: bytes, tmp_path: Path
) -> None:
    directory = WRITERS[name](tmp_path)
    expected = read(directory).encode_batch(hard_strings())
    for file in ("merges.txt", "vocab.txt"):
        path = directory / file
        if path.is_file():
            path.write_bytes(path.read_bytes().replace(b"\n", newline))
    assert read(directory).encode_batch(hard_strings()) == expected


@pytest.mark.parametrize("name", ["vocab.json", "vocab.txt"])
def test_a_byte_order_mark_changes_no_id(name: str, tmp_path: Path) -> None:
    directory = WRITERS[name](tmp_path)
    expected = read(directory).encode_batch(hard_strings())
    for path in directory.iterdir():
        path.write_bytes(b"\xef\xbb\xbf" + path.read_bytes())
    assert read(directory).encode_batch(hard_strings()) == expected


def test_a_chat_template_with_windows_line_ends_is_the_same_template(tmp_path: Path) -> None:
    directory = write_llama2(tmp_path)
    (directory / "chat_template.jinja").write_bytes(b"{{- 'a' }}\r\n{{- 'b' }}\r\n")
    assert imported_files.read(directory).chat_template == "{{- 'a' }}\n{{- 'b' }}\n"
