"""Mix texts and conversations.

For fine-tuning, documents become rows like rendered conversations. For pretraining, conversations
become documents of the stream.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import replace
from itertools import pairwise

import torch

from chatwright.data.encoded.conversations import EncodedConversations
from chatwright.data.encoded.corpus import EncodedCorpus, documents_of
from chatwright.tokenizer.chat_template import Rendered
from chatwright.tokenizer.control import Control
from chatwright.tokenizer.tokenizer import Tokenizer


def rows_of_documents(corpus: EncodedCorpus, bos: int, max_length: int) -> list[Rendered]:
    """Return the documents as rows in which every token is learned.

    A document longer than `max_length` tokens becomes several rows.
    """
    pieces = (
        piece
        for document in documents_of(corpus.stream, bos)
        for piece in document.split(max_length)
    )
    return [Rendered(piece.tolist(), [True] * len(piece)) for piece in pieces if len(piece) > 1]


def sample_rows(
    corpus: EncodedCorpus, bos: int, n_tokens: int, max_length: int, generator: torch.Generator
) -> list[Rendered]:
    """Draw rows of documents (`rows_of_documents`) until they hold `n_tokens` tokens."""
    rows = rows_of_documents(corpus, bos, max_length)
    chosen: list[Rendered] = []
    for index in torch.randperm(len(rows), generator=generator).tolist():
        if n_tokens <= 0:
            break
        chosen.append(rows[index])
        n_tokens -= len(rows[index].token_ids)
    return chosen


def mix_in(
    corpus: EncodedCorpus,
    conversations: Sequence[Rendered],
    control: Control,
    generator: torch.Generator,
) -> EncodedCorpus:
    """Return the corpus with conversations among its documents, in random order.

    Every token of a stream carries loss, so conversations with an answer that is not to be learned
    are left out.
    """
    kept = [conversation for conversation in conversations if learns_every_answer(conversation)]
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


def with_questions_learned(conversation: Rendered) -> Rendered:
    """Return the conversation with loss on every token but answers that are not to be learned."""
    loss_mask = [True] * len(conversation.token_ids)
    for start, end in conversation.answers:
        loss_mask[start:end] = conversation.loss_mask[start:end]
    return replace(conversation, loss_mask=loss_mask)


def learns_every_answer(conversation: Rendered) -> bool:
    """Whether every answer of the conversation is to be learned."""
    return all(conversation.loss_mask[start] for start, _ in conversation.answers)


def corpus_of_conversations(encoded: EncodedConversations, tokenizer: Tokenizer) -> EncodedCorpus:
    """Return conversations as the documents of a stream, for pretraining without texts.

    Conversations with an answer that is not to be learned are left out.
    """
    kept = [
        rendered.token_ids for rendered in encoded.conversations if learns_every_answer(rendered)
    ]
    token_ids = [token_id for ids in kept for token_id in ids]
    return EncodedCorpus(
        torch.tensor(token_ids, dtype=torch.int32),
        len(kept),
        _n_bytes(token_ids, tokenizer),
        encoded.sha256,
        encoded.n_rows_ignored,
        encoded.skipped,
    )


def _n_bytes(token_ids: Sequence[int], tokenizer: Tokenizer) -> int:
    """Return the UTF-8 size of the texts between control tokens, without the tokenizer's prefix."""
    control = tokenizer.control.all()
    n_prefixes = sum(id_ in control and next_ not in control for id_, next_ in pairwise(token_ids))
    n_bytes = sum(len(tokenizer.token_bytes(token_id)) for token_id in token_ids)
    return n_bytes - n_prefixes * len(tokenizer.prefix.encode())
