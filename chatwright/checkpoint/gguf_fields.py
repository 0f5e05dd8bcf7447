"""The fields in the header of a GGUF file: pairs of a key and a value of a known type.

Every size is compared with the size of the file before memory is allocated. Arrays, such as the
tokens of a vocabulary, are decoded when they are first used.
"""

import mmap
import struct
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from chatwright.checkpoint.gguf_strings import skip_strings
from chatwright.errors import InputError

Value = int | float | bool | str | list[int] | list[float] | list[bool] | list[str]

MAX_NAME_BYTES = 2**16 - 1
MAX_STRING_BYTES = 16 * 2**20
MAX_ELEMENTS = 2_000_000  # of an array; the largest known vocabularies have half a million merges

BOOL, STRING, ARRAY = 7, 8, 9
# Type of a field -> format of a number in the module struct.
NUMBERS = {
    0: "<B",
    1: "<b",
    2: "<H",
    3: "<h",
    4: "<I",
    5: "<i",
    6: "<f",
    BOOL: "<B",
    10: "<Q",
    11: "<q",
    12: "<d",
}
UINT32, UINT64 = NUMBERS[4], NUMBERS[10]


@dataclass(frozen=True)
class FieldArray:
    """An array in the header that is not decoded yet."""

    kind: int
    """Type of its elements, as in the file."""
    count: int
    start: int
    """Position of the first element."""


class HeaderCursor:
    """A position in the header. Every read is checked against the end of the data."""

    def __init__(self, path: Path, data: bytes | mmap.mmap, position: int = 0) -> None:
        """Begin at `position` of `data`. Errors name the file `path`."""
        self.path, self.data, self.position = path, data, position

    def skip(self, n_byte: int, name: str) -> int:
        """Move past `n_byte` bytes, and return where they begin."""
        start = self.position
        if n_byte > len(self.data) - start:
            raise self.invalid(name, n_byte, f"the file ends within its {n_byte:,} bytes")
        self.position = start + n_byte
        return start

    def number(self, code: str, name: str) -> Any:
        """Read a number in a format of the module struct."""
        start = self.skip(struct.calcsize(code), name)
        return struct.unpack_from(code, self.data, start)[0]

    def count(self, code: str, name: str, most: int) -> int:
        """Read an integer from 0 to `most`."""
        value: int = self.number(code, name)
        if value > most:
            raise self.invalid(name, value, f"{value:,} is more than {most:,}, the largest allowed")
        return value

    def string(self, name: str, longest: int = MAX_STRING_BYTES) -> str:
        """Read a string of at most `longest` bytes."""
        length = self.count(UINT64, name, longest)
        start = self.skip(length, name)
        try:
            return self.data[start : start + length].decode("utf-8")
        except UnicodeDecodeError:
            raise self.invalid(name, start, "its text is not UTF-8") from None

    def name(self, kind: str) -> str:
        """Read the name of a field or of a tensor, which is not empty."""
        name = self.string(kind, MAX_NAME_BYTES)
        if not name:
            raise self.invalid(kind, name, "it is empty")
        return name

    def boolean(self, name: str, value: int) -> bool:
        """Return a stored byte as a truth value."""
        if value > 1:
            raise self.invalid(name, value, "a truth value is neither 0 nor 1")
        return bool(value)

    def field(self, name: str) -> Value | FieldArray:
        """Read the type and the value of a field."""
        kind = self.number(UINT32, name)
        if kind == STRING:
            return self.string(name)
        if kind == ARRAY:
            return self._array(name)
        if kind not in NUMBERS:
            raise self.invalid(name, kind, f"its type {kind} is unknown")
        number = self.number(NUMBERS[kind], name)
        return self.boolean(name, number) if kind == BOOL else number

    def elements(self, name: str, array: FieldArray) -> list[Any]:
        """Decode an array of numbers or strings."""
        self.position = array.start
        if array.kind == STRING:
            return [self.string(name) for _ in range(array.count)]
        code = f"<{array.count}{NUMBERS[array.kind][-1]}"
        numbers = struct.unpack_from(code, self.data, array.start)
        return [self.boolean(name, n) for n in numbers] if array.kind == BOOL else list(numbers)

    def _array(self, name: str) -> FieldArray:
        """Move past an array of numbers or strings."""
        kind = self.number(UINT32, name)
        if kind != STRING and kind not in NUMBERS:
            raise self.invalid(name, kind, f"it is an array of the unsupported type {kind}")
        count = self.count(UINT64, name, MAX_ELEMENTS)
        start = self.position
        if kind == STRING:
            self.skip(skip_strings(self.data, start, count) - start, name)
        else:
            self.skip(count * struct.calcsize(NUMBERS[kind]), name)
        return FieldArray(kind, count, start)

    def invalid(self, field: str, value: object, cause: str) -> InputError:
        """Return the error for a part of the header."""
        return InputError(
            f"{self.path}: not a GGUF file that can be read: {field[:80]!r}: {cause}. Nothing was "
            "loaded.",
            remedy="Get the file again from its source.",
            field=field[:80],
            value=value,
        )


class GgufFields(Mapping[str, Value]):
    """The fields by key. An array becomes a list when it is first used."""

    def __init__(self, values: dict[str, Value | FieldArray], header: HeaderCursor) -> None:
        """Take the fields' values, and the header that holds the arrays."""
        self._values, self._header = values, header

    def __getitem__(self, key: str) -> Value:
        value = self._values[key]
        if isinstance(value, FieldArray):
            value = self._values[key] = self._header.elements(key, value)
        return value

    def __contains__(self, key: object) -> bool:
        return key in self._values

    def __iter__(self) -> Iterator[str]:
        return iter(self._values)

    def __len__(self) -> int:
        return len(self._values)
