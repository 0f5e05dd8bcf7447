"""Character normalization equals that of the SentencePiece library."""

import struct
from pathlib import Path

import pytest
import sentencepiece

from chatwright.errors import InputError
from chatwright.tokenizer import sentencepiece_file, sentencepiece_normalizer
from tests.tokenizer.example_tokenizers import TEXT, hard_strings


@pytest.fixture(scope="module", params=["nmt_nfkc", "nmt_nfkc_cf"])
def model_path(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A SentencePiece model with NFKC normalization, without and with case folding."""
    directory = tmp_path_factory.mktemp("model")
    (directory / "text").write_text("\n".join(TEXT))
    sentencepiece.SentencePieceTrainer.train(
        input=str(directory / "text"),
        model_prefix=str(directory / "m"),
        vocab_size=200,
        hard_vocab_limit=False,
        minloglevel=2,
        normalization_rule_name=request.param,
    )
    return directory / "m.model"


def test_every_character_and_hard_string_is_normalized_as_by_sentencepiece(
    model_path: Path,
) -> None:
    library = sentencepiece.SentencePieceNormalizer(
        model_file=str(model_path),
        add_dummy_prefix=False,
        escape_whitespaces=False,
        remove_extra_whitespaces=False,
    )
    charsmap = sentencepiece_file.read(model_path.read_bytes()).precompiled_charsmap
    normalize = sentencepiece_normalizer.from_charsmap(charsmap)
    characters = [chr(code_point) for code_point in (*range(1, 0xD800), *range(0xE000, 0x30000))]
    with_accents = [f"e{character}\u0301" for character in characters[::7]]
    texts = [*characters, *with_accents, *hard_strings()]
    assert [text for text in texts if normalize(text) != library.normalize(text)] == []


@pytest.mark.parametrize(
    ("data", "problem"),
    [
        (b"\x01", "cut off"),
        (struct.pack("<I", 4), "cut off"),
        (struct.pack("<II", 2**31, 0), "cut off"),
        (struct.pack("<II", 4, 0) + b"x" * 300, "256 bytes"),
    ],
)
def test_a_damaged_charsmap_is_refused(data: bytes, problem: str) -> None:
    with pytest.raises(InputError, match=problem) as caught:
        sentencepiece_normalizer.from_charsmap(data)
    assert caught.value.field == "precompiled_charsmap"


def test_a_trie_with_offsets_outside_itself_matches_nothing() -> None:
    units = [0xFFFFFF00 & ~0x80000000 | byte for byte in range(256)]
    charsmap = struct.pack("<I", 1024) + struct.pack("<256I", *units)
    assert isinstance(sentencepiece_normalizer.from_charsmap(charsmap)("any é text"), str)
