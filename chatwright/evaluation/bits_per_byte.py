"""Bits per byte: how well a model predicts a text, comparable between tokenizers.

A document of n tokens is read as <bos> t1 ... tn, in windows of `context_length` inputs that do not
overlap. t1 is predicted from <bos>. The first target of each later window is predicted from one
token, the last of the window before. Every other token is predicted from all tokens before it in
its window. So every token and every byte counts exactly once. No end token is counted.

Tokens at the beginning of a window have little context, so the result is higher than that of a
sliding window, which would cost several times as much.

The text is scored as it is. WikiText-2, for example, is tokenized in advance ("0 @.@ 7", "<unk>").
Undoing that would change the number of bytes, and no published number would be comparable.
"""

import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice

import torch
from torch import Tensor, nn

from chatwright.errors import InputError
from chatwright.evaluation.log_likelihood import log_likelihood
from chatwright.tokenizer.tokenizer import Tokenizer

DOCUMENTS_PER_BATCH = 256
"""Number of documents that are encoded and scored together."""


@dataclass(frozen=True)
class TextScore:
    """The score of a text, with its size."""

    nats: float
    """Negative log-likelihood of all tokens."""
    n_token: int
    n_byte: int
    n_document: int

    @property
    def bits_per_byte(self) -> float:
        """Negative log-likelihood in bits, divided by the number of bytes."""
        return self.nats / math.log(2) / self.n_byte

    @property
    def nats_per_token(self) -> float:
        """Mean negative log-likelihood per token."""
        return self.nats / self.n_token


def bits_per_byte(
    model: nn.Module,
    tokenizer: Tokenizer,
    documents: str | Iterable[str],
    context_length: int,
    dtype: torch.dtype | None = None,
) -> TextScore:
    """Score documents; a string is one document. Empty documents are skipped.

    Raises:
        InputError: All documents are empty, or the tokens of one differ in bytes from its text.
    """
    scores = list(score_documents(model, tokenizer, documents, context_length, dtype))
    n_byte = sum(score.n_byte for score in scores)
    if n_byte == 0:
        raise InputError(
            "There is no text to score: every document is empty.",
            remedy="Give a text.",
            field="documents",
            value=0,
        )
    nats = math.fsum(nats for score in scores for nats in score.nats_by_window)
    return TextScore(nats, sum(score.n_token for score in scores), n_byte, len(scores))


@dataclass(frozen=True)
class DocumentScore:
    """The score of one document."""

    nats_by_window: tuple[float, ...]
    """Negative log-likelihood of the tokens in each window."""
    n_token: int
    n_byte: int


def score_documents(
    model: nn.Module,
    tokenizer: Tokenizer,
    documents: str | Iterable[str],
    context_length: int,
    dtype: torch.dtype | None = None,
) -> Iterator[DocumentScore]:
    """Yield the score of each document that is not empty; see `bits_per_byte`."""
    remaining = iter([documents] if isinstance(documents, str) else documents)
    n_document = 0
    while batch := list(islice(remaining, DOCUMENTS_PER_BATCH)):
        texts = [document for document in batch if document]
        rows: list[Sequence[int]] = []
        sizes: list[tuple[int, int, int]] = []  # windows, tokens and bytes of each document
        for text, token_ids in zip(texts, tokenizer.encode_batch(texts), strict=True):
            n_byte = len(text.encode("utf-8"))
            _require_equal_bytes(tokenizer, token_ids, n_byte, n_document)
            cut = windows([tokenizer.control.bos, *token_ids], context_length)
            rows += cut
            sizes.append((len(cut), len(token_ids), n_byte))
            n_document += 1
        nats = iter((-log_likelihood(model, rows, dtype)).tolist())
        for n_window, n_token, n_byte in sizes:
            yield DocumentScore(tuple(islice(nats, n_window)), n_token, n_byte)


def _require_equal_bytes(
    tokenizer: Tokenizer, token_ids: Sequence[int], n_text_byte: int, n_document: int
) -> None:
    """Raise InputError if the tokens of a document and its text differ in their number of bytes.

    The prefix that some tokenizers add before a text, usually a space, does not count.
    """
    n_token_byte = sum(len(tokenizer.token_bytes(token_id)) for token_id in token_ids)
    n_token_byte -= len(tokenizer.prefix.encode())
    if n_token_byte != n_text_byte:
        raise InputError(
            f"Document {n_document}: its tokens have {n_token_byte} bytes, its text {n_text_byte}. "
            "Lost bytes would improve the score.",
            remedy="Use a tokenizer that can encode every byte, or text that it knows.",
            field="documents",
            value=n_document,
        )


def nats_per_token(
    model: nn.Module,
    stream: Sequence[int] | Tensor,
    context_length: int,
    dtype: torch.dtype | None = None,
) -> float:
    """Compute the mean loss over a stream of token ids, in windows that do not overlap.

    There is no <bos>: the first token is given, and every other one is predicted once. The last
    window may be shorter. Training measures the validation loss of a continuous text this way.

    Raises:
        InputError: The stream has fewer than two tokens.
    """
    token_ids = stream.tolist() if isinstance(stream, Tensor) else list(stream)
    if len(token_ids) < 2:
        raise InputError(
            f"The stream has {len(token_ids)} token(s), but it needs at least two.",
            remedy="Give a longer text.",
            field="stream",
            value=len(token_ids),
        )
    rows = windows(token_ids, context_length)
    return -float(log_likelihood(model, rows, dtype).sum()) / (len(token_ids) - 1)


def windows(stream: Sequence[int], context_length: int) -> list[Sequence[int]]:
    """Cut a stream into rows of at most `context_length` inputs and one more target.

    The last target of a row is the first input of the next.
    """
    if context_length < 1:
        raise InputError(
            f"context_length ({context_length}) must be at least 1.",
            remedy="Give a positive number of tokens.",
            field="context_length",
            value=context_length,
        )
    return [
        stream[start : start + context_length + 1]
        for start in range(0, len(stream) - 1, context_length)
    ]
