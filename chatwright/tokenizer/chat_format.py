"""The chat format of a model as token ids: what surrounds each turn and what ends a reply.

The Jinja template of a model is never run. Text and markers are encoded separately, so in formats
whose markers are control tokens, no user text becomes a marker. Formats whose markers are ordinary
words ([INST] of Llama 2) do not guarantee this.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from chatwright.conversation import Message
from chatwright.errors import InputError
from chatwright.tokenizer.control import ControlIds


@dataclass(frozen=True)
class Turn:
    """The token ids around the text of one kind of turn."""

    before: tuple[int, ...]
    """Ids before the turn, without loss. Those of an answer are the end of the prompt."""
    after: tuple[int, ...]
    """Ids that end the turn. The model learns to write them after an answer."""
    opens: tuple[int, ...] = ()
    """Ids before the text of an answer of this kind, written by the model itself."""
    between: tuple[int, ...] = ()
    """Ids between this turn and the next, without loss."""


@dataclass(frozen=True)
class ChatFormat:
    """How a model marks up a conversation, in the ids of its tokenizer."""

    name: str
    """Name for messages to the user, for example "chatml"."""
    begin: tuple[int, ...]
    """Ids before the first turn."""
    turns: Mapping[str, Turn]
    """By turn kind (`turn_kind`). A kind that is missing cannot be written in this format."""
    stop_ids: tuple[int, ...]
    """Ids that end a reply."""
    tool_call: int | None = None
    """First id of a reply that is a tool call; None if the format has no tool calls."""
    default_system: str = ""
    """System text of conversations without one, in formats with a system turn."""
    around_system: tuple[str, str] | None = None
    """Text before and after the system text. A system turn holds it even without a system text."""
    system_in: int | None = None
    """Index of the user turn that begins with the system text: 0 the first, -1 the last.

    None where the format has a system turn.
    """
    before_last: tuple[int, ...] = ()
    """Ids after `Turn.before` in a prompt, and in an answer that ends the conversation."""

    def turn(self, kind: str) -> Turn:
        """Return the ids around a turn of this kind; InputError if the format has none."""
        if kind not in self.turns:
            raise InputError(
                f"This model's chat format ({self.name}) has no {kind} turn.",
                remedy=f"Use turns of these kinds only: {', '.join(self.turns)}.",
                field="role",
                value=kind,
            )
        return self.turns[kind]


def turn_kind(message: Message) -> str:
    """Return "tool_call" for an assistant message with a tool call, else the message's role."""
    return "tool_call" if message.tool_calls else message.role


def own_format(control: ControlIds) -> ChatFormat:
    """Return the format of the models that Chatwright trains.

        <|bos|> [<|system|> text <|end|>]
        <|user|> text <|end_of_question|> <|assistant|> text <|end|> ...

    A tool call and its result:

        <|assistant|> <|command|> text <EOC> <|result|> text <|end|> <|assistant|> ...
    """
    turns = {
        "system": Turn((control.system,), (control.end,)),
        "user": Turn((control.user,), (control.end_of_question,)),
        "assistant": Turn((control.assistant,), (control.end,)),
        "tool_call": Turn(
            (control.assistant,), (control.end_of_command,), opens=(control.command,)
        ),
        "tool": Turn((control.result,), (control.end,)),
    }
    return ChatFormat(
        "chatwright",
        begin=(control.bos,),
        turns=turns,
        stop_ids=(control.end, control.end_of_command),
        tool_call=control.command,
    )
