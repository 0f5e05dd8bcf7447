"""The chat format of a model as token ids: what stands between the texts, what ends a reply.

No template runs here. Text and markers are encoded separately, so in formats whose markers are
control tokens, no user text becomes a marker. Formats whose markers are ordinary words ([INST] of
Llama 2) do not guarantee this.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property

from chatwright.conversation import Message
from chatwright.errors import InputError
from chatwright.tokenizer.control import ControlIds
from chatwright.tokenizer.tool_format import ToolFormat

Pieces = tuple[int | str, ...]
"""Control ids, and texts that are encoded together with the texts beside them."""
ANSWERS = ("assistant", "tool_call")
"""Kinds of turns that the model writes."""
BEGIN = "begin"
"""In place of a text: the beginning of the conversation."""
END = "end"
"""In place of a text: the end of the conversation."""
PROMPT = "prompt"
"""In place of a text: the reply that the model is about to write."""
THINKING = "thinking"
"""The kind of the text that a model writes before its answer."""
LAST = "last_"
"""Prefix of the kinds of texts in an answer that ends the conversation."""
WHITESPACE = "whitespace"
"""What is trimmed: all white space."""
SHOWN_SYSTEM = 200
"""Characters of a system text that are shown in a message."""


@dataclass(frozen=True)
class Separator:
    """The tokens between two neighboring texts of a conversation."""

    ends: Pieces = ()
    """Ends the text before it. The model learns to write it after an answer."""
    middle: Pieces = ()
    """Without loss. Before an answer, it is the end of the prompt."""
    opens: Pieces = ()
    """Begins the text after it. The model learns to write it before an answer."""
    trim_before: str = ""
    """What is removed from the end of the text before it: "", WHITESPACE or the characters."""
    trim_after: str = ""
    """What is removed from the beginning of the text after it."""

    def trimmed_before(self, text: str) -> str:
        """Return the text before the separator without its trimmed end."""
        return text.rstrip(_characters(self.trim_before)) if self.trim_before else text

    def trimmed_after(self, text: str) -> str:
        """Return the text after the separator without its trimmed beginning."""
        return text.lstrip(_characters(self.trim_after)) if self.trim_after else text


def _characters(trim: str) -> str | None:
    return None if trim == WHITESPACE else trim


@dataclass(frozen=True)
class Layout:
    """How the texts of a conversation are put together."""

    separators: Mapping[tuple[str, str], Separator]
    """By the kinds of the two texts. Kinds: `turn_kind`, THINKING, BEGIN, END, PROMPT.

    The texts of an answer that ends the conversation may have separators of their own, whose kinds
    begin with LAST.
    """
    opens_thinking: bool = False
    """Whether the prompt ends with the marker that begins the thinking."""
    reply_space: str | None = None
    """White space at the beginning of a reply that is not part of it; None: the tokenizer's prefix.

    Formats whose markers are words have it: after "ASSISTANT:", the model writes " Hello".
    """

    @cached_property
    def kinds(self) -> frozenset[str]:
        """The kinds of texts that can be written."""
        return frozenset(right.removeprefix(LAST) for _, right in self.separators) - {END, PROMPT}

    def separator(self, left: str, right: str) -> Separator:
        """Return what stands between two texts; nothing where the format does not say."""
        for a in (left, left.removeprefix(LAST)):
            for b in (right, right.removeprefix(LAST)):
                if (a, b) in self.separators:
                    return self.separators[a, b]
        return Separator()


@dataclass(frozen=True)
class ChatFormat:
    """How a model marks up a conversation, in the ids of its tokenizer."""

    name: str
    """Name for messages to the user, for example "chatml"."""
    layout: Layout
    """The layout if a request does not say whether the model is to think."""
    stop_ids: tuple[int, ...]
    """Ids that end a reply."""
    thinking_layouts: Mapping[bool, Layout] = field(default_factory=dict)
    """The layouts with thinking switched on and off, where the model has both."""
    thinking_tags: tuple[str, str] | None = None
    """What begins and ends the thinking, for example "<think>" and "</think>"."""
    thinking_ids: Mapping[int, str] = field(default_factory=dict)
    """The tags that are tokens, by id."""
    tool_call: int | None = None
    """First id of a reply that is a tool call; None if the format has no tool calls."""
    tools: ToolFormat | None = None
    """How tools are described and called, in the formats of other tools."""
    stop_texts: tuple[str, ...] = ()
    """Texts that end a reply, in formats without an end token."""
    default_system: str = ""
    """System text that the format writes into conversations without one."""
    system: str | None = None
    """Replaces `default_system`; None: it stays."""
    system_goes_last: bool = False
    """Whether the system text is in the last user turn. Otherwise it is before the first."""
    empty_system: str = "text"
    """What an empty system text does: "text", "none" as if there were none, "refused"."""
    rstrip_ids: frozenset[int] = frozenset()
    """Control ids that remove the white space after them."""
    lstrip_ids: frozenset[int] = frozenset()
    """Control ids that remove the white space before them."""
    encode_after_marker: Callable[[str], Sequence[int]] | None = field(
        default=None, compare=False, repr=False
    )
    """Encodes a text after a control id, where this differs from the tokenizer's `encode`."""

    @property
    def system_text(self) -> str:
        """System text of conversations without one; "" for none."""
        return self.default_system if self.system is None else self.system

    def system_line(self) -> str:
        """Return one line that says which system text conversations without one get; or ""."""
        text = " ".join(self.system_text.split())
        shown = text if len(text) <= SHOWN_SYSTEM else f"{text[:SHOWN_SYSTEM]}..."
        return f'conversations get the system prompt "{shown}"' if text else ""

    def layout_for(self, thinking: bool | None) -> Layout:
        """Return the layout with thinking on or off; None is the model's default.

        Raises InputError if the model cannot be switched that way.
        """
        if thinking is None:
            return self.layout
        if thinking in self.thinking_layouts:
            return self.thinking_layouts[thinking]
        thinks = self.thinking_tags is not None
        if thinking == thinks:
            return self.layout
        raise InputError(
            f"This model's chat format ({self.name}) cannot switch thinking "
            f"{'on' if thinking else 'off'}.",
            remedy="Leave thinking as the model has it.",
            field="thinking",
            value=thinking,
        )

    def require_kind(self, layout: Layout, kind: str) -> None:
        """Raise InputError if the format has no texts of this kind."""
        if kind in layout.kinds:
            return
        kinds = sorted(layout.kinds - {THINKING})
        raise InputError(
            f"This model's chat format ({self.name}) has no {kind} turn.",
            remedy=f"Use turns of these kinds only: {', '.join(kinds)}.",
            field="role",
            value=kind,
        )


