"""Labelled texts as an encoder reads them: <cls> text <sep>, in pieces where a text is longer than the model can look at."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from chatwright.data.labelled import LabelledText
from chatwright.data.rows import DataError
from chatwright.tokenizer.frame import N_FRAME
from chatwright.tokenizer.tokenizer import Tokenizer, frame_of

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
        return {"texts": len(self), "pieces": sum(map(len, self.pieces)), "tokens": sum(len(piece) for text in self.pieces for piece in text),
                "labels": counts, "sha256": self.sha256}


def encode_labelled(rows: Sequence[LabelledText], tokenizer: Tokenizer, names: tuple[str, ...], max_length: int) -> EncodedLabels:
    content = hashlib.sha256()
    index = {name: i for i, name in enumerate(names)}
    for row in rows:
        if row.label not in index:
            raise DataError(row.location, f"the label {row.label[:40]!a} is none of {', '.join(names[:20])}", "correct it, or train with it")
        content.update(repr((row.text, row.label)).encode())
    pieces = encode_pieces([row.text for row in rows], tokenizer, max_length)
    return EncodedLabels(pieces, [index[row.label] for row in rows], names, content.hexdigest())


def encode_pieces(texts: Sequence[str], tokenizer: Tokenizer, max_length: int) -> list[list[list[int]]]:
    """Each text as one or more pieces of at most `max_length` tokens, its frame included. Classifying and training say it alike, here."""
    frame, room = frame_of(tokenizer), max_length - N_FRAME
    encoded = (ids for start in range(0, len(texts), BATCH_TEXTS) for ids in tokenizer.encode_batch(texts[start : start + BATCH_TEXTS]))
    return [[frame.around(part) for part in equal_parts(ids, room)] for ids in encoded]


def equal_parts(ids: Sequence[int], room: int) -> list[Sequence[int]]:
    """As few parts as fit, as equal as they can be: a last part of three words would say as much as a whole page."""
    n = max(1, -(-len(ids) // room))
    return [ids[i * len(ids) // n : (i + 1) * len(ids) // n] for i in range(n)]
