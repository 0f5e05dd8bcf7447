"""Prompts as token ids, for training on the model's own replies."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from chatwright.data.readers.data_source import DEFAULTS, DataSource, ReadOptions, describe_source
from chatwright.data.readers.row_reader import read_kind
from chatwright.data.rows import DataError, PromptRow
from chatwright.data.split import choose_validation, partition
from chatwright.errors import InputError
from chatwright.tokenizer.chat_format import turn_kind
from chatwright.tokenizer.chat_template import render_prompt
from chatwright.tokenizer.tokenizer import Tokenizer
from chatwright.tokenizer.tool_call_text import message_text

REMEDY = "training on rewards reads rows with prompt, and with answer where a rule compares with it"


@dataclass(frozen=True)
class EncodedPrompts:
    """Prompts, each ending with what begins a reply."""

    rows: list[PromptRow]
    token_ids: list[list[int]]
    """The ids of each prompt; as many as `rows`."""
    sha256: str
    """Hash of prompts, answers and kinds."""
    n_too_long: int = 0
    """Prompts longer than the limit: left out."""
    n_rows_ignored: int = 0
    """Rows of other kinds, such as conversations."""
    skipped: tuple[str, ...] = ()
    """Files and rows that were left out because they cannot be read, one line per reason."""

    def __len__(self) -> int:
        return len(self.rows)

    def describe(self) -> dict[str, Any]:
        """Return the counts and the hash that identify the data of a run."""
        return {
            "prompts": len(self),
            "tokens": sum(map(len, self.token_ids)),
            "sha256": self.sha256,
        }


def read_prompts(
    source: DataSource, tokenizer: Tokenizer, max_length: int, options: ReadOptions = DEFAULTS
) -> EncodedPrompts:
    """Encode all prompts at `source`, without any for validation.

    Raises DataError if there is no prompt, or if all are longer than `max_length` tokens.
    """
    read = read_kind(PromptRow, source, options, name="prompts", remedy=REMEDY)
    encoded = encode_prompts(read.rows, tokenizer, max_length)
    _require_some(encoded, read.rows, source, max_length)
    return replace(encoded, n_rows_ignored=read.n_ignored, skipped=read.skipped)


def _require_some(
    encoded: EncodedPrompts, rows: Sequence[PromptRow], source: DataSource, max_length: int
) -> None:
    if len(encoded):
        return
    raise DataError(
        rows[0].location,
        f"each of the {len(rows)} prompts of {describe_source(source)} is longer than "
        f"{max_length} tokens",
        "make reply_tokens smaller, the context length larger or the prompts shorter",
        field="context_length",
    )


def encode_prompts_split(
    source: DataSource,
    tokenizer: Tokenizer,
    max_length: int,
    validation_share: float,
    options: ReadOptions = DEFAULTS,
) -> tuple[EncodedPrompts, EncodedPrompts]:
    """Encode the prompts at `source` as (training, validation).

    The hash of the prompt decides, so equal prompts are on the same side.

    Raises:
        DataError: There is no prompt, too few different ones, or all are too long.
    """
    read = read_kind(PromptRow, source, options, name="prompts", remedy=REMEDY)
    keys = [_key(row) for row in read.rows]
    is_validation = choose_validation(keys, [1] * len(keys), validation_share)
    if not any(is_validation) or all(is_validation):
        raise DataError(
            read.rows[0].location,
            f"the {len(read.rows)} prompts are too few or too alike to keep "
            f"{validation_share:.0%} for validation",
            "add different prompts, or make validation_share larger",
            field="validation_share",
        )
    parts = []
    for rows in partition(read.rows, is_validation):
        part = encode_prompts(rows, tokenizer, max_length)
        _require_some(part, rows, source, max_length)
        parts.append(part)
    training, validation = parts
    return replace(training, n_rows_ignored=read.n_ignored, skipped=read.skipped), validation


def encode_prompts(
    rows: Sequence[PromptRow], tokenizer: Tokenizer, max_length: int
) -> EncodedPrompts:
    """Encode prompts; leave out those of more than `max_length` tokens."""
    content = hashlib.sha256()
    kept: list[PromptRow] = []
    token_ids: list[list[int]] = []
    for row in rows:
        content.update(f"{_key(row)}\x00{row.answer}\x00{row.kind}\x00".encode())
        ids = _render(row, tokenizer)
        if len(ids) <= max_length:
            kept.append(row)
            token_ids.append(ids)
    return EncodedPrompts(kept, token_ids, content.hexdigest(), len(rows) - len(kept))


def _render(row: PromptRow, tokenizer: Tokenizer) -> list[int]:
    try:
        return render_prompt(row.messages, tokenizer)
    except InputError as error:
        cause = error.problem.rstrip(".")
        raise DataError(row.location, cause, error.remedy.rstrip("."), field=error.field) from None
    except ValueError as error:  # a character that the tokenizer does not know
        cause, _, remedy = str(error).partition(": ")
        raise DataError(row.location, cause, remedy) from None


def _key(row: PromptRow) -> str:
    return "\n".join(f"{turn_kind(message)} {message_text(message)}" for message in row.messages)
