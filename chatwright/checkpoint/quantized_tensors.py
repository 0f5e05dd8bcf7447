"""Weights that stay as a GGUF file stores them, in the safetensors file of a model directory.

Such a tensor holds the blocks of each row as bytes, and its name ends in the number type:
`model.layers.0.mlp.up_proj.weight.Q4_0`. The directory has Chatwright's own layout, so that other
tools refuse it.
"""

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from chatwright.checkpoint import safetensors_file
from chatwright.checkpoint.family import Weight
from chatwright.checkpoint.gguf_tensors import GgufEntry
from chatwright.checkpoint.safetensors_file import Entry
from chatwright.errors import InputError
from chatwright.model.linear import Linear, quantized_weights
from chatwright.model.model import Model
from chatwright.model.quantized_weight import BLOCKS, QuantizedWeight


@dataclass(frozen=True)
class QuantizedEntry:
    """A quantized tensor of a safetensors file; `read` converts it to float32."""

    entry: Entry
    number_type: str

    @property
    def file(self) -> Path:
        """The file that holds the tensor."""
        return self.entry.file

    @property
    def shape(self) -> tuple[int, ...]:
        """Shape of the weight."""
        n_out, n_byte = self.entry.shape
        n_weight, n_block_byte = BLOCKS[self.number_type]
        return n_out, n_byte // n_block_byte * n_weight

    @property
    def nbytes(self) -> int:
        """Bytes in the file."""
        return self.entry.nbytes

    @property
    def dtype(self) -> torch.dtype:
        """Number type of the tensor that `read` returns."""
        return torch.float32

    def read(self) -> Tensor:
        """Read the weight as float32."""
        return self.read_quantized().values()

    def read_quantized(self) -> QuantizedWeight:
        """Read the weight as it is stored."""
        return QuantizedWeight(self.number_type, safetensors_file.read(self.entry))


QuantizedTensor = QuantizedEntry | GgufEntry
"""A tensor of a file that can be read as it is stored, if its type is one of BLOCKS."""


def recognize(entries: Mapping[str, Entry]) -> dict[str, Entry | QuantizedEntry]:
    """Return the tensors of a file by their own names; the position says which are quantized.

    Raises:
        InputError: A tensor with the name of a quantized one does not hold whole blocks, or is
            there twice.
    """
    found: dict[str, Entry | QuantizedEntry] = {}
    for stored_name, stored in entries.items():
        name, entry = _recognize(stored_name, stored)
        if name in found:
            raise InputError(
                f"{stored.file}: holds {name[:80]} in two number types.",
                remedy="Get the file again from its source.",
                field=stored_name[:80],
                value=str(stored.file),
            )
        found[name] = entry
    return found


def _recognize(name: str, entry: Entry) -> tuple[str, Entry | QuantizedEntry]:
    base, _, number_type = name.rpartition(".")
    if number_type not in BLOCKS:
        return name, entry
    is_whole = (
        entry.dtype == torch.uint8
        and len(entry.shape) == 2
        and entry.shape[1] % BLOCKS[number_type][1] == 0
    )
    if not is_whole:
        raise InputError(
            f"{entry.file}: {name[:80]} does not hold whole blocks of {number_type}.",
            remedy="Get the file again from its source.",
            field=name[:80],
            value=entry.shape,
        )
    return base, QuantizedEntry(entry, number_type)


def find(
    model: Model, weights: Iterable[Weight], entries: Mapping[str, Entry | QuantizedTensor]
) -> dict[str, QuantizedTensor]:
    """Return the quantized tensors that can stay so, by the parameter's name.

    They are matrices of the blocks' linear layers. The head and the embedding become float32:
    logits need more digits than the kernels for few bits give.
    """
    layers = {f"{name}.weight" for name, _ in block_linears(model)}
    found = {}
    for weight in weights:
        entry = entries[weight.public_name]
        is_one = len(weight.parameters) == 1 and weight.parameters[0] in layers
        is_changed = weight.transposed or weight.minus_one or weight.is_row
        if isinstance(entry, Entry) or entry.number_type not in BLOCKS:
            continue
        if is_one and not is_changed:
            found[weight.parameters[0]] = entry
    return found


def block_linears(model: Model) -> list[tuple[str, Linear]]:
    """Return the linear layers of the blocks, by name."""
    return [
        (f"blocks.{name}", module)
        for name, module in model.get_submodule("blocks").named_modules()
        if isinstance(module, Linear)
    ]


def bytes_saved(sources: Iterable[QuantizedTensor]) -> int:
    """Return the memory that float32 weights would take more."""
    return sum(4 * math.prod(one.shape) - one.nbytes for one in sources)


def assign(model: Model, name: str, weight: QuantizedWeight) -> None:
    """Give the layer with this parameter a quantized weight."""
    layer = model.get_submodule(name.removesuffix(".weight"))
    assert isinstance(layer, Linear), "only weights of linear layers stay quantized"
    layer.keep_quantized(weight)


def with_stored_bytes(
    tensors: Mapping[str, Tensor], model: Model, weights: Iterable[Weight]
) -> dict[str, Tensor]:
    """Return the tensors of a file, with quantized weights as bytes under longer names."""
    quantized = quantized_weights(model)
    result = dict(tensors)
    for weight in weights:
        kept = quantized.get(weight.parameters[0])
        if kept is not None:
            assert weight.is_stored_directly, "our own layout stores the rows in our order"
            del result[weight.public_name]
            result[f"{weight.public_name}.{kept.number_type}"] = kept.rows
    return result
