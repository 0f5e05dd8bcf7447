"""Factors of the attention heads' outputs: 0 switches a head off, 1 leaves it as it is.

A product with 1 keeps every bit, so rows of a batch may have different heads off.
"""

from collections.abc import Collection

import torch
from torch import Tensor

from chatwright.model.head_name import require_heads


def head_gates(
    n_layer: int, n_head: int, heads_off: Collection[tuple[int, int]], device: torch.device
) -> Tensor | None:
    """Return the factors of all heads' outputs, (n_layer, H); None if every head is on.

    Raises:
        InputError: The model has no such head.
    """
    if not heads_off:
        return None
    require_heads(heads_off, n_layer, n_head)
    gates = torch.ones(n_layer, n_head, device=device)
    for layer, number in heads_off:
        gates[layer, number] = 0.0
    return gates
