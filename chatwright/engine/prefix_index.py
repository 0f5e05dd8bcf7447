"""The index of the prefix cache: which texts have keys and values in which blocks.

A block stands for `block_tokens` tokens of a text after those of its parent block, so the blocks
form a tree for each owner. Owners share nothing. A dictionary of the tokens finds a child, so a hit
means equal tokens, never only an equal hash.

A path that this index returns is referenced until `release`; referenced blocks are not evicted.
Among the others the least recently used one without children is evicted first. This module does not
import torch.
"""

from collections import OrderedDict
from collections.abc import Hashable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Optional


@dataclass(eq=False, slots=True)
class Block:
    """One block, or the root of an owner's tree."""

    number: int
    """Where its keys and values are stored; -1 for a root."""
    tokens: tuple[int, ...]
    parent: Optional["Block"]
    children: dict[tuple[int, ...], "Block"] = field(default_factory=dict)
    n_reference: int = 0


class PrefixIndex:
    """Finds, adds and evicts blocks."""

    def __init__(self, n_block: int, block_tokens: int) -> None:
        """Begin with `n_block` free blocks of `block_tokens` tokens."""
        self.n_block = n_block
        self.block_tokens = block_tokens
        self._roots: dict[Hashable, Block] = {}
        self._free = list(range(n_block - 1, -1, -1))
        # Least recently used first. Each block comes before its parent, because `_touch` moves a
        # path from its end to its start. So the first block without references has no children.
        self._order: OrderedDict[Block, Hashable] = OrderedDict()  # block -> owner

    @property
    def n_used(self) -> int:
        """Number of blocks that hold keys and values."""
        return len(self._order)

    def find(self, owner: Hashable, token_ids: Sequence[int]) -> list[Block]:
        """Return the longest known path along these tokens, in whole blocks, referenced."""
        path = self._walk(owner, token_ids)
        self._reference(path)
        self._touch(path)
        return path

    def extend(self, owner: Hashable, token_ids: Sequence[int]) -> tuple[list[Block], int]:
        """Add blocks along these tokens while there is room.

        Returns:
            The path, referenced, and the number of its blocks that were known before. The caller
            fills the others.
        """
        path = self._walk(owner, token_ids)
        n_known = len(path)
        self._reference(path)
        for tokens in self._split(token_ids)[n_known:]:
            if not self._free and not self._evict():
                break
            parent = path[-1] if path else self._roots.setdefault(owner, Block(-1, (), None))
            block = Block(self._free.pop(), tokens, parent, n_reference=1)
            parent.children[tokens] = block
            self._order[block] = owner
            path.append(block)
        self._touch(path)
        return path, n_known

    def release(self, path: Iterable[Block]) -> None:
        """Give references back. Blocks that `clear` dropped in between may be among them."""
        for block in path:
            assert block.n_reference > 0, "a block is released more often than referenced"
            block.n_reference -= 1

    def clear(self) -> None:
        """Forget all blocks, for example because the weights changed."""
        self._roots.clear()
        self._order.clear()
        self._free = list(range(self.n_block - 1, -1, -1))

    def _walk(self, owner: Hashable, token_ids: Sequence[int]) -> list[Block]:
        block = self._roots.get(owner)
        path: list[Block] = []
        for tokens in self._split(token_ids):
            block = block.children.get(tokens) if block is not None else None
            if block is None:
                break
            path.append(block)
        return path

    def _split(self, token_ids: Sequence[int]) -> list[tuple[int, ...]]:
        """Cut into whole blocks; the rest is left out."""
        size = self.block_tokens
        return [
            tuple(token_ids[start : start + size])
            for start in range(0, len(token_ids) - size + 1, size)
        ]

    def _reference(self, path: Iterable[Block]) -> None:
        for block in path:
            block.n_reference += 1

    def _touch(self, path: Sequence[Block]) -> None:
        for block in reversed(path):
            self._order.move_to_end(block)

    def _evict(self) -> bool:
        """Free the least recently used block without references; False if there is none."""
        block = next((block for block in self._order if not block.n_reference), None)
        if block is None:
            return False
        assert block.parent is not None, "a root is not in the order"
        assert not block.children, "a block is evicted before its parent"
        owner = self._order.pop(block)
        del block.parent.children[block.tokens]
        if block.parent.parent is None and not block.parent.children:
            del self._roots[owner]
        self._free.append(block.number)
        return True

    def problems(self, paths: Sequence[Sequence[Block]]) -> list[str]:
        """Check the tree against the paths that are in use now.

        References are counted again from the paths; blocks are collected again from the roots.
        """
        found = []
        expected: dict[int, int] = {}
        for path in paths:
            for block in path:
                expected[id(block)] = expected.get(id(block), 0) + 1
        reached: list[Block] = []
        waiting = [(owner, root) for owner, root in self._roots.items()]
        while waiting:
            owner, parent = waiting.pop()
            for tokens, block in parent.children.items():
                reached.append(block)
                waiting.append((owner, block))
                if block.parent is not parent or block.tokens != tokens:
                    found.append(f"block {block.number} has another parent or other tokens")
                if len(tokens) != self.block_tokens:
                    found.append(f"block {block.number} has {len(tokens)} tokens")
                if self._order.get(block) != owner:
                    found.append(f"block {block.number} belongs to another owner")
                if block.n_reference != expected.get(id(block), 0):
                    found.append(f"block {block.number} has {block.n_reference} references")
        numbers = sorted([*self._free, *(block.number for block in reached)])
        if numbers != list(range(self.n_block)):
            found.append("a block is lost, or it is used twice")
        if len(reached) != len(self._order):
            found.append("a block in the order cannot be reached")
        rank = {id(block): number for number, block in enumerate(self._order)}
        for block in reached:
            if any(rank[id(child)] > rank[id(block)] for child in block.children.values()):
                found.append(f"block {block.number} is evicted before its children")
        return found
