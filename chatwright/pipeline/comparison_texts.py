"""Real text as token ids, on which two models are compared: the user's, or packaged examples."""

from collections.abc import Iterator
from itertools import chain
from pathlib import Path

import torch
from torch import Tensor

from chatwright.checkpoint import run_directory
from chatwright.data.own_folder import ROWS
from chatwright.data.readers.data_source import DataSource, describe_source, paths_of
from chatwright.data.readers.row_reader import scan_rows
from chatwright.data.rows import ChatRow, TextRow
from chatwright.errors import InputError
from chatwright.evaluation.logit_gap import random_prompts
from chatwright.tokenizer.chat_template import render_turns
from chatwright.tokenizer.tokenizer import Tokenizer
from chatwright.tokenizer.tool_call_text import message_text
from chatwright.training import metrics

LONGEST = 256
"""Tokens of a prompt."""
ENOUGH = 2048
"""Tokens of all prompts: some seconds of computing with a model of 100 million weights."""


def comparison_prompts(
    tokenizer: Tokenizer, context_length: int, data: DataSource | None, adapter: Path
) -> list[Tensor]:
    """Return prompts (1, T) of real text.

    Args:
        tokenizer: The tokenizer of both models.
        context_length: The models' context length.
        data: Texts or conversations; None means the samples of the training run and packaged
            examples.
        adapter: The adapter's directory, whose run may hold samples.
    """
    longest = min(LONGEST, context_length)
    prompts: list[Tensor] = []
    n_token = 0
    for token_ids in _token_ids(tokenizer, data, adapter):
        if n_token >= ENOUGH:
            break
        if kept := token_ids[:longest]:
            prompts.append(torch.tensor([kept]))
            n_token += len(kept)
    if not prompts and data is not None:
        raise InputError(
            f"{describe_source(data)}: holds no text that this model can read.",
            remedy="Give texts or conversations.",
            field="--data",
            value=str(data),
        )
    return prompts or random_prompts(tokenizer.vocab_size, context_length)


def _token_ids(tokenizer: Tokenizer, data: DataSource | None, adapter: Path) -> Iterator[list[int]]:
    texts = [] if data is not None else _samples(adapter)
    for text in texts:
        yield from _encoded(tokenizer, text)
    paths = paths_of(ROWS if data is None else data)
    for row in chain.from_iterable(map(scan_rows, paths)):
        if isinstance(row, TextRow):
            yield from _encoded(tokenizer, row.text)
        elif isinstance(row, ChatRow) and tokenizer.chat_format is not None:
            yield from _rendered(tokenizer, row)
        elif isinstance(row, ChatRow):
            yield from _encoded(tokenizer, "\n".join(map(message_text, row.messages)))


def _samples(adapter: Path) -> list[str]:
    """Return the replies that the training run of the adapter wrote down."""
    runs = [path for path in (adapter, adapter.parent) if run_directory.is_run(path)]
    return [
        f"{prompt}\n{reply}"
        for run in runs
        for record in metrics.read(run / "metrics.jsonl")
        for prompt, reply in record.get("samples", ())
    ]


def _encoded(tokenizer: Tokenizer, text: str) -> Iterator[list[int]]:
    """Yield the ids of a text, or nothing if the tokenizer lacks one of its characters."""
    try:
        yield tokenizer.encode(text)
    except ValueError:
        return


def _rendered(tokenizer: Tokenizer, row: ChatRow) -> Iterator[list[int]]:
    """Yield the ids of a conversation, or nothing if the chat format cannot express it."""
    try:
        yield render_turns(row.messages, tokenizer).token_ids
    except ValueError:
        return
