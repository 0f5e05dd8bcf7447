"""Read and check the header of a GGUF file: its fields, and where its tensors are.

The header of any model takes milliseconds, where the reader of the gguf package needs up to a
minute. A damaged or hostile file is rejected before memory is allocated for it. Files of versions 2
and 3 are read, but not those of big-endian machines.

Source of the layout: docs/gguf.md in the repository of ggml.
"""

import math
import mmap
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from chatwright.checkpoint import gguf_types
from chatwright.checkpoint.gguf_fields import (
    UINT32,
    UINT64,
    FieldArray,
    GgufFields,
    HeaderCursor,
    Value,
)
from chatwright.checkpoint.gguf_types import TensorType
from chatwright.errors import InputError

MAGIC = b"GGUF"
VERSIONS = (2, 3)
MAX_FIELDS = 10_000
MAX_TENSORS = 10_000
MAX_FIELD_BYTES = 128 * 2**20  # of all fields together
MAX_DIMENSIONS = 4
MAX_TENSOR_ELEMENTS = 2**48
DEFAULT_ALIGNMENT = 32
MAX_ALIGNMENT = 2**16
SMALLEST_FILE = 24  # bytes: magic, version and two counts


@dataclass(frozen=True)
class GgufTensor:
    """The position of one tensor in the file."""

    name: str
    shape: tuple[int, ...]
    """As in torch: elements along the last dimension are neighbors in the file."""
    type_name: str
    """Number type: a name in `gguf_types.TYPES`."""
    offset: int
    """First byte, counted from the beginning of the file."""
    n_byte: int


@dataclass(frozen=True)
class GgufHeader:
    """The checked header of a GGUF file."""

    path: Path
    fields: GgufFields
    """Values by key, such as "general.architecture" and "tokenizer.ggml.tokens"."""
    tensors: dict[str, GgufTensor]
    """Tensors by name, in the order of the file."""


def is_gguf(path: Path) -> bool:
    """Return whether `path` is a file that ends in .gguf or begins as a GGUF file does."""
    if not path.is_file():
        return False
    if path.suffix.lower() == ".gguf":
        return True
    with path.open("rb") as stream:
        return stream.read(len(MAGIC)) == MAGIC


def read_gguf_header(path: Path) -> GgufHeader:
    """Read and check the header. The tensors must fill the rest of the file without gaps.

    Raises:
        InputError: The file is missing, damaged, or of an unknown version or number type.
    """
    if not path.is_file():  # a named pipe would block, and a device has no end
        raise _unreadable(path, "it is missing or not a regular file")
    try:
        with path.open("rb") as stream:
            if path.stat().st_size < SMALLEST_FILE:  # an empty file cannot be mapped
                cursor = HeaderCursor(path, stream.read())
                raise cursor.invalid("size", len(cursor.data), "it is shorter than any GGUF file")
            with mmap.mmap(stream.fileno(), 0, access=mmap.ACCESS_READ) as data:
                return _parse(HeaderCursor(path, data))
    except OSError as error:
        raise _unreadable(path, error.strerror or str(error)) from None


def _unreadable(path: Path, cause: str) -> InputError:
    return InputError(
        f"{path}: cannot be read: {cause}.",
        remedy="Give a GGUF file.",
        field=path.name,
        value=str(path),
    )


def _parse(cursor: HeaderCursor) -> GgufHeader:
    _check_version(cursor)
    n_tensor = cursor.count(UINT64, "tensor_count", MAX_TENSORS)
    values = _read_fields(cursor)
    # The arrays are decoded from a copy, so that the file does not stay mapped. If someone
    # truncated a mapped file, reading it would end the process.
    copy = HeaderCursor(cursor.path, cursor.data[: cursor.position])
    tensors = _read_tensors(cursor, n_tensor, _alignment(cursor, values))
    return GgufHeader(cursor.path, GgufFields(values, copy), tensors)


