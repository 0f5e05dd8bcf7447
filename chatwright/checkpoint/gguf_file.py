"""Write a GGUF file, llama.cpp's single file for a model and its tokenizer.

The file is written completely or not at all, by the gguf package, and read again by
`gguf_header` and `gguf_tensors` to compare every setting and tensor.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from chatwright.checkpoint import directory
from chatwright.checkpoint.gguf_architectures import ARCHITECTURE
from chatwright.checkpoint.gguf_header import read_gguf_header
from chatwright.checkpoint.gguf_tensors import GgufEntry
from chatwright.errors import InputError


def write(path: Path, settings: Mapping[str, Any], tensors: Mapping[str, Tensor]) -> None:
    """Write `settings` and `tensors` to `path`.

    Raises:
        InputError: The disk is full, or the file differs when it is read again.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    try:
        with directory.atomic_file(path) as temporary:
            _write(temporary, settings, tensors)
            if different := differences(temporary, settings, tensors):
                raise InputError(
                    f"{path}: {different[0]} differs when it is read again, so the file was not "
                    "kept.",
                    remedy="Try another disk, then another version of the gguf package.",
                    field=different[0],
                )
    except OSError as error:
        raise InputError(
            f"{path}: could not be written: {error.strerror or error}.",
            remedy="Free some disk space or choose another folder.",
            field="out",
            value=str(path),
        ) from None


def _write(path: Path, settings: Mapping[str, Any], tensors: Mapping[str, Tensor]) -> None:
    import gguf

    # The constructor of GGUFWriter writes the setting ARCHITECTURE.
    writer = gguf.GGUFWriter(path, settings[ARCHITECTURE])
    for name, value in settings.items():
        if name != ARCHITECTURE:
            _add_setting(writer, name, value)
    for name, tensor in tensors.items():
        writer.add_tensor(name, _to_numpy(tensor))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


def _add_setting(writer: Any, name: str, value: Any) -> None:
    match value:
        case bool():
            writer.add_bool(name, value)
        case int():
            writer.add_uint32(name, value)
        case float():
            writer.add_float32(name, value)
        case str():
            writer.add_string(name, value)
        case list():
            writer.add_array(name, value)
        case _:
            raise AssertionError(f"{name}: a GGUF file has no settings of type {type(value)}")


def differences(
    path: Path, settings: Mapping[str, Any], tensors: Mapping[str, Tensor]
) -> list[str]:
    """Return the names of settings and tensors that the file lacks, adds or changes."""
    header = read_gguf_header(path)
    different = (settings.keys() ^ header.fields.keys()) | (tensors.keys() ^ header.tensors.keys())
    different |= {
        name
        for name in settings.keys() & header.fields.keys()
        if not _is_same_setting(header.fields[name], settings[name])
    }
    different |= {
        name
        for name in tensors.keys() & header.tensors.keys()
        if not _is_same_tensor(GgufEntry(path, header.tensors[name]), tensors[name])
    }
    return sorted(different)


def _is_same_setting(stored: Any, value: Any) -> bool:
    # GGUF stores real numbers as float32.
    if isinstance(value, float):
        return bool(np.float32(stored) == np.float32(value))
    if isinstance(value, list) and value and isinstance(value[0], float):
        return bool(np.array_equal(np.array(stored, np.float32), np.array(value, np.float32)))
    return bool(stored == value)


def _is_same_tensor(stored: GgufEntry, tensor: Tensor) -> bool:
    return stored.tensor.type_name == "F32" and torch.equal(
        stored.read(), tensor.detach().to("cpu", torch.float32)
    )


def _to_numpy(tensor: Tensor) -> Any:
    return tensor.detach().to("cpu", torch.float32).contiguous().numpy()
