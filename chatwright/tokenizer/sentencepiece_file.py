"""A SentencePiece model (.model, .spm) read as data, and said again in tokenizer.json's words: Unigram and BPE.

The file is a protocol buffer; only the few fields that decide what a text becomes are read. Source: sentencepiece_model.proto.
"""

from __future__ import annotations

import base64
import re
import struct
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from chatwright.tokenizer import sentencepiece_normalizer
from chatwright.tokenizer.token_bytes import WORD_START

UNIGRAM, BPE = 1, 2
UNKNOWN, CONTROL, USER_DEFINED = 2, 3, 4
MAX_BYTES = 8 * 2**20
LARGEST_VOCABULARY = 2**21


@dataclass(frozen=True)
class Piece:
    text: str
    score: float
    kind: int


@dataclass(frozen=True)
class SentencePieceModel:
    pieces: tuple[Piece, ...]
    algorithm: int
    has_bytes: bool  # what is not in the vocabulary is written byte by byte
    charsmap: bytes  # how characters are normalised, in the library's own form
    adds_prefix: bool  # a space goes before every text
    joins_spaces: bool  # several spaces are one, and none stand at the ends


def read(data: bytes) -> SentencePieceModel:
    """Raises ValueError for what is no such file."""
    if len(data) > MAX_BYTES:
        raise ValueError(
            f"not a SentencePiece model: larger than {MAX_BYTES // 2**20} MiB. Get the file again from where the model came"
        )
    try:
        fields = list(_fields(data))
        pieces = tuple(_piece(value) for number, value in fields if number == 1)
        trainer, normalizer = (
            dict(_fields(next((v for n, v in fields if n == number), b""))) for number in (2, 3)
        )
        charsmap_bytes = _bytes(normalizer.get(2, b""))
    except (IndexError, ValueError, struct.error, TypeError) as error:
        raise ValueError(
            f"not a SentencePiece model ({error}). Get the file again from where the model came"
        ) from None
    if not 0 < len(pieces) <= LARGEST_VOCABULARY:
        raise ValueError(
            f"not a SentencePiece model: {len(pieces)} pieces. Get the file again from where the model came"
        )
    algorithm = trainer.get(3, UNIGRAM)
    if algorithm not in (UNIGRAM, BPE):
        raise ValueError(
            "a SentencePiece model of words or characters, which is not known here; known are Unigram and BPE"
        )
    return SentencePieceModel(
        pieces,
        algorithm,
        bool(trainer.get(35, 0)),
        charsmap_bytes,
        bool(normalizer.get(3, 1)),
        bool(normalizer.get(4, 1)),
    )


def _piece(data: bytes) -> Piece:
    fields = dict(_fields(data))
    return Piece(
        _bytes(fields.get(1, b"")).decode("utf-8"),
        struct.unpack("<f", fields.get(2, b"\0\0\0\0"))[0],
        int(fields.get(3, 1)),
    )


def _bytes(value: Any) -> bytes:
    """A number where bytes belong would be that many zeros."""
    if not isinstance(value, bytes):
        raise TypeError("a number stands where a text belongs")
    return value


def _fields(data: bytes) -> Iterator[tuple[int, Any]]:
    """The fields of a message: numbers as int, everything else as bytes."""
    place = 0
    while place < len(data):
        key, place = _varint(data, place)
        match key & 7:
            case 0:
                value, place = _varint(data, place)
                yield key >> 3, value
            case 1 | 5 as kind:
                length = 8 if kind == 1 else 4
                yield key >> 3, data[place : place + length]
                place += length
            case 2:
                length, place = _varint(data, place)
                if place + length > len(data):
                    raise IndexError("a field goes over the end")
                yield key >> 3, data[place : place + length]
                place += length
            case _:
                raise IndexError("an unknown kind of field")


def _varint(data: bytes, place: int) -> tuple[int, int]:
    value = shift = 0
    while shift < 70:
        byte = data[place]
        value |= (byte & 0x7F) << shift
        place, shift = place + 1, shift + 7
        if byte < 0x80:
            return value, place
    raise IndexError("a number that does not end")


