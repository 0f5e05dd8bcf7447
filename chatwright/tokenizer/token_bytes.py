"""From a token as it is spelled in tokenizer.json to the bytes of text it stands for: byte-level, SentencePiece, WordPiece or GPT-1's way."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

from chatwright.tokenizer.byte_bpe import bytes_to_unicode

BYTE = re.compile(r"<0x([0-9A-F]{2})>")
WORD_START = "\N{LOWER ONE EIGHTH BLOCK}"  # SentencePiece writes a space so

Spelling = Callable[[str], bytes]


def spelling_of(document: dict[str, Any]) -> Spelling:
    """How the tokens of this tokenizer.json are spelled, by what its decoder says it undoes."""
    model, kinds = (
        document["model"],
        set(_kinds(document.get("decoder"))) | set(_kinds(document.get("pre_tokenizer"))),
    )
    if "ByteLevel" in kinds:
        return _byte_level()
    if model.get("type") == "WordPiece":
        prefix = str(model.get("continuing_subword_prefix") or "##")
        return lambda token: (
            token.removeprefix(prefix).encode()
            if token.startswith(prefix)
            else f" {token}".encode()
        )
    if suffix := model.get("end_of_word_suffix"):
        return lambda token: (
            f"{token.removesuffix(suffix)} " if token.endswith(suffix) else token
        ).encode()
    has_bytes = bool(model.get("byte_fallback"))
    return lambda token: _sentence_piece(token, has_bytes)


def _byte_level() -> Spelling:
    byte_of = {character: byte for byte, character in enumerate(bytes_to_unicode())}

    def spell(token: str) -> bytes:
        try:
            return bytes(byte_of[character] for character in token)
        except KeyError:  # an added token is spelled as it is read
            return token.encode()

    return spell


def _sentence_piece(token: str, has_bytes: bool) -> bytes:
    if has_bytes and (byte := BYTE.fullmatch(token)):
        return bytes([int(byte.group(1), 16)])
    return token.replace(WORD_START, " ").encode()


def _kinds(part: Any) -> list[str]:
    """The types of a decoder or pre-tokenizer, and of those inside a sequence."""
    match part:
        case {"type": str(kind), "decoders": [*inside]} | {
            "type": str(kind),
            "pretokenizers": [*inside],
        }:
            return [kind, *(inner for one in inside for inner in _kinds(one))]
        case {"type": str(kind)}:
            return [kind]
    return []
