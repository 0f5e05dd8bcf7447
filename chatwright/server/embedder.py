"""A served model that computes vectors of texts, and the work of computing them."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from chatwright.server.model_identity import ModelIdentity
from chatwright.server.replies.pending_reply import AnyAssistant, Deliver, PendingWork

CHARACTERS_PER_ROUND = 4096
"""Texts embedded between two steps of the live replies; a longer text is embedded alone."""


class EmbeddedText(Protocol):
    """The vector of one text."""

    @property
    def vector(self) -> Sequence[float]:
        """D float32 numbers."""
        ...

    @property
    def n_token(self) -> int:
        """Number of tokens that the model read."""
        ...

    @property
    def n_left_out(self) -> int:
        """Number of tokens at the end that the model did not read."""
        ...


class TextEmbedder(Protocol):
    """A model that computes vectors of texts, such as `remote_engine.RemoteEmbedder`."""

    @property
    def max_length(self) -> int:
        """Longest text that is read whole, in tokens."""
        ...

    @property
    def vector_size(self) -> int:
        """Number of numbers in a vector."""
        ...

    def embed(self, texts: Sequence[str]) -> Sequence[EmbeddedText]:
        """Compute the vector of each text."""
        ...


@dataclass(frozen=True)
class ServedEmbedder:
    """The model for vectors of texts that is served."""

    embedder: TextEmbedder
    name: str
    """The id that clients ask for."""
    identity: ModelIdentity = field(default_factory=ModelIdentity)
    """Which weights these are."""


class PendingVectors(PendingWork):
    """Vectors of texts; each event is a list of the next ones, in order."""

    param = "input"
    needs_served_model = False

    def __init__(self, texts: Sequence[str], embedder: TextEmbedder, deliver: Deliver) -> None:
        """Prepare the work.

        Args:
            texts: The texts.
            embedder: The model.
            deliver: Receives the vectors, called from the engine's thread.
        """
        super().__init__(deliver)
        self.texts = texts
        self.embedder = embedder

    def begin(self, served: Callable[[], AnyAssistant]) -> Iterator[Sequence[EmbeddedText]]:
        """Begin to compute the vectors. Live replies advance between two events."""
        for texts in rounds(self.texts):
            yield self.embedder.embed(texts)


def rounds(texts: Sequence[str]) -> Iterator[list[str]]:
    """Yield the texts in lists of at most CHARACTERS_PER_ROUND characters."""
    chosen: list[str] = []
    n_character = 0
    for text in texts:
        if chosen and n_character + len(text) > CHARACTERS_PER_ROUND:
            yield chosen
            chosen, n_character = [], 0
        chosen.append(text)
        n_character += len(text)
    yield chosen
