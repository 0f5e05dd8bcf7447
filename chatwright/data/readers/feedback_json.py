"""Feedback as JSON objects: one line of a snapshot or of a feedback log.

    {"feedback": "ranking", "prompt": [...], "replies": [{"message": {...}, "weights": "..."}, ...],
     "ranks": [1, 2], "rater": "ann", "time": "2026-01-31T12:00:00+00:00"}

Messages have the shape of the OpenAI API. Unlike in other training data, a reply may be empty and
its white space stays, because the reply is kept exactly as the model wrote it.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from chatwright.conversation import (
    Message,
    Part,
    Text,
    Thinking,
    ToolCall,
    ToolResult,
)
from chatwright.data.preferences import Correction, Feedback, Ranking, RatedReply, Thumb
from chatwright.data.readers.values import kind_of, require_string
from chatwright.data.rows import DataError, Location
from chatwright.errors import InputError

KINDS: dict[type[Feedback], str] = {
    Ranking: "ranking",
    Thumb: "thumb",
    Correction: "correction",
}
"""The value of the key "feedback" for each kind."""


def is_feedback(values: Mapping[str, Any]) -> bool:
    """Whether a JSON object says that it holds feedback."""
    return isinstance(values.get("feedback"), str) and values["feedback"] in KINDS.values()


def feedback_to_json(feedback: Feedback) -> dict[str, Any]:
    """Return a piece of feedback as a JSON object; fields with their default are left out.

    Raises InputError for a message that holds an image or a file.
    """
    values: dict[str, Any] = {
        "feedback": KINDS[type(feedback)],
        "prompt": [message_to_json(message) for message in feedback.prompt],
    }
    if isinstance(feedback, Ranking):
        values["replies"] = [_reply_to_json(reply) for reply in feedback.replies]
        values["ranks"] = list(feedback.ranks)
        if feedback.are_all_bad:
            values["are_all_bad"] = True
        if feedback.right_ranks:
            values["right_ranks"] = list(feedback.right_ranks)
    else:
        values["reply"] = _reply_to_json(feedback.reply)
    if isinstance(feedback, Thumb):
        values["is_up"] = feedback.is_up
    if isinstance(feedback, Correction):
        values["better"] = message_to_json(feedback.better)
    values |= {"rater": feedback.rater, "time": feedback.time.isoformat()}
    if feedback.is_simulated:
        values["is_simulated"] = True
    if feedback.reason:
        values["reason"] = feedback.reason
    return values


def _reply_to_json(reply: RatedReply) -> dict[str, Any]:
    weights = {"weights": reply.weights} if reply.weights else {}
    return {"message": message_to_json(reply.message), **weights}


def message_to_json(message: Message) -> dict[str, Any]:
    """Return a message of text, thinking, tool calls and a tool result in OpenAI's shape."""
    for part in message.parts:
        if not isinstance(part, Text | Thinking | ToolCall | ToolResult):
            raise InputError(
                f"A {message.role} message holds {type(part).__name__}, and feedback holds text.",
                remedy="Rate a conversation without images and files.",
                field="parts",
            )
    if len(message.tool_results) > 1:
        raise InputError(
            f"A tool message holds {len(message.tool_results)} results, and feedback holds one.",
            remedy="Put each tool result into a message of its own.",
            field="parts",
        )
    if message.tool_results:
        result = message.tool_results[0]
        return {"role": "tool", "tool_call_id": result.call_id, "content": result.content}
    values: dict[str, Any] = {"role": message.role, "content": message.text}
    if message.thinking:
        values["reasoning_content"] = message.thinking
    if message.tool_calls:
        values["tool_calls"] = [
            {
                "id": call.id,
                "type": "function",
                "function": {"name": call.name, "arguments": call.arguments},
            }
            for call in message.tool_calls
        ]
    return values


def message_from_json(values: Mapping[str, Any], location: Location) -> Message:
    """Return the message that `message_to_json` wrote. Raises DataError."""
    return _Fields({}, location)._message(values, "message")


def feedback_from_json(values: Mapping[str, Any], location: Location) -> Feedback:
    """Return the feedback that a JSON object holds. Raises DataError, which names the key."""
    try:
        return _Fields(values, location).feedback()
    except DataError:
        raise
    except InputError as error:
        cause, remedy = error.problem.rstrip("."), error.remedy.rstrip(".")
        raise DataError(location, cause, remedy, field=error.field) from None


