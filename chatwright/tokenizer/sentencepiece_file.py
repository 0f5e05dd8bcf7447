"""Read a SentencePiece model file (.model, .spm), and normalize texts by its settings.

SentencePiece (Kudo & Richardson 2018) splits a text into pieces of a learned vocabulary, with
spaces written as "▁". Its two usual algorithms are BPE and Unigram, which picks the most probable
split under a model of independent pieces (Kudo 2018).

The file is a protocol buffer. Only the fields that decide how a text is split are read; their
names are those of sentencepiece_model.proto.
"""

from __future__ import annotations

import re
import struct
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

from chatwright.errors import InputError
from chatwright.tokenizer import sentencepiece_normalizer
from chatwright.tokenizer.token_bytes import WORD_START

# TrainerSpec.ModelType.
UNIGRAM = 1
BPE = 2
# SentencePiece.Type; 1 is a normal piece.
UNKNOWN = 2
CONTROL = 3
USER_DEFINED = 4
MAX_BYTES = 8 * 2**20
MAX_PIECES = 2**21
MAX_VARINT_BITS = 70


@dataclass(frozen=True)
class Piece:
    """One entry of the vocabulary; its index is its id."""

    text: str
    score: float  # Unigram: log-probability. BPE: pairs with a higher score are merged first.
    type: int


@dataclass(frozen=True)
class SentencePieceModel:
    """The fields of a SentencePiece model that decide how a text is split."""

    pieces: tuple[Piece, ...]
    model_type: int  # UNIGRAM or BPE
    byte_fallback: bool  # unknown characters become bytes ("<0x0A>") instead of <unk>
    precompiled_charsmap: bytes  # normalization of characters, see sentencepiece_normalizer.py
    add_dummy_prefix: bool  # add a space before every text
    remove_extra_whitespaces: bool  # merge runs of spaces, and strip spaces at both ends


def read(data: bytes) -> SentencePieceModel:
    """Parse the file's bytes. Raises InputError if they are not a SentencePiece model."""
    if len(data) > MAX_BYTES:
        raise _unusable(f"it is larger than {MAX_BYTES // 2**20} MiB")
    try:
        fields = list(_fields(data))
        pieces = tuple(_piece(value) for number, value in fields if number == 1)
        trainer_spec = _message(fields, 2)
        normalizer_spec = _message(fields, 3)
        charsmap = _require_bytes(normalizer_spec.get(2, b""))
    except (IndexError, ValueError, struct.error, TypeError) as error:
        raise _unusable(str(error)) from None
    if not 0 < len(pieces) <= MAX_PIECES:
        raise _unusable(f"it holds {len(pieces)} pieces")
    model_type = trainer_spec.get(3, UNIGRAM)
    if model_type not in (UNIGRAM, BPE):
        raise _unusable("its pieces are words or characters; only Unigram and BPE are supported")
    return SentencePieceModel(
        pieces,
        model_type,
        byte_fallback=bool(trainer_spec.get(35, 0)),
        precompiled_charsmap=charsmap,
        add_dummy_prefix=bool(normalizer_spec.get(3, 1)),
        remove_extra_whitespaces=bool(normalizer_spec.get(4, 1)),
    )


def normalizer(model: SentencePieceModel) -> Callable[[str], str]:
    """Return the function that prepares a text as SentencePiece does before it splits it.

    It normalizes characters and writes spaces as "▁". The `tokenizers` library's own steps differ
    from SentencePiece's for accented letters and for texts that contain "▁" themselves.
    """
    charsmap = model.precompiled_charsmap
    replace_characters = sentencepiece_normalizer.from_charsmap(charsmap) if charsmap else str

    def normalize(text: str) -> str:
        text = replace_characters(text)
        if model.remove_extra_whitespaces:
            text = re.sub(" +", " ", text).strip(" ")
        if not text:
            return text
        text = (WORD_START if model.add_dummy_prefix else "") + text.replace(" ", WORD_START)
        return text.rstrip(WORD_START) if model.remove_extra_whitespaces else text

    return normalize


def _message(fields: list[tuple[int, Any]], number: int) -> dict[int, Any]:
    """Return the fields of the first nested message with this field number."""
    return dict(_fields(next((value for n, value in fields if n == number), b"")))


def _piece(data: bytes) -> Piece:
    fields = dict(_fields(data))
    text = _require_bytes(fields.get(1, b"")).decode("utf-8")
    score = struct.unpack("<f", fields.get(2, b"\0\0\0\0"))[0]
    return Piece(text, score, int(fields.get(3, 1)))


def _require_bytes(value: Any) -> bytes:
    # bytes(5) would silently give five zero bytes.
    if not isinstance(value, bytes):
        raise TypeError("a field that must hold text holds a number")
    return value


def _fields(data: bytes) -> Iterator[tuple[int, Any]]:
    """Yield the fields of a protocol buffer message: varints as int, all others as bytes."""
    position = 0
    while position < len(data):
        key, position = _varint(data, position)
        number = key >> 3
        match key & 7:  # the wire type
            case 0:
                value, position = _varint(data, position)
                yield number, value
                continue
            case 1:
                length = 8
            case 2:
                length, position = _varint(data, position)
                if position + length > len(data):
                    raise IndexError("a field ends after the end of the file")
            case 5:
                length = 4
            case wire_type:
                raise IndexError(f"the wire type {wire_type} is not supported")
        yield number, data[position : position + length]
        position += length


def _varint(data: bytes, position: int) -> tuple[int, int]:
    """Decode a varint. Returns its value and the position after it."""
    value = shift = 0
    while shift < MAX_VARINT_BITS:
        byte = data[position]
        value |= (byte & 0x7F) << shift
        position += 1
        shift += 7
        if byte < 0x80:
            return value, position
    raise IndexError("a varint is longer than 10 bytes")


def _unusable(problem: str) -> InputError:
    return InputError(
        f"The file is not a usable SentencePiece model: {problem}.",
        remedy="Download it again.",
        field="sentencepiece",
    )
