"""Read and write safetensors files; the header is checked before anything is loaded.

The safetensors library writes the files. Reading checks the header first, so a hostile or truncated
file is rejected in constant memory and nothing in it is executed. Each tensor is then read directly
into its destination.

Source of the layout: the safetensors format description (8-byte length, JSON header, raw data).
"""

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import torch
from safetensors.torch import save_file
from torch import Tensor

from chatwright.errors import InputError

MAX_HEADER_BYTES = 1_000_000
MAX_TENSORS = 10_000
MAX_DIMENSIONS = 8
DTYPES = {
    "F64": torch.float64,
    "F32": torch.float32,
    "F16": torch.float16,
    "BF16": torch.bfloat16,
    "I64": torch.int64,
    "I32": torch.int32,
    "I16": torch.int16,
    "I8": torch.int8,
    "U8": torch.uint8,
    "BOOL": torch.bool,
}


@dataclass(frozen=True)
class Entry:
    """The position of one tensor in a file."""

    file: Path
    dtype: torch.dtype
    shape: tuple[int, ...]
    start: int
    """Offset in bytes from the beginning of the file."""

    @property
    def nbytes(self) -> int:
        """Size of the tensor in bytes."""
        return math.prod(self.shape) * self.dtype.itemsize


def save(tensors: Mapping[str, Tensor], path: Path) -> None:
    """Write contiguous CPU copies of `tensors` by name. Raises OSError when the disk is full."""
    copies = {name: tensor.detach().cpu().contiguous() for name, tensor in tensors.items()}
    path.touch()
    mode = path.stat().st_mode
    try:
        save_file(copies, path, metadata={"format": "pt"})
        path.chmod(mode)  # the library makes a file that only its owner can read
    except Exception as error:  # safetensors raises an exception of its own type
        raise OSError(f"writing {path.name}: {error}") from error


def load(path: Path) -> dict[str, Tensor]:
    """Return every tensor by name. Raises InputError if the file is not valid."""
    return {name: read(entry) for name, entry in check_header(path).items()}


def read(entry: Entry) -> Tensor:
    """Read one tensor into new memory."""
    tensor = torch.empty(entry.shape, dtype=entry.dtype)
    read_into(entry, tensor)
    return tensor


def read_into(entry: Entry, target: Tensor) -> None:
    """Read one tensor into `target`, a contiguous tensor of the same dtype and size.

    The file is not memory-mapped, although mapping would be faster. If someone overwrites a mapped
    file, the weights of a running model change or the process crashes. Mapped tensors also have
    another memory alignment, which changes the last bits of matrix products.
    """
    assert target.dtype == entry.dtype, "the target has another dtype"
    assert target.is_contiguous(), "the target is not contiguous"
    assert target.nbytes == entry.nbytes, "the target has another size"
    if not entry.nbytes:
        return
    remaining = memoryview(target.detach().flatten().view(torch.uint8).numpy().data)
    with entry.file.open("rb", buffering=0) as stream:
        stream.seek(entry.start)
        while remaining:
            n_read = stream.readinto(remaining)
            if not n_read:
                raise _invalid(entry.file, "it became shorter while it was read")
            remaining = remaining[n_read:]


def check_header(path: Path) -> dict[str, Entry]:
    """Check the header and return the position of every tensor by name.

    The tensors must cover the rest of the file without gaps.

    Raises:
        InputError: The file is missing, or its header is not valid.
    """
    header, data_start = _read_header(path)
    entries = {
        name: _entry(path, data_start, name, description)
        for name, description in header.items()
        if name != "__metadata__"
    }
    end = data_start
    for entry in sorted(entries.values(), key=lambda entry: (entry.start, entry.nbytes)):
        if entry.start != end:
            raise _invalid(path, "its tensors overlap or leave gaps")
        end += entry.nbytes
    if end != (size := path.stat().st_size):
        raise _invalid(path, f"its tensors end at byte {end:,} of {size:,}")
    return entries


def _read_header(path: Path) -> tuple[dict[str, object], int]:
    """Return the JSON header and the offset of the first tensor."""
    if not path.is_file():  # a named pipe would block, and a device has no end
        raise _unreadable(path, "it is missing or not a regular file")
    try:
        size = path.stat().st_size
        with path.open("rb") as stream:
            length = int.from_bytes(stream.read(8), "little")
            if size < 8 or length > min(MAX_HEADER_BYTES, size - 8):
                raise _invalid(
                    path,
                    f"its header claims {length:,} bytes, but the file has {size:,} and at most "
                    f"{MAX_HEADER_BYTES:,} are allowed",
                )
            raw = stream.read(length)
    except OSError as error:
        raise _unreadable(path, error.strerror or str(error)) from None
    try:
        header = json.loads(raw)
    except (ValueError, RecursionError):
        raise _invalid(path, "its header is not JSON") from None
    if not isinstance(header, dict) or len(header) > MAX_TENSORS:
        raise _invalid(path, f"its header is not an object of at most {MAX_TENSORS:,} tensors")
    return header, 8 + length


def _entry(path: Path, data_start: int, name: str, description: object) -> Entry:
    match description:
        case {
            "dtype": str(dtype),
            "shape": list(shape),
            "data_offsets": [int(start), int(stop)],
        } if (
            dtype in DTYPES
            and len(shape) <= MAX_DIMENSIONS
            and all(type(n) is int and n >= 0 for n in shape)
            and math.prod(max(n, 1) for n in shape) < 2**60
        ):
            entry = Entry(path, DTYPES[dtype], tuple(shape), data_start + start)
            if start >= 0 and stop - start == entry.nbytes:
                return entry
    raise _invalid(
        path,
        f"the tensor {name[:80]!r} has an unknown dtype, an impossible shape, or offsets that do "
        "not match its shape",
    )


def _unreadable(path: Path, cause: str) -> InputError:
    return InputError(
        f"{path}: cannot be read: {cause}.",
        remedy=f"Give a model directory that holds {path.name}.",
        field=path.name,
        value=str(path),
    )


def _invalid(path: Path, cause: str) -> InputError:
    return InputError(
        f"{path}: not a valid safetensors file: {cause}. Nothing was loaded.",
        remedy="Get the file again from its source.",
        field=path.name,
        value=str(path),
    )
