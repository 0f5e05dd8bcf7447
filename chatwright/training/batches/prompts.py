"""The order in which training on rewards takes its prompts."""

from typing import Any

from chatwright.data.batches import Shuffled
from chatwright.data.encoded.prompts import EncodedPrompts


class PromptBatches:
    """Prompts in batches of `size`, in a new order each epoch."""

    def __init__(self, prompts: EncodedPrompts, size: int, seed: int) -> None:
        self.prompts = prompts
        self.size = size
        self.order = Shuffled(len(prompts), seed)
        self.n_taken = 0
        """Number of batches taken so far."""

    def next_indices(self) -> list[int]:
        """Return the indices of the next prompts, and advance."""
        self.n_taken += 1
        return self.order.take(self.size)

    def describe(self) -> dict[str, Any]:
        """Return counts and a hash of the prompts."""
        return self.prompts.describe()

    def state_dict(self) -> dict[str, int]:
        """Return epoch, position and the number of batches taken."""
        return self.order.state_dict() | {"n_taken": self.n_taken}

    def load_state_dict(self, state: dict[str, int]) -> None:
        """Continue from a state that `state_dict` returned."""
        self.order.load_state_dict(state)
        self.n_taken = state["n_taken"]
