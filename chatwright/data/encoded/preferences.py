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
from chatwright.data.rows import DataError, Location, PreferenceRow
from chatwright.data.settled_votes import settle_pairs
from chatwright.data.split import choose_validation, partition
from chatwright.tokenizer.chat_format import turn_kind
from chatwright.tokenizer.chat_template import Rendered
from chatwright.tokenizer.tokenizer import Tokenizer
from chatwright.tokenizer.tool_call_text import message_text

REMEDY = (
    "learning preferences reads rows with prompt, chosen and rejected, or with chosen and rejected "
    "conversations that begin with the same turns; ratings of single replies are learned with "
    "loss=kto"
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
    n_thumb: int = 0
    """Those of them that rate a single reply."""
    n_tie: int = 0
    """Rankings in which no reply is better than another: left out."""
    n_duplicate: int = 0
    """Pairs that repeat an earlier one: left out."""
    n_contradicting: int = 0
    """Pairs that were also given the other way round; the majority decides, a tie is left out."""
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
    settled = settle_pairs(read.rows)
    rows = settled.rows
    sizes = [text_size(row.chosen) + text_size(row.rejected) for row in rows]
    is_validation = choose_validation(
        [conversation_key(row.prompt) for row in rows], sizes, validation_share
    )
    require_both_sides(is_validation, rows[0].location, validation_share)
    parts = []
    sides = zip(("training", "validation"), partition(rows, is_validation), strict=True)
    for name, side in sides:
        part = encode_preferences(side, tokenizer, max_length)
        if not len(part):
            raise DataError(
                side[0].location,
                f"each of the {len(side)} {name} pairs of "
                f"{describe_source(source)} has a conversation longer than {max_length} tokens",
                "make the context length larger or the conversations shorter",
                field="context_length",
            )
        parts.append(part)
    training, validation = parts
    counted = replace(
        training,
        n_rows_ignored=read.n_ignored,
        n_thumb=read.n_thumb,
        n_tie=read.n_tie,
        n_duplicate=settled.n_duplicate,
        n_contradicting=settled.n_contradicting,
        skipped=read.skipped,
    )
    return counted, validation


def require_both_sides(is_validation: Sequence[bool], location: Location, share: float) -> None:
    """Raise DataError if a split left nothing for training or for validation."""
    if any(is_validation) and not all(is_validation):
        return
    raise DataError(
        location,
        f"the {len(is_validation)} preferences have too few different prompts to keep "
        f"{share:.0%} for validation",
        "add preferences with other prompts, or make validation_share larger",
        field="validation_share",
    )


def encode_preferences(
    rows: Sequence[PreferenceRow], tokenizer: Tokenizer, max_length: int
) -> EncodedPreferences:
    """Encode preferences; leave out pairs of which one side is longer than `max_length` tokens."""
    content = hashlib.sha256()
    chosen: list[Rendered] = []
    rejected: list[Rendered] = []
    for row in rows:
        for part in (row.prompt, row.chosen, row.rejected):
            content.update(conversation_key(part).encode() + b"\x00")
        pair = [_render(row, ending, tokenizer) for ending in (row.chosen, row.rejected)]
        if max(len(rendered.token_ids) for rendered in pair) <= max_length:
            chosen.append(pair[0])
            rejected.append(pair[1])
    return EncodedPreferences(chosen, rejected, content.hexdigest(), len(rows) - len(chosen))


def _render(row: PreferenceRow, ending: tuple[Message, ...], tokenizer: Tokenizer) -> Rendered:
    """Render prompt and ending as one conversation, with loss on the ending only."""
    learned = [False] * len(row.prompt) + [True] * len(ending)
    return render_row((*row.prompt, *ending), row.location, tokenizer, learned)


def conversation_key(messages: Sequence[Message]) -> str:
    """Return a text that is equal for equal conversations, for hashing and splitting."""
    return "\n".join(f"{turn_kind(message)} {message_text(message)}" for message in messages)


def text_size(messages: Sequence[Message]) -> int:
    """Return the number of characters of a conversation."""
    return sum(len(message_text(message)) for message in messages)
