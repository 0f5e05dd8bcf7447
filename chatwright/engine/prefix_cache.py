"""The prefix cache: keys and values of earlier texts, for requests that begin with the same tokens.

The next turn of a conversation repeats all earlier turns. Its keys and values are copied from here,
and only the new tokens are read. A reply keeps its own slot of the `DenseCache` while it runs: on a
CPU, attention reads contiguous keys faster than it gathers blocks. When the reply ends or is
preempted, its text is copied into blocks of fixed size, which never change afterwards.

Keys and values do not depend on how a text was read (`batch_invariance.py`), so a copied prefix
gives the same bits as a read one. All memory is within a fixed number of bytes; it is taken when it
is first used.
"""

from collections.abc import Hashable, Sequence

import torch
from torch import Tensor

from chatwright.engine.prefix_index import Block, PrefixIndex
from chatwright.model.kv_cache import DenseCache

BLOCK_TOKENS = 16
"""Tokens of a block. A hit ends at a block's end, so shorter blocks leave fewer tokens to read."""

Path = list[Block]
"""The blocks of a text's prefix. They are not evicted before `PrefixCache.release`."""


class PrefixCache:
    """Saves prefixes of the texts in a `DenseCache` and copies them back."""

    def __init__(self, cache: DenseCache, n_byte: int, block_tokens: int = BLOCK_TOKENS) -> None:
        """Reserve nothing yet; at most `n_byte` bytes are used later.

        Args:
            cache: The cache of the running replies.
            n_byte: Largest memory of all blocks.
            block_tokens: Tokens of a block.
        """
        self._cache = cache
        n_layer, _, n_kv_head, _, head_dim = cache.shape
        block = (n_kv_head, block_tokens, head_dim)
        per_block = 2 * n_layer * n_kv_head * block_tokens * head_dim * cache.dtype.itemsize
        self.index = PrefixIndex(n_byte // per_block, block_tokens)
        self._shape = (n_layer, self.index.n_block, *block)
        self._keys: list[Tensor] = []  # one a layer, (blocks, K, block_tokens, Dh)
        self._values: list[Tensor] = []

    @property
    def nbytes(self) -> int:
        """Memory of all blocks, used or not, once the first one was used."""
        return sum(tensor.nbytes for tensor in (*self._keys, *self._values))

    def load(
        self, owner: Hashable, token_ids: Sequence[int], slot: int, n_slot: int
    ) -> tuple[Path, int]:
        """Copy the longest known prefix of a text into a slot.

        Args:
            owner: Whose prefixes may be used.
            token_ids: The text, without the tokens that are to be read in any case.
            slot: The slot.
            n_slot: Number of the cache's slots that need memory.

        Returns:
            The blocks, to be released later, and the number of tokens copied.
        """
        path = self.index.find(owner, token_ids)
        n_token = len(path) * self.index.block_tokens
        if path:
            numbers = self._numbers(path)
            parts = [
                (keys[numbers], values[numbers])  # twice (blocks, K, block_tokens, Dh)
                for keys, values in zip(self._keys, self._values, strict=True)
            ]
            self._cache.write_blocks(slot, parts, token_ids[:n_token], n_slot)
        return path, n_token

    def save(self, owner: Hashable, token_ids: Sequence[int], slot: int) -> Path:
        """Copy the text in a slot into blocks, in whole blocks and while there is room.

        `token_ids` are those whose keys and values are in the slot. Returns the blocks, to be
        released later.
        """
        path, n_known = self.index.extend(owner, token_ids)
        is_saved = False
        try:
            if n_known < len(path):
                self._store(path, n_known, slot)
            is_saved = True
        except RuntimeError:  # out of memory: later requests read their prompts again
            pass
        finally:
            if not is_saved:  # the new blocks are in the index and hold nothing
                self.clear()
        return path

    def _store(self, path: Path, n_known: int, slot: int) -> None:
        """Copy from a slot into the blocks of a path after its first `n_known`."""
        self._allocate()
        numbers, size = self._numbers(path[n_known:]), self.index.block_tokens
        parts = self._cache.slot_parts(slot, n_known * size, len(path) * size)
        for layer, (keys, values) in enumerate(parts):  # twice (K, T, Dh)
            for stored, part in ((self._keys[layer], keys), (self._values[layer], values)):
                stored[numbers] = part.unflatten(1, (-1, size)).transpose(0, 1)

    def release(self, path: Path) -> None:
        """Allow the blocks to be evicted."""
        self.index.release(path)

    def clear(self) -> None:
        """Forget everything, for example because the weights changed, and give the memory back."""
        self.index.clear()
        self._keys, self._values = [], []

    def _numbers(self, path: Path) -> Tensor:
        return torch.tensor([block.number for block in path], device=self._cache.device)

    def _allocate(self) -> None:
        """Reserve the blocks; the system gives memory when they are first written."""
        if self._keys:
            return
        n_layer, *shape = self._shape
        dtype, device = self._cache.dtype, self._cache.device
        self._keys, self._values = (
            [torch.empty(shape, dtype=dtype, device=device) for _ in range(n_layer)]
            for _ in range(2)
        )
