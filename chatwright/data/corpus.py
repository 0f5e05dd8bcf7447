"""Data on disk -> token ids ready to train on: a stream of documents, or a list of rendered conversations.

Both read everything into memory (the text, and 4 bytes per token for the stream). Both count what they leave out and why;
nothing is cut or dropped without a number in the result. A bad row stops them, unless `skip_bad_rows` asks to go on.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import TypeVar

import numpy
import torch

from chatwright.data.contamination import find_overlaps, remove_overlaps
from chatwright.data.deduplication import deduplicate
from chatwright.data.readers import DataSource, describe_source, read_rows
from chatwright.data.rows import ChatRow, DataError, Location, TextRow
from chatwright.data.split import choose_validation, require_fraction
from chatwright.errors import InputError
from chatwright.tokenizer.chat_format import turn_kind
from chatwright.tokenizer.chat_template import Rendered, render
from chatwright.tokenizer.control import Control
from chatwright.tokenizer.tokenizer import Tokenizer
from chatwright.tokenizer.tool_call_text import message_text

BATCH_CHARACTERS = 4_000_000
# Earlier versions hashed these role names. Keeping them lets a run of an earlier version resume.
HASHED_ROLE = {"tool_call": "command", "tool": "result"}
RowType = TypeVar("RowType", TextRow, ChatRow)


@dataclass(frozen=True)
class EncodedCorpus:
    stream: torch.Tensor  # (n_tokens,) int32: <bos> document <end> <bos> document <end> ...
    n_documents: int
    n_bytes: int  # of the text in UTF-8: what bits per byte divides by
    sha256: str  # of the text
    n_rows_ignored: (
        int  # conversations and preferences met on the way, which this corpus does not hold
    )
    skipped: tuple[
        str, ...
    ]  # files of unknown kinds in the folder, and with skip_bad_rows the bad rows, each with its reason
    n_duplicates: int = 0  # rows left out because an earlier one says the same
    n_overlaps: int = 0  # training rows that share a run of 13 words with a validation row; left out only where that was asked for


@dataclass(frozen=True)
class EncodedConversations:
    conversations: list[Rendered]
    n_tokens: int
    n_supervised_tokens: int
    n_cut: int  # longer than max_length: later turns left out, cut after a whole answer
    n_too_long: int  # not even the first answer ends within max_length: left out
    n_rows_ignored: int  # text and preference rows met on the way
    sha256: str
    skipped: tuple[str, ...]
    n_overlaps: int = (
        0  # training rows that share a run of 13 words with a validation row; they stay
    )


def encode_documents(
    path: DataSource,
    tokenizer: Tokenizer,
    *,
    with_control: bool = True,
    skip_bad_rows: bool = False,
) -> EncodedCorpus:
    """All text rows at `path` as one stream. `with_control=False` leaves out <bos> and <end>: bare text, as in a character lesson."""
    texts, n_ignored, skipped = read_documents(path, skip_bad_rows)
    return encode_texts(texts, tokenizer, with_control, n_ignored, skipped)


def encode_documents_split(
    path: DataSource,
    tokenizer: Tokenizer,
    validation_fraction: float = 0.1,
    *,
    with_control: bool = True,
    skip_bad_rows: bool = False,
    leave_out_duplicates: bool = True,
    leave_out_overlaps: bool = False,
) -> tuple[EncodedCorpus, EncodedCorpus]:
    """(train, validation). Whole documents by hash; where no document is small enough for that, the tail of each."""
    require_fraction(validation_fraction)
    rows, n_ignored, skipped = read_text_rows(path, skip_bad_rows)
    n_rows = len(rows)
    if leave_out_duplicates:
        rows = [row for row in deduplicate(rows).rows if isinstance(row, TextRow)]
    texts = [row.text for row in rows]
    chosen = choose_validation(texts, [len(text) for text in texts], validation_fraction)
    n_overlaps = 0
    if any(chosen):
        held_out = [row for row, is_validation in zip(rows, chosen, strict=True) if is_validation]
        train_rows = [
            row for row, is_validation in zip(rows, chosen, strict=True) if not is_validation
        ]
        clean, overlaps = remove_overlaps(train_rows, held_out)
        train = [row.text for row in (clean if leave_out_overlaps else train_rows)]
        validation, n_overlaps = [row.text for row in held_out], len(overlaps)
    else:
        cuts = [int(len(text) * (1 - validation_fraction)) for text in texts]
        train = [text[:cut] for text, cut in zip(texts, cuts, strict=True) if text[:cut]]
        validation = [text[cut:] for text, cut in zip(texts, cuts, strict=True)]
    if not train:
        raise DataError(
            Location(describe_source(path)),
            "too little text to keep some for validation",
            "add text, or make validation_share smaller",
        )
    encoded = encode_texts(train, tokenizer, with_control, n_ignored, skipped)
    return (
        replace(encoded, n_duplicates=n_rows - len(rows), n_overlaps=n_overlaps),
        encode_texts(validation, tokenizer, with_control, n_ignored, skipped),
    )


def documents_of(stream: torch.Tensor, bos: int) -> list[torch.Tensor]:
    """The stream cut before each <bos>."""
    starts = (stream == bos).nonzero().flatten().tolist()
    return list(torch.tensor_split(stream, starts[1:])) if len(starts) > 1 else [stream]


def some_as_rendered(
    corpus: EncodedCorpus, bos: int, n_tokens: int, max_length: int, generator: torch.Generator
) -> list[Rendered]:
    """Drawn documents of about `n_tokens` in all, each cut into pieces of at most `max_length`; every token is to be learned."""
    pieces = as_rendered(corpus, bos, max_length)
    chosen: list[Rendered] = []
    for index in torch.randperm(len(pieces), generator=generator).tolist():
        if n_tokens <= 0:
            break
        chosen.append(pieces[index])
        n_tokens -= len(pieces[index].token_ids)
    return chosen


def mix_in(
    corpus: EncodedCorpus,
    conversations: Sequence[Rendered],
    control: Control,
    generator: torch.Generator,
) -> EncodedCorpus:
    """The corpus with whole conversations among its documents, all in a drawn order.

    A stream learns every token it holds, so conversations with an answer that is not to be learned are left out.
    """
    kept = [conversation for conversation in conversations if is_learned_whole(conversation)]
    documents = documents_of(corpus.stream, control.bos)
    documents += [torch.tensor(conversation.token_ids, dtype=torch.int32) for conversation in kept]
    order = torch.randperm(len(documents), generator=generator).tolist()
    content = hashlib.sha256(corpus.sha256.encode())
    for conversation in kept:
        content.update(repr(conversation.token_ids).encode())
    return replace(
        corpus,
        stream=torch.cat([documents[i] for i in order]),
        sha256=content.hexdigest(),
        n_documents=corpus.n_documents + len(kept),
    )


def as_rendered(corpus: EncodedCorpus, bos: int, max_length: int) -> list[Rendered]:
    """Its documents, whole where they fit into `max_length` tokens, else in pieces; every token is to be learned."""
    pieces = (
        piece
        for document in documents_of(corpus.stream, bos)
        for piece in document.split(max_length)
    )
    return [Rendered(piece.tolist(), [True] * len(piece)) for piece in pieces if len(piece) > 1]


def to_be_read(conversation: Rendered) -> Rendered:
    """All of a conversation is learned, the questions too, but for answers that are not to be learned."""
    is_read = [True] * len(conversation.token_ids)
    for start, end in conversation.answers:
        is_read[start:end] = conversation.loss_mask[start:end]
    return replace(conversation, loss_mask=is_read)


def is_learned_whole(conversation: Rendered) -> bool:
    """Whether every answer is one to be learned."""
    return all(conversation.loss_mask[start] for start, _ in conversation.answers)


def as_documents(read: EncodedConversations, tokenizer: Tokenizer) -> EncodedCorpus:
    """Whole conversations as the documents of a stream, by the rule of `mix_in`: what pretraining reads where there are no texts."""
    kept = [
        conversation.token_ids
        for conversation in read.conversations
        if is_learned_whole(conversation)
    ]
    token_ids = [token_id for ids in kept for token_id in ids]
    prefixes = len(tokenizer.prefix.encode()) * sum(
        id_ in tokenizer.control.all() and next_ not in tokenizer.control.all()
        for id_, next_ in pairwise(token_ids)
    )
    n_bytes = sum(len(tokenizer.token_bytes(token_id)) for token_id in token_ids) - prefixes
    return EncodedCorpus(
        torch.tensor(token_ids, dtype=torch.int32),
        len(kept),
        n_bytes,
        read.sha256,
        read.n_rows_ignored,
        read.skipped,
    )


def read_documents(
    path: DataSource, skip_bad_rows: bool = False
) -> tuple[list[str], int, tuple[str, ...]]:
    rows, n_ignored, skipped = read_text_rows(path, skip_bad_rows)
    return [row.text for row in rows], n_ignored, skipped


def read_text_rows(
    path: DataSource, skip_bad_rows: bool = False
) -> tuple[list[TextRow], int, tuple[str, ...]]:
    remedy = (
        "pretraining reads .txt, .md or rows with a text column; conversations are for fine-tuning (sft), and for chat in pretraining, "
        "which needs no data beside it: in a recipe without texts leave out data in [pretrain] and texts in [sft]"
    )
    return rows_of(TextRow, path, skip_bad_rows, "text rows", remedy)


def read_conversations(
    path: DataSource, skip_bad_rows: bool = False
) -> tuple[list[ChatRow], int, tuple[str, ...]]:
    remedy = "fine-tuning reads rows with messages, prompt+completion, instruction+output or conversations; plain text is for pretraining"
    return rows_of(ChatRow, path, skip_bad_rows, "conversations", remedy)


def rows_of(
    kind: type[RowType], path: DataSource, skip_bad_rows: bool, name: str, remedy: str
) -> tuple[list[RowType], int, tuple[str, ...]]:
    """The rows of one kind, how many of other kinds were met, and what was left out. None of this kind is an error."""
    skipped: list[DataError] = []
    rows: list[RowType] = []
    n_ignored = 0
    for row in read_rows(path, skipped, skip_bad_rows):
        if isinstance(row, kind):
            rows.append(row)
        else:
            n_ignored += 1
    if not rows:
        raise DataError(
            Location(describe_source(path)), f"no {name} among its {n_ignored} rows", remedy
        )
    return rows, n_ignored, tuple(map(str, skipped))


def encode_texts(
    texts: Sequence[str],
    tokenizer: Tokenizer,
    with_control: bool = True,
    n_ignored: int = 0,
    skipped: tuple[str, ...] = (),
) -> EncodedCorpus:
    """The same from texts in memory, one per document."""
    before = [int(tokenizer.control.bos)] if with_control else []
    after = [int(tokenizer.control.end)] if with_control else []
    parts: list[numpy.ndarray] = []
    n_bytes = 0
    content = hashlib.sha256()
    for batch in batches(texts):
        for text, ids in zip(batch, tokenizer.encode_batch(batch), strict=True):
            data = text.encode("utf-8")
            n_bytes += len(data)
            content.update(len(data).to_bytes(8, "little") + data)
            parts.append(numpy.array([*before, *ids, *after], dtype=numpy.int32))
    stream = (
        torch.from_numpy(numpy.concatenate(parts)) if parts else torch.empty(0, dtype=torch.int32)
    )
    return EncodedCorpus(stream, len(texts), n_bytes, content.hexdigest(), n_ignored, skipped)


def batches(texts: Sequence[str]) -> list[list[str]]:
    """Neighbouring texts in groups of about BATCH_CHARACTERS: enough for both cores, little enough for memory."""
    groups: list[list[str]] = []
    length = BATCH_CHARACTERS
    for text in texts:
        if length >= BATCH_CHARACTERS:
            groups.append([])
            length = 0
        groups[-1].append(text)
        length += len(text)
    return groups


def encode_conversations(
    path: DataSource, tokenizer: Tokenizer, max_length: int, *, skip_bad_rows: bool = False
) -> EncodedConversations:
    """All conversations at `path`, rendered, none longer than `max_length` tokens."""
    rows, n_ignored, skipped = read_conversations(path, skip_bad_rows)
    return encode_chat_rows(path, rows, tokenizer, max_length, n_ignored, skipped)


def encode_conversations_split(
    path: DataSource,
    tokenizer: Tokenizer,
    max_length: int,
    validation_fraction: float = 0.1,
    *,
    skip_bad_rows: bool = False,
) -> tuple[EncodedConversations, EncodedConversations]:
    """(train, validation), by the hash of the first question: the same question never stands on both sides."""
    rows, n_ignored, skipped = read_conversations(path, skip_bad_rows)
    questions = [
        next(message.text for message in row.messages if message.role == "user") for row in rows
    ]
    sizes = [sum(len(message_text(message)) for message in row.messages) for row in rows]
    chosen = choose_validation(questions, sizes, validation_fraction)
    if not any(chosen) or all(chosen):
        raise DataError(
            Location(describe_source(path)),
            f"its {len(rows)} conversations are too few or too alike to keep {validation_fraction:.0%} for validation",
            "add conversations with other first questions, or make validation_share larger",
        )
    train = [row for row, is_validation in zip(rows, chosen, strict=True) if not is_validation]
    validation = [row for row, is_validation in zip(rows, chosen, strict=True) if is_validation]
    # Repeats are kept here: a row told twelve times was meant to weigh twelve times. They all fall on one side, by their question.
    overlaps = len(find_overlaps(train, validation))
    return (
        replace(
            encode_chat_rows(path, train, tokenizer, max_length, n_ignored, skipped),
            n_overlaps=overlaps,
        ),
        encode_chat_rows(path, validation, tokenizer, max_length, n_ignored, skipped),
    )


def encode_chat_rows(
    path: DataSource,
    rows: Sequence[ChatRow],
    tokenizer: Tokenizer,
    max_length: int,
    n_ignored: int = 0,
    skipped: tuple[str, ...] = (),
) -> EncodedConversations:
    """The same from rows in memory."""
    conversations: list[Rendered] = []
    n_cut = n_too_long = 0
    content = hashlib.sha256()
    for row in rows:
        try:
            rendered = render(row.messages, tokenizer, row.learned or None)
        except InputError as error:
            raise DataError(row.location, error.problem.rstrip("."), error.remedy) from None
        except ValueError as error:  # text that the tokenizer cannot encode
            cause, _, remedy = str(error).partition(": ")
            raise DataError(row.location, cause, remedy) from None
        for message in row.messages:
            data = message_text(message).encode("utf-8")
            kind = turn_kind(message)
            content.update(f"{HASHED_ROLE.get(kind, kind)} {len(data)} ".encode() + data)
        kept = cut_after_answer(rendered, max_length)
        n_too_long += kept is None
        n_cut += kept is not None and kept is not rendered
        if kept is not None:
            conversations.append(kept)
    if not conversations:
        raise DataError(
            Location(describe_source(path)),
            f"none of its {len(rows)} conversations has its first answer within {max_length} tokens",
            "make the context length larger or the conversations shorter",
        )
    return EncodedConversations(
        conversations=conversations,
        n_tokens=sum(len(rendered.token_ids) for rendered in conversations),
        n_supervised_tokens=sum(sum(rendered.loss_mask) for rendered in conversations),
        n_cut=n_cut,
        n_too_long=n_too_long,
        n_rows_ignored=n_ignored,
        sha256=content.hexdigest(),
        skipped=skipped,
    )


def cut_after_answer(rendered: Rendered, max_length: int) -> Rendered | None:
    """The longest beginning of at most `max_length` tokens that ends with a whole answer or command; None if there is none.

    Cutting inside an answer would show the model text that never reaches its end token.
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
