"""Measure how much a model forgets in training, as the settings of a stage ask for.

The setting `old_texts` names texts of earlier training. Every evaluation measures bits per byte on
these texts. The setting `forgetting_limit` is the largest allowed relative increase of bits per
byte: a finished run with a larger increase fails.
"""

import torch

from chatwright.data.encoded.corpus import read_texts
from chatwright.data.readers.data_source import ReadOptions
from chatwright.errors import InputError
from chatwright.model.gpt import GPT
from chatwright.pipeline.data_sources import DataSources, to_data_source
from chatwright.tokenizer.tokenizer import Tokenizer
from chatwright.training.stage import MicroBatch, Stage
from chatwright.training.stages.forgetting import ForgettingCheck


def require_old_texts(old_texts: DataSources, limit: float, max_bytes: int) -> None:
    """Raise InputError for a negative limit, for a limit without old texts, or for no bytes."""
    if max_bytes < 1:
        raise InputError(
            f"old_texts_bytes is {max_bytes}; it must be at least 1.",
            remedy="To measure no old texts, remove the setting old_texts.",
            field="old_texts_bytes",
            value=max_bytes,
        )
    if limit < 0 or (limit and not old_texts):
        raise InputError(
            f"forgetting_limit is {limit}; it must be at least 0 and needs old_texts.",
            remedy="Set old_texts to texts that the model was trained on, or forgetting_limit=0.",
            field="forgetting_limit",
            value=limit,
        )


def measure_old_texts(
    stage: Stage[GPT, MicroBatch],
    old_texts: DataSources,
    options: ReadOptions,
    tokenizer: Tokenizer,
    dtype: torch.dtype,
    max_bytes: int,
) -> Stage[GPT, MicroBatch]:
    """Return a stage that also measures the old texts, or the stage itself if there are none."""
    if not old_texts:
        return stage
    rows = read_texts(to_data_source(old_texts), options).rows
    return ForgettingCheck(stage, [row.text for row in rows], tokenizer, dtype, max_bytes)
