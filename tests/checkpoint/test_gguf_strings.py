"""Many strings are skipped as if one by one, whatever they contain."""

import struct

import pytest
import torch

from chatwright.checkpoint.gguf_strings import N_SLOW, WINDOW, skip_strings
from chatwright.devices import generator


def stored(strings: list[bytes]) -> bytes:
    return b"".join(struct.pack("<Q", len(text)) + text for text in strings)


def random_lengths(count: int, longest: int) -> list[int]:
    draws = generator(0, "lengths of strings")
    return torch.randint(longest + 1, (count,), generator=draws).tolist()


LOOKS_LIKE_A_LENGTH = b"\x08" + bytes(7)
CASES = {
    "short": [b"x" * length for length in random_lengths(100_000, 12) if length],
    "of 255 and 256 bytes": [b"x" * (254 + i % 3) for i in range(3 * N_SLOW)],
    "empty": [b""] * (2 * N_SLOW + 5),
    "some empty": [b"x" * length for length in random_lengths(20_000, 3)],
    "of zeros": [bytes(length) for length in random_lengths(20_000, 40)],
    "like lengths": [LOOKS_LIKE_A_LENGTH * 2] * (2 * N_SLOW),
    "seldom like lengths": ([b"abc"] * 10_000 + [b"a" + LOOKS_LIKE_A_LENGTH]) * 3,
    "longer than the window": [b"a", b"x" * (WINDOW + 3), b"b", b"y" * WINDOW, b"c"],
    "none": [],
}


@pytest.mark.parametrize("case", CASES)
def test_the_end_of_the_strings_is_found(case: str) -> None:
    strings = CASES[case]
    before, after = b"\x03" * 13, b"\x02" + bytes(20)
    data = before + stored(strings) + after
    assert skip_strings(data, len(before), len(strings)) == len(data) - len(after)


@pytest.mark.parametrize("case", [case for case in CASES if CASES[case]])
def test_strings_that_the_data_ends_within_end_beyond_it(case: str) -> None:
    data = stored(CASES[case])
    for n_missing in (1, 8, 9, len(data) - 3):
        cut = data[: max(0, len(data) - n_missing)]
        assert skip_strings(cut, 0, len(CASES[case])) > len(cut)
    for length in (2**63 - 1, 2**63, 2**64 - 1):
        hostile = data + struct.pack("<Q", length)
        assert skip_strings(hostile, 0, len(CASES[case]) + 2) > len(hostile)
