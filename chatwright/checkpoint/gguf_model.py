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
    families,
    gguf_architectures,
    gguf_settings,
    public_model,
    quantized_tensors,
)
from chatwright.checkpoint.family import Weight, to_public_tensors
from chatwright.checkpoint.gguf_architectures import ARCHITECTURE, Architecture
from chatwright.checkpoint.gguf_header import GgufHeader
from chatwright.checkpoint.gguf_tensors import GgufEntry
from chatwright.checkpoint.quantized_tensors import QuantizedSource
from chatwright.errors import InputError
from chatwright.model.gpt import GPT
from chatwright.model.gpt_config import GPTConfig
from chatwright.model.model import Model
from chatwright.model.quantized_weight import BLOCK_BYTES

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
    kept = _kept(config, weights, entries, path) if keeps_quantized else {}
    return public_model.load(config, weights, entries, path, kept)


def _kept(
    config: GPTConfig, weights: list[Weight], entries: Mapping[str, GgufEntry], path: Path
) -> dict[str, QuantizedSource]:
    """Return the tensors that can stay quantized, here and in the files of their family."""
    public_model.require_shapes(config, weights, entries, path)
    model = build_model.without_memory(GPT, config)
    family = families.for_config(config)
    assert family is not None, "every architecture of GGUF files is one of a family"
    direct = {one.parameters for one in family.weights(config) if one.is_stored_directly}
    kept = quantized_tensors.kept(
        model, (one for one in weights if one.parameters in direct), entries
    )
    if not kept:
        raise InputError(
            f"{path}: no weight can stay quantized. Of the types in GGUF files, "
            f"{', '.join(BLOCK_BYTES)} can, in models whose files hold each layer by itself.",
            remedy="Import it without --keep-quantized.",
            field="keep_quantized",
            value=family.name,
        )
    return kept


@torch.no_grad()
def tensors(model: GPT, architecture: Architecture) -> dict[str, Tensor]:
    """Return the tensors of a GGUF file by name, from the model's parameters."""
    parameters: dict[str, Tensor] = dict(model.named_parameters())
    weights = gguf_architectures.weights(architecture, model.config, parameters)
    stored = to_public_tensors(weights, parameters)
    factors = gguf_settings.frequency_factors(model.config)
    return stored if factors is None else stored | {gguf_settings.FREQUENCY_FACTORS: factors}


def notes(header: GgufHeader, keeps_quantized: bool = False) -> list[str]:
    """Return a note on the file's quantized number types, if it has any."""
    types = Counter(tensor.type_name for tensor in header.tensors.values())
    quantized = [name for name, _ in types.most_common() if name not in FLOAT_TYPES]
    if not quantized:
        return []
    if keeps_quantized:
        return [
            f"the layers' weights in {', '.join(BLOCK_BYTES)} stay as the file stores them; serve "
            "them so with --weights gguf. Training and other formats use the values that they "
            "stand for"
        ]
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
