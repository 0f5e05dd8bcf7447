"""What two models can do, on the same items: skills of the starter's exam, and bits per byte.

Results are kept under the hash of the model, so a model is measured once.
"""

import math
from collections.abc import Callable, MutableMapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from chatwright import starter
from chatwright.checkpoint import model_directory
from chatwright.data.encoded.corpus import read_texts
from chatwright.evaluation.bits_per_byte import score_documents
from chatwright.evaluation.paired import PairedScores, paired_scores
from chatwright.evaluation.relative_change import RelativeChange, relative_change
from chatwright.evaluation.starter import is_right
from chatwright.pipeline.comparison.model_hash import model_hash
from chatwright.pipeline.content_hash import hash_json
from chatwright.pipeline.evaluate import reply_greedily

Say = Callable[[str], None]


@dataclass(frozen=True)
class BitsPerByte:
    """Bits per byte of two models on the same texts."""

    before: float
    after: float
    change: RelativeChange
    """Relative change; positive is worse."""
    n_byte: int


def compare_skills(
    baseline: Path, candidate: Path, n_per_skill: int, kept: MutableMapping[str, Any], say: Say
) -> dict[str, PairedScores]:
    """Compare the scores of each skill of the starter's exam, item by item."""
    items = starter.exam_items(n_per_skill=n_per_skill)
    are_correct = []
    for directory in (baseline, candidate):
        key = hash_json(["skills", model_hash(directory), [item.as_row() for item in items]])
        if key not in kept:
            say(f"{directory}: {len(items):,} test questions")
            model, tokenizer = model_directory.load(directory)
            replies = reply_greedily(model, tokenizer, [item.messages for item in items])
            kept[key] = [is_right(i, r) for i, r in zip(items, replies, strict=True)]
        are_correct.append(kept[key])
    before, after = are_correct
    names = dict.fromkeys(item.skill for item in items)
    skills = {skill: [i.skill == skill for i in items] for skill in names}
    return {
        skill: paired_scores(_chosen(before, flags), _chosen(after, flags))
        for skill, flags in skills.items()
    }


def _chosen(values: Sequence[bool], flags: Sequence[bool]) -> list[bool]:
    return [value for value, flag in zip(values, flags, strict=True) if flag]


def compare_bits_per_byte(
    baseline: Path, candidate: Path, texts: Path, kept: MutableMapping[str, Any], say: Say
) -> BitsPerByte:
    """Compare bits per byte on texts, both models in windows of the shorter context."""
    documents = [row.text for row in read_texts(texts).rows]
    key = hash_json(["texts", model_hash(baseline), model_hash(candidate), documents])
    if key not in kept:
        say(f"bits per byte of {len(documents):,} texts")
        kept[key] = _nats(baseline, candidate, documents)
    before, after = kept[key]
    if list(map(len, before)) == list(map(len, after)):
        units = [[nats for document in score for nats in document] for score in (before, after)]
    else:  # another tokenizer cuts other windows, but the documents are the same
        units = [[math.fsum(document) for document in score] for score in (before, after)]
    n_byte = sum(len(document.encode()) for document in documents)
    bits = [math.fsum(unit) / math.log(2) / n_byte for unit in units]
    return BitsPerByte(bits[0], bits[1], relative_change(units[0], units[1]), n_byte)


def _nats(
    baseline: Path, candidate: Path, documents: Sequence[str]
) -> list[list[tuple[float, ...]]]:
    """Return the negative log-likelihoods by model, document and window."""
    loaded = [model_directory.load(directory) for directory in (baseline, candidate)]
    context_length = min(model.config.context_length for model, _ in loaded)
    return [
        [
            score.nats_by_window
            for score in score_documents(model, tokenizer, documents, context_length)
        ]
        for model, tokenizer in loaded
    ]
