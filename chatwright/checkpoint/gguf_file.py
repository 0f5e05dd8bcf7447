"""A GGUF file, llama.cpp's one file for a model and its tokenizer: written whole or not at all, and read again. Takes the `gguf` extra.

GGUF is written only: to open one here would be to trust a second format, and what we write is float32, which safetensors holds as well.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from chatwright.checkpoint import directory

ARCHITECTURE = "general.architecture"


def write(path: Path, settings: Mapping[str, Any], tensors: Mapping[str, Tensor]) -> None:
    """Write the file beside `path`, read it again, compare everything, and give it its name."""
    library = require_library()
    path.parent.mkdir(parents=True, exist_ok=True)
    try:
        with directory.atomic_file(path) as partial:
            writer = library.GGUFWriter(
                partial, settings[ARCHITECTURE]
            )  # which writes that one setting itself
            for name, value in settings.items():
                if name != ARCHITECTURE:
                    _add(writer, name, value)
            for name, tensor in tensors.items():
                writer.add_tensor(name, _array(tensor))
            writer.write_header_to_file()
            writer.write_kv_data_to_file()
            writer.write_tensors_to_file()
            writer.close()
            if wrong := differences(partial, settings, tensors):
                raise ValueError(
                    f"{path}: {wrong[0]} was not read back as it was written, so nothing was kept. "
                    "The disk or the gguf package is at fault: try another disk, then another version of the package."
                )
    except OSError as error:
        raise ValueError(
            f"{path}: could not be written ({error.strerror or error}). Make room or choose another place."
        ) from None


def differences(
    path: Path, settings: Mapping[str, Any], tensors: Mapping[str, Tensor]
) -> list[str]:
    """Names of settings and tensors in the file that are not these, bit for bit; of those that are missing or too many, too."""
    found_settings, found_tensors = read(path)
    wrong = [
        name
        for name in settings.keys() | found_settings.keys()
        if name not in found_settings
        or name not in settings
        or not _same(found_settings[name], settings[name])
    ]
    wrong += [
        name
        for name in tensors.keys() | found_tensors.keys()
        if name not in found_tensors
        or name not in tensors
        or not np.array_equal(found_tensors[name], _array(tensors[name]))
    ]
    return sorted(wrong)


def read(path: Path) -> tuple[dict[str, Any], dict[str, Any]]:
    """Settings and tensors (numpy, views of the file) by name."""
    reader = require_library().GGUFReader(path)
    settings = {
        name: field.contents()
        for name, field in reader.fields.items()
        if not name.startswith("GGUF.")
    }
    return settings, {tensor.name: tensor.data for tensor in reader.tensors}


def _same(found: Any, meant: Any) -> bool:
    """Real numbers are kept in 32 bits."""
    if isinstance(meant, float):
        return bool(np.float32(found) == np.float32(meant))
    if isinstance(meant, list) and meant and isinstance(meant[0], float):
        return bool(np.array_equal(np.array(found, np.float32), np.array(meant, np.float32)))
    return bool(found == meant)


def _add(writer: Any, name: str, value: Any) -> None:
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
            raise AssertionError(f"{name}: no kind of setting a file has")


def _array(tensor: Tensor) -> Any:
    return tensor.detach().to("cpu", torch.float32).contiguous().numpy()


def require_library() -> Any:
    """The gguf package. Raises ValueError with the remedy where it is not installed."""
    try:
        import gguf
    except ImportError:
        raise ValueError(
            "--format gguf takes an extra that is not installed: pip install 'chatwright[gguf]'"
        ) from None
    return gguf
