"""Translate texts with an encoder-decoder: for the command line, training samples and evaluation.

Texts of similar length are translated together. On a CPU a translation is bit-identical whatever
else is translated. A text longer than the model's context is translated in pieces.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import chain

from chatwright.engine.beam_search import BeamConfig, Hypothesis, beam_search
from chatwright.engine.encoder_decoder_forward import EncoderDecoderForward
from chatwright.tasks.split_text import join_texts, split_text
from chatwright.tokenizer.sentence_pair import decoder_start_id, source_ids
from chatwright.tokenizer.tokenizer import Tokenizer, unused_ids

MAX_ROWS = 256
"""Largest number of unfinished hypotheses in a batch, over all its texts."""


@dataclass(frozen=True)
class Translated:
    """One translation of a text."""

    text: str
    token_ids: tuple[int, ...]
    """Its tokens, without <end>; the tokens of pieces are concatenated."""
    score: float
    """Log-probability divided by the length penalty; the scores of pieces are added."""
    log_prob: float
    """Log-probability of all tokens."""
    ended: bool
    """Whether the model ended it; False: it was cut off at the limit."""
    pieces: tuple["TranslatedPiece", ...] = ()
    """The pieces of a text that is longer than the model's context; else empty."""


@dataclass(frozen=True)
class TranslatedPiece:
    """A piece of a long text with its translation."""

    source: str
    translation: Translated


class Translator:
    """Translates texts with one model."""

    def __init__(self, forward: EncoderDecoderForward, tokenizer: Tokenizer) -> None:
        """Take the prepared model and its tokenizer."""
        self.forward = forward
        self.tokenizer = tokenizer
        self.context_length = forward.config.context_length

    def translate(
        self, texts: Sequence[str], config: BeamConfig = BeamConfig()
    ) -> list[list[Translated]]:
        """Translate each text: at most `config.n_best` translations, best first.

        A blank text has one empty translation.
        """
        is_long = [len(ids) > self.context_length for ids in self.encode(texts)]
        pieces = [
            self.pieces(text) if too_long else [text]
            for text, too_long in zip(texts, is_long, strict=True)
        ]
        translated = iter(self._translate_pieces(list(chain.from_iterable(pieces)), config))
        return [_join([(piece, next(translated)) for piece in text]) for text in pieces]

    def pieces(self, text: str) -> list[str]:
        """Split a text into pieces that fit the model's context; a text that fits is one piece."""
        return split_text(text, lambda piece: len(self.encode([piece])[0]) <= self.context_length)

    def encode(self, texts: Sequence[str]) -> list[list[int]]:
        """Encode texts as the encoder reads them, with <end>."""
        encoded = self.tokenizer.encode_batch([text.strip() for text in texts])
        return [source_ids(ids, self.tokenizer.control) for ids in encoded]

    def _translate_pieces(
        self, pieces: Sequence[str], config: BeamConfig
    ) -> list[list[Translated]]:
        """Translate texts that fit the context, in batches of similar length."""
        sources = self.encode(pieces)
        translated: dict[int, list[Translated]] = {
            i: [Translated("", (), 0.0, 0.0, True)]
            for i, ids in enumerate(sources)
            if len(ids) == 1
        }
        order = sorted(set(range(len(pieces))) - translated.keys(), key=lambda i: len(sources[i]))
        batch_size = max(1, MAX_ROWS // config.width)
        for start in range(0, len(order), batch_size):
            batch = order[start : start + batch_size]
            hypotheses = self._search([sources[i] for i in batch], config)
            for i, ranked in zip(batch, hypotheses, strict=True):
                translated[i] = [self._decode(hypothesis) for hypothesis in ranked]
        return [translated[i] for i in range(len(pieces))]

    def _search(self, sources: list[list[int]], config: BeamConfig) -> list[list[Hypothesis]]:
        control = self.tokenizer.control
        limits = [min(self.context_length, 2 * len(ids) + 16) for ids in sources]
        banned = [int(token_id) for token_id in control.all() if token_id != control.end]
        banned += unused_ids(self.tokenizer)
        return beam_search(
            self.forward.start(sources, config.width),
            decoder_start_id(control, self.forward.config.start_id),
            int(control.end),
            limits,
            config,
            banned,
        )

    def _decode(self, hypothesis: Hypothesis) -> Translated:
        token_ids = hypothesis.token_ids[:-1] if hypothesis.ended else hypothesis.token_ids
        text = self.tokenizer.decode(token_ids).strip()
        return Translated(text, token_ids, hypothesis.score, hypothesis.log_prob, hypothesis.ended)


def _join(pieces: Sequence[tuple[str, list[Translated]]]) -> list[Translated]:
    """Join the translations of a text's pieces: the best of each, the second best of each, ..."""
    if len(pieces) == 1:
        return pieces[0][1]
    joined: list[Translated] = []
    for translations in zip(*(ranked for _, ranked in pieces), strict=False):
        sources = [source for source, _ in pieces]
        parts = tuple(map(TranslatedPiece, sources, translations))
        joined.append(
            Translated(
                join_texts([translation.text for translation in translations]),
                tuple(chain.from_iterable(t.token_ids for t in translations)),
                sum(t.score for t in translations),
                sum(t.log_prob for t in translations),
                all(t.ended for t in translations),
                parts,
            )
        )
    return joined
