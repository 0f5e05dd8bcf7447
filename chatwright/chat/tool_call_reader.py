"""Divide the answer of a model into text and tool calls while it arrives."""

from __future__ import annotations

from chatwright.chat.call_pieces import JsonCallPieces
from chatwright.chat.reply_events import ToolCallDelta
from chatwright.chat.stream_decoder import length_of_possible_start
from chatwright.conversation import ToolCall
from chatwright.tokenizer.tool_format import ToolFormat, read_call


class ToolCallReader:
    """Collects the calls of a reply and passes on the text before them.

    Where the tags are control ids, `take_tag` begins and ends calls, and text that looks like a tag
    is text. Line ends before a call, and all text after one, belong to the format.
    """

    def __init__(self, tool_format: ToolFormat, first_call: int) -> None:
        """Read calls in a format; the first call gets the id `call_{first_call}`."""
        self._tags = tool_format.call
        self._first_call = first_call
        self.tag_ids = tool_format.call_ids
        """The control ids that `take_tag` takes."""
        self._is_in_call = False
        self._held = ""
        self.calls: list[ToolCall] = []
        """The complete calls so far."""
        self._pieces = JsonCallPieces()
        self._deltas: list[ToolCallDelta] = []

    def take_tag(self, token_id: int) -> None:
        """Begin or end a call at a control id."""
        if token_id == self._tags[0]:
            self._begin_call("")
        elif self._is_in_call and self._add_call(self._held):
            self._is_in_call = False
            self._held = ""

    def push(self, text: str) -> str:
        """Return the next piece of text that belongs to no call."""
        self._held += text
        begin, end = self._tags
        if isinstance(begin, str) and isinstance(end, str):
            return self._divide(begin, end)
        if self._is_in_call:
            self._follow_call()
            return ""
        return self._release(self._held.rstrip("\n"))

    def take_deltas(self) -> list[ToolCallDelta]:
        """Return the pieces of calls since the last look."""
        deltas, self._deltas = self._deltas, []
        return deltas

    def finish(self) -> str:
        """Return the text that was held back; an incomplete call is left out."""
        return "" if self._is_in_call or self.calls else self._release(self._held)

    def _divide(self, begin: str, end: str) -> str:
        """Read calls whose tags are text; return the text before the first one."""
        text = ""
        while True:
            if not self._is_in_call:
                before, found, rest = self._held.partition(begin)
                if not found:
                    n_held = length_of_possible_start(before, [begin])
                    return text + self._release(before[: len(before) - n_held].rstrip("\n"))
                text += "" if self.calls else before.rstrip("\n")
                self._begin_call(rest)
            self._follow_call()
            # An argument may hold the end tag, so a call ends at the first one that completes it.
            position = self._held.find(end)
            while position >= 0 and not self._add_call(self._held[:position]):
                position = self._held.find(end, position + 1)
            if position < 0:
                return text
            self._held = self._held[position + len(end) :]
            self._is_in_call = False

    def _begin_call(self, text: str) -> None:
        self._is_in_call = True
        self._held = text
        self._pieces = JsonCallPieces()

    def _follow_call(self) -> None:
        """Note the next piece of the call that is being written."""
        was_known = bool(self._pieces.name)
        piece = self._pieces.next_piece(self._held)
        if piece or (self._pieces.name and not was_known):
            self._deltas.append(ToolCallDelta(len(self.calls), self._pieces.name, piece))

    def _release(self, text: str) -> str:
        """Pass on the beginning of what is held, unless it follows a call."""
        self._held = self._held[len(text) :]
        return "" if self.calls else text

    def _add_call(self, text: str) -> bool:
        """Add a call if the text is one."""
        try:
            call = read_call(text, f"call_{self._first_call + len(self.calls)}")
        except ValueError:
            return False
        self.calls.append(call)
        return True
