"""Classify texts with an encoder."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from chatwright.engine.encoder_forward import ClassifierForward
from chatwright.tokenizer.tokenizer import Tokenizer, encoder_tokens_of


@dataclass(frozen=True)
class Prediction:
    """The label probabilities of one text."""

    text: str
    probabilities: dict[str, float]
    """Probability of every label, the most probable first."""
    n_piece: int
    """Number of pieces: more than one if the text is longer than the model's context."""

    @property
    def label(self) -> str:
        """The most probable label."""
        return next(iter(self.probabilities))


class Classifier:
    """Classifies texts with one model."""

    def __init__(self, forward: ClassifierForward, tokenizer: Tokenizer) -> None:
        """Take the prepared model and its tokenizer."""
        self.forward = forward
        self.tokenizer = tokenizer
        self.encoder_tokens = encoder_tokens_of(tokenizer)

    def pieces(self, text: str) -> list[list[int]]:
        """Encode a text as pieces that fit the model's context."""
        return self.encoder_tokens.chunks(self.tokenizer.encode(text), self.forward.max_length)

    def predict(self, texts: Iterable[str]) -> Iterator[Prediction]:
        """Classify texts one by one; a prediction does not depend on the other texts."""
        for text in texts:
            pieces = self.pieces(text)
            probabilities = self.forward.probabilities(pieces).tolist()
            by_label = zip(self.forward.labels, probabilities, strict=True)
            ranked = dict(sorted(by_label, key=lambda item: -item[1]))
            yield Prediction(text, ranked, len(pieces))
