"""A model prepared for inference: packed linear layers, eval mode, and the way back.

Packing copies the weights. While a PackedModel is open, later changes of the weights have no effect
and the model cannot be trained. A model that is only served needs half the memory with
`keeps_weights=False`.
"""

from typing import Generic, Self, TypeVar

from chatwright.model.linear import Linear, pack_linears, unpack_linears
from chatwright.model.model import Model

M = TypeVar("M", bound=Model)


class PackedModel(Generic[M]):
    """Packs a model. Use it in a `with` statement, or call `close`."""

    def __init__(self, model: M, keeps_weights: bool = True) -> None:
        """Pack the model and put it in eval mode.

        Args:
            model: The model.
            keeps_weights: Whether the weights stay beside their packed copies. If not, the model
                cannot be used after `close`.
        """
        self.model = model
        self.device = model.device
        self._was_packed = any(
            isinstance(module, Linear) and module.packed is not None for module in model.modules()
        )
        self._was_training = model.training
        model.eval()
        self.has_packed_kernels = pack_linears(model, keeps_weights)
        self._keeps_weights = keeps_weights

    def close(self) -> None:
        """Unpack the weights and restore the model's mode, so that it can be trained again."""
        if self._keeps_weights and not self._was_packed:
            unpack_linears(self.model)
        self.model.train(self._was_training)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()
