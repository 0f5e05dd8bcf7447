"""Encode the parts of a conversation: control ids, and texts with who wrote them.

Texts between two control ids are encoded together, as one text, since a tokenizer may make one
token of the end of one text and the beginning of the next. Such a token belongs to the later text.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby

from chatwright.tokenizer.chat_format import ChatFormat
from chatwright.tokenizer.tokenizer import Tokenizer

Encode = Callable[[str], Sequence[int]]


@dataclass(frozen=True)
class Owner:
    """To which answer a token belongs, and whether the model learns it."""

    answer: int | None = None
    """Index of the message; None for tokens outside of answers."""
    is_learned: bool = False


NOBODY = Owner()


@dataclass(frozen=True)
class Part:
    """A control id or a text, with its owner."""

    piece: int | str
    owner: Owner = NOBODY


def encode_parts(
    parts: Sequence[Part], tokenizer: Tokenizer, chat_format: ChatFormat
) -> list[tuple[int, Owner]]:
    """Return the token ids of the parts, each with its owner."""
    tokens: list[tuple[int, Owner]] = []
    previous: int | None = None
    runs = [(is_text, list(run)) for is_text, run in groupby(parts, _is_text)]
    for index, (is_text, run) in enumerate(runs):
        if not is_text:
            tokens += [(int(part.piece), part.owner) for part in run]
            previous = int(run[-1].piece)
            continue
        following = runs[index + 1][1][0].piece if index + 1 < len(runs) else None
        texts = _without_removed_space(_joined(run), previous, following, chat_format)
        encode: Encode = tokenizer.encode
        if previous is not None and chat_format.encode_after_marker is not None:
            encode = chat_format.encode_after_marker
        tokens += _encode_texts(texts, encode)
    return tokens


def _is_text(part: Part) -> bool:
    return isinstance(part.piece, str)


def _joined(run: Sequence[Part]) -> list[tuple[str, Owner]]:
    """Join neighboring texts of the same owner."""
    return [
        ("".join(str(part.piece) for part in texts), owner)
        for owner, texts in groupby(run, lambda part: part.owner)
    ]


def _without_removed_space(
    texts: list[tuple[str, Owner]],
    previous: int | None,
    following: int | str | None,
    chat_format: ChatFormat,
) -> list[tuple[str, Owner]]:
    """Remove the white space that the control ids before and after the texts remove."""
    if previous in chat_format.rstrip_ids:
        texts = _stripped_at_front(texts, str.lstrip)
    if following in chat_format.lstrip_ids:
        texts = _stripped_at_front(texts[::-1], str.rstrip)[::-1]
    return [(text, owner) for text, owner in texts if text]


def _stripped_at_front(
    texts: Sequence[tuple[str, Owner]], strip: Callable[[str], str]
) -> list[tuple[str, Owner]]:
    """Strip the first texts, up to the first one that has other characters than white space."""
    stripped = list(texts)
    for index, (text, owner) in enumerate(texts):
        stripped[index] = (strip(text), owner)
        if stripped[index][0]:
            break
    return stripped


def _encode_texts(
    texts: Sequence[tuple[str, Owner]], encode: Encode
) -> Iterator[tuple[int, Owner]]:
    """Yield the ids of the joined texts, each with the owner of the text it is in."""
    whole = "".join(text for text, _ in texts)
    if not whole:
        return
    token_ids = encode(whole)
    n_done = n_characters = 0
    for text, owner in texts:
        n_characters += len(text)
        if n_characters == len(whole):
            n_end = len(token_ids)
        else:
            n_end = max(n_done, _n_shared(encode(whole[:n_characters]), token_ids))
        for token_id in token_ids[n_done:n_end]:
            yield token_id, owner
        n_done = n_end


def _n_shared(beginning: Sequence[int], token_ids: Sequence[int]) -> int:
    """Return how many ids two sequences share at their beginning."""
    n = 0
    while n < min(len(beginning), len(token_ids)) and beginning[n] == token_ids[n]:
        n += 1
    return n
