"""Preferences as token ids: for each prompt a chosen and a rejected reply, with loss masks."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from chatwright.conversation import Message
from chatwright.data.encoded.conversations import render_row
from chatwright.data.readers.data_source import DEFAULTS, DataSource, ReadOptions, describe_source
from chatwright.data.readers.row_reader import read_kind
from chatwright.data.rows import DataError, PreferenceRow
from chatwright.data.split import choose_validation, partition
from chatwright.tokenizer.chat_format import turn_kind
from chatwright.tokenizer.chat_template import Rendered
from chatwright.tokenizer.tokenizer import Tokenizer
from chatwright.tokenizer.tool_call_text import message_text

REMEDY = (
    "learning preferences reads rows with prompt, chosen and rejected, or with chosen and rejected "
    "conversations that begin with the same turns"
)


@dataclass(frozen=True)
class EncodedPreferences:
    """Pairs of whole conversations; the loss masks cover only the replies."""

    chosen: list[Rendered]
    rejected: list[Rendered]
    """As many as `chosen`; the two conversations of a pair have the same index."""
    sha256: str
    """Hash of the texts."""
    n_too_long: int = 0
    """Pairs of which one conversation is longer than the limit: left out."""
    n_rows_ignored: int = 0
    """Rows of other kinds, such as conversations."""
    skipped: tuple[str, ...] = ()
    """Files and rows that were left out because they cannot be read, one line per reason."""

    def __len__(self) -> int:
        return len(self.chosen)

    def describe(self) -> dict[str, Any]:
        """Return the counts and the hash that identify the data of a run."""
        both = (*self.chosen, *self.rejected)
        return {
            "pairs": len(self),
            "tokens": sum(len(rendered.token_ids) for rendered in both),
            "supervised_tokens": sum(sum(rendered.loss_mask) for rendered in both),
            "sha256": self.sha256,
        }


def encode_preferences_split(
    source: DataSource,
    tokenizer: Tokenizer,
    max_length: int,
    validation_share: float,
    options: ReadOptions = DEFAULTS,
) -> tuple[EncodedPreferences, EncodedPreferences]:
    """Encode the preferences at `source` as (training, validation).

    The hash of the prompt decides, so all pairs of a prompt are on the same side.

    Raises:
        DataError: There is no preference, or too few prompts to keep some for validation.
    """
    read = read_kind(PreferenceRow, source, options, name="preferences", remedy=REMEDY)
    sizes = [_size(row.chosen) + _size(row.rejected) for row in read.rows]
    is_validation = choose_validation(
        [_key(row.prompt) for row in read.rows], sizes, validation_share
    )
    if not any(is_validation) or all(is_validation):
        raise DataError(
            read.rows[0].location,
            f"the {len(read.rows)} preferences have too few different prompts to keep "
            f"{validation_share:.0%} for validation",
            "add preferences with other prompts, or make validation_share larger",
            field="validation_share",
        )
    parts = []
    sides = zip(("training", "validation"), partition(read.rows, is_validation), strict=True)
    for name, rows in sides:
        part = encode_preferences(rows, tokenizer, max_length)
        if not len(part):
            raise DataError(
                rows[0].location,
                f"each of the {len(rows)} {name} pairs of "
                f"{describe_source(source)} has a conversation longer than {max_length} tokens",
                "make the context length larger or the conversations shorter",
                field="context_length",
            )
        parts.append(part)
    training, validation = parts
    return replace(training, n_rows_ignored=read.n_ignored, skipped=read.skipped), validation


def encode_preferences(
    rows: Sequence[PreferenceRow], tokenizer: Tokenizer, max_length: int
) -> EncodedPreferences:
    """Encode preferences; leave out pairs of which one side is longer than `max_length` tokens."""
    content = hashlib.sha256()
    chosen: list[Rendered] = []
    rejected: list[Rendered] = []
    for row in rows:
        for part in (row.prompt, row.chosen, row.rejected):
            content.update(_key(part).encode() + b"\x00")
        pair = [_render(row, ending, tokenizer) for ending in (row.chosen, row.rejected)]
        if max(len(rendered.token_ids) for rendered in pair) <= max_length:
            chosen.append(pair[0])
            rejected.append(pair[1])
    return EncodedPreferences(chosen, rejected, content.hexdigest(), len(rows) - len(chosen))


def _render(row: PreferenceRow, ending: tuple[Message, ...], tokenizer: Tokenizer) -> Rendered:
    """Render prompt and ending as one conversation, with loss on the ending only."""
    learned = [False] * len(row.prompt) + [True] * len(ending)
    return render_row((*row.prompt, *ending), row.location, tokenizer, learned)


def _key(messages: Sequence[Message]) -> str:
    return "\n".join(f"{turn_kind(message)} {message_text(message)}" for message in messages)


def _size(messages: Sequence[Message]) -> int:
    return sum(len(message_text(message)) for message in messages)
