"""Measure translations by BLEU: the suite "translation" of `chatwright eval`."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from chatwright.checkpoint import model_directory
from chatwright.data.readers.data_source import ReadOptions
from chatwright.data.readers.sentence_pairs import read_pairs
from chatwright.engine.beam_search import BeamConfig
from chatwright.engine.encoder_decoder_forward import EncoderDecoderForward
from chatwright.evaluation.bleu import (
    bleu,
    has_moses_rules,
    require_language,
    require_packages,
    tokenized_lowercase_bleu,
)
from chatwright.model.encoder_decoder import EncoderDecoder
from chatwright.tasks.translate import Translator


@dataclass(frozen=True, kw_only=True)
class TranslationSettings:
    """Settings of the suite "translation"."""

    references: Path | None = None
    """File with the reference of each line of the data. None: the data hold references too."""
    language: str = ""
    """Language of the references, which determines BLEU's tokenizer."""
    beam: BeamConfig = field(default_factory=BeamConfig)
    """Settings of the beam search."""


def evaluate_translation(
    directory: Path,
    data: Path,
    settings: TranslationSettings,
    reading: ReadOptions,
    n_pair: int | None,
) -> dict[str, Any]:
    """Translate the data and compare the translations with the references.

    Returns BLEU and, for languages with rules in Moses, tokenized lower-case BLEU. Only the first
    `n_pair` sentences are translated; None: all.

    Raises:
        InputError: The language is unknown, or a package for BLEU is missing.
    """
    require_packages()
    require_language(settings.language)  # fails before all texts are translated
    pairs = read_pairs(data, settings.references, options=reading)[:n_pair]
    model, tokenizer = model_directory.load(directory, kind=EncoderDecoder)
    with EncoderDecoderForward(model) as forward:
        translator = Translator(forward, tokenizer)
        results = translator.translate([pair.source for pair in pairs], settings.beam)
    best = [ranked[0] for ranked in results]
    translations = [translated.text for translated in best]
    references = [pair.target for pair in pairs]
    cased = bleu(translations, references, settings.language)
    figures: dict[str, Any] = {
        "bleu": cased.bleu,
        "signature": cased.signature,
        "sentences": len(pairs),
        "beam": settings.beam.width,
        "cut_off": sum(not translated.ended for translated in best),
    }
    lines = [number for number, translated in enumerate(best, 1) if translated.pieces]
    if lines:
        figures |= {"translated_in_pieces": len(lines), "lines_in_pieces": lines}
    if cased.warning:
        figures["warning"] = cased.warning
    if has_moses_rules(settings.language):
        lower = tokenized_lowercase_bleu(translations, references, settings.language)
        figures |= {
            "tokenized_lowercase_bleu": lower.bleu,
            "tokenized_lowercase_signature": lower.signature,
        }
    return figures