class _Fields:
    """The fields of one JSON object; a wrong one is a DataError with its name."""

    def __init__(self, values: Mapping[str, Any], location: Location) -> None:
        self.values = values
        self.location = location

    def feedback(self) -> Feedback:
        kind = self.values.get("feedback")
        rating = self._rating()
        if kind == KINDS[Ranking]:
            replies = self._list("replies")
            return Ranking(
                **rating,
                replies=tuple(self._reply(r, f"replies[{i}]") for i, r in enumerate(replies)),
                ranks=self._ranks("ranks"),
                are_all_bad=self._flag("are_all_bad"),
                right_ranks=self._ranks("right_ranks") if "right_ranks" in self.values else (),
            )
        reply = self._reply(self.values.get("reply"), "reply")
        if kind == KINDS[Thumb]:
            return Thumb(**rating, reply=reply, is_up=self._flag("is_up", is_required=True))
        if kind == KINDS[Correction]:
            better = self._message(self.values.get("better"), "better")
            return Correction(**rating, reply=reply, better=better)
        raise self._wrong("feedback", f"name one of: {', '.join(KINDS.values())}")

    def _rating(self) -> dict[str, Any]:
        prompt = self._list("prompt")
        return {
            "prompt": tuple(self._message(m, f"prompt[{i}]") for i, m in enumerate(prompt)),
            "rater": self._text(self.values.get("rater"), "rater"),
            "time": self._time(),
            "is_simulated": self._flag("is_simulated"),
            "reason": self._text(self.values.get("reason", ""), "reason"),
            "location": self.location,
        }

    def _time(self) -> datetime:
        try:
            return datetime.fromisoformat(self._text(self.values.get("time"), "time"))
        except ValueError as error:
            if isinstance(error, DataError):
                raise
            raise self._wrong("time", "write for example 2026-01-31T12:00:00+00:00") from None

    def _reply(self, value: Any, name: str) -> RatedReply:
        reply = self._object(value, name)
        weights = self._text(reply.get("weights", ""), f"{name}.weights")
        return RatedReply(self._message(reply.get("message"), f"{name}.message"), weights)

    def _message(self, value: Any, name: str) -> Message:
        message = self._object(value, name)
        role = self._text(message.get("role"), f"{name}.role")
        if role not in ("system", "user", "assistant", "tool"):
            raise self._wrong(f"{name}.role", "use system, user, assistant or tool")
        content = self._text(message.get("content"), f"{name}.content")
        if role == "tool":
            call_id = self._text(message.get("tool_call_id", ""), f"{name}.tool_call_id")
            return Message("tool", (ToolResult(call_id, content),))
        parts: list[Part] = []
        if message.get("reasoning_content"):
            thinking = message["reasoning_content"]
            parts.append(Thinking(self._text(thinking, f"{name}.reasoning_content")))
        calls = self._tool_calls(message.get("tool_calls", []), f"{name}.tool_calls")
        if content or not calls:
            parts.append(Text(content))
        return Message(role, (*parts, *calls))  # type: ignore[arg-type]  # checked above

    def _tool_calls(self, value: Any, name: str) -> list[ToolCall]:
        try:
            return [
                ToolCall(
                    self._text(call["id"], name),
                    self._text(call["function"]["name"], name),
                    self._text(call["function"]["arguments"], name),
                )
                for call in value
            ]
        except (KeyError, TypeError, IndexError):
            raise self._wrong(name, "write a list of function calls as OpenAI does") from None

    def _ranks(self, name: str) -> tuple[int, ...]:
        ranks = self._list(name)
        if not all(isinstance(rank, int) and not isinstance(rank, bool) for rank in ranks):
            raise self._wrong(name, "write a whole number for each reply; 1 is the best")
        return tuple(ranks)

    def _flag(self, name: str, *, is_required: bool = False) -> bool:
        value = self.values.get(name, None if is_required else False)
        if not isinstance(value, bool):
            raise self._wrong(name, "write true or false")
        return value

    def _list(self, name: str) -> list[Any]:
        value = self.values.get(name)
        if not isinstance(value, list):
            raise self._wrong(name, "write a list")
        return value

    def _object(self, value: Any, name: str) -> Mapping[str, Any]:
        if not isinstance(value, Mapping):
            raise self._wrong(name, f"write an object, not {kind_of(value)}")
        return value

    def _text(self, value: Any, name: str) -> str:
        return require_string(value, name, self.location)

    def _wrong(self, name: str, remedy: str) -> DataError:
        return DataError(self.location, f"{name} is missing or wrong", remedy, field=name)
