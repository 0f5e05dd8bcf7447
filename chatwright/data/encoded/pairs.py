"""Sentence pairs as token ids for an encoder-decoder, and their split for validation."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from chatwright.data.rows import DataError, SentencePair
from chatwright.data.split import choose_validation, partition
from chatwright.tokenizer.sentence_pair import source_ids, target_ids, target_tokenizer
from chatwright.tokenizer.tokenizer import Tokenizer


@dataclass(frozen=True)
class EncodedPairs:
    """Pairs as token ids, laid out by `tokenizer/sentence_pair.py`."""

    sources: list[list[int]]
    targets: list[list[int]]
    n_too_long: int
    """Pairs that were left out because a side is longer than the model's context."""
    sha256: str
    """Hash of the texts."""

    def __len__(self) -> int:
        return len(self.sources)

    def describe(self) -> dict[str, Any]:
        """Return the counts and the hash that identify the data of a run."""
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
    """Encode the pairs of which both sides fit into `max_length` tokens.

    `start_id` replaces <bos> at the start of a target. Raises DataError if no pair fits.
    """
    control = tokenizer.control
    content = hashlib.sha256()
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
            f"none of the {len(pairs)} pairs that begin here fits into {max_length} tokens a side",
            "make model.context_length larger or the sentences shorter",
            field="model.context_length",
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
    """Split into (train, validation) by the hash of the source.

    All translations of a sentence are on one side. Raises DataError if a side is empty.
    """
    chosen = choose_validation(
        [pair.source for pair in pairs], [len(pair.source) for pair in pairs], validation_share
    )
    train, validation = partition(pairs, chosen)
    if not validation or not train:
        raise DataError(
            pairs[0].location,
            f"{len(pairs)} pairs are too few to keep some for validation",
            "add pairs, or make validation_share larger",
            field="validation_share",
        )
    return train, validation
