"""Amounts of memory are read as people write them."""

import pytest

from chatwright.cli.byte_size import parse_bytes
from chatwright.errors import InputError


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("2GB", 2_000_000_000),
        ("512MB", 512_000_000),
        ("1.5gb", 1_500_000_000),
        ("2 G", 2_000_000_000),
        ("3kB", 3_000),
        ("1TB", 10**12),
        ("2GiB", 2**31),
        ("1Ki", 1024),
        ("100", 100),
        ("0", 0),
        (" 7B ", 7),
    ],
)
def test_sizes_are_read(text: str, expected: int) -> None:
    assert parse_bytes(text, "cache_memory") == expected


@pytest.mark.parametrize(
    "text", ["", "GB", "-1GB", "2 GB more", "1e9", "2PB", "nan", "1,5GB", "٣GB", "9" * 40]
)
def test_anything_else_is_refused(text: str) -> None:
    with pytest.raises(InputError) as caught:
        parse_bytes(text, "cache_memory")
    assert (caught.value.field, caught.value.value) == ("cache_memory", text)
    assert caught.value.remedy
