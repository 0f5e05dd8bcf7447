"""A learned WordPiece tokenizer encodes as transformers' BERT does, is the same twice, and opens there with its encoder_tokens."""

import json
from pathlib import Path

import pytest

from chatwright.tokenizer import imported_files, wordpiece
from chatwright.tokenizer.byte_bpe import ByteBPE
from chatwright.tokenizer.imported import ImportedTokenizer
from chatwright.tokenizer.tokenizer import encoder_tokens_of, load_tokenizer

TEXTS = [
    "The cat sat on the mat.",
    "Cats sitting, sat and will sit again!",
    "naïve café résumé",
    "unaffable people wo n't be affable",
    "a¯b c±d e±f g¯h",
] * 5  # two characters as frequent as each other, inside words and no letters
HARD = [
    "",
    " ",
    "Hello, World!",
    "ÀÉÎ",
    "日本語 text",
    "don't",
    "a\tb\nc",
    "[MASK] [CLS]",
    "[PAD][SEP]",
    "\u00ad",
    "x" * 200,
    "🙂",
    "½",
]


def trained(cased: bool = False) -> ImportedTokenizer:
    return wordpiece.train(TEXTS, 120, cased)


def test_the_longest_known_piece_comes_first() -> None:
    """ "unaffable" with these pieces is un ##aff ##able, by hand (Devlin et al.'s own example)."""
    library = wordpiece.untrained(cased=False)
    pieces = [*wordpiece.ROLES.values(), "un", "##aff", "##able", "##a", "aff", "u"]
    document = json.loads(library.to_str())
    document["model"]["vocab"] = {piece: i for i, piece in enumerate(pieces)}
    tokenizer = ImportedTokenizer(
        imported_files.TokenizerFiles(document, dict(wordpiece.ROLES), "", {})
    )
    assert tokenizer.encode("Unaffable affable unknown") == [5, 6, 7, 9, 7, 1]


def test_ids_are_those_of_transformers_bert_with_the_same_vocabulary() -> None:
    from transformers import BertTokenizer

    tokenizer = trained()
    theirs = BertTokenizer(vocab=tokenizer.files.document["model"]["vocab"])
    for text in [*TEXTS, *(text for text in HARD if "[" not in text)]:
        assert tokenizer.encode(text) == theirs(text, add_special_tokens=False)["input_ids"], text


@pytest.mark.parametrize("text", HARD)
def test_text_never_becomes_a_special_token(text: str) -> None:
    tokenizer = trained()
    assert not set(tokenizer.encode(text)) & set(tokenizer.control.all())


def test_cased_keeps_capitals_and_accents() -> None:
    assert trained(cased=True).encode("The") != trained(cased=True).encode("the")
    assert trained().encode("THE CAFÉ") == trained().encode("the cafe")


def test_two_trainings_and_a_saved_directory_are_the_same(tmp_path: Path) -> None:
    tokenizer = trained()
    tokenizer.save(tmp_path / "a")
    trained().save(tmp_path / "b")
    assert (tmp_path / "a" / "tokenizer.json").read_bytes() == (
        tmp_path / "b" / "tokenizer.json"
    ).read_bytes()
    again = load_tokenizer(tmp_path / "a")
    assert again.vocab_size == tokenizer.vocab_size <= 120
    assert encoder_tokens_of(again) == encoder_tokens_of(tokenizer)
    assert [again.encode(text) for text in HARD] == [tokenizer.encode(text) for text in HARD]


def test_the_directory_opens_in_transformers_with_the_frame_around(tmp_path: Path) -> None:
    from transformers import AutoTokenizer

    tokenizer = trained()
    tokenizer.save(tmp_path)
    theirs = AutoTokenizer.from_pretrained(tmp_path)
    encoder_tokens = encoder_tokens_of(tokenizer)
    assert (encoder_tokens.pad, encoder_tokens.cls, encoder_tokens.sep, encoder_tokens.mask) == (
        0,
        2,
        3,
        4,
    )
    assert (
        theirs.cls_token_id,
        theirs.sep_token_id,
        theirs.pad_token_id,
        theirs.mask_token_id,
    ) == (encoder_tokens.cls, encoder_tokens.sep, encoder_tokens.pad, encoder_tokens.mask)
    for text in TEXTS:
        assert theirs(text)["input_ids"] == encoder_tokens.with_special_tokens(
            tokenizer.encode(text)
        )
    assert theirs("the cat", "sat")["input_ids"] == [
        *encoder_tokens.with_special_tokens(tokenizer.encode("the cat")),
        *tokenizer.encode("sat"),
        encoder_tokens.sep,
    ]


def test_a_decoders_tokenizer_has_no_mask() -> None:
    with pytest.raises(ValueError, match='has no <mask>.*Make one with tokens = "wordpiece"'):
        encoder_tokens_of(ByteBPE.train(["the cat"], 300))


def test_too_small_and_empty_say_so() -> None:
    with pytest.raises(
        ValueError,
        match=r"vocab_size \(12\) must be at least \d+: the special tokens and the characters",
    ):
        wordpiece.train(TEXTS, 12)
    with pytest.raises(ValueError, match="no text to learn from"):
        wordpiece.train([""], 100)
