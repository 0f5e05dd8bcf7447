"""Measure what a model forgets in training.

`old_texts` names texts that it was trained on earlier; every evaluation measures bits per byte on
them. `forgetting_limit` is the largest allowed relative increase of that figure; above it the
finished run fails.
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


def require_old_texts(old_texts: DataSources, limit: float) -> None:
    """Raise InputError for a negative limit, or for a limit without texts to measure."""
    if limit < 0 or (limit and not old_texts):
        raise InputError(
            f"forgetting_limit is {limit}; it must be at least 0 and needs old_texts.",
            remedy="Set old_texts to texts the model was trained on, or forgetting_limit=0.",
            field="forgetting_limit",
            value=limit,
        )


def measure_old_texts(
    stage: Stage[GPT, MicroBatch],
    old_texts: DataSources,
    options: ReadOptions,
    tokenizer: Tokenizer,
    dtype: torch.dtype,
) -> Stage[GPT, MicroBatch]:
    """Return the stage with a forgetting check around it, where the settings name old texts."""
    if not old_texts:
        return stage
    rows = read_texts(to_data_source(old_texts), options).rows
    return ForgettingCheck(stage, [row.text for row in rows], tokenizer, dtype)