def _check_version(cursor: HeaderCursor) -> None:
    start = cursor.skip(len(MAGIC), "magic")
    magic = cursor.data[start : cursor.position]
    if magic != MAGIC:
        raise cursor.invalid("magic", magic, "it does not begin with GGUF")
    version = cursor.number(UINT32, "version")
    if version not in VERSIONS:
        is_swapped = int.from_bytes(version.to_bytes(4, "big"), "little") in VERSIONS
        kind = "made for big-endian machines" if is_swapped else f"of version {version}"
        raise cursor.invalid("version", version, f"it is {kind}; versions 2 and 3 are read")


def _read_fields(cursor: HeaderCursor) -> dict[str, Value | FieldArray]:
    values: dict[str, Value | FieldArray] = {}
    for _ in range(cursor.count(UINT64, "field_count", MAX_FIELDS)):
        key = cursor.name("key")
        if key in values:
            raise cursor.invalid(key, key, "the key occurs twice")
        values[key] = cursor.field(key)
    if cursor.position > MAX_FIELD_BYTES:
        cause = f"the fields have {cursor.position:,} bytes, more than those of any model"
        raise cursor.invalid("size", cursor.position, cause)
    return values


def _alignment(cursor: HeaderCursor, values: Mapping[str, Value | FieldArray]) -> int:
    """Return the number of bytes of which every tensor's offset is a multiple."""
    name = "general.alignment"
    value = values.get(name, DEFAULT_ALIGNMENT)
    if type(value) is not int or not 1 <= value <= MAX_ALIGNMENT or value & (value - 1):
        raise cursor.invalid(name, value, f"it is not a power of two up to {MAX_ALIGNMENT:,}")
    return value


def _read_tensors(cursor: HeaderCursor, count: int, alignment: int) -> dict[str, GgufTensor]:
    """Read the list of tensors, and check that they fill the rest of the file."""
    described = [_read_tensor(cursor) for _ in range(count)]
    end = cursor.position  # of the header, then of the last tensor
    data_start = _round_up(end, alignment)
    tensors: dict[str, GgufTensor] = {}
    for name, shape, kind, offset in described:
        if name in tensors:
            raise cursor.invalid(name, name, "there are two tensors of this name")
        if data_start + offset != _round_up(end, alignment):
            raise cursor.invalid(name, offset, "the tensor overlaps another one, or leaves a gap")
        n_byte = math.prod(shape) // kind.n_element * kind.n_byte
        tensors[name] = GgufTensor(name, shape, kind.name, data_start + offset, n_byte)
        end = data_start + offset + n_byte
    size = len(cursor.data)
    if not end <= size <= _round_up(end, alignment):
        raise cursor.invalid("size", size, f"the tensors end at byte {end:,} of {size:,}")
    return tensors


def _read_tensor(cursor: HeaderCursor) -> tuple[str, tuple[int, ...], TensorType, int]:
    """Return name, shape, number type, and the offset from the end of the header."""
    name = cursor.name("tensor name")
    n_dimension = cursor.count(UINT32, name, MAX_DIMENSIONS)
    sizes = [cursor.number(UINT64, name) for _ in range(n_dimension)]
    kind = _tensor_type(cursor, name)
    shape = tuple(reversed(sizes))  # the file lists the dimension of neighboring elements first
    is_possible = shape and all(shape) and math.prod(shape) <= MAX_TENSOR_ELEMENTS
    if not is_possible or shape[-1] % kind.n_element:
        raise cursor.invalid(name, shape, f"a tensor of {kind.name} cannot have the shape {shape}")
    return name, shape, kind, cursor.number(UINT64, name)


def _tensor_type(cursor: HeaderCursor, name: str) -> TensorType:
    number = cursor.number(UINT32, name)
    if number not in gguf_types.TYPES:
        known = ", ".join(kind.name for kind in gguf_types.TYPES.values())
        type_name = gguf_types.name_of(number)
        cause = f"the number type {type_name} is not supported; the supported ones are {known}"
        raise cursor.invalid(name, type_name, cause)
    return gguf_types.TYPES[number]


def _round_up(position: int, alignment: int) -> int:
    return -(-position // alignment) * alignment
