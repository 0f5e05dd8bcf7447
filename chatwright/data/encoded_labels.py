"""Labelled texts as an encoder reads them: <cls> text <sep>, in pieces where a text is longer than the model can look at."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from chatwright.data.labelled import LabelledText
from chatwright.data.rows import DataError
from chatwright.tokenizer.tokenizer import Tokenizer, encoder_tokens_of

BATCH_TEXTS = 10_000


@dataclass(frozen=True)
class EncodedLabels:
    pieces: list[list[list[int]]]  # of each text
    labels: list[int]  # index into `names`
    names: tuple[str, ...]
    sha256: str  # of texts and labels

    def __len__(self) -> int:
        return len(self.labels)

    def describe(self) -> dict[str, Any]:
        counts = {name: self.labels.count(i) for i, name in enumerate(self.names)}
        return {
            "texts": len(self),
            "pieces": sum(map(len, self.pieces)),
            "tokens": sum(len(piece) for text in self.pieces for piece in text),
            "labels": counts,
            "sha256": self.sha256,
        }


def encode_labelled(
    rows: Sequence[LabelledText], tokenizer: Tokenizer, names: tuple[str, ...], max_length: int
) -> EncodedLabels:
    content = hashlib.sha256()
    index = {name: i for i, name in enumerate(names)}
    for row in rows:
        if row.label not in index:
            raise DataError(
                row.location,
                f"the label {row.label[:40]!a} is none of {', '.join(names[:20])}",
                "correct it, or train with it",
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
