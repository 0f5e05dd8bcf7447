"""Single replies as token ids, each judged good or bad, with loss masks.

Every conversation comes with a mismatched one: its prompt with the reply to another prompt. Their
probabilities estimate how far a model has moved from another one.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import torch

from chatwright.conversation import Message
from chatwright.data.encoded.conversations import render_row
from chatwright.data.encoded.preferences import conversation_key, require_both_sides, text_size
from chatwright.data.readers.data_source import DataSource, ReadOptions, describe_source
from chatwright.data.readers.row_reader import read_kind
from chatwright.data.rows import DataError, ThumbRow
from chatwright.data.settled_votes import settle_thumbs
from chatwright.data.split import choose_validation, partition
from chatwright.devices import generator
from chatwright.tokenizer.chat_template import Rendered
from chatwright.tokenizer.tokenizer import Tokenizer

REMEDY = (
    "loss=kto reads rows with prompt, completion and a label that is true or false, and rows with "
    "prompt, chosen and rejected"
)


@dataclass(frozen=True)
class EncodedReplies:
    """Whole conversations; the loss masks cover only the replies."""

    conversations: list[Rendered]
    mismatched: list[Rendered]
    """The prompt of the conversation with the same index, and the reply to another prompt."""
    is_good: list[bool]
    sha256: str
    """Hash of the texts and ratings."""
    n_too_long: int = 0
    """Conversations longer than the limit: left out."""
    n_rows_ignored: int = 0
    """Rows of other kinds, such as conversations."""
    n_tie: int = 0
    """Rankings in which no reply is better than another: left out."""
    n_duplicate: int = 0
    """Rows that repeat an earlier one: left out."""
    n_contradicting: int = 0
    """Replies that were called good and bad; the majority decides, and a tie is left out."""
    skipped: tuple[str, ...] = ()
    """Files and rows that were left out because they cannot be read, one line per reason."""

    def __len__(self) -> int:
        return len(self.conversations)

    @property
    def n_good(self) -> int:
        """The number of good replies."""
        return sum(self.is_good)

    def describe(self) -> dict[str, Any]:
        """Return the counts and the hash that identify the data of a run."""
        return {
            "replies": len(self),
            "good": self.n_good,
            "tokens": sum(len(rendered.token_ids) for rendered in self.conversations),
            "supervised_tokens": sum(sum(rendered.loss_mask) for rendered in self.conversations),
            "sha256": self.sha256,
        }


def encode_replies_split(
    source: DataSource,
    tokenizer: Tokenizer,
    max_length: int,
    validation_share: float,
    options: ReadOptions,
    seed: int,
) -> tuple[EncodedReplies, EncodedReplies]:
    """Encode the rated replies at `source` as (training, validation).

    A pair of replies is read as a good and a bad one. The hash of the prompt decides, so all
    replies to a prompt are on the same side. `seed` decides which prompts are mismatched.

    Raises:
        DataError: There is no rated reply, or too few prompts to keep some for validation.
    """
    read = read_kind(ThumbRow, source, options, name="rated replies", remedy=REMEDY)
    settled = settle_thumbs(read.rows)
    rows = settled.rows
    sizes = [text_size(row.reply) for row in rows]
    is_validation = choose_validation(
        [conversation_key(row.prompt) for row in rows], sizes, validation_share
    )
    require_both_sides(is_validation, rows[0].location, validation_share)
    parts = []
    for name, side in zip(("training", "validation"), partition(rows, is_validation), strict=True):
        part = encode_replies(side, tokenizer, max_length, seed)
        if not len(part):
            raise DataError(
                side[0].location,
                f"each of the {len(side)} {name} replies of {describe_source(source)} belongs to "
                f"a conversation longer than {max_length} tokens",
                "make the context length larger or the conversations shorter",
                field="context_length",
            )
        parts.append(part)
    training, validation = parts
    counted = replace(
        training,
        n_rows_ignored=read.n_ignored,
        skipped=read.skipped,
        n_tie=read.n_tie,
        n_duplicate=settled.n_duplicate,
        n_contradicting=settled.n_contradicting,
    )
    return counted, validation


def encode_replies(
    rows: Sequence[ThumbRow], tokenizer: Tokenizer, max_length: int, seed: int
) -> EncodedReplies:
    """Encode rated replies; leave out conversations of more than `max_length` tokens."""
    content = hashlib.sha256()
    kept: list[ThumbRow] = []
    conversations: list[Rendered] = []
    for row in rows:
        for part in (conversation_key(row.prompt), conversation_key(row.reply), str(row.is_good)):
            content.update(part.encode() + b"\x00")
        rendered = _render(row, row.reply, tokenizer)
        if len(rendered.token_ids) <= max_length:
            kept.append(row)
            conversations.append(rendered)
    partners = mismatched_partners([conversation_key(row.prompt) for row in kept], seed)
    mismatched = [
        _cut(_render(row, kept[partner].reply, tokenizer), max_length)
        for row, partner in zip(kept, partners, strict=True)
    ]
    is_good = [row.is_good for row in kept]
    n_too_long = len(rows) - len(kept)
    return EncodedReplies(conversations, mismatched, is_good, content.hexdigest(), n_too_long)


def mismatched_partners(prompts: Sequence[str], seed: int) -> list[int]:
    """Return for each row the index of a row with another prompt; every row is a partner once.

    If one prompt has more than half of the rows, some of them get a partner with their own prompt.
    """
    groups: dict[str, list[int]] = {}
    for index, prompt in enumerate(prompts):
        groups.setdefault(prompt, []).append(index)
    members = list(groups.values())
    order = torch.randperm(len(members), generator=generator(seed, "mismatched prompts")).tolist()
    rows = [index for number in order for index in members[number]]
    # Equal prompts are adjacent, so a shift by the largest group leaves every group.
    shift = max(map(len, members), default=0)
    partners = [0] * len(rows)
    for position, index in enumerate(rows):
        partners[index] = rows[(position + shift) % len(rows)]
    return partners


def _render(row: ThumbRow, reply: tuple[Message, ...], tokenizer: Tokenizer) -> Rendered:
    """Render prompt and reply as one conversation, with loss on the reply only."""
    learned = [False] * len(row.prompt) + [True] * len(reply)
    return render_row((*row.prompt, *reply), row.location, tokenizer, learned)


def _cut(rendered: Rendered, max_length: int) -> Rendered:
    """Cut a mismatched conversation, of which the beginning of the reply is enough."""
    return Rendered(rendered.token_ids[:max_length], rendered.loss_mask[:max_length])
