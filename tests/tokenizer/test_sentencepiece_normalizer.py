"""SentencePiece's table of characters writes texts anew as the SentencePiece library does."""

import struct
from pathlib import Path

import pytest
import sentencepiece

from chatwright.tokenizer import sentencepiece_file, sentencepiece_normalizer
from tests.tokenizer.example_tokenizers import TEXT, hard_strings


@pytest.fixture(scope="module", params=["nmt_nfkc", "nmt_nfkc_cf"])
def model(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    place = tmp_path_factory.mktemp("model")
    (place / "text").write_text("\n".join(TEXT))
    sentencepiece.SentencePieceTrainer.train(
        input=str(place / "text"),
        model_prefix=str(place / "m"),
        vocab_size=200,
        hard_vocab_limit=False,
        minloglevel=2,
        normalization_rule_name=request.param,
    )
    return place / "m.model"


def test_every_character_and_every_hard_string_is_written_as_the_library_writes_it(
    model: Path,
) -> None:
    library = sentencepiece.SentencePieceNormalizer(
        model_file=str(model),
        add_dummy_prefix=False,
        escape_whitespaces=False,
        remove_extra_whitespaces=False,
    )
    write = sentencepiece_normalizer.from_charsmap(
        sentencepiece_file.read(model.read_bytes()).charsmap
    )
    alone = [chr(number) for number in (*range(1, 0xD800), *range(0xE000, 0x30000))]
    texts = [*alone, *(f"e{one}\u0301" for one in alone[::7]), *hard_strings()]
    assert [text for text in texts if write(text) != library.normalize(text)] == []


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"\x01", "cut off"),
        (struct.pack("<I", 4), "cut off"),
        (struct.pack("<II", 2**31, 0), "cut off"),
        (struct.pack("<II", 4, 0) + b"x" * 300, "over 256 bytes"),
    ],
)
def test_what_is_no_table_is_refused(data: bytes, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        sentencepiece_normalizer.from_charsmap(data)


def test_a_table_that_leads_out_of_itself_finds_nothing() -> None:
    everywhere = struct.pack("<I", 1024) + struct.pack(
        "<256I", *(0xFFFFFF00 & ~0x80000000 | byte for byte in range(256))
    )
    assert isinstance(sentencepiece_normalizer.from_charsmap(everywhere)("any é text"), str)
