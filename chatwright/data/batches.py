"""Which rows come next, resumably: a position that is two integers, and an order that is a pure function of (seed, epoch).

Nothing is kept between calls that the two integers do not determine, so a killed run goes on with exactly the row it would have taken.
"""

import torch
from torch import Tensor

from chatwright.devices import generator


class Shuffled:
    """Indices 0..n-1 in a new order each epoch."""

    def __init__(self, n: int, seed: int) -> None:
        assert n > 0, "there must be something to shuffle"
        self.n, self.seed = n, seed
        self.epoch = self.position = 0
        self._order: tuple[int, Tensor] | None = None

    def take(self, count: int) -> list[int]:
        """The next `count` indices; an epoch's end may lie between them."""
        taken: list[int] = []
        while len(taken) < count:
            order = self._order_of(self.epoch)
            part = order[self.position : self.position + count - len(taken)].tolist()
            taken += part
            self.position += len(part)
            if self.position == self.n:
                self.epoch, self.position = self.epoch + 1, 0
        return taken

    def _order_of(self, epoch: int) -> Tensor:
        if self._order is None or self._order[0] != epoch:
            self._order = (
                epoch,
                torch.randperm(self.n, generator=generator(self.seed, f"order of epoch {epoch}")),
            )
        return self._order[1]

    def state_dict(self) -> dict[str, int]:
        return {"epoch": self.epoch, "position": self.position}

    def load_state_dict(self, state: dict[str, int]) -> None:
        self.epoch, self.position = state["epoch"], state["position"]


class Windows:
    """Windows of T+1 tokens cut from one long stream: T inputs and, shifted by one, T targets.

    Each epoch cuts at a new random offset below T, so that a model never sees the same borders twice; what lies before the offset and
    after the last whole window is left out of that epoch (less than two windows).
    """

    def __init__(self, stream: Tensor, length: int, seed: int) -> None:
        if len(stream) < 2:
            raise ValueError(
                f"the training text has {len(stream)} tokens; at least 2 are needed. Give more text."
            )
        self.stream, self.seed = stream, seed
        self.length = min(length, len(stream) - 1)
        # Room for every offset costs one window, which a stream of one window cannot give: it moves only as far as its rest allows.
        has_several = (len(stream) - 1) // self.length > 1
        self.n_offset = self.length if has_several else len(stream) - self.length
        self.n = (len(stream) - self.length) // self.length if has_several else 1
        self.shuffled = Shuffled(self.n, seed)

    def take(self, count: int) -> Tensor:
        """(count, T+1) int64"""
        rows = []
        for _ in range(count):
            epoch = self.shuffled.epoch
            [index] = self.shuffled.take(1)
            start = self._offset(epoch) + index * self.length
            rows.append(self.stream[start : start + self.length + 1])
        return torch.stack(rows).long()

    def _offset(self, epoch: int) -> int:
        return int(
            torch.randint(
                self.n_offset, (), generator=generator(self.seed, f"offset of epoch {epoch}")
            )
        )

    def state_dict(self) -> dict[str, int]:
        return self.shuffled.state_dict()

    def load_state_dict(self, state: dict[str, int]) -> None:
        self.shuffled.load_state_dict(state)
