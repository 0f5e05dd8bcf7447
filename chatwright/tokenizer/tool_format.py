"""How models of other tools read tool definitions, and write calls: Hermes' way, also Qwen's.

    system text, definitions in <tools>   ->   <tool_call> {"name": ..., "arguments": ...}
    </tool_call>   ->   user turn: <tool_response> ... </tool_response>

The tags are control ids where the tokenizer has such tokens. Then only the model opens a call, and
text that looks like a tag stays text. Chatwright's own models call tools in another way, see
`tool_call_text.py`.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from chatwright.conversation import Message, ToolCall, ToolDefinition

CALL = ("<tool_call>", "</tool_call>")
RESULT = ("<tool_response>", "</tool_response>")
BETWEEN = "\n"
"""What stands between the text of a reply, its calls, and the results."""

Piece = int | str


@dataclass(frozen=True)
class ToolFormat:
    """The tags around calls and results, as control ids or as text."""

    call: tuple[Piece, Piece] = CALL
    """Begin and end of a call."""
    result: tuple[Piece, Piece] = RESULT
    """Begin and end of a result."""

    @classmethod
    def of(cls, ids: Mapping[str, int]) -> ToolFormat:
        """Return the format of a tokenizer with these control ids by spelling."""

        def tags(pair: tuple[str, str]) -> tuple[Piece, Piece]:
            # Either both are control ids or none: a call that an id began must end with one.
            return (ids[pair[0]], ids[pair[1]]) if set(pair) <= ids.keys() else pair

        return cls(tags(CALL), tags(RESULT))

    @property
    def call_ids(self) -> tuple[int, ...]:
        """The control ids that the model writes around a call."""
        return tuple(tag for tag in self.call if isinstance(tag, int))

    def system(self, text: str, tools: Sequence[ToolDefinition]) -> tuple[Piece, ...]:
        """Return a system text that describes the tools, in the words of Qwen's template."""
        definitions = "".join(
            f"\n{json.dumps(tool.to_json(), ensure_ascii=False)}" for tool in tools
        )
        begin, end = self.call
        return (
            f"{text}\n\n" if text else "",
            "# Tools\n\nYou may call one or more functions to assist with the user query.\n\n"
            "You are provided with function signatures within <tools></tools> XML tags:\n"
            f"<tools>{definitions}\n</tools>\n\n"
            "For each function call, return a json object with function name and arguments within ",
            begin,
            end,
            " XML tags:\n",
            begin,
            '\n{"name": <function-name>, "arguments": <args-json-object>}\n',
            end,
        )

    def answer(self, message: Message) -> tuple[Piece, ...]:
        """Return an assistant message: its text, then its calls."""
        pieces: list[Piece] = [message.text]
        for call in message.tool_calls:
            between = BETWEEN if len(pieces) > 1 or message.text else ""
            pieces += [between, self.call[0], f"\n{call_text(call)}\n", self.call[1]]
        return tuple(pieces)

    def results(self, message: Message) -> tuple[Piece, ...]:
        """Return the results of a `tool` message as the text of a user turn."""
        pieces: list[Piece] = []
        for result in message.tool_results:
            between = BETWEEN if pieces else ""
            pieces += [between, self.result[0], f"\n{result.content}\n", self.result[1]]
        return tuple(pieces)


def call_text(call: ToolCall) -> str:
    """Return the JSON of a call."""
    name = json.dumps(call.name, ensure_ascii=False)
    return f'{{"name": {name}, "arguments": {call.arguments}}}'


def read_call(text: str, call_id: str) -> ToolCall:
    """Return the call that `call_text` wrote. Raises ValueError if the text is no call."""
    content = json.loads(text)
    if not isinstance(content, dict) or not isinstance(content.get("name"), str):
        raise ValueError("not a tool call")
    return ToolCall(call_id, content["name"], json.dumps(content.get("arguments") or {}))
