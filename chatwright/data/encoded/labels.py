"""Labeled texts as an encoder reads them: <cls> text <sep>.

A text longer than the model's context becomes several pieces.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from chatwright.data.rows import DataError, LabeledText
from chatwright.tokenizer.tokenizer import Tokenizer, encoder_tokens_of

BATCH_TEXTS = 10_000  # texts tokenized at once


@dataclass(frozen=True)
class EncodedLabels:
    """Texts as token ids, and their labels."""

    pieces: list[list[list[int]]]
    """For each text, its pieces; each piece is a list of token ids."""
    labels: list[int]
    """For each text, the index of its label in `names`."""
    names: tuple[str, ...]
    sha256: str
    """Hash of texts and labels."""

    def __len__(self) -> int:
        return len(self.labels)

    def describe(self) -> dict[str, Any]:
        """Return the counts and the hash that identify the data of a run."""
        counts = {name: self.labels.count(i) for i, name in enumerate(self.names)}
        return {
            "texts": len(self),
            "pieces": sum(map(len, self.pieces)),
            "tokens": sum(len(piece) for text in self.pieces for piece in text),
            "labels": counts,
            "sha256": self.sha256,
        }


def encode_labeled(
    rows: Sequence[LabeledText], tokenizer: Tokenizer, names: tuple[str, ...], max_length: int
) -> EncodedLabels:
    """Encode labeled texts, in pieces of at most `max_length` tokens.

    Raises DataError for a label that is not among `names`.
    """
    content = hashlib.sha256()
    index = {name: i for i, name in enumerate(names)}
    for row in rows:
        if row.label not in index:
            raise DataError(
                row.location,
                f"the label {row.label[:40]!a} is none of {', '.join(names[:20])}",
                "correct the label, or add rows with this label to the training data",
                field="label",
            )
        content.update(repr((row.text, row.label)).encode())
    encoder_tokens = encoder_tokens_of(tokenizer)
    texts = [row.text for row in rows]
    encoded = (
        ids
        for start in range(0, len(texts), BATCH_TEXTS)
        for ids in tokenizer.encode_batch(texts[start : start + BATCH_TEXTS])
    )
    pieces = [encoder_tokens.chunks(ids, max_length) for ids in encoded]
    return EncodedLabels(pieces, [index[row.label] for row in rows], names, content.hexdigest())
