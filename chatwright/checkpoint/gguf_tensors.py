"""Read the tensors of a GGUF file as float32.

Quantized numbers are converted by the gguf package, a small part at a time, so that a tensor needs
little more memory than its float32 elements.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

import numpy as np
import torch
from torch import Tensor

from chatwright.checkpoint import gguf_types
from chatwright.checkpoint.gguf_header import GgufTensor
from chatwright.errors import InputError

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

    def _read_part(self, stream: BinaryIO, n_element: int) -> np.ndarray:
        """Read and convert the next elements. Returns float32, (n_element,)."""
        import gguf

        kind = _type_named(self.tensor.type_name)
        stored = np.fromfile(stream, np.uint8, n_element // kind.n_element * kind.n_byte)
        if len(stored) < n_element // kind.n_element * kind.n_byte:
            raise InputError(
                f"{self.file}: it became shorter while it was read.",
                remedy="Get the file again from its source.",
                field=self.tensor.name,
                value=str(self.file),
            )
        # Damaged scales give infinite or NaN weights, which are rejected when all are loaded.
        with np.errstate(all="ignore"):
            return gguf.dequantize(stored, gguf.GGMLQuantizationType[kind.name])


def _type_named(name: str) -> gguf_types.TensorType:
    return next(kind for kind in gguf_types.TYPES.values() if kind.name == name)
