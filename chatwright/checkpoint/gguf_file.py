"""Write a GGUF file, llama.cpp's single file for a model and its tokenizer.

The file is written completely or not at all, and read again to compare every setting and tensor.
This module needs the `gguf` extra. Models cannot be loaded from GGUF files; the safetensors files
hold the same float32 weights.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from chatwright.checkpoint import directory
from chatwright.errors import InputError

ARCHITECTURE = "general.architecture"


def write(path: Path, settings: Mapping[str, Any], tensors: Mapping[str, Tensor]) -> None:
    """Write `settings` and `tensors` to `path`.

    Raises:
        InputError: The extra is missing, the disk is full, or the file differs when read again.
    """
    library = require_library()
    path.parent.mkdir(parents=True, exist_ok=True)
    try:
        with directory.atomic_file(path) as temporary:
            _write(library, temporary, settings, tensors)
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


def _write(
    library: Any, path: Path, settings: Mapping[str, Any], tensors: Mapping[str, Tensor]
) -> None:
    # The constructor of GGUFWriter writes the setting ARCHITECTURE.
    writer = library.GGUFWriter(path, settings[ARCHITECTURE])
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
    stored_settings, stored_tensors = read(path)
    different = (settings.keys() ^ stored_settings.keys()) | (
        tensors.keys() ^ stored_tensors.keys()
    )
    different |= {
        name
        for name in settings.keys() & stored_settings.keys()
        if not _is_same_setting(stored_settings[name], settings[name])
    }
    different |= {
        name
        for name in tensors.keys() & stored_tensors.keys()
        if not np.array_equal(stored_tensors[name], _to_numpy(tensors[name]))
    }
    return sorted(different)


def read(path: Path) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return settings and tensors by name. The tensors are numpy views of the file."""
    reader = require_library().GGUFReader(path)
    settings = {
        name: field.contents()
        for name, field in reader.fields.items()
        if not name.startswith("GGUF.")
    }
    return settings, {tensor.name: tensor.data for tensor in reader.tensors}


def _is_same_setting(stored: Any, value: Any) -> bool:
    # GGUF stores real numbers as float32.
    if isinstance(value, float):
        return bool(np.float32(stored) == np.float32(value))
    if isinstance(value, list) and value and isinstance(value[0], float):
        return bool(np.array_equal(np.array(stored, np.float32), np.array(value, np.float32)))
    return bool(stored == value)


def _to_numpy(tensor: Tensor) -> Any:
    return tensor.detach().to("cpu", torch.float32).contiguous().numpy()


def require_library() -> Any:
    """Return the gguf package. Raises InputError if it is not installed."""
    try:
        import gguf
    except ImportError:
        raise InputError(
            "--format gguf needs an extra that is not installed.",
            remedy="Install it with: pip install 'chatwright[gguf]'",
            field="format",
            value="gguf",
        ) from None
    return gguf
