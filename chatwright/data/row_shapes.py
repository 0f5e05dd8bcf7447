"""From one record (a JSON object, a CSV or parquet line) to a typed row, by which columns it has.

The names are TRL's; Alpaca, Dolly and ShareGPT records are converted. Columns that no shape names are ignored (a `tools`
column too: tool definitions are not rendered yet). An empty system turn counts as none.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

from chatwright.conversation import Message, ToolCall
from chatwright.data.rows import ChatRow, DataError, Location, PreferenceRow, Row, TextRow
from chatwright.errors import InputError
from chatwright.tokenizer.chat_format import turn_kind
from chatwright.tokenizer.chat_template import ANSWERS, require_order
from chatwright.tokenizer.tool_call_text import message_from_turn, write_tool_call

KNOWN_SHAPES = (
    "text",
    "messages",
    "prompt+completion",
    "prompt+chosen+rejected",
    "instruction+output (Alpaca)",
    "conversations (ShareGPT)",
)

ROLE_OF: dict[str, str] = {
    "system": "system",
    "developer": "system",
    "user": "user",
    "human": "user",
    "assistant": "assistant",
    "gpt": "assistant",
    "chatgpt": "assistant",
    "command": "tool_call",
    "function_call": "tool_call",
    "result": "tool",
    "tool": "tool",
    "function": "tool",
    "observation": "tool",
}
"""The kind of turn (`chat_format.turn_kind`) that each role name of a data file stands for."""


class ReadMessage(NamedTuple):
    """A message of a data file, and whether training learns it."""

    message: Message
    is_learned: bool


def to_row(record: Any, location: Location) -> Row:
    """The row a record holds. Where several shapes fit, the one that says most wins: preference, chat, text."""
    if isinstance(record, list) and record and all(isinstance(item, Mapping) for item in record):
        record = {"messages": record}  # a bare conversation
    if not isinstance(record, Mapping):
        raise DataError(
            location,
            f"the row is {kind(record)}, not an object with named columns",
            f"write one of: {', '.join(KNOWN_SHAPES)}",
        )
    has = {name for name, value in record.items() if value is not None}
    is_conversation = bool({"messages", "conversations"} & has or {"prompt", "completion"} <= has)
    if is_conversation and isinstance(record.get("label"), bool):
        # Read as plain chat, the answers labelled false would be taught as good ones.
        raise DataError(
            location,
            "the row is a rated answer (a true/false label), which no stage reads yet",
            "remove the rows labelled false and then the label column, or make pairs of chosen and rejected",
        )
    if {"chosen", "rejected"} <= has:
        return preference_row(record, has, location)
    if is_conversation or {"instruction", "output"} <= has or {"instruction", "response"} <= has:
        return chat_row(record, has, location)
    if "text" in has:
        text = string(record["text"], "text", location)
        if not text.strip():
            raise DataError(location, "text is empty", "fill it or remove the row")
        return TextRow(text, location)
    raise missing_columns(
        list(record), location, [name for name, value in record.items() if value is None]
    )


def missing_columns(
    names: list[str], location: Location, empty: list[str] | None = None
) -> DataError:
    found = (
        ", ".join(
            f"{name!a} (null)" if name in (empty or ()) else f"{name!a}" for name in names[:20]
        )
        or "none"
    )
    return DataError(
        location,
        f"no known shape fits the columns found ({found})",
        f"rename the columns to one of: {', '.join(KNOWN_SHAPES)}",
    )


def chat_row(record: Mapping[str, Any], has: set[str], location: Location) -> ChatRow:
    conversation = prompt_of(record, has, location)
    for name in ("completion", "output", "response"):
        if name in has and not {"messages", "conversations"} & has:
            conversation += turns(record[name], "assistant", name, location)
            break
    messages = [item.message for item in conversation]
    in_order(messages, location)
    if not any(turn_kind(message) in ANSWERS for message in messages):
        raise DataError(
            location,
            f"a conversation of {len(conversation)} turn(s) without an answer",
            "add an assistant turn or remove the row",
        )
    learned = tuple(item.is_learned for item in conversation)
    return ChatRow(tuple(messages), location, () if all(learned) else learned)


def preference_row(record: Mapping[str, Any], has: set[str], location: Location) -> PreferenceRow:
    prompt = prompt_of(record, has, location)
    chosen = turns(record["chosen"], "assistant", "chosen", location)
    rejected = turns(record["rejected"], "assistant", "rejected", location)
    if not prompt:  # TRL's implicit prompt: both lists hold the whole conversation
        shared = 0
        while shared < min(len(chosen), len(rejected)) and chosen[shared] == rejected[shared]:
            shared += 1
        prompt, chosen, rejected = chosen[:shared], chosen[shared:], rejected[shared:]
    if chosen == rejected:
        raise DataError(
            location,
            "chosen and rejected are the same",
            "remove the row: nothing can be learned from it",
        )
    if not prompt:
        raise DataError(
            location,
            "there is no prompt: chosen and rejected share no first turn",
            "add a prompt column",
        )
    for name, ending in (("chosen", chosen), ("rejected", rejected)):
        if not ending or turn_kind(ending[0].message) not in ANSWERS:
            raise DataError(
                location,
                f"{name} does not begin with an assistant turn where the two endings part",
                "put the question into prompt",
            )
        in_order([item.message for item in (*prompt, *ending)], location)
    return PreferenceRow(
        tuple(item.message for item in prompt),
        tuple(item.message for item in chosen),
        tuple(item.message for item in rejected),
        location,
    )


def prompt_of(record: Mapping[str, Any], has: set[str], location: Location) -> list[ReadMessage]:
    """Everything before the answer; for `messages` and `conversations`, the whole conversation."""
    before: list[ReadMessage] = []
    if "system" in has:
        before += turns(record["system"], "system", "system", location)
    for name in ("messages", "conversations", "prompt"):
        if name in has:
            return before + turns(record[name], "user", name, location)
    if "instruction" not in has:
        return before
    history = record.get("history") or ()
    for pair in history if isinstance(history, list | tuple) else [history]:
        if not isinstance(pair, list | tuple) or len(pair) != 2:
            raise DataError(
                location,
                "history is not a list of question and answer pairs",
                'write [["question", "answer"], ...]',
            )
        before += turns(pair[0], "user", "history", location) + turns(
            pair[1], "assistant", "history", location
        )
    question = string(record["instruction"], "instruction", location)
    for name in ("input", "context"):
        extra = string(record[name], name, location) if name in has else ""
        if extra.strip():
            question += "\n\n" + extra
    return before + turns(question, "user", "instruction", location)


def turns(value: Any, role: str, column: str, location: Location) -> list[ReadMessage]:
    """Messages from a plain string (said by `role`), one message object, or a list of them."""
    if isinstance(value, str):
        value = [{"role": role, "content": value}]
    elif isinstance(value, Mapping):
        value = [value]
    if not isinstance(value, list | tuple):
        raise DataError(
            location,
            f"{column} is {kind(value)}",
            "write a text or a list of messages with role and content",
        )
    if not value:
        raise DataError(
            location, f"{column} is an empty list", "add the messages or remove the row"
        )
    messages = [message(item, index, column, location) for index, item in enumerate(value)]
    return [m for m in messages if m.message.role != "system" or m.message.text.strip()]


def message(item: Any, index: int, column: str, location: Location) -> ReadMessage:
    if not isinstance(item, Mapping):
        raise DataError(
            location,
            f"{column}[{index}] is {kind(item)}",
            "write each message as an object with role and content",
        )
    role_key, content_key = ("from", "value") if "from" in item else ("role", "content")
    if role_key not in item or content_key not in item:
        names = ", ".join(f"{name!a}" for name in list(item)[:20]) or "nothing"
        raise DataError(
            location,
            f"{column}[{index}] has {names}",
            "a message needs role and content (or from and value)",
        )
    role = item[role_key]
    if not isinstance(role, str) or role not in ROLE_OF:
        shown = f"{role!a}"[:40] if isinstance(role, str) else kind(role)
        raise DataError(
            location,
            f"{column}[{index}] has the unknown role {shown}",
            f"use one of: {', '.join(ROLE_OF)}",
        )
    if item.get("tool_calls"):
        call = tool_call(item, index, column, location)
        return ReadMessage(call, is_learned(item, index, column, location))
    content = string(joined_parts(item[content_key]), f"{column}[{index}].{content_key}", location)
    # A tool may rightly print nothing; a person or a model that says nothing is a mistake in the file.
    if not content.strip() and ROLE_OF[role] not in ("tool", "system"):
        raise DataError(
            location, f"{column}[{index}] ({role}) is empty", "fill it or remove the row"
        )
    call_id = item.get("tool_call_id")
    turn = message_from_turn(ROLE_OF[role], content, call_id if isinstance(call_id, str) else "")
    return ReadMessage(turn, is_learned(item, index, column, location))


def tool_call(item: Mapping[str, Any], index: int, column: str, location: Location) -> Message:
    """The assistant message of one tool call in OpenAI's form."""
    calls = item["tool_calls"]
    if not isinstance(calls, list) or len(calls) != 1 or item["content"]:
        raise DataError(
            location,
            f"{column}[{index}] holds other tool_calls than one call without text",
            "write each tool call in an assistant message of its own, with content null",
        )
    try:
        function = calls[0]["function"]
        call = ToolCall(str(calls[0].get("id", "")), function["name"], function["arguments"])
        text = string(write_tool_call(call), f"{column}[{index}].tool_calls", location)
    except (KeyError, TypeError, AttributeError):
        raise DataError(
            location,
            f"{column}[{index}].tool_calls is no list of function calls",
            'write [{"id": "...", "type": "function", "function": {"name": "...", "arguments": "{...}"}}]',
        ) from None
    except InputError as error:
        raise DataError(
            location, f"{column}[{index}].tool_calls: {error.problem.rstrip('.')}", error.remedy
        ) from None
    return message_from_turn("tool_call", text, call.id)


