"""SentencePiece's own files give the ids of the SentencePiece library."""

import json
from pathlib import Path
from typing import Any

import pytest
import sentencepiece

from chatwright.tokenizer import imported_files, sentencepiece_file
from chatwright.tokenizer.imported import ImportedTokenizer
from tests.tokenizer.example_tokenizers import TEXT, hard_strings, write_json, write_marian


def opened(directory: Path) -> ImportedTokenizer:
    return ImportedTokenizer(imported_files.read(directory))


def differences(tokenizer: ImportedTokenizer, library: Any, texts: list[str]) -> list[str]:
    return [
        text
        for text, ids in zip(texts, tokenizer.encode_batch(texts), strict=True)
        if ids != library.encode(text)
    ]


def trained(directory: Path, **settings: Any) -> Path:
    (directory / "text").write_text("\n".join(TEXT))
    sentencepiece.SentencePieceTrainer.train(
        input=str(directory / "text"),
        model_prefix=str(directory / "tokenizer"),
        hard_vocab_limit=False,
        minloglevel=2,
        **settings,
    )
    return directory / "tokenizer.model"


def test_every_line_of_a_novel_is_cut_as_the_library_cuts_it(
    shared_data: Path, tmp_path: Path
) -> None:
    source = shared_data / "tokenizers" / "sentencepiece_test_model.model"
    (tmp_path / "spiece.model").write_bytes(source.read_bytes())
    lines = (shared_data / "tokenizers" / "sentencepiece_botchan.txt").read_text().splitlines()
    tokenizer, library = (
        opened(tmp_path),
        sentencepiece.SentencePieceProcessor(model_file=str(source)),
    )
    assert len(lines) > 4000
    assert differences(tokenizer, library, lines) == []
    assert differences(tokenizer, library, hard_strings()) == []


@pytest.mark.parametrize(
    "settings",
    [
        {
            "model_type": "bpe",
            "vocab_size": 656,
            "byte_fallback": True,
            "normalization_rule_name": "identity",
            "remove_extra_whitespaces": False,
        },
        {"model_type": "bpe", "vocab_size": 400},
        {"model_type": "unigram", "vocab_size": 300},
        {
            "model_type": "unigram",
            "vocab_size": 500,
            "byte_fallback": True,
            "add_dummy_prefix": False,
        },
    ],
    ids=["as Llama 2", "bpe", "unigram", "unigram with bytes"],
)
def test_hard_strings_are_cut_as_the_library_cuts_them(
    settings: dict[str, Any], tmp_path: Path
) -> None:
    path = trained(tmp_path, **settings)
    library = sentencepiece.SentencePieceProcessor(model_file=str(path))
    assert differences(opened(tmp_path), library, hard_strings()) == []


def test_both_languages_of_marian_get_the_ids_of_transformers(tmp_path: Path) -> None:
    import warnings

    from transformers import MarianTokenizer

    tokenizer = opened(write_marian(tmp_path))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        theirs = MarianTokenizer.from_pretrained(tmp_path)
    theirs.punc_normalizer = lambda text: (
        text
    )  # what an optional package does to quotes is not part of the vocabulary
    texts = [line for text in TEXT for line in text.splitlines()] + [
        "Die Katze und der Hund sitzen.",
        "quick lazy foxes",
        "3 x 4 == 12",
        "ж",
        *hard_strings(),
    ]
    assert tokenizer.encode_batch(texts) == [
        theirs(text, add_special_tokens=False)["input_ids"] for text in texts
    ]
    assert tokenizer.target_tokenizer.encode_batch(texts) == [
        theirs(text_target=text, add_special_tokens=False)["input_ids"] for text in texts
    ]
    unknown = tokenizer.special_token_id("unk")
    assert any(unknown in ids for ids in tokenizer.encode_batch(texts[:3])), (
        "some pieces are not in the vocabulary"
    )
    assert tokenizer.decode(tokenizer.target_tokenizer.encode("Die Hunde sitzen")).split()[0] in (
        "Die",
        "\N{REPLACEMENT CHARACTER}",
    )
    assert not tokenizer.vocabulary.special & {
        i for ids in tokenizer.encode_batch(["</s>", "<pad> x", "a</s>"]) for i in ids
    }


def test_a_model_that_is_given_control_tokens_keeps_its_pieces(tmp_path: Path) -> None:
    trained(tmp_path, model_type="unigram", vocab_size=300)
    tokenizer = opened(tmp_path)
    assert tokenizer.with_control_tokens().encode("the ﬁne  quick fox") == tokenizer.encode(
        "the ﬁne  quick fox"
    )


def test_pieces_of_lower_cased_texts_are_not_taken_for_whole(tmp_path: Path) -> None:
    trained(tmp_path, model_type="unigram", vocab_size=300)
    write_json(tmp_path / "tokenizer_config.json", {"tokenizer_class": "AlbertTokenizer"})
    with pytest.raises(
        ValueError, match="lower-cased before they are cut into pieces.*Add tokenizer.json"
    ):
        opened(tmp_path)


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
def test_what_is_no_such_file_is_refused(data: bytes) -> None:
    with pytest.raises(ValueError, match="not a SentencePiece model"):
        sentencepiece_file.read(data)


def test_a_marian_model_of_several_languages_reads_which_one_is_wanted(tmp_path: Path) -> None:
    from transformers import MarianTokenizer

    vocab = write_marian(tmp_path) / "vocab.json"
    known = json.loads(vocab.read_text())
    pad = known.pop("<pad>")
    write_json(vocab, {**known, ">>fra<<": pad, "<pad>": pad + 1})
    tokenizer, theirs = opened(tmp_path), MarianTokenizer.from_pretrained(tmp_path)
    for text in (
        ">>fra<< the quick dog",
        ">>fra<<the quick dog",
        "the quick >>fra<< dog",
        ">>nob<< the quick dog",
        "the quick dog",
    ):
        assert tokenizer.encode(text) == theirs(text, add_special_tokens=False)["input_ids"], text
    assert tokenizer.encode(">>fra<< the dog")[0] == pad
    assert tokenizer.encode_batch([]) == []
