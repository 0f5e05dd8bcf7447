"""Replace characters in a text as SentencePiece does before it tokenizes.

A SentencePiece model stores its normalization rules as a mapping, `precompiled_charsmap`, from
strings to replacement strings. Most models use NFKC: Unicode's normal form that replaces
compatibility characters, such as "ﬁ" by "fi" (Unicode Standard Annex #15). At each position the
longest matching entry is replaced.

The `tokenizers` library reads the same mapping, but looks up a letter together with its accents.
For some mixtures it gives other ids than SentencePiece, with which the model was trained. Source:
sentencepiece's normalizer.cc, and darts.h for the format of the mapping.
"""

from __future__ import annotations

import struct
from collections.abc import Callable

from chatwright.errors import InputError

# Longest entry and replacement, in bytes, so that a malicious file cannot turn a short text into
# a huge one.
MAX_ENTRY_BYTES = 256


def from_charsmap(data: bytes) -> Callable[[str], str]:
    """Return the function that normalizes a text by `precompiled_charsmap`.

    The data begins with the trie's size in bytes (32 bits, little-endian). The trie follows as
    32-bit units, then the replacement strings, each ending with a zero byte. Raises InputError if
    the data is damaged.
    """
    size = struct.unpack_from("<I", data)[0] if len(data) >= 4 else 0
    if not size or size % 4 or 4 + size > len(data):
        raise _damaged("its precompiled_charsmap is cut off")
    trie = struct.unpack_from(f"<{size // 4}I", data, 4)
    replacements = data[4 + size :]
    if max(map(len, replacements.split(b"\0"))) > MAX_ENTRY_BYTES:
        raise _damaged(f"it replaces a character by more than {MAX_ENTRY_BYTES} bytes")

    def normalize(text: str) -> str:
        source = text.encode()
        output = []
        position = 0
        while position < len(source):
            length, start = _longest_match(trie, source, position)
            if length:
                output.append(replacements[start : replacements.find(b"\0", start)])
            else:
                length = _character_length(source[position])
                output.append(source[position : position + length])
            position += length
        return b"".join(output).decode("utf-8", errors="replace")

    normalize("a \U0010ffff\u00e9e\u0301")  # fails now, not later, if the trie is malformed
    return normalize


def _longest_match(trie: tuple[int, ...], source: bytes, position: int) -> tuple[int, int]:
    """Find the longest entry of the trie that begins at `position` of `source`.

    Returns its length and where its replacement begins, or (0, 0) if no entry matches.

    The trie is a double array (darts-clone): the child of a node for a byte is at the node's
    offset XOR the byte. If the entry of the array at this index carries another byte, it belongs to
    another node, and the child does not exist.
    """
    node = _child_offset(trie[0])
    match = 0, 0
    for length, byte in enumerate(source[position : position + MAX_ENTRY_BYTES], 1):
        node ^= byte
        if node >= len(trie) or trie[node] & 0x800000FF != byte:
            break
        is_end_of_entry = trie[node] >> 8 & 1
        node ^= _child_offset(trie[node])
        if is_end_of_entry and node < len(trie):
            match = length, trie[node] & 0x7FFFFFFF
    return match


def _child_offset(unit: int) -> int:
    """Return the offset of a node's children (`offset` in darts.h)."""
    return unit >> 10 << ((unit & 0x200) >> 6)


def _character_length(first_byte: int) -> int:
    """Return the number of bytes of a UTF-8 character, from its first byte."""
    if first_byte < 0x80:
        return 1
    if first_byte < 0xE0:
        return 2
    return 3 if first_byte < 0xF0 else 4


def _damaged(problem: str) -> InputError:
    return InputError(
        f"The file is not a usable SentencePiece model: {problem}.",
        remedy="Download it again.",
        field="precompiled_charsmap",
    )