def as_document(model: SentencePieceModel) -> dict[str, Any]:
    """tokenizer.json of the same pieces in the same order: what other tools read, and nearly the same ids (see `writer`)."""
    texts = [piece.text for piece in model.pieces]
    unknown = next((i for i, piece in enumerate(model.pieces) if piece.kind == UNKNOWN), None)
    added = [
        {
            "id": i,
            "content": piece.text,
            "single_word": False,
            "lstrip": False,
            "rstrip": False,
            "normalized": False,
            "special": piece.kind != USER_DEFINED,
        }
        for i, piece in enumerate(model.pieces)
        if piece.kind in (UNKNOWN, CONTROL, USER_DEFINED)
    ]
    document: dict[str, Any] = {
        "version": "1.0",
        "truncation": None,
        "padding": None,
        "added_tokens": added,
        "post_processor": None,
        **_spaces(model),
    }
    if model.algorithm == UNIGRAM:
        vocab = [[piece.text, piece.score] for piece in model.pieces]
        return document | {
            "model": {
                "type": "Unigram",
                "unk_id": unknown,
                "vocab": vocab,
                "byte_fallback": model.has_bytes,
            }
        }
    return document | {
        "model": {
            "type": "BPE",
            "dropout": None,
            "unk_token": None if unknown is None else texts[unknown],
            "continuing_subword_prefix": None,
            "end_of_word_suffix": None,
            "fuse_unk": True,
            "byte_fallback": model.has_bytes,
            "ignore_merges": False,
            "vocab": {text: i for i, text in enumerate(texts)},
            "merges": _merges(model.pieces),
        }
    }


def writer(model: SentencePieceModel) -> Callable[[str], str]:
    """The function that writes a text as SentencePiece does before it cuts it: its characters made plain, its spaces visible.

    The `tokenizers` library's own steps (`_spaces`) take letters with accents, and spaces that a text itself writes visibly, otherwise.
    """
    plain = sentencepiece_normalizer.from_charsmap(model.charsmap) if model.charsmap else str

    def written(text: str) -> str:
        text = plain(text)
        if model.joins_spaces:
            text = re.sub(" +", " ", text).strip(" ")
        if not text:
            return text
        text = (WORD_START if model.adds_prefix else "") + text.replace(" ", WORD_START)
        return text.rstrip(WORD_START) if model.joins_spaces else text

    return written


def _spaces(model: SentencePieceModel) -> dict[str, Any]:
    """What happens to a text before it is cut into pieces, and to pieces before they are text again."""
    mapped: list[dict[str, Any]] = []
    if model.charsmap:
        mapped = [
            {
                "type": "Precompiled",
                "precompiled_charsmap": base64.b64encode(model.charsmap).decode(),
            }
        ]
    if model.joins_spaces:
        joined: list[dict[str, Any]] = [
            {"type": "Replace", "pattern": {"Regex": pattern}, "content": content}
            for pattern, content in ((" {2,}", " "), (r"\A | \z", ""))
        ]
        # A whole text is one word to SentencePiece's merges; its Unigram pieces never go over a space.
        space = {
            "type": "Metaspace",
            "replacement": WORD_START,
            "prepend_scheme": "always" if model.adds_prefix else "never",
            "split": model.algorithm == UNIGRAM,
        }
        return {
            "normalizer": {"type": "Sequence", "normalizers": [*mapped, *joined]},
            "pre_tokenizer": space,
            "decoder": space,
        }
    # The library's own prefix leaves out the one before a text that begins with a space; SentencePiece does not.
    written: list[dict[str, Any]] = (
        [{"type": "Prepend", "prepend": WORD_START}] if model.adds_prefix else []
    )
    written.append({"type": "Replace", "pattern": {"String": " "}, "content": WORD_START})
    read_again: list[dict[str, Any]] = [
        {"type": "Replace", "pattern": {"String": WORD_START}, "content": " "},
        {"type": "ByteFallback"},
        {"type": "Fuse"},
    ]
    if model.adds_prefix:
        read_again.append({"type": "Strip", "content": " ", "start": 1, "stop": 0})
    return {
        "normalizer": {"type": "Sequence", "normalizers": [*mapped, *written]},
        "pre_tokenizer": None,
        "decoder": {"type": "Sequence", "decoders": read_again},
    }


def _merges(pieces: Sequence[Piece]) -> list[list[str]]:
    """SentencePiece keeps no merges: any two pieces that make a third may be merged, the third of the highest score first."""
    ids = {piece.text: i for i, piece in enumerate(pieces)}
    found = []
    for piece in pieces:
        splits = [(piece.text[:i], piece.text[i:]) for i in range(1, len(piece.text))]
        known = sorted(
            (ids[left], ids[right]) for left, right in splits if left in ids and right in ids
        )
        found += [(piece.score, left, right) for left, right in known]
    found.sort(key=lambda merge: -merge[0])
    return [[pieces[left].text, pieces[right].text] for _, left, right in found]
