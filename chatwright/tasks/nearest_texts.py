"""Find the texts whose vectors are nearest to a vector, by comparing with all of them."""

from collections.abc import Iterable
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from chatwright.tasks.embed import TextVector


@dataclass(frozen=True)
class NearText:
    """A text near a vector."""

    text: str
    number: int
    """Position of the text among all texts, from 1."""
    cosine: float
    """Cosine of the angle between the two vectors."""


class TextIndex:
    """Texts with their vectors, held in memory: 4 bytes times the size of a vector for each."""

    def __init__(self, texts: Iterable[TextVector]) -> None:
        """Take at least one text."""
        listed = list(texts)
        assert listed, "an index holds at least one text"
        self.texts = [text.text for text in listed]
        self.matrix = F.normalize(torch.stack([text.vector for text in listed]))  # (N, D)

    def nearest(self, vector: Tensor, n: int) -> list[NearText]:
        """Return the `n` texts nearest to a vector (D,); of equal ones, the first come first."""
        cosines = self.matrix @ F.normalize(vector, dim=0)  # (N,)
        order = cosines.argsort(descending=True, stable=True)[:n].tolist()
        return [NearText(self.texts[i], i + 1, float(cosines[i])) for i in order]
