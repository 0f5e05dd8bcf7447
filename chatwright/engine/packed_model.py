"""A model prepared for inference: packed linear layers, eval mode, and the way back.

Packing copies the weights into the layout of the kernels for inference (`model/packed_weight.py`).
While a PackedModel is open, the model cannot be trained, and later changes of its weights have no
effect before `refresh`. To sample from a model that is being trained, open `shared_copy(model)`. A
model that is only served needs half the memory with `keeps_weights=False`.
"""

import copy
from typing import Any, Generic, Self, TypeVar

from chatwright.errors import InputError
from chatwright.model.dropout import Dropout
from chatwright.model.linear import Linear, pack_linears, unpack_linears
from chatwright.model.model import Model
from chatwright.model.packed_weight import FLOAT32, WeightFormat

M = TypeVar("M", bound=Model)


class PackedModel(Generic[M]):
    """Packs a model. Use it in a `with` statement, or call `close`."""

    def __init__(
        self, model: M, keeps_weights: bool = True, weight_format: WeightFormat = FLOAT32
    ) -> None:
        """Pack the model and put it in eval mode.

        Args:
            model: The model.
            keeps_weights: Whether the weights stay beside their packed copies. If not, the model
                cannot be used after `close`.
            weight_format: How the weights are stored (`formats.py`).

        Raises:
            InputError: The format needs a CPU, and the model is elsewhere.
        """
        self.model = model
        self.weight_format = weight_format
        self.device = model.device
        self._was_packed = any(
            isinstance(module, Linear) and module.packed is not None for module in model.modules()
        )
        self._was_training = model.training
        model.eval()
        self.has_packed_kernels = pack_linears(model, keeps_weights, weight_format)
        self._keeps_weights = keeps_weights
        if not self.has_packed_kernels and weight_format is not FLOAT32:
            self.close()
            raise InputError(
                f"weights = {weight_format.name!r} needs float32 weights on a CPU; the model is on "
                f"{self.device.type} in {next(model.parameters()).dtype}.",
                remedy="Use weights = 'float32', which computes with the weights as they are.",
                field="weights",
                value=weight_format.name,
            )

    def refresh(self) -> None:
        """Pack the weights again, after they have changed."""
        assert self._keeps_weights, "the weights were released; they cannot be packed again"
        self.has_packed_kernels = pack_linears(self.model, weight_format=self.weight_format)

    def close(self) -> None:
        """Unpack the weights and restore the model's mode, so that it can be trained again."""
        if self._keeps_weights and not self._was_packed:
            unpack_linears(self.model)
        self.model.train(self._was_training)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def shared_copy(model: M) -> M:
    """Return a model with the same parameters, which can be packed while `model` is trained.

    The copy has modules of its own, but its parameters are those of `model`, so it takes no memory
    before it is packed. Training changes both; `PackedModel.refresh` packs the changed weights.
    """
    shared: dict[int, Any] = {id(tensor): tensor for tensor in model.parameters()}
    shared |= {id(tensor): tensor for tensor in model.buffers()}
    for module in model.modules():
        if isinstance(module, Dropout) and module.generator is not None:
            shared[id(module.generator)] = module.generator
    return copy.deepcopy(model, shared)
