"""The order in which training reads rows; it depends on seed and epoch only.

The state is two integers, epoch and position, so a resumed run continues with the next row.
"""

import torch
from torch import Tensor

from chatwright.devices import generator
from chatwright.errors import InputError


class Shuffled:
    """Indices 0 to n-1, in a new random order each epoch."""

    def __init__(self, n: int, seed: int) -> None:
        """Start at the first epoch. `n` is the number of rows."""
        assert n > 0, "n must be positive"
        self.n, self.seed = n, seed
        self.epoch = 0
        self.position = 0
        self._order: tuple[int, Tensor] | None = None

    def take(self, count: int) -> list[int]:
        """Return the next `count` indices, which may belong to two epochs."""
        taken: list[int] = []
        while len(taken) < count:
            order = self._order_of(self.epoch)
            part = order[self.position : self.position + count - len(taken)].tolist()
            taken += part
            self.position += len(part)
            if self.position == self.n:
                self.epoch += 1
                self.position = 0
        return taken

    def _order_of(self, epoch: int) -> Tensor:
        if self._order is None or self._order[0] != epoch:
            draws = generator(self.seed, f"order of epoch {epoch}")
            self._order = (epoch, torch.randperm(self.n, generator=draws))
        return self._order[1]

    def state_dict(self) -> dict[str, int]:
        """Return epoch and position."""
        return {"epoch": self.epoch, "position": self.position}

    def load_state_dict(self, state: dict[str, int]) -> None:
        """Continue from a state that `state_dict` returned."""
        self.epoch = state["epoch"]
        self.position = state["position"]


class Windows:
    """Windows of T+1 tokens of one long stream: T inputs and, shifted by one, T targets.

    Each epoch starts at a new random offset below T, so windows begin at other tokens every time.
    The tokens before the offset and after the last whole window, less than two windows, are left
    out of that epoch.
    """

    def __init__(self, stream: Tensor, length: int, seed: int) -> None:
        """Cut `stream` (n_tokens,) into windows of `length` inputs; a shorter stream is one window.

        Raises InputError for a stream of less than two tokens.
        """
        if len(stream) < 2:
            raise InputError(
                f"The training text has {len(stream)} tokens, and at least 2 are needed.",
                remedy="Add text.",
                field="data",
            )
        self.stream, self.seed = stream, seed
        self.length = min(length, len(stream) - 1)
        # One window less leaves room for every offset. A single window moves within the tokens that
        # are left over.
        has_several = (len(stream) - 1) // self.length > 1
        self.n_offset = self.length if has_several else len(stream) - self.length
        self.n = (len(stream) - self.length) // self.length if has_several else 1
        self.shuffled = Shuffled(self.n, seed)

    def take(self, count: int) -> Tensor:
        """Return the next windows, (count, T+1) int64."""
        rows = []
        for _ in range(count):
            epoch = self.shuffled.epoch
            [index] = self.shuffled.take(1)
            start = self._offset(epoch) + index * self.length
            rows.append(self.stream[start : start + self.length + 1])
        return torch.stack(rows).long()

    def _offset(self, epoch: int) -> int:
        draws = generator(self.seed, f"offset of epoch {epoch}")
        return int(torch.randint(self.n_offset, (), generator=draws))

    def state_dict(self) -> dict[str, int]:
        """Return epoch and position."""
        return self.shuffled.state_dict()

    def load_state_dict(self, state: dict[str, int]) -> None:
        """Continue from a state that `state_dict` returned."""
        self.shuffled.load_state_dict(state)
