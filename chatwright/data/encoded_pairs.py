"""Sentence pairs as token ids, ready for an encoder-decoder, and which of them are kept for validation."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from chatwright.data.rows import DataError
from chatwright.data.sentence_pairs import SentencePair
from chatwright.data.split import choose_validation
from chatwright.tokenizer.sentence_pair import source_ids, target_ids, target_tokenizer
from chatwright.tokenizer.tokenizer import Tokenizer


@dataclass(frozen=True)
class EncodedPairs:
    sources: list[list[int]]  # as tokenizer/sentence_pair.py lays them out
    targets: list[list[int]]
    n_too_long: int  # a side does not fit into the model's context: left out
    sha256: str  # of the texts

    def __len__(self) -> int:
        return len(self.sources)

    def describe(self) -> dict[str, Any]:
        return {
            "pairs": len(self),
            "source_tokens": sum(map(len, self.sources)),
            "target_tokens": sum(len(ids) - 1 for ids in self.targets),
            "too_long": self.n_too_long,
            "sha256": self.sha256,
        }


def encode_pairs(
    pairs: Sequence[SentencePair],
    tokenizer: Tokenizer,
    max_length: int,
    start_id: int | None = None,
) -> EncodedPairs:
    """All pairs of which both sides fit into `max_length` tokens."""
    control, content = tokenizer.control, hashlib.sha256()
    sources = [
        source_ids(ids, control) for ids in tokenizer.encode_batch([pair.source for pair in pairs])
    ]
    targets = [
        target_ids(ids, control, start_id)
        for ids in target_tokenizer(tokenizer).encode_batch([pair.target for pair in pairs])
    ]
    for pair in pairs:
        for text in (pair.source, pair.target):
            content.update(len(text.encode()).to_bytes(8, "little") + text.encode())
    fits = [
        max(len(source), len(target) - 1) <= max_length
        for source, target in zip(sources, targets, strict=True)
    ]
    if not any(fits):
        raise DataError(
            pairs[0].location,
            f"none of the {len(pairs)} pairs from here on fits into {max_length} tokens a side",
            "make model.context_length larger or the sentences shorter",
        )
    return EncodedPairs(
        [ids for ids, fit in zip(sources, fits, strict=True) if fit],
        [ids for ids, fit in zip(targets, fits, strict=True) if fit],
        fits.count(False),
        content.hexdigest(),
    )


def split_pairs(
    pairs: Sequence[SentencePair], validation_share: float
) -> tuple[list[SentencePair], list[SentencePair]]:
    """(train, validation), by the hash of the source: a sentence with several translations stands on one side."""
    chosen = choose_validation(
        [pair.source for pair in pairs], [len(pair.source) for pair in pairs], validation_share
    )
    train = [pair for pair, is_validation in zip(pairs, chosen, strict=True) if not is_validation]
    validation = [pair for pair, is_validation in zip(pairs, chosen, strict=True) if is_validation]
    if not validation or not train:
        raise DataError(
            pairs[0].location,
            f"{len(pairs)} pairs are too few to keep some for validation",
            "add pairs, or make validation_share larger",
        )
    return train, validation
