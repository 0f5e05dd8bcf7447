"""Read the tensors of a GGUF file as float32, or as they are stored.

Quantized numbers are converted by the gguf package, a small part at a time, so that a tensor needs
little more memory than its float32 elements.
"""

import math
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

import numpy as np
import torch
from torch import Tensor

from chatwright.checkpoint import gguf_types
from chatwright.checkpoint.gguf_header import GgufTensor
from chatwright.errors import InputError
from chatwright.model.quantized_weight import QuantizedWeight

PART = 2**18  # elements; a multiple of the elements of every block


@dataclass(frozen=True)
class GgufEntry:
    """A tensor of a GGUF file; reading converts it to float32."""

    file: Path
    tensor: GgufTensor

    @property
    def shape(self) -> tuple[int, ...]:
        """Shape of the tensor."""
        return self.tensor.shape

    @property
    def dtype(self) -> torch.dtype:
        """Number type of the tensor that `read` returns."""
        return torch.float32

    @property
    def number_type(self) -> str:
        """llama.cpp's name of the number type in the file."""
        return self.tensor.type_name

    @property
    def nbytes(self) -> int:
        """Bytes of the tensor in the file."""
        kind = _type_named(self.number_type)
        return math.prod(self.shape) // kind.n_element * kind.n_byte

    def read(self) -> Tensor:
        """Read the tensor into new memory. Raises InputError if the file became shorter."""
        result = torch.empty(self.shape, dtype=torch.float32)
        elements = result.view(-1).numpy()
        with self.file.open("rb", buffering=0) as stream:
            stream.seek(self.tensor.offset)
            for start in range(0, len(elements), PART):
                part = elements[start : start + PART]
                part[:] = self._read_part(stream, len(part))
        return result

    def read_quantized(self) -> QuantizedWeight:
        """Read a matrix in one of the types of `QuantizedWeight`, as it is stored."""
        with self.file.open("rb", buffering=0) as stream:
            stream.seek(self.tensor.offset)
            stored = self._read_bytes(stream, self.nbytes)
        return QuantizedWeight(self.number_type, torch.from_numpy(stored).view(self.shape[0], -1))

    def _read_part(self, stream: BinaryIO, n_element: int) -> np.ndarray:
        """Read and convert the next elements. Returns float32, (n_element,)."""
        import gguf

        kind = _type_named(self.number_type)
        stored = self._read_bytes(stream, n_element // kind.n_element * kind.n_byte)
        # Damaged scales give infinite or NaN weights, which are rejected when all are loaded.
        with np.errstate(all="ignore"):
            return gguf.dequantize(stored, gguf.GGMLQuantizationType[kind.name])

    def _read_bytes(self, stream: BinaryIO, n_byte: int) -> np.ndarray:
        stored = np.fromfile(stream, np.uint8, n_byte)
        if len(stored) < n_byte:
            raise InputError(
                f"{self.file}: it became shorter while it was read.",
                remedy="Get the file again from its source.",
                field=self.tensor.name,
                value=str(self.file),
            )
        return stored


def _type_named(name: str) -> gguf_types.TensorType:
    return next(kind for kind in gguf_types.TYPES.values() if kind.name == name)
