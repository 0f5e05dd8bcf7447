"""The blocks of a reply: thinking, text and tool calls, in the order the model writes them.

/v1/messages and /v1/responses send a reply as blocks that start, grow and end. They are read from
the chunks of /v1/chat/completions, so all three APIs reply with the same texts.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, Literal


@dataclass
class Block:
    """A part of a reply."""

    kind: Literal["thinking", "text", "tool_call"]
    index: int
    """Position among the blocks of the reply."""
    content: str = ""
    """The text; of a tool call, its arguments as JSON."""
    call_id: str = ""
    name: str = ""
    """Name of the called tool."""


@dataclass(frozen=True)
class Started:
    """A block begins; its content is still empty."""

    block: Block


@dataclass(frozen=True)
class Grew:
    """A block has grown by a piece."""

    block: Block
    piece: str


@dataclass(frozen=True)
class Ended:
    """A block is complete."""

    block: Block


BlockEvent = Started | Grew | Ended


@dataclass
class ReplyBlocks:
    """Reads the chunks of one choice of /v1/chat/completions."""

    blocks: list[Block] = field(default_factory=list)
    finish_reason: str = ""
    """OpenAI's; "" until the reply has ended."""
    _is_open: bool = False

    def read(self, chunk: dict[str, Any]) -> Iterator[BlockEvent]:
        """Yield what a chunk changes. Read the iterator to its end."""
        for choice in chunk["choices"]:
            delta = choice["delta"]
            if piece := delta.get("reasoning_content"):
                yield from self._grow("thinking", piece)
            if piece := delta.get("content"):
                yield from self._grow("text", piece)
            for call in delta.get("tool_calls") or ():
                yield from self._call(call)
            if choice["finish_reason"]:
                self.finish_reason = choice["finish_reason"]
                yield from self._end()

    def _grow(self, kind: Literal["thinking", "text"], piece: str) -> Iterator[BlockEvent]:
        if not self._is_open or self.blocks[-1].kind != kind:
            yield from self._start(Block(kind, len(self.blocks)))
        yield from self._add(piece)

    def _call(self, call: dict[str, Any]) -> Iterator[BlockEvent]:
        function = call.get("function") or {}
        if call.get("id"):  # the later pieces of a call have no id
            index = len(self.blocks)
            name = function.get("name") or ""
            yield from self._start(Block("tool_call", index, call_id=call["id"], name=name))
        if piece := function.get("arguments"):
            yield from self._add(piece)

    def _start(self, block: Block) -> Iterator[BlockEvent]:
        yield from self._end()
        self.blocks.append(block)
        self._is_open = True
        yield Started(block)

    def _add(self, piece: str) -> Iterator[BlockEvent]:
        block = self.blocks[-1]
        block.content += piece
        yield Grew(block, piece)

    def _end(self) -> Iterator[BlockEvent]:
        if self._is_open:
            self._is_open = False
            yield Ended(self.blocks[-1])
