"""From texts to their translations: the only road, for the command line, for samples while training and for BLEU.

Sentences of about one length are searched together; on the CPU a sentence's translation does not depend on its company, to the bit.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from chatwright.engine.beam_search import BeamConfig, Hypothesis, beam_search
from chatwright.engine.encoder_decoder_forward import EncoderDecoderForward
from chatwright.tokenizer.sentence_pair import decoder_start_id, source_ids
from chatwright.tokenizer.tokenizer import Tokenizer, unused_ids

ROWS_AT_ONCE = 256  # beginnings, over all sentences searched together


@dataclass(frozen=True)
class Translated:
    text: str
    token_ids: tuple[int, ...]  # without <end>
    score: float  # what the beam compares: the log-probability over the length penalty
    log_prob: float
    ended: bool  # False: cut off, the model did not come to an end


class Translator:
    def __init__(self, forward: EncoderDecoderForward, tokenizer: Tokenizer) -> None:
        self.forward, self.tokenizer, self.context_length = (
            forward,
            tokenizer,
            forward.config.context_length,
        )

    def translate(
        self, texts: Sequence[str], config: BeamConfig = BeamConfig()
    ) -> list[list[Translated]]:
        """At most `config.n_best` translations of each text, best first. An empty text stays empty."""
        sources = self.read(texts)
        found: dict[int, list[Translated]] = {
            i: [Translated("", (), 0.0, 0.0, True)]
            for i, ids in enumerate(sources)
            if len(ids) == 1
        }
        order = sorted(set(range(len(texts))) - found.keys(), key=lambda i: len(sources[i]))
        at_once = max(1, ROWS_AT_ONCE // config.width)
        for start in range(0, len(order), at_once):
            here = order[start : start + at_once]
            for i, hypotheses in zip(
                here, self._search([sources[i] for i in here], config), strict=True
            ):
                found[i] = [self._translated(hypothesis) for hypothesis in hypotheses]
        return [found[i] for i in range(len(texts))]

    def read(self, texts: Sequence[str]) -> list[list[int]]:
        """What the encoder reads of each. Raises ValueError for a text longer than the model can look at: nothing is cut unseen."""
        sources = [
            source_ids(ids, self.tokenizer.control)
            for ids in self.tokenizer.encode_batch([text.strip() for text in texts])
        ]
        for number, ids in enumerate(sources, 1):
            if len(ids) > self.context_length:
                raise ValueError(
                    f"text {number} has {len(ids)} tokens and this model reads at most {self.context_length}: "
                    "give it sentence by sentence, one a line."
                )
        return sources

    def _search(self, sources: list[list[int]], config: BeamConfig) -> list[list[Hypothesis]]:
        control = self.tokenizer.control
        limits = [min(self.context_length, 2 * len(ids) + 16) for ids in sources]
        banned = [int(token_id) for token_id in control.all() if token_id != control.end]
        banned += unused_ids(self.tokenizer)
        start = decoder_start_id(control, self.forward.config.start_id)
        return beam_search(
            self.forward.start(sources, config.width),
            start,
            int(control.end),
            limits,
            config,
            banned,
        )

    def _translated(self, found: Hypothesis) -> Translated:
        token_ids = found.token_ids[:-1] if found.ended else found.token_ids
        return Translated(
            self.tokenizer.decode(token_ids).strip(),
            token_ids,
            found.score,
            found.log_prob,
            found.ended,
        )