def turn_kind(message: Message) -> str:
    """Return "tool_call" for an assistant message with a tool call, else the message's role."""
    return "tool_call" if message.tool_calls else message.role


@dataclass(frozen=True)
class Turn:
    """The pieces around the text of one kind of turn, in formats where each turn stands alone."""

    before: Pieces
    """Before the turn, without loss. Those of an answer are the end of the prompt."""
    after: Pieces
    """End of the turn. The model learns to write it after an answer."""
    opens: Pieces = ()
    """Before the text of an answer of this kind, written by the model itself."""


def layout_of_turns(begin: Pieces, turns: Mapping[str, Turn]) -> Layout:
    """Return the layout of a format in which the pieces around a turn depend on its kind only."""

    def separators() -> Iterator[tuple[tuple[str, str], Separator]]:
        prompt = turns["assistant"].before
        yield (BEGIN, END), Separator(middle=begin)
        for right, turn in turns.items():
            yield (BEGIN, right), Separator((), begin + turn.before, turn.opens)
        for left, turn in turns.items():
            yield (left, END), Separator(turn.after)
            yield (left, PROMPT), Separator(turn.after, prompt)
            for right, next_turn in turns.items():
                yield (left, right), Separator(turn.after, next_turn.before, next_turn.opens)

    return Layout(dict(separators()))


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
        layout_of_turns((control.bos,), turns),
        stop_ids=(control.end, control.end_of_command),
        tool_call=control.command,
    )
