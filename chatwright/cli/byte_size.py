"""Read an amount of memory that a user typed, such as 2GB or 512MB."""

import re

from chatwright.errors import InputError

FACTORS = {"": 1, "K": 10**3, "M": 10**6, "G": 10**9, "T": 10**12}
BINARY_FACTORS = {"": 1, "K": 2**10, "M": 2**20, "G": 2**30, "T": 2**40}
PATTERN = re.compile(r"([0-9]+(?:\.[0-9]+)?)\s*([KMGT]?)(I?)B?", re.IGNORECASE)


def parse_bytes(text: str, field: str) -> int:
    """Return a number of bytes: 2GB and 2G are 2 x 10^9 bytes, 2GiB is 2 x 2^30.

    Raises InputError, with this `field`, if the text is anything else.
    """
    match = PATTERN.fullmatch(text.strip())
    if match is None or len(text) > 30:
        raise InputError(
            f"--{field.replace('_', '-')} {text[:30]}: this is not an amount of memory.",
            remedy="Write for example 2GB or 512MB.",
            field=field,
            value=text,
        )
    number, unit, is_binary = match.groups()
    factors = BINARY_FACTORS if is_binary else FACTORS
    return int(float(number) * factors[unit.upper()])
