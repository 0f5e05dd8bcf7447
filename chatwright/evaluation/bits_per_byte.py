"""Bits per byte: how well a model predicts a text, comparable between tokenizers because bytes are everybody's.

A document of n tokens is read as <|bos|> t1 ... tn and cut into windows of `context_length` inputs that do not overlap.
t1 is predicted from <|bos|>; the first target of each later window is predicted from the last token of the window before
it and from nothing else; every other token sees its window up to itself. So every token, and every byte, is counted exactly
once, and no end-of-text token is counted. Tokens just after a border have little context, so the figure is an upper bound:
a sliding window would give a lower one at several times the cost.

The text is scored as it is. wikitext-2, for one, carries its own tokenisation ("0 @.@ 7", "<unk>"); we do not undo it,
because then the bytes would be ours and the number comparable to nobody's.
"""

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import islice

import torch
from torch import Tensor, nn

from chatwright.evaluation.log_likelihood import log_likelihood
from chatwright.tokenizer.tokenizer import Tokenizer

DOCUMENTS_AT_ONCE = 256  # bounds memory when `documents` is a long stream


@dataclass(frozen=True)
class TextScore:
    nats: float
    n_token: int
    n_byte: int
    n_document: int

    @property
    def bits_per_byte(self) -> float:
        return self.nats / math.log(2) / self.n_byte

    @property
    def nats_per_token(self) -> float:
        return self.nats / self.n_token


def bits_per_byte(
    model: nn.Module,
    tokenizer: Tokenizer,
    documents: str | Iterable[str],
    context_length: int,
    dtype: torch.dtype | None = None,
) -> TextScore:
    """Total nats / ln 2 / UTF-8 bytes. A string is one document; empty documents are passed over."""
    remaining = iter([documents] if isinstance(documents, str) else documents)
    nats, n_token, n_byte, n_document = 0.0, 0, 0, 0
    while chunk := list(islice(remaining, DOCUMENTS_AT_ONCE)):
        rows: list[Sequence[int]] = []
        texts = [document for document in chunk if document]
        for document, token_ids in zip(texts, tokenizer.encode_batch(texts), strict=True):
            size = len(document.encode("utf-8"))
            covered = sum(len(tokenizer.token_bytes(token_id)) for token_id in token_ids) - len(
                tokenizer.prefix.encode()
            )
            if covered != size:
                raise ValueError(
                    f"document {n_document}: its tokens stand for {covered} bytes, the text has {size}. "
                    "Losing bytes would flatter the score; use a tokenizer that can spell every byte, or text that it knows"
                )
            rows += windows([tokenizer.control.bos, *token_ids], context_length)
            n_token, n_byte, n_document = n_token + len(token_ids), n_byte + size, n_document + 1
        nats -= float(log_likelihood(model, rows, dtype).sum())
    if n_byte == 0:
        raise ValueError("there is no text to score: every document is empty")
    return TextScore(nats, n_token, n_byte, n_document)


def nats_per_token(
    model: nn.Module,
    stream: Sequence[int] | Tensor,
    context_length: int,
    dtype: torch.dtype | None = None,
) -> float:
    """Mean loss over a whole stream of token ids, in windows that do not overlap; the last one may be shorter.

    There is no <|bos|>: the first token of the stream is given, every other one is predicted once. This is the
    validation loss of the character models.
    """
    token_ids = stream.tolist() if isinstance(stream, Tensor) else list(stream)
    if len(token_ids) < 2:
        raise ValueError(
            f"the stream has {len(token_ids)} token(s); it needs at least 2, one given and one predicted"
        )
    return -float(log_likelihood(model, windows(token_ids, context_length), dtype).sum()) / (
        len(token_ids) - 1
    )


def windows(stream: Sequence[int], context_length: int) -> list[Sequence[int]]:
    """Rows of at most `context_length` inputs and one more target; the last target of a row is the first input of the next."""
    if context_length < 1:
        raise ValueError(f"context_length ({context_length}) must be at least 1")
    return [
        stream[start : start + context_length + 1]
        for start in range(0, len(stream) - 1, context_length)
    ]
