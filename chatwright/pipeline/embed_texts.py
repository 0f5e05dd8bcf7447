"""Embed texts with the encoder in a directory: vectors, a file of them, comparisons, neighbors."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import combinations
from pathlib import Path

import numpy as np
import torch

from chatwright.checkpoint import model_directory
from chatwright.engine.embedding_forward import EmbeddingForward
from chatwright.errors import InputError
from chatwright.model.encoder import Encoder
from chatwright.pipeline.text_input import require_text, require_writable
from chatwright.tasks.embed import Embedder, TextVector, cosine
from chatwright.tasks.nearest_texts import NearText, TextIndex

MAX_COMPARED = 200
"""Largest number of texts of which every pair is compared."""


@dataclass(frozen=True)
class ComparedTexts:
    """Two texts and the cosine of their vectors."""

    first: str
    second: str
    cosine: float


@dataclass(frozen=True)
class Neighbors:
    """A text and the texts nearest to it, the nearest first."""

    text: str
    nearest: list[NearText]


class TextEmbedder:
    """Embeds texts with the model in a directory, and counts those that were too long."""

    def __init__(self, directory: Path) -> None:
        """Load the model in a model directory or the directory of a run.

        Raises:
            InputError: The directory holds no encoder.
        """
        model, tokenizer = model_directory.load(directory, kind=Encoder)
        self.embedder = Embedder(EmbeddingForward(model), tokenizer)
        self.n_too_long = 0
        """Number of texts so far of which the model read only the beginning."""

    @property
    def max_length(self) -> int:
        """Longest text that is read whole, in tokens."""
        return self.embedder.forward.max_length

    def vectors(self, texts: Iterable[str], is_live: bool = False) -> Iterator[TextVector]:
        """Yield the vector of each text.

        Args:
            texts: The texts, of which at least one is not blank.
            is_live: Yield each vector before the next text is read, as for a pipe.
        """
        texts = require_text(texts)
        found = (
            self.embedder.embed_stream(texts, batch=1)
            if is_live
            else self.embedder.embed_stream(texts)
        )
        for text in found:
            self.n_too_long += text.n_left_out > 0
            yield text

    def compare(self, texts: Iterable[str]) -> Iterator[ComparedTexts]:
        """Yield every pair of the texts with the cosine of their vectors.

        Raises:
            InputError: There are fewer than two texts, or more than MAX_COMPARED.
        """
        vectors = list(self.vectors(texts))
        if not 2 <= len(vectors) <= MAX_COMPARED:
            raise InputError(
                f"--compare compares 2 to {MAX_COMPARED} texts, but there are {len(vectors)}.",
                remedy="Give the texts to compare, or find neighbors with --nearest FILE.",
                field="--compare",
                value=len(vectors),
            )
        for first, second in combinations(vectors, 2):
            yield ComparedTexts(first.text, second.text, cosine(first.vector, second.vector))

    def nearest(
        self, texts: Iterable[str], among: Iterable[str], n: int, is_live: bool = False
    ) -> Iterator[Neighbors]:
        """Yield each text with the `n` texts of `among` that are nearest to it.

        Raises:
            InputError: `among` holds no text, or `n` is below 1.
        """
        if n < 1:
            raise InputError(
                f"-n {n}: at least one neighbor must be asked for.",
                remedy="Set for example -n 5.",
                field="-n",
                value=n,
            )
        index = TextIndex(self.vectors(text for text in among if text.strip()))
        for text in self.vectors(texts, is_live):
            yield Neighbors(text.text, index.nearest(text.vector, n))


def require_vector_file(file: Path) -> None:
    """Check the path of a file of vectors before they are computed.

    Raises:
        InputError: Its name does not end in .npy, or its folder does not exist.
    """
    if file.suffix.lower() != ".npy":
        raise InputError(
            f"{file}: vectors are written as a NumPy file.",
            remedy="Give a name that ends in .npy.",
            field="--out",
            value=str(file),
        )
    require_writable(file)


def write_vectors(vectors: Sequence[TextVector], file: Path) -> tuple[int, int]:
    """Write the vectors as the rows of a NumPy matrix of float32; return its shape (N, D)."""
    matrix = torch.stack([text.vector for text in vectors]).numpy()
    with file.open("wb") as stream:
        np.save(stream, matrix, allow_pickle=False)
    return matrix.shape[0], matrix.shape[1]
