"""The reference of reinforcement learning: the model as it was before training."""

import copy
from typing import Any, TypeVar

from chatwright.model.dropout import Dropout
from chatwright.model.model import Model

M = TypeVar("M", bound=Model)


def frozen_copy(model: M) -> M:
    """Return a copy whose weights stay as they are now.

    Weights that are not trained are shared: the reference of an adapter takes the memory of the
    adapter alone.
    """
    shared: dict[int, Any] = {id(p): p for p in model.parameters() if not p.requires_grad}
    shared |= {id(buffer): buffer for buffer in model.buffers()}
    for module in model.modules():
        if isinstance(module, Dropout) and module.generator is not None:
            shared[id(module.generator)] = module.generator
    return copy.deepcopy(model, shared).requires_grad_(False).eval()
