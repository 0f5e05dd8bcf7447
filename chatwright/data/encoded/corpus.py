"""Documents as one stream of token ids, for pretraining.

The text and 4 bytes per token are held in memory. The result counts the rows that are left out.
"""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field, replace

import numpy
import torch

from chatwright.data.checks.contamination import remove_overlaps
from chatwright.data.checks.deduplication import deduplicate
from chatwright.data.readers.data_source import DEFAULTS, DataSource, ReadOptions, describe_source
from chatwright.data.readers.row_reader import RowsRead, read_kind
from chatwright.data.rows import DataError, Location, TextRow
from chatwright.data.split import require_fraction, split
from chatwright.tokenizer.tokenizer import Tokenizer

BATCH_CHARACTERS = 4_000_000
"""Characters tokenized at once: enough to use all processor cores, but little memory."""
NO_TEXTS = (
    "pretraining reads .txt, .md or rows with a text column. Give conversations as data of [sft] "
    "or as chat of [pretrain]. A recipe without texts leaves out data in [pretrain] and texts in "
    "[sft]"
)


@dataclass(frozen=True)
class EncodedCorpus:
    """Documents as token ids, one after another."""

    stream: torch.Tensor
    """(n_tokens,) int32: <bos> document <end> <bos> document <end> and so on."""
    n_documents: int
    n_bytes: int
    """Size of the text in UTF-8, the denominator of bits per byte."""
    sha256: str
    """Hash of the text."""
    n_rows_ignored: int = 0
    """Rows of other kinds, such as conversations."""
    skipped: tuple[str, ...] = ()
    """Files and rows that were left out because they cannot be read, one line per reason."""
    n_duplicates: int = 0
    """Rows that were left out because they repeat an earlier row."""
    n_overlaps: int = 0
    """Training rows that share a run of 13 words with a validation row, left out or not."""
    n_characters_by_file: dict[str, int] = field(default_factory=dict)


def read_texts(source: DataSource, options: ReadOptions = DEFAULTS) -> RowsRead[TextRow]:
    """Return the text rows at `source`. No text row is a DataError."""
    return read_kind(TextRow, source, options, name="text rows", remedy=NO_TEXTS)


def encode_documents(
    source: DataSource,
    tokenizer: Tokenizer,
    *,
    with_control: bool = True,
    options: ReadOptions = DEFAULTS,
) -> EncodedCorpus:
    """Encode all text rows at `source`.

    `with_control=False` leaves out <bos> and <end>.
    """
    read = read_texts(source, options)
    return _encode_rows(read.rows, read, tokenizer, with_control)


def encode_documents_split(
    source: DataSource,
    tokenizer: Tokenizer,
    validation_fraction: float = 0.1,
    *,
    with_control: bool = True,
    options: ReadOptions = DEFAULTS,
    leave_out_duplicates: bool = True,
    leave_out_overlaps: bool = False,
) -> tuple[EncodedCorpus, EncodedCorpus]:
    """Encode the text rows at `source` as (train, validation).

    Whole documents are kept for validation, chosen by their hash. If no document is small enough,
    the end of each is kept. If one huge document is most of the data, its end is kept too.
    """
    require_fraction(validation_fraction)
    read = read_texts(source, options)
    rows = read.rows
    if leave_out_duplicates:
        rows = [row for row in deduplicate(rows).rows if isinstance(row, TextRow)]
    train, validation, n_overlaps = _split_rows(rows, validation_fraction, leave_out_overlaps)
    if not train:
        raise DataError(
            Location(describe_source(source)),
            "too little text to keep some for validation",
            "add text, or make validation_share smaller",
        )
    encoded = _encode_rows(train, read, tokenizer, with_control)
    return (
        replace(encoded, n_duplicates=len(read.rows) - len(rows), n_overlaps=n_overlaps),
        _encode_rows(validation, read, tokenizer, with_control),
    )


def _split_rows(
    rows: Sequence[TextRow], fraction: float, leave_out_overlaps: bool
) -> tuple[list[TextRow], list[TextRow], int]:
    """Return (train, validation, number of training rows that overlap with validation rows)."""
    parts = split([row.text for row in rows], [len(row.text) for row in rows], fraction)
    if not any(parts.is_validation):
        beginnings, ends = _cut(rows, fraction)
        return beginnings, ends, 0
    train: list[TextRow] = []
    validation: list[TextRow] = []
    dominant: list[TextRow] = []
    for row, is_validation, is_dominant in zip(
        rows, parts.is_validation, parts.is_dominant, strict=True
    ):
        (validation if is_validation else dominant if is_dominant else train).append(row)
    clean, overlaps = remove_overlaps(train, validation)
    if leave_out_overlaps:
        train = clean
    beginnings, ends = _cut(dominant, fraction)
    return train + beginnings, validation + ends, len(overlaps)


def _cut(rows: Sequence[TextRow], fraction: float) -> tuple[list[TextRow], list[TextRow]]:
    """Return the beginning and the last `fraction` of each text, without empty beginnings."""
    beginnings: list[TextRow] = []
    ends: list[TextRow] = []
    for row in rows:
        n_train = int(len(row.text) * (1 - fraction))
        if n_train:
            beginnings.append(replace(row, text=row.text[:n_train]))
        ends.append(replace(row, text=row.text[n_train:]))
    return beginnings, ends


def _encode_rows(
    rows: Sequence[TextRow], read: RowsRead[TextRow], tokenizer: Tokenizer, with_control: bool
) -> EncodedCorpus:
    n_characters: Counter[str] = Counter()
    for row in rows:
        n_characters[row.location.file] += len(row.text)
    return replace(
        encode_texts([row.text for row in rows], tokenizer, with_control),
        n_rows_ignored=read.n_ignored,
        skipped=read.skipped,
        n_characters_by_file=dict(n_characters),
    )


def encode_texts(
    texts: Sequence[str], tokenizer: Tokenizer, with_control: bool = True
) -> EncodedCorpus:
    """Encode texts in memory, one document each."""
    before = [int(tokenizer.control.bos)] if with_control else []
    after = [int(tokenizer.control.end)] if with_control else []
    parts: list[numpy.ndarray] = []
    n_bytes = 0
    content = hashlib.sha256()
    for batch in _batches(texts):
        for text, ids in zip(batch, tokenizer.encode_batch(batch), strict=True):
            data = text.encode("utf-8")
            n_bytes += len(data)
            content.update(len(data).to_bytes(8, "little") + data)
            parts.append(numpy.array([*before, *ids, *after], dtype=numpy.int32))
    joined = numpy.concatenate(parts) if parts else numpy.empty(0, dtype=numpy.int32)
    return EncodedCorpus(torch.from_numpy(joined), len(texts), n_bytes, content.hexdigest())


def _batches(texts: Sequence[str]) -> list[list[str]]:
    """Group neighboring texts into batches of about BATCH_CHARACTERS."""
    groups: list[list[str]] = []
    length = BATCH_CHARACTERS
    for text in texts:
        if length >= BATCH_CHARACTERS:
            groups.append([])
            length = 0
        groups[-1].append(text)
        length += len(text)
    return groups


def documents_of(stream: torch.Tensor, bos: int) -> list[torch.Tensor]:
    """Cut a stream before each <bos>."""
    starts = (stream == bos).nonzero().flatten().tolist()
    return list(torch.tensor_split(stream, starts[1:])) if len(starts) > 1 else [stream]
