"""SentencePiece models give the ids of the SentencePiece library."""

import json
import warnings
from pathlib import Path
from typing import Any

import pytest
import sentencepiece

from chatwright.errors import InputError
from chatwright.tokenizer import imported_files, sentencepiece_file
from chatwright.tokenizer.imported import ImportedTokenizer
from tests.tokenizer.example_tokenizers import TEXT, hard_strings, write_json, write_marian


def read(directory: Path) -> ImportedTokenizer:
    return ImportedTokenizer(imported_files.read(directory))


def differences(tokenizer: ImportedTokenizer, library: Any, texts: list[str]) -> list[str]:
    """Return the texts that the tokenizer and the library encode differently."""
    encoded = tokenizer.encode_batch(texts)
    return [text for text, ids in zip(texts, encoded, strict=True) if ids != library.encode(text)]


def train_model(directory: Path, **settings: Any) -> Path:
    """Train a SentencePiece model with the library and return its path."""
    (directory / "text").write_text("\n".join(TEXT))
    sentencepiece.SentencePieceTrainer.train(
        input=str(directory / "text"),
        model_prefix=str(directory / "tokenizer"),
        hard_vocab_limit=False,
        minloglevel=2,
        **settings,
    )
    return directory / "tokenizer.model"


def test_every_line_of_a_novel_gets_the_ids_of_sentencepiece(
    shared_data: Path, tmp_path: Path
) -> None:
    source = shared_data / "tokenizers" / "sentencepiece_test_model.model"
    (tmp_path / "spiece.model").write_bytes(source.read_bytes())
    lines = (shared_data / "tokenizers" / "sentencepiece_botchan.txt").read_text().splitlines()
    tokenizer = read(tmp_path)
    library = sentencepiece.SentencePieceProcessor(model_file=str(source))
    assert len(lines) > 4000
    assert differences(tokenizer, library, lines) == []
    assert differences(tokenizer, library, hard_strings()) == []


LIKE_LLAMA2 = {
    "model_type": "bpe",
    "vocab_size": 656,
    "byte_fallback": True,
    "normalization_rule_name": "identity",
    "remove_extra_whitespaces": False,
}
UNIGRAM_WITH_BYTES = {
    "model_type": "unigram",
    "vocab_size": 500,
    "byte_fallback": True,
    "add_dummy_prefix": False,
}


@pytest.mark.parametrize(
    "settings",
    [
        LIKE_LLAMA2,
        {"model_type": "bpe", "vocab_size": 400},
        {"model_type": "unigram", "vocab_size": 300},
        UNIGRAM_WITH_BYTES,
    ],
    ids=["like-llama-2", "bpe", "unigram", "unigram-with-bytes"],
)
def test_hard_strings_get_the_ids_of_sentencepiece(
    settings: dict[str, Any], tmp_path: Path
) -> None:
    path = train_model(tmp_path, **settings)
    library = sentencepiece.SentencePieceProcessor(model_file=str(path))
    assert differences(read(tmp_path), library, hard_strings()) == []


def test_both_languages_of_marian_get_the_ids_of_transformers(tmp_path: Path) -> None:
    from transformers import MarianTokenizer

    tokenizer = read(write_marian(tmp_path))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        reference = MarianTokenizer.from_pretrained(tmp_path)
    # An optional package of transformers changes quotes and dashes; the vocabulary does not.
    reference.punc_normalizer = lambda text: text
    texts = [
        *(line for text in TEXT for line in text.splitlines()),
        "Die Katze und der Hund sitzen.",
        "quick lazy foxes",
        "3 x 4 == 12",
        "ж",
        *hard_strings(),
    ]
    sources = [reference(text, add_special_tokens=False)["input_ids"] for text in texts]
    assert tokenizer.encode_batch(texts) == sources
    targets = [reference(text_target=text, add_special_tokens=False)["input_ids"] for text in texts]
    assert tokenizer.target_tokenizer.encode_batch(texts) == targets


def test_marian_encodes_pieces_that_vocab_json_lacks_as_unknown(tmp_path: Path) -> None:
    tokenizer = read(write_marian(tmp_path))
    unknown = tokenizer.special_token_id("unk")
    encoded = tokenizer.encode_batch(["The quick brown fox doesn't jump over 12 lazy dogs"])
    assert any(unknown in ids for ids in encoded)
    decoded = tokenizer.decode(tokenizer.target_tokenizer.encode("Die Hunde sitzen"))
    assert decoded.split()[0] in ("Die", "\N{REPLACEMENT CHARACTER}")


def test_no_text_is_encoded_to_a_special_token_of_marian(tmp_path: Path) -> None:
    tokenizer = read(write_marian(tmp_path))
    encoded = tokenizer.encode_batch(["</s>", "<pad> x", "a</s>"])
    assert not tokenizer.vocabulary.special_ids & {i for ids in encoded for i in ids}


def test_control_tokens_do_not_change_how_a_text_is_split(tmp_path: Path) -> None:
    train_model(tmp_path, model_type="unigram", vocab_size=300)
    tokenizer = read(tmp_path)
    text = "the ﬁne  quick fox"
    assert tokenizer.with_control_tokens().encode(text) == tokenizer.encode(text)


def test_a_sentencepiece_model_of_lower_cased_texts_is_refused(tmp_path: Path) -> None:
    train_model(tmp_path, model_type="unigram", vocab_size=300)
    write_json(tmp_path / "tokenizer_config.json", {"tokenizer_class": "AlbertTokenizer"})
    with pytest.raises(InputError) as caught:
        read(tmp_path)
    assert caught.value.field == "tokenizer.json"


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"\x80\x04cos",
        b"\x0a\xff\xff\xff\xff\x0f",
        b"\x0a\x02\x0a\x05",
        bytes(range(256)) * 4,
        b"\x0a\x06\x08\xff\xff\xff\xff\x0f",
    ],
    ids=range(6),
)
def test_a_file_that_is_no_sentencepiece_model_is_refused(data: bytes) -> None:
    with pytest.raises(InputError) as caught:
        sentencepiece_file.read(data)
    assert caught.value.field == "sentencepiece"


def test_marian_with_several_target_languages_reads_the_language_token(tmp_path: Path) -> None:
    from transformers import MarianTokenizer

    path = write_marian(tmp_path) / "vocab.json"
    vocab = json.loads(path.read_text())
    pad = vocab.pop("<pad>")
    write_json(path, {**vocab, ">>fra<<": pad, "<pad>": pad + 1})
    tokenizer = read(tmp_path)
    reference = MarianTokenizer.from_pretrained(tmp_path)
    for text in (
        ">>fra<< the quick dog",
        ">>fra<<the quick dog",
        "the quick >>fra<< dog",
        ">>nob<< the quick dog",
        "the quick dog",
    ):
        expected = reference(text, add_special_tokens=False)["input_ids"]
        assert tokenizer.encode(text) == expected, text
    assert tokenizer.encode(">>fra<< the dog")[0] == pad
    assert tokenizer.encode_batch([]) == []
