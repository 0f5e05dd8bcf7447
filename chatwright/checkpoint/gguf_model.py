"""Load a decoder from a GGUF file, in float32, and list the tensors of the file for one.

`gguf_architectures` and `gguf_settings` relate the names in the file to ours. Loading is the same
as for safetensors files.
"""

from collections import Counter

import torch
from torch import Tensor

from chatwright.checkpoint import gguf_architectures, gguf_settings, public_model
from chatwright.checkpoint.family import to_public_tensors
from chatwright.checkpoint.gguf_architectures import ARCHITECTURE, Architecture
from chatwright.checkpoint.gguf_header import GgufHeader
from chatwright.checkpoint.gguf_tensors import GgufEntry
from chatwright.errors import InputError
from chatwright.model.gpt import GPT
from chatwright.model.model import Model

FLOAT_TYPES = {"F32", "F16", "BF16"}
TYPE = "general.type"
SPLIT_COUNT = "split.count"


def read(header: GgufHeader, context_length: int | None = None) -> Model:
    """Load the decoder, in eval mode, optionally with a shorter context.

    Raises:
        InputError: The architecture or a field is not supported, or the file is damaged.
    """
    path, fields = header.path, header.fields
    _require_whole_model(header)
    architecture = gguf_architectures.by_name(fields.get(ARCHITECTURE), str(path))
    entries = {name: GgufEntry(path, tensor) for name, tensor in header.tensors.items()}
    factors = _read_factors(entries.pop(gguf_settings.FREQUENCY_FACTORS, None))
    shapes = {name: entry.shape for name, entry in entries.items()}
    config = gguf_settings.read(fields, shapes, factors, architecture, str(path))
    names = public_model.parameter_shapes(config)
    weights = gguf_architectures.weights(architecture, config, names)
    if context_length is None:
        return public_model.load(config, weights, entries, path)
    shorter = public_model.shortened(config, context_length, path)
    return public_model.load(shorter, weights, entries, path)


@torch.no_grad()
def tensors(model: GPT, architecture: Architecture) -> dict[str, Tensor]:
    """Return the tensors of a GGUF file by name, from the model's parameters."""
    parameters: dict[str, Tensor] = dict(model.named_parameters())
    weights = gguf_architectures.weights(architecture, model.config, parameters)
    stored = to_public_tensors(weights, parameters)
    factors = gguf_settings.frequency_factors(model.config)
    return stored if factors is None else stored | {gguf_settings.FREQUENCY_FACTORS: factors}


def notes(header: GgufHeader) -> list[str]:
    """Return a note on the file's quantized number types, if it has any."""
    types = Counter(tensor.type_name for tensor in header.tensors.values())
    quantized = [name for name, _ in types.most_common() if name not in FLOAT_TYPES]
    if not quantized:
        return []
    return [
        f"the file's weights are quantized ({', '.join(quantized)}); the imported model computes "
        "in float32 with the values that they stand for"
    ]


def _read_factors(entry: GgufEntry | None) -> Tensor | None:
    return None if entry is None else entry.read()


def _require_whole_model(header: GgufHeader) -> None:
    """Reject adapters, parts of other models, and models in several files."""
    path, fields = header.path, header.fields
    if (kind := fields.get(TYPE, "model")) != "model":
        raise InputError(
            f"{path}: {TYPE} = {str(kind)[:80]!r}: only whole models can be imported.",
            remedy="Give the GGUF file of a model.",
            field=TYPE,
            value=kind,
        )
    if (n_file := fields.get(SPLIT_COUNT, 1)) not in (0, 1):
        raise InputError(
            f"{path}: the model is split into {str(n_file)[:80]} files.",
            remedy="Join them with llama.cpp: llama-gguf-split --merge FIRST_FILE model.gguf",
            field=SPLIT_COUNT,
            value=n_file,
        )
