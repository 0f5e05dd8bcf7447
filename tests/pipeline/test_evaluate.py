"""The evaluation suites that `chatwright eval` runs."""

from pathlib import Path

import pytest
import torch

from chatwright.checkpoint import model_directory
from chatwright.devices import generator
from chatwright.engine.beam_search import BeamConfig
from chatwright.errors import InputError
from chatwright.model.encoder_decoder import EncoderDecoder, init_weights
from chatwright.model.encoder_decoder_config import EncoderDecoderConfig
from chatwright.pipeline.evaluate import evaluate
from chatwright.pipeline.translation_suite import TranslationSettings
from chatwright.tokenizer.byte_bpe import ByteBPE

SENTENCES = ["the cat sat", "the dog sat on the log; the cat sat on the mat. " * 3, "a dog"]


@pytest.fixture
def translator(tmp_path: Path) -> Path:
    tokenizer = ByteBPE.train(SENTENCES * 3, 290, " ")
    config = EncoderDecoderConfig(
        vocab_size=tokenizer.vocab_size,
        context_length=24,
        n_encoder_layer=1,
        n_decoder_layer=1,
        n_head=2,
        head_dim=8,
        d_model=16,
        d_ff=32,
    )
    model = EncoderDecoder(config)
    init_weights(model, generator(0, "weights"))
    model_directory.save(tmp_path / "model", model, tokenizer)
    return tmp_path / "model"


@pytest.fixture
def pairs(tmp_path: Path) -> Path:
    path = tmp_path / "pairs.tsv"
    path.write_text("".join(f"{text}\t{text}\n" for text in SENTENCES))
    return path


def test_sentences_translated_in_pieces_are_counted(translator: Path, pairs: Path) -> None:
    settings = TranslationSettings(language="en", beam=BeamConfig(width=2))
    figures = evaluate(translator, "translation", pairs, translation=settings)
    assert figures["sentences"] == 3
    assert (figures["translated_in_pieces"], figures["lines_in_pieces"]) == (1, [2])
    assert "tok:13a" in figures["signature"]
    assert "tok:none" in figures["tokenized_lowercase_signature"]


def test_an_unknown_language_is_rejected_before_anything_is_translated(
    translator: Path, pairs: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object) -> torch.Tensor:
        raise AssertionError("a text was translated")

    monkeypatch.setattr("chatwright.pipeline.translation_suite.Translator.translate", fail)
    settings = TranslationSettings(language="germn")
    with pytest.raises(InputError) as caught:
        evaluate(translator, "translation", pairs, translation=settings)
    assert caught.value.field == "--language"


@pytest.mark.parametrize(
    ("suite", "data", "field"), [("bleu", Path("x"), "--suite"), ("blimp", None, "--data")]
)
def test_unknown_suites_and_missing_data_are_rejected(
    tmp_path: Path, suite: str, data: Path | None, field: str
) -> None:
    with pytest.raises(InputError) as caught:
        evaluate(tmp_path, suite, data)
    assert caught.value.field == field
