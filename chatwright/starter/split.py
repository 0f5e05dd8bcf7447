"""Split names, numbers and facts between training and the exam (the held-out evaluation set)."""

import zlib


def is_held_out(key: str, one_in: int = 5) -> bool:
    """Whether `key` is held out for the exam; about one key in `one_in` is.

    The answer depends on the spelling of the key alone, not on a seed. No seed, size or order of
    draws can therefore leak an exam key into training.
    """
    return zlib.crc32(key.encode()) % one_in == 0
