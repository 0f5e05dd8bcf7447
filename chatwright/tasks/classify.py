"""Texts to labels: the road of an encoder that learned to tell them, as the assistant is a decoder's."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from chatwright.engine.encoder_forward import ClassifierForward
from chatwright.tokenizer.tokenizer import Tokenizer, encoder_tokens_of


@dataclass(frozen=True)
class Told:
    text: str
    probabilities: dict[str, float]  # of every label, the most probable first
    n_piece: int  # more than one where the text is longer than the model can look at

    @property
    def label(self) -> str:
        return next(iter(self.probabilities))


class Classifier:
    def __init__(self, forward: ClassifierForward, tokenizer: Tokenizer) -> None:
        self.forward, self.tokenizer, self.encoder_tokens = (
            forward,
            tokenizer,
            encoder_tokens_of(tokenizer),
        )

    def pieces(self, text: str) -> list[list[int]]:
        return self.encoder_tokens.chunks(self.tokenizer.encode(text), self.forward.max_length)

    def tell(self, texts: Iterable[str]) -> Iterator[Told]:
        """One after another, as they come: a text's answer does not depend on its neighbours."""
        for text in texts:
            pieces = self.pieces(text)
            named = dict(
                zip(self.forward.labels, self.forward.probabilities(pieces).tolist(), strict=True)
            )
            yield Told(text, dict(sorted(named.items(), key=lambda item: -item[1])), len(pieces))
