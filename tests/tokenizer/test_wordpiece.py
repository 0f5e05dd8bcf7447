"""A trained WordPiece tokenizer gives the ids of transformers' BERT and opens there."""

import json
from pathlib import Path

import pytest

from chatwright.errors import InputError
from chatwright.tokenizer import wordpiece
from chatwright.tokenizer.byte_bpe import ByteBPE
from chatwright.tokenizer.imported import ImportedTokenizer
from chatwright.tokenizer.imported_files import TokenizerFiles
from chatwright.tokenizer.tokenizer import encoder_tokens_of, load_tokenizer

TEXTS = [
    "The cat sat on the mat.",
    "Cats sitting, sat and will sit again!",
    "naïve café résumé",
    "unaffable people wo n't be affable",
    # Four symbols of equal frequency, whose ids must be the same in every run.
    "a¯b c±d e±f g¯h",
] * 5
HARD_STRINGS = [
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


def train(cased: bool = False) -> ImportedTokenizer:
    return wordpiece.train(TEXTS, 120, cased)


def test_the_longest_known_piece_is_taken_first() -> None:
    """Split "unaffable" into un ##aff ##able (the example of Devlin et al. 2018)."""
    library = wordpiece.untrained_library(cased=False)
    pieces = [*wordpiece.SPECIAL_TOKENS.values(), "un", "##aff", "##able", "##a", "aff", "u"]
    document = json.loads(library.to_str())
    document["model"]["vocab"] = {piece: i for i, piece in enumerate(pieces)}
    files = TokenizerFiles(document, dict(wordpiece.SPECIAL_TOKENS), "", {})
    assert ImportedTokenizer(files).encode("Unaffable affable unknown") == [5, 6, 7, 9, 7, 1]


def test_ids_are_those_of_transformers_bert_with_the_same_vocabulary() -> None:
    from transformers import BertTokenizer

    tokenizer = train()
    reference = BertTokenizer(vocab=tokenizer.files.document["model"]["vocab"])
    for text in [*TEXTS, *(text for text in HARD_STRINGS if "[" not in text)]:
        expected = reference(text, add_special_tokens=False)["input_ids"]
        assert tokenizer.encode(text) == expected, text


@pytest.mark.parametrize("text", HARD_STRINGS)
def test_no_text_is_encoded_to_a_special_token(text: str) -> None:
    tokenizer = train()
    assert not set(tokenizer.encode(text)) & set(tokenizer.control.all())


def test_a_cased_tokenizer_keeps_capitals_and_accents() -> None:
    assert train(cased=True).encode("The") != train(cased=True).encode("the")
    assert train().encode("THE CAFÉ") == train().encode("the cafe")


def test_training_twice_gives_the_same_file(tmp_path: Path) -> None:
    train().save(tmp_path / "a")
    train().save(tmp_path / "b")
    files = [tmp_path / name / "tokenizer.json" for name in ("a", "b")]
    assert files[0].read_bytes() == files[1].read_bytes()


def test_a_saved_tokenizer_loads_unchanged(tmp_path: Path) -> None:
    tokenizer = train()
    tokenizer.save(tmp_path)
    loaded = load_tokenizer(tmp_path)
    assert loaded.vocab_size == tokenizer.vocab_size <= 120
    assert encoder_tokens_of(loaded) == encoder_tokens_of(tokenizer)
    assert loaded.encode_batch(HARD_STRINGS) == tokenizer.encode_batch(HARD_STRINGS)


def test_transformers_opens_a_saved_tokenizer_and_adds_the_same_special_tokens(
    tmp_path: Path,
) -> None:
    from transformers import AutoTokenizer

    tokenizer = train()
    tokenizer.save(tmp_path)
    reference = AutoTokenizer.from_pretrained(tmp_path)
    special = encoder_tokens_of(tokenizer)
    assert (special.pad, special.cls, special.sep, special.mask) == (0, 2, 3, 4)
    assert (reference.cls_token_id, reference.sep_token_id) == (special.cls, special.sep)
    assert (reference.pad_token_id, reference.mask_token_id) == (special.pad, special.mask)
    for text in TEXTS:
        expected = special.with_special_tokens(tokenizer.encode(text))
        assert reference(text)["input_ids"] == expected
    assert reference("the cat", "sat")["input_ids"] == [
        *special.with_special_tokens(tokenizer.encode("the cat")),
        *tokenizer.encode("sat"),
        special.sep,
    ]


def test_the_tokenizer_of_a_decoder_has_no_mask_token() -> None:
    with pytest.raises(InputError) as caught:
        encoder_tokens_of(ByteBPE.train(["the cat"], 300))
    assert caught.value.field == "tokenizer.tokens"


def test_a_vocab_size_below_the_special_tokens_and_characters_is_refused() -> None:
    with pytest.raises(InputError) as caught:
        wordpiece.train(TEXTS, 12)
    assert (caught.value.field, caught.value.value) == ("vocab_size", 12)


def test_training_without_text_is_refused() -> None:
    with pytest.raises(InputError) as caught:
        wordpiece.train([""], 100)
    assert caught.value.field == "texts"
