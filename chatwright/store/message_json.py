"""The parts of a message as JSON, as the store and the page's API write them.

[{"type": "text", "text": "At seven."}, {"type": "tool_call", "id": "call_1", ...}]
"""

from __future__ import annotations

import base64
import binascii
import json
from collections.abc import Mapping, Sequence
from typing import Any

from chatwright.conversation import (
    File,
    Image,
    Message,
    Part,
    Role,
    Text,
    Thinking,
    ToolCall,
    ToolResult,
)
from chatwright.errors import InputError

KEYS: dict[str, tuple[str, ...]] = {
    "text": ("text",),
    "thinking": ("text",),
    "tool_call": ("id", "name", "arguments"),
    "tool_result": ("call_id", "content"),
    "file": ("name", "media_type", "data"),
    "image": ("media_type", "data"),
}
"""The keys of each type of part beside "type"; all values are texts, `data` is base64."""


def parts_to_json(parts: Sequence[Part]) -> list[dict[str, str]]:
    """Return parts as JSON objects."""
    return [_to_json(part) for part in parts]


def message_from_json(role: Role, values: object) -> Message:
    """Return the message with these parts. Raises InputError, which names the wrong part."""
    if not isinstance(values, list):
        raise _refused("parts", "is not a list of parts")
    parts = tuple(_from_json(value, f"parts.{index}") for index, value in enumerate(values))
    try:
        return Message(role, parts)
    except InputError as error:
        raise InputError(error.problem, remedy=error.remedy, field="parts") from None


def json_text(value: object) -> str:
    """Return JSON for a column. Raises InputError for texts that are not Unicode."""
    text = json.dumps(value, ensure_ascii=False, allow_nan=False)
    try:
        text.encode()
    except UnicodeEncodeError:
        raise InputError(
            "A text holds half of a surrogate pair, which cannot be stored.",
            remedy="Send whole characters.",
            field="parts",
        ) from None
    return text


def _to_json(part: Part) -> dict[str, str]:
    match part:
        case Text(text):
            return {"type": "text", "text": text}
        case Thinking(text):
            return {"type": "thinking", "text": text}
        case ToolCall():
            values = {"id": part.id, "name": part.name, "arguments": part.arguments}
            return {"type": "tool_call", **values}
        case ToolResult(call_id, content):
            return {"type": "tool_result", "call_id": call_id, "content": content}
        case File(name, media_type, data):
            values = {"name": name, "media_type": media_type, "data": _encoded(data)}
            return {"type": "file", **values}
        case Image(data, media_type):
            return {"type": "image", "media_type": media_type, "data": _encoded(data)}


def _from_json(value: object, field: str) -> Part:
    kind = value.get("type") if isinstance(value, Mapping) else None
    if not isinstance(value, Mapping) or not isinstance(kind, str) or kind not in KEYS:
        raise _refused(field, f"has no type of: {', '.join(KEYS)}")
    fields = {key: value[key] for key in value if key != "type"}
    is_complete = fields.keys() == set(KEYS[kind])
    if not is_complete or not all(isinstance(text, str) for text in fields.values()):
        raise _refused(field, f"is not a {kind} with the texts: {', '.join(KEYS[kind])}")
    if "data" in fields:
        fields["data"] = _decoded(fields["data"], field)
    return _part(kind, fields, field)


def _part(kind: str, fields: dict[str, Any], field: str) -> Part:
    classes = {"text": Text, "thinking": Thinking, "tool_result": ToolResult, "file": File}
    if kind == "tool_call":
        try:
            return ToolCall(**fields)
        except InputError as error:
            raise InputError(error.problem, remedy=error.remedy, field=field) from None
    return Image(**fields) if kind == "image" else classes[kind](**fields)


def _encoded(data: bytes) -> str:
    return base64.b64encode(data).decode()


def _decoded(text: str, field: str) -> bytes:
    try:
        return base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        raise _refused(f"{field}.data", "is not base64") from None


def _refused(field: str, reason: str) -> InputError:
    return InputError(
        f"{field} {reason}.",
        remedy='Send parts such as {"type": "text", "text": "Hello"}.',
        field=field,
    )
