"""Map a token as written in tokenizer.json to the bytes of text that it represents.

Each kind of tokenizer writes its tokens in its own way:

    byte-level BPE   one printable character per byte (GPT-2's table): "Ġthe" is " the"
    SentencePiece    spaces as "▁" (U+2581): "▁the" is " the"; "<0x0A>" is the byte 10
    WordPiece        "##ing" continues a word; a token without "##" starts a new one
    GPT-1's BPE      "the</w>" ends a word
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

from chatwright.tokenizer.byte_bpe import bytes_to_unicode

BYTE_TOKEN = re.compile(r"<0x([0-9A-F]{2})>")
WORD_START = "\N{LOWER ONE EIGHTH BLOCK}"  # "▁", which SentencePiece writes instead of a space

TokenToBytes = Callable[[str], bytes]


def token_to_bytes(document: dict[str, Any]) -> TokenToBytes:
    """Return the function that maps a token of this tokenizer.json to its bytes."""
    model = document["model"]
    steps = {*_step_types(document.get("decoder")), *_step_types(document.get("pre_tokenizer"))}
    if "ByteLevel" in steps:
        return _byte_level()
    if model.get("type") == "WordPiece":
        return _word_piece(str(model.get("continuing_subword_prefix") or "##"))
    if suffix := model.get("end_of_word_suffix"):
        return _end_of_word(str(suffix))
    return _sentence_piece(bool(model.get("byte_fallback")))


def _byte_level() -> TokenToBytes:
    byte_of = {character: byte for byte, character in enumerate(bytes_to_unicode())}

    def to_bytes(token: str) -> bytes:
        try:
            return bytes(byte_of[character] for character in token)
        except KeyError:  # added tokens are written as plain text
            return token.encode()

    return to_bytes


def _word_piece(prefix: str) -> TokenToBytes:
    def to_bytes(token: str) -> bytes:
        if token.startswith(prefix):
            return token.removeprefix(prefix).encode()
        return f" {token}".encode()

    return to_bytes


def _end_of_word(suffix: str) -> TokenToBytes:
    def to_bytes(token: str) -> bytes:
        if token.endswith(suffix):
            return f"{token.removesuffix(suffix)} ".encode()
        return token.encode()

    return to_bytes


def _sentence_piece(byte_fallback: bool) -> TokenToBytes:
    def to_bytes(token: str) -> bytes:
        if byte_fallback and (byte := BYTE_TOKEN.fullmatch(token)):
            return bytes([int(byte.group(1), 16)])
        return token.replace(WORD_START, " ").encode()

    return to_bytes


def _step_types(part: Any) -> list[str]:
    """Return the type of a decoder or pre-tokenizer and of the steps inside a sequence."""
    match part:
        case {"type": str(name), "decoders": [*steps]}:
            pass
        case {"type": str(name), "pretokenizers": [*steps]}:
            pass
        case {"type": str(name)}:
            steps = []
        case _:
            return []
    return [name, *(inner for step in steps for inner in _step_types(step))]
