"""Load a decoder from a GGUF file, in float32, and list the tensors of the file for one.

`gguf_architectures` and `gguf_settings` relate the names in the file to ours. Loading is the same
as for safetensors files.
"""

from collections import Counter
from collections.abc import Mapping
from pathlib import Path

import torch
from torch import Tensor

from chatwright.checkpoint import (
    build_model,
    gguf_architectures,
    gguf_settings,
    public_model,
    quantized_tensors,
)
from chatwright.checkpoint.family import Weight, to_public_tensors
from chatwright.checkpoint.gguf_architectures import ARCHITECTURE, Architecture
from chatwright.checkpoint.gguf_header import GgufHeader
from chatwright.checkpoint.gguf_tensors import GgufEntry
from chatwright.checkpoint.quantized_tensors import QuantizedTensor
from chatwright.errors import InputError
from chatwright.model.gpt import GPT
from chatwright.model.gpt_config import GPTConfig
from chatwright.model.linear import quantized_weights
from chatwright.model.model import Model
from chatwright.model.quantized_weight import BLOCKS

FLOAT_TYPES = {"F32", "F16", "BF16"}
TYPE = "general.type"
SPLIT_COUNT = "split.count"


def read(
    header: GgufHeader, context_length: int | None = None, keeps_quantized: bool = False
) -> Model:
    """Load the decoder, in eval mode.

    Args:
        header: The file's header.
        context_length: A shorter context, in tokens.
        keeps_quantized: Whether weights in the types of `QuantizedWeight` stay as they are.

    Raises:
        InputError: The architecture or a field is not supported, or the file is damaged; or no
            weight can stay quantized.
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
    if context_length is not None:
        shorter = public_model.shortened(config, context_length, path)
        assert isinstance(shorter, GPTConfig), "the same kind of settings"
        config = shorter
    kept = _find_quantized(config, weights, entries, path) if keeps_quantized else {}
    return public_model.load(config, weights, entries, path, kept)


def _find_quantized(
    config: GPTConfig, weights: list[Weight], entries: Mapping[str, GgufEntry], path: Path
) -> dict[str, QuantizedTensor]:
    """Return the tensors that can stay quantized. Raises InputError if there is none."""
    public_model.require_shapes(config, weights, entries, path)
    kept = quantized_tensors.find(build_model.without_memory(GPT, config), weights, entries)
    if kept:
        return kept
    in_blocks = {one.number_type for name, one in entries.items() if name.startswith("blk.")}
    types = sorted(in_blocks - FLOAT_TYPES)
    if set(types) & BLOCKS.keys():
        reason = "the file stores several layers as one matrix"
    else:
        reason = f"its layers are in {', '.join(types) or 'floating-point numbers'}"
    raise InputError(
        f"{path}: no weight can stay quantized: {reason}. Only {', '.join(BLOCKS)} can.",
        remedy="Import it without --keep-quantized.",
        field="keep_quantized",
        value=", ".join(types),
    )


@torch.no_grad()
def tensors(model: GPT, architecture: Architecture) -> dict[str, Tensor]:
    """Return the tensors of a GGUF file by name, from the model's parameters."""
    parameters: dict[str, Tensor] = dict(model.named_parameters())
    weights = gguf_architectures.weights(architecture, model.config, parameters)
    stored = to_public_tensors(weights, parameters)
    factors = gguf_settings.frequency_factors(model.config)
    return stored if factors is None else stored | {gguf_settings.FREQUENCY_FACTORS: factors}


def notes(header: GgufHeader, model: Model) -> list[str]:
    """Return a note on the file's quantized number types, if it has any."""
    types = Counter(tensor.type_name for tensor in header.tensors.values())
    quantized = [name for name, _ in types.most_common() if name not in FLOAT_TYPES]
    if not quantized:
        return []
    kept = Counter(weight.number_type for weight in quantized_weights(model).values())
    if not kept:
        return [
            f"the file's weights are quantized ({', '.join(quantized)}); the imported model "
            "computes in float32 with the values that they stand for"
        ]
    n_layer = len(quantized_tensors.block_linears(model))
    counts = ", ".join(f"{count} in {name}" for name, count in kept.most_common())
    return [
        f"the weights of {kept.total()} of {n_layer} layers stay as the file stores them "
        f"({counts}); everything else becomes float32. Serve the model with --weights gguf"
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
