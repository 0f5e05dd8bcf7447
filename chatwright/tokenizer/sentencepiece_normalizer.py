"""SentencePiece's table of characters: what is written in place of what (NFKC and more), in the library's own form.

At every place the longest entry wins, whichever characters it is made of. The `tokenizers` library reads the same table, but looks at a letter
and its accents as one: for some mixtures it gives other ids than SentencePiece, with which the model was trained. Source: normalizer.cc, darts.h.
"""

from __future__ import annotations

import struct
from collections.abc import Callable

LONGEST = 256  # bytes one entry may become: a short text must not become a long one


def from_charsmap(data: bytes) -> Callable[[str], str]:
    """The function that writes a text anew by the table. Raises ValueError for what is no table."""
    size = struct.unpack_from("<I", data)[0] if len(data) >= 4 else 0
    if not size or size % 4 or 4 + size > len(data):
        raise ValueError(
            "not a SentencePiece model: its table of characters is cut off. Get the file again from where the model came"
        )
    units, texts = struct.unpack_from(f"<{size // 4}I", data, 4), data[4 + size :]
    if max(map(len, texts.split(b"\0"))) > LONGEST:
        raise ValueError(
            f"a SentencePiece model where one character becomes over {LONGEST} bytes. Get the file again from where the model came"
        )

    def rewritten(text: str) -> str:
        raw, place, found = text.encode(), 0, []
        while place < len(raw):
            length, start = _longest(units, raw, place)
            if not length:
                length = _length_of_character(raw[place])
                found.append(raw[place : place + length])
            else:
                found.append(texts[start : texts.find(b"\0", start)])
            place += length
        return b"".join(found).decode("utf-8", errors="replace")

    rewritten(
        "a \U0010ffff\u00e9e\u0301"
    )  # a table that leads out of itself is found before it is needed
    return rewritten


def _longest(units: tuple[int, ...], raw: bytes, place: int) -> tuple[int, int]:
    """How many bytes the longest entry at `place` has, and where its replacement begins; (0, 0) if there is none.

    A double array: a node's children stand at its offset XOR their label; a child with the wrong label is another node's.
    """
    node, found = _offset(units[0]), (0, 0)
    for count, byte in enumerate(raw[place : place + LONGEST], 1):
        node ^= byte
        if node >= len(units) or units[node] & 0x800000FF != byte:
            break
        is_end = units[node] >> 8 & 1
        node ^= _offset(units[node])
        if is_end and node < len(units):
            found = count, units[node] & 0x7FFFFFFF
    return found


def _offset(unit: int) -> int:
    return unit >> 10 << ((unit & 0x200) >> 6)


def _length_of_character(first: int) -> int:
    return 1 if first < 0x80 else 2 if first < 0xE0 else 3 if first < 0xF0 else 4
