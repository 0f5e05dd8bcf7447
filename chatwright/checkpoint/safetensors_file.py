"""Tensors in a file: the safetensors library, behind a header check of our own.

The header is read and judged before the library opens the file, so that a hostile or cut file is refused by name, in constant
memory, with nothing executed. Source of the layout: the safetensors format description (8-byte length, JSON header, raw data).
"""

import json
import math
import re
from collections.abc import Mapping
from pathlib import Path

from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor

from chatwright.checkpoint import json_table

SINGLE, INDEX = "model.safetensors", "model.safetensors.index.json"
MAX_HEADER_BYTES = 1_000_000
MAX_TENSORS = 10_000
BYTES_PER_NUMBER = {"F64": 8, "F32": 4, "F16": 2, "BF16": 2, "I64": 8, "I32": 4, "I16": 2, "I8": 1, "U8": 1, "BOOL": 1}


def save(tensors: Mapping[str, Tensor], path: Path) -> None:
    """Write contiguous CPU copies of `tensors`, each under its name. A full disk raises OSError."""
    try:
        save_file({name: t.detach().cpu().contiguous() for name, t in tensors.items()}, path, metadata={"format": "pt"})
    except Exception as error:  # the library wraps the system's error in a type of its own
        raise OSError(f"writing {path.name}: {error}") from error


def load(path: Path) -> dict[str, Tensor]:
    """Every tensor by name. Raises ValueError naming file and cause when the file is not sound."""
    check_header(path)
    try:
        return load_file(path)
    except SafetensorError as error:    # what only the library's own reading finds, such as metadata that is no table
        raise _refuse(path, str(error)[:200]) from None


def load_directory(directory: Path) -> dict[str, Tensor]:
    """Every tensor of a model, from one file or from the several that an index names."""
    if (directory / SINGLE).is_file():
        return load(directory / SINGLE)
    index = directory / INDEX
    if not index.is_file():
        others = sorted(p.name for p in directory.glob("*") if p.suffix in (".bin", ".pt", ".pth", ".ckpt", ".pkl", ".h5", ".msgpack", ".gguf"))
        found = f"; it holds {others[0]}, which is not read: such files can run code, or are another tool's" if others else ""
        raise ValueError(f"{directory}: holds no {SINGLE}{found}. Get the safetensors files from where the model came.")
    places = json_table.read(index).get("weight_map")
    if not isinstance(places, dict) or not all(isinstance(p, str) and re.fullmatch(r"[\w-][\w.-]*\.safetensors", p) for p in places.values()):
        raise ValueError(f"{index}: weight_map does not name files of this directory. Get the file again from where it came.")
    tensors: dict[str, Tensor] = {}
    for name in sorted(set(places.values())):
        part = load(directory / name)
        wrong = sorted(part.keys() ^ {tensor for tensor, place in places.items() if place == name})
        if wrong:
            raise ValueError(f"{directory / name}: {wrong[0][:80]!r} is not where {INDEX} says. The files are from different models.")
        tensors |= part
    return tensors


def check_header(path: Path) -> dict[str, dict[str, object]]:
    """The header, once it is proved that its tensors cover the file exactly, without gap or overlap."""
    try:
        if not path.is_file():    # a pipe would be waited for, a device never end
            raise ValueError(f"{path}: is missing or no ordinary file. Give a model directory that holds {path.name}.")
        size = path.stat().st_size
        with path.open("rb") as stream:
            length = int.from_bytes(stream.read(8), "little")
            if size < 8 or length > min(MAX_HEADER_BYTES, size - 8):
                raise _refuse(path, f"its header claims {length:,} bytes; the file has {size:,} and {MAX_HEADER_BYTES:,} are allowed")
            raw = stream.read(length)
    except OSError as error:
        raise ValueError(f"{path}: cannot be read: {error.strerror}. Give a model directory that holds model.safetensors.") from None
    try:
        header = json.loads(raw)
    except (ValueError, RecursionError):
        raise _refuse(path, "its header is not JSON") from None
    if not isinstance(header, dict) or len(header) > MAX_TENSORS:
        raise _refuse(path, f"its header is not a table of at most {MAX_TENSORS:,} tensors")
    spans = sorted(_span(path, name, entry) for name, entry in header.items() if name != "__metadata__")
    end = 0
    for start, stop in spans:
        if start != end:
            raise _refuse(path, "its tensors overlap or leave gaps")
        end = stop
    if end != size - 8 - length:
        raise _refuse(path, f"its tensors cover {end:,} bytes of {size - 8 - length:,}")
    return {name: entry for name, entry in header.items() if name != "__metadata__"}


def _span(path: Path, name: str, entry: object) -> tuple[int, int]:
    match entry:
        case {"dtype": str(dtype), "shape": list(shape), "data_offsets": [int(start), int(stop)]} if (
                dtype in BYTES_PER_NUMBER and all(isinstance(n, int) and 0 <= n < 2**48 for n in shape) and len(shape) <= 8):
            if 0 <= start <= stop and stop - start == math.prod(shape) * BYTES_PER_NUMBER[dtype]:
                return start, stop
    raise _refuse(path, f"tensor {name[:80]!r} has an unknown dtype, an impossible shape or offsets that do not match it")


def _refuse(path: Path, cause: str) -> ValueError:
    return ValueError(f"{path}: not a sound safetensors file: {cause}. Nothing was loaded; get the file again from where it came.")
