"""Conversations, preferences and prompts from the columns of a record.

The column names are TRL's; Alpaca, Dolly and ShareGPT records are converted. A `tools` column is
ignored: tool definitions are not rendered.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from chatwright.conversation import Message
from chatwright.data.readers.messages import (
    JSON_COLUMNS,
    ReadMessage,
    read_messages,
    row_is_learned,
)
from chatwright.data.readers.values import require_string
from chatwright.data.rows import (
    ChatRow,
    DataError,
    Location,
    PreferenceRow,
    PromptRow,
    ThumbRow,
)
from chatwright.errors import InputError
from chatwright.tokenizer.chat_format import ANSWERS, turn_kind
from chatwright.tokenizer.chat_template import ROLES_AWAITING_REPLY, require_order


def chat_row(values: Mapping[str, Any], location: Location) -> ChatRow:
    """Return the conversation of a record. Raises DataError."""
    conversation = _prompt(values, location)
    if not any(values.get(name) is not None for name in JSON_COLUMNS):
        for name in ("completion", "output", "response"):
            if values.get(name) is not None:
                conversation += read_messages(values[name], "assistant", name, location)
                break
    messages = tuple(item.message for item in conversation)
    _require_order(messages, location)
    if not any(turn_kind(message) in ANSWERS for message in messages):
        raise DataError(
            location,
            f"a conversation of {len(messages)} turn(s) without an answer",
            "add an assistant turn or remove the row",
        )
    learned = tuple(item.is_learned for item in conversation)
    if not row_is_learned(values):
        learned = (False,) * len(messages)
    return ChatRow(messages, location, () if all(learned) else learned)


def preference_row(values: Mapping[str, Any], location: Location) -> PreferenceRow:
    """Return the preference of a record: a prompt and two endings. Raises DataError."""
    prompt = _prompt(values, location)
    chosen = read_messages(values["chosen"], "assistant", "chosen", location)
    rejected = read_messages(values["rejected"], "assistant", "rejected", location)
    if not prompt:  # TRL's implicit prompt: both lists hold the whole conversation
        shared = 0
        while shared < min(len(chosen), len(rejected)) and chosen[shared] == rejected[shared]:
            shared += 1
        prompt = chosen[:shared]
        chosen = chosen[shared:]
        rejected = rejected[shared:]
    if chosen == rejected:
        raise DataError(
            location,
            "chosen and rejected are the same",
            "remove the row: nothing can be learned from it",
            field="chosen",
        )
    if not prompt:
        raise DataError(
            location,
            "there is no prompt: chosen and rejected share no first turn",
            "add a prompt column",
            field="prompt",
        )
    for name, ending in (("chosen", chosen), ("rejected", rejected)):
        _require_answer(name, prompt, ending, location)
    if not row_is_learned(values):
        raise DataError(
            location, "the row is marked as not to be learned", "remove the row", field="train"
        )
    return PreferenceRow(
        tuple(item.message for item in prompt),
        tuple(item.message for item in chosen),
        tuple(item.message for item in rejected),
        location,
    )


def prompt_row(values: Mapping[str, Any], location: Location) -> PromptRow:
    """Return the prompt of a record, with its answer and its kind. Raises DataError."""
    messages = tuple(item.message for item in _prompt(values, location))
    _require_order(messages, location)
    if turn_kind(messages[-1]) not in ROLES_AWAITING_REPLY:
        raise DataError(
            location,
            f"the prompt ends with a turn of the kind {turn_kind(messages[-1])}",
            "let it end with a user turn or a tool result",
            field="prompt",
        )
    answer = values.get("answer")
    if isinstance(answer, int | float) and not isinstance(answer, bool):
        answer = str(answer)
    if answer is not None:
        answer = require_string(answer, "answer", location).strip()
    kind = require_string(values.get("kind") or "", "kind", location).strip()
    return PromptRow(messages, location, answer or None, kind)


def is_thumb(values: Mapping[str, Any]) -> bool:
    """Whether the column label holds true or false (in CSV as text), as TRL's unpaired rows do."""
    label = values.get("label")
    return isinstance(label, bool) or (
        isinstance(label, str) and label.strip().lower() in ("true", "false")
    )


def thumb_row(values: Mapping[str, Any], location: Location) -> ThumbRow:
    """Return a conversation whose last reply is labeled true (good) or false. Raises DataError."""
    row = chat_row(values, location)
    if turn_kind(row.messages[-1]) not in ANSWERS or not row_is_learned(values):
        raise DataError(
            location,
            "the rated conversation does not end with a reply, or is marked as not to be learned",
            "end it with the reply that is rated, or remove the row",
            field="label",
        )
    is_good = str(values["label"]).strip().lower() == "true"
    return ThumbRow(row.messages[:-1], row.messages[-1:], is_good, location)


def _require_answer(
    name: str, prompt: list[ReadMessage], ending: list[ReadMessage], location: Location
) -> None:
    """Raise DataError unless the ending answers the prompt and all of it is to be learned."""
    if not ending or turn_kind(ending[0].message) not in ANSWERS:
        raise DataError(
            location,
            f"{name} does not begin with an assistant turn where the two endings differ",
            "put the question into prompt",
            field=name,
        )
    if not all(item.is_learned for item in ending):
        raise DataError(
            location,
            f"{name} holds a turn that is marked as not to be learned",
            "remove the mark or the row",
            field=name,
        )
    _require_order([item.message for item in (*prompt, *ending)], location)


def _prompt(values: Mapping[str, Any], location: Location) -> list[ReadMessage]:
    """Return the messages before the answer, or all of `messages` or `conversations`."""
    filled = {name for name, value in values.items() if value is not None}
    before: list[ReadMessage] = []
    if "system" in filled:
        before += read_messages(values["system"], "system", "system", location)
    for name in ("messages", "conversations", "prompt"):
        if name in filled:
            return before + read_messages(values[name], "user", name, location)
    if "instruction" not in filled:
        return before
    before += _history(values.get("history") or (), location)
    question = require_string(values["instruction"], "instruction", location)
    for name in ("input", "context"):
        extra = require_string(values[name], name, location) if name in filled else ""
        if extra.strip():
            question += "\n\n" + extra
    return before + read_messages(question, "user", "instruction", location)


def _history(history: Any, location: Location) -> list[ReadMessage]:
    """Return the earlier questions and answers of an Alpaca record."""
    before: list[ReadMessage] = []
    for pair in history if isinstance(history, list | tuple) else [history]:
        if not isinstance(pair, list | tuple) or len(pair) != 2:
            raise DataError(
                location,
                "history is not a list of question and answer pairs",
                'write [["question", "answer"], ...]',
                field="history",
            )
        before += read_messages(pair[0], "user", "history", location)
        before += read_messages(pair[1], "assistant", "history", location)
    return before


def _require_order(conversation: list[Message] | tuple[Message, ...], location: Location) -> None:
    try:
        require_order(conversation)
    except InputError as error:
        cause = error.problem.rstrip(".")
        remedy = error.remedy.rstrip(".")
        raise DataError(location, cause, remedy, field=error.field) from None
