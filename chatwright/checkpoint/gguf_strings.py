"""Find where an array of strings in a GGUF header ends, without decoding it.

Each string follows its length, so strings can only be found one after another. A vocabulary has up
to half a million of them, for which a loop takes 40 ms. Strings of 1 to 255 bytes are therefore
found together: their length is a byte that is not zero, and seven that are.
"""

import mmap
import struct

import numpy as np

WINDOW = 2**19  # bytes that are searched at a time
N_SLOW = 4096  # strings that are skipped one by one where the search finds few
LENGTH = struct.Struct("<Q")


def skip_strings(data: bytes | mmap.mmap, position: int, count: int) -> int:
    """Return the position after `count` strings, beyond the end of `data` if it ends before.

    Args:
        data: The header.
        position: Where the length of the first string begins.
        count: Number of strings.
    """
    try:
        while count:
            n_found, position = _skip_short(data, position, count)
            count -= n_found
            if n_found < N_SLOW:
                n_slow = min(N_SLOW, count)
                position = _skip_any(data, position, n_slow)
                count -= n_slow
    except (struct.error, OverflowError):  # no length can be read at this position
        return len(data) + 1
    return position


def _skip_any(data: bytes | mmap.mmap, position: int, count: int) -> int:
    """Skip strings one by one."""
    unpack = LENGTH.unpack_from
    for _ in range(count):
        position += LENGTH.size + unpack(data, position)[0]
    return position


def _skip_short(data: bytes | mmap.mmap, position: int, most: int) -> tuple[int, int]:
    """Skip up to `most` strings of 1 to 255 bytes. Returns their number and the new position."""
    window = np.frombuffer(data[position : position + WINDOW], np.uint8)
    is_zero = window == 0
    two = is_zero[:-1] & is_zero[1:]
    four = two[:-2] & two[2:]
    seven = four[:-3] & four[3:]  # whether seven zeros begin here
    starts = np.flatnonzero(~is_zero[: len(seven)][:-1] & seven[1:])
    if len(starts) == 0 or starts[0] != 0:
        return 0, position
    ends = starts + LENGTH.size + window[starts]
    # Bytes within a string may look like a length. Only those at the end of a string are one.
    breaks = np.flatnonzero(starts[1:] != ends[:-1])
    n_found = int(breaks[0]) + 1 if len(breaks) else len(starts)
    n_found = min(n_found, most)
    return n_found, position + int(ends[n_found - 1])
