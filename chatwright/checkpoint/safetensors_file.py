"""Tensors in a file: written by the safetensors library, read behind a header check of our own.

The header is read and judged first, so that a hostile or cut file is refused by name, in constant memory, with nothing executed; then each
tensor is read to where it is wanted. Source of the layout: the safetensors format description (8-byte length, JSON header, raw data).
"""

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import torch
from safetensors.torch import save_file
from torch import Tensor

MAX_HEADER_BYTES = 1_000_000
MAX_TENSORS = 10_000
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


def save(tensors: Mapping[str, Tensor], path: Path) -> None:
    """Write contiguous CPU copies of `tensors`, each under its name. A full disk raises OSError."""
    try:
        save_file(
            {name: t.detach().cpu().contiguous() for name, t in tensors.items()},
            path,
            metadata={"format": "pt"},
        )
    except Exception as error:  # the library wraps the system's error in a type of its own
        raise OSError(f"writing {path.name}: {error}") from error


@dataclass(frozen=True)
class Entry:
    """Where a tensor lies."""

    file: Path
    dtype: torch.dtype
    shape: tuple[int, ...]
    start: int  # bytes from the beginning of the file

    @property
    def nbytes(self) -> int:
        return math.prod(self.shape) * self.dtype.itemsize


def load(path: Path) -> dict[str, Tensor]:
    """Every tensor by name. Raises ValueError naming file and cause when the file is not sound."""
    return {name: read(entry) for name, entry in check_header(path).items()}


def read(entry: Entry) -> Tensor:
    tensor = torch.empty(entry.shape, dtype=entry.dtype)
    read_into(entry, tensor)
    return tensor


def read_into(entry: Entry, target: Tensor) -> None:
    """Read the numbers to where they are used: one pass, nothing held twice.

    Mapping the file would be sooner done, but a file that somebody overwrites would then change the weights of a running model or end it, and
    its tensors begin where matrix products give other last bits than torch's own memory does.
    """
    assert (target.dtype, target.is_contiguous(), target.nbytes) == (
        entry.dtype,
        True,
        entry.nbytes,
    ), "the target is not like the tensor"
    if not entry.nbytes:
        return
    room = memoryview(target.detach().flatten().view(torch.uint8).numpy().data)
    with entry.file.open("rb", buffering=0) as stream:
        stream.seek(entry.start)
        while room:
            n_read = stream.readinto(room)
            if not n_read:
                raise _refuse(entry.file, "it became shorter while it was read")
            room = room[n_read:]


def check_header(path: Path) -> dict[str, Entry]:
    """What the file holds, once it is proved that its tensors cover the file exactly, without gap or overlap."""
    try:
        if not path.is_file():  # a pipe would be waited for, a device never end
            raise ValueError(
                f"{path}: is missing or no ordinary file. Give a model directory that holds {path.name}."
            )
        size = path.stat().st_size
        with path.open("rb") as stream:
            length = int.from_bytes(stream.read(8), "little")
            if size < 8 or length > min(MAX_HEADER_BYTES, size - 8):
                raise _refuse(
                    path,
                    f"its header claims {length:,} bytes; the file has {size:,} and {MAX_HEADER_BYTES:,} are allowed",
                )
            raw = stream.read(length)
    except OSError as error:
        raise ValueError(
            f"{path}: cannot be read: {error.strerror}. Give a model directory that holds model.safetensors."
        ) from None
    try:
        header = json.loads(raw)
    except (ValueError, RecursionError):
        raise _refuse(path, "its header is not JSON") from None
    if not isinstance(header, dict) or len(header) > MAX_TENSORS:
        raise _refuse(path, f"its header is not a table of at most {MAX_TENSORS:,} tensors")
    entries = {
        name: _entry(path, 8 + length, name, entry)
        for name, entry in header.items()
        if name != "__metadata__"
    }
    end = 8 + length
    for entry in sorted(entries.values(), key=lambda entry: (entry.start, entry.nbytes)):
        if entry.start != end:
            raise _refuse(path, "its tensors overlap or leave gaps")
        end += entry.nbytes
    if end != size:
        raise _refuse(path, f"its tensors end at byte {end:,} of {size:,}")
    return entries


def _entry(path: Path, begin: int, name: str, written: object) -> Entry:
    match written:
        case {
            "dtype": str(dtype),
            "shape": list(shape),
            "data_offsets": [int(start), int(stop)],
        } if (
            dtype in DTYPES
            and len(shape) <= 8
            and all(type(n) is int and n >= 0 for n in shape)
            and math.prod(max(n, 1) for n in shape) < 2**60
        ):
            entry = Entry(path, DTYPES[dtype], tuple(shape), begin + start)
            if start >= 0 and stop - start == entry.nbytes:
                return entry
    raise _refuse(
        path,
        f"tensor {name[:80]!r} has an unknown dtype, an impossible shape or offsets that do not match it",
    )


def _refuse(path: Path, cause: str) -> ValueError:
    return ValueError(
        f"{path}: not a sound safetensors file: {cause}. Nothing was loaded; get the file again from where it came."
    )