def is_learned(item: Mapping[str, Any], index: int, column: str, location: Location) -> bool:
    """OpenAI's `weight`: 0 marks an answer that is shown and not to be imitated."""
    weight = item.get("weight", 1)
    if weight is None:
        return True
    if isinstance(weight, bool) or weight not in (0, 1):
        raise DataError(
            location,
            f"{column}[{index}].weight is {weight!a}"[:80],
            "write 1 to learn this answer, 0 to show it only, or leave it out",
        )
    return bool(weight)


def joined_parts(content: Any) -> Any:
    """OpenAI's list form, [{"type": "text", "text": "..."}], as one text; anything else unchanged."""
    if (
        isinstance(content, list)
        and content
        and all(isinstance(part, Mapping) and part.get("type") == "text" for part in content)
    ):
        texts = [part.get("text") for part in content]
        if all(isinstance(text, str) for text in texts):
            return "".join(texts)
    return content


def in_order(conversation: list[Message], location: Location) -> None:
    try:
        require_order(conversation)
    except InputError as error:
        raise DataError(location, error.problem.rstrip("."), error.remedy) from None


def string(value: Any, column: str, location: Location) -> str:
    if not isinstance(value, str):
        raise DataError(
            location, f"{column} is {kind(value)}, not a text", "write it as a text in quotes"
        )
    try:
        value.encode("utf-8")
    except UnicodeEncodeError:
        raise DataError(
            location,
            f"{column} holds half a surrogate pair (like \\ud800), which is not valid Unicode",
            "replace that escape",
        ) from None
    return value


def kind(value: Any) -> str:
    """What a JSON value is, in words; never the value itself."""
    names = {
        type(None): "null",
        bool: "true or false",
        int: "a number",
        float: "a number",
        str: "a text",
        list: "a list",
        dict: "an object",
    }
    return names.get(type(value), f"a {type(value).__name__}")
