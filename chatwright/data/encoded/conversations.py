"""Conversations as token ids with loss masks, for fine-tuning.

The result counts the conversations that are shortened or left out.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace

from chatwright.conversation import Conversation
from chatwright.data.checks.contamination import find_overlaps
from chatwright.data.readers.data_source import DEFAULTS, DataSource, ReadOptions, describe_source
from chatwright.data.readers.row_reader import RowsRead, read_kind
from chatwright.data.rows import ChatRow, DataError, Location
from chatwright.data.split import choose_validation, partition
from chatwright.errors import InputError
from chatwright.tokenizer.chat_format import ANSWERS, turn_kind
from chatwright.tokenizer.chat_template import Rendered, render
from chatwright.tokenizer.tokenizer import Tokenizer
from chatwright.tokenizer.tool_call_text import message_text

# Earlier versions hashed these role names. Keeping them lets a run of an earlier version resume.
HASHED_ROLE = {"tool_call": "command", "tool": "result"}
NO_CONVERSATIONS = (
    "fine-tuning reads rows with messages, prompt+completion, instruction+output or conversations; "
    "plain text is for pretraining"
)


@dataclass(frozen=True)
class EncodedConversations:
    """Rendered conversations, and what was left out."""

    conversations: list[Rendered]
    n_tokens: int
    n_supervised_tokens: int
    """Tokens that the model learns to produce."""
    n_cut: int
    """Conversations longer than the limit, which end after an earlier answer."""
    n_too_long: int
    """Conversations whose first answer does not end within the limit: left out."""
    sha256: str
    """Hash of the texts."""
    n_not_learned: int = 0
    """Conversations in which no answer is to be learned: left out."""
    n_rows_ignored: int = 0
    """Rows of other kinds, such as texts."""
    skipped: tuple[str, ...] = ()
    """Files and rows that were left out because they cannot be read, one line per reason."""
    n_overlaps: int = 0
    """Training rows that share a run of 13 words with a validation row; they stay."""


def read_conversations(source: DataSource, options: ReadOptions = DEFAULTS) -> RowsRead[ChatRow]:
    """Return the conversations at `source`. No conversation is a DataError."""
    return read_kind(ChatRow, source, options, name="conversations", remedy=NO_CONVERSATIONS)


def encode_conversations(
    source: DataSource, tokenizer: Tokenizer, max_length: int, *, options: ReadOptions = DEFAULTS
) -> EncodedConversations:
    """Render all conversations at `source`, none longer than `max_length` tokens."""
    read = read_conversations(source, options)
    return _encode_rows(read.rows, read, tokenizer, max_length)


def encode_conversations_split(
    source: DataSource,
    tokenizer: Tokenizer,
    max_length: int,
    validation_fraction: float = 0.1,
    *,
    options: ReadOptions = DEFAULTS,
) -> tuple[EncodedConversations, EncodedConversations]:
    """Render the conversations at `source` as (train, validation).

    The hash of the first question decides, so equal questions are always on the same side.
    """
    read = read_conversations(source, options)
    questions = [
        next(message.text for message in row.messages if message.role == "user")
        for row in read.rows
    ]
    sizes = [sum(len(message_text(message)) for message in row.messages) for row in read.rows]
    chosen = choose_validation(questions, sizes, validation_fraction)
    if not any(chosen) or all(chosen):
        raise DataError(
            Location(describe_source(source)),
            f"its {len(read.rows)} conversations are too few or too alike to keep "
            f"{validation_fraction:.0%} for validation",
            "add conversations with other first questions, or make validation_share larger",
        )
    train, validation = partition(read.rows, chosen)
    # Repeated rows stay, because repeating a row gives it more weight. Their equal questions keep
    # them on one side of the split.
    n_overlaps = len(find_overlaps(train, validation))
    return (
        replace(_encode_rows(train, read, tokenizer, max_length), n_overlaps=n_overlaps),
        _encode_rows(validation, read, tokenizer, max_length),
    )


def _encode_rows(
    rows: Sequence[ChatRow], read: RowsRead[ChatRow], tokenizer: Tokenizer, max_length: int
) -> EncodedConversations:
    encoded = encode_chat_rows(rows, tokenizer, max_length, read.source)
    return replace(encoded, n_rows_ignored=read.n_ignored, skipped=read.skipped)


def encode_chat_rows(
    rows: Sequence[ChatRow], tokenizer: Tokenizer, max_length: int, source: DataSource
) -> EncodedConversations:
    """Render conversations in memory; `source` is named in errors."""
    conversations: list[Rendered] = []
    n_cut = 0
    n_too_long = 0
    learned = [row for row in rows if has_learned_answer(row)]
    for row in learned:
        rendered = render_row(row.messages, row.location, tokenizer, row.learned or None)
        kept = cut_after_answer(rendered, max_length)
        n_too_long += kept is None
        n_cut += kept is not None and kept is not rendered
        if kept is not None:
            conversations.append(kept)
    if not conversations:
        raise _nothing_left(source, len(rows), len(learned), max_length)
    return EncodedConversations(
        conversations=conversations,
        n_tokens=sum(len(rendered.token_ids) for rendered in conversations),
        n_supervised_tokens=sum(sum(rendered.loss_mask) for rendered in conversations),
        n_cut=n_cut,
        n_too_long=n_too_long,
        n_not_learned=len(rows) - len(learned),
        sha256=_sha256(learned),
    )


def has_learned_answer(row: ChatRow) -> bool:
    """Whether any answer of a conversation is to be learned."""
    flags = row.learned or (True,) * len(row.messages)
    return any(
        is_learned and turn_kind(message) in ANSWERS
        for message, is_learned in zip(row.messages, flags, strict=True)
    )


def render_row(
    messages: Conversation,
    location: Location,
    tokenizer: Tokenizer,
    learned: Sequence[bool] | None = None,
) -> Rendered:
    """Render the conversation of a row; `learned` as in `render`. A DataError names the row."""
    with errors_naming(location):
        return render(messages, tokenizer, learned)


@contextmanager
def errors_naming(location: Location) -> Iterator[None]:
    """Raise the errors of rendering as a DataError, which names the row."""
    try:
        yield
    except InputError as error:
        cause = error.problem.rstrip(".")
        remedy = error.remedy.rstrip(".")
        raise DataError(location, cause, remedy, field=error.field) from None
    except ValueError as error:  # a character that the tokenizer does not know
        cause, _, remedy = str(error).partition(": ")
        raise DataError(location, cause, remedy) from None


def _sha256(rows: Sequence[ChatRow]) -> str:
    content = hashlib.sha256()
    for row in rows:
        for message in row.messages:
            data = message_text(message).encode("utf-8")
            kind = turn_kind(message)
            content.update(f"{HASHED_ROLE.get(kind, kind)} {len(data)} ".encode() + data)
            if message.thinking:
                thinking = message.thinking.encode("utf-8")
                content.update(f"thinking {len(thinking)} ".encode() + thinking)
    return content.hexdigest()


def _nothing_left(source: DataSource, n_row: int, n_learned: int, max_length: int) -> DataError:
    location = Location(describe_source(source))
    if not n_learned:
        return DataError(
            location,
            f"none of its {n_row} conversations has an answer to be learned",
            "remove weight, train and loss from some answers",
            field="weight",
        )
    return DataError(
        location,
        f"none of its {n_learned} conversations has its first answer within {max_length} tokens",
        "make the context length larger or the conversations shorter",
        field="context_length",
    )


def shorten(read: EncodedConversations, max_length: int) -> EncodedConversations:
    """Cut conversations to at most `max_length` tokens, and leave out those that cannot be cut."""
    conversations: list[Rendered] = []
    n_cut = 0
    for rendered in read.conversations:
        kept = cut_after_answer(rendered, max_length)
        if kept is not None:
            conversations.append(kept)
            n_cut += kept is not rendered
    return replace(
        read,
        conversations=conversations,
        n_tokens=sum(len(rendered.token_ids) for rendered in conversations),
        n_supervised_tokens=sum(sum(rendered.loss_mask) for rendered in conversations),
        n_cut=read.n_cut + n_cut,
        n_too_long=read.n_too_long + len(read.conversations) - len(conversations),
    )


def cut_after_answer(rendered: Rendered, max_length: int) -> Rendered | None:
    """Return the longest beginning within `max_length` tokens that ends with a learned answer.

    A conversation that fits is returned unchanged. The result is None if no learned answer ends
    within the limit. A cut inside an answer would show the model an answer without its end token.
    """
    if len(rendered.token_ids) <= max_length:
        return rendered
    whole = [(start, end) for start, end in rendered.answers if end <= max_length]
    length = max((end for _, end in whole if rendered.loss_mask[end - 1]), default=0)
    if not length:
        return None
    return Rendered(
        rendered.token_ids[:length],
        rendered.loss_mask[:length],
        tuple(answer for answer in whole if answer[1] <= length),
    )
