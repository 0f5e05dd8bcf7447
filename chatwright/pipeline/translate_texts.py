"""Translate texts with a model directory; write attention pages and training pairs."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from chatwright.checkpoint import model_directory
from chatwright.engine.beam_search import BeamConfig
from chatwright.engine.encoder_decoder_forward import EncoderDecoderForward
from chatwright.inspection.attention_maps import translation_maps
from chatwright.inspection.attention_page import attention_page
from chatwright.model.encoder_decoder import EncoderDecoder
from chatwright.pipeline.text_input import few_texts, require_text, require_writable
from chatwright.tasks.translate import Translated, TranslatedPiece, Translator

TEXTS_PER_BATCH = 512
MAX_TEXTS_ON_PAGE = 20


@dataclass(frozen=True)
class TranslatedText:
    """One source text with its translations, best first."""

    number: int
    """Position of the text in the input, from 1."""
    source: str
    translations: Sequence[Translated]

    @property
    def pieces(self) -> Sequence[TranslatedPiece]:
        """The pieces of a source longer than the model's context; else empty."""
        return self.translations[0].pieces


class TextTranslator:
    """Translates texts with the model in a directory.

    The paths of output files are checked before the first text is translated.
    """

    def __init__(
        self,
        directory: Path,
        texts: Iterable[str],
        config: BeamConfig,
        attention_file: Path | None = None,
        pairs_file: Path | None = None,
    ) -> None:
        """Load the model and check the texts.

        Args:
            directory: A model directory, or the directory of a run.
            texts: The texts, of which at least one is not blank.
            config: Settings of the beam search.
            attention_file: HTML page of the attention, which `write_files` writes.
            pairs_file: File of translations and their sources, which `write_files` writes.
        """
        self.texts = list(require_text(texts))
        self.config = config
        self.attention_file = attention_file
        self.pairs_file = pairs_file
        for file in (attention_file, pairs_file):
            if file is not None:
                require_writable(file)
        if attention_file is not None:
            few_texts(self.texts, MAX_TEXTS_ON_PAGE)
        model, tokenizer = model_directory.load(directory, kind=EncoderDecoder)
        self.translator = Translator(EncoderDecoderForward(model), tokenizer)

    def translate(self) -> Iterator[TranslatedText]:
        """Yield each text with its translations, in the order of the input."""
        for start in range(0, len(self.texts), TEXTS_PER_BATCH):
            batch = self.texts[start : start + TEXTS_PER_BATCH]
            translated = zip(batch, self.translator.translate(batch, self.config), strict=True)
            for number, (source, translations) in enumerate(translated, start + 1):
                yield TranslatedText(number, source, translations)

    def write_files(self, translated: Sequence[TranslatedText]) -> list[str]:
        """Write the attention page and the pairs, if given; return a message about each file."""
        messages: list[str] = []
        if self.attention_file is not None:
            self._write_attention_page(translated, self.attention_file)
            messages.append(f"attention: {self.attention_file} (open it in any browser)")
        if self.pairs_file is not None:
            n_pair = write_pairs(translated, self.pairs_file)
            messages.append(
                f"pairs: {n_pair:,} of {len(translated):,} texts in {self.pairs_file}; "
                "left out: blank texts, and translations that were cut off"
            )
        return messages

    def _write_attention_page(self, translated: Sequence[TranslatedText], file: Path) -> None:
        model, tokenizer = self.translator.forward.model, self.translator.tokenizer
        end = [int(tokenizer.control.end)]
        shown = []
        for text in translated:
            whole = [TranslatedPiece(text.source, text.translations[0])]
            for piece in text.pieces or whole:
                source, best = piece.source.strip(), piece.translation
                if source:
                    token_ids = [*best.token_ids, *(end if best.ended else [])]
                    maps = translation_maps(model, tokenizer, source, token_ids)
                    shown.append((source, best.text, maps))
        page = attention_page("Attention of each translated token", shown)
        file.write_text(page, encoding="utf-8")


def write_pairs(translated: Iterable[TranslatedText], file: Path) -> int:
    """Write each best translation, a tab and its source; return the number of pairs.

    The pairs are training data for the other direction: sources made by the model, targets written
    by humans (back-translation, Sennrich et al. 2016). Translations cut off at the length limit are
    left out.
    """
    pairs: list[tuple[str, str]] = []
    for text in translated:
        best = text.translations[0]
        pair = (" ".join(best.text.split()), " ".join(text.source.split()))
        if best.ended and all(pair):
            pairs.append(pair)
    lines = "".join(f"{translation}\t{source}\n" for translation, source in pairs)
    file.write_text(lines, encoding="utf-8")
    return len(pairs)
