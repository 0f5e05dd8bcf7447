"""Control tokens: names, strings and ids, and the types that keep them apart from text.

The ids of Chatwright's ten control tokens follow the text ids: text uses 0..n_text-1, control
tokens use n_text..n_text+9. Their strings exist only for display and for other tools that open a
saved tokenizer. Inside Chatwright a control token is an id that code inserts; it is never parsed
from text. `pad` differs from `end` on purpose: a model that is padded with its stop token learns to
ignore it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import astuple, dataclass
from typing import NewType, Protocol

ControlId = NewType("ControlId", int)
TextIds = NewType("TextIds", list[int])

# The order is the order of the ids. Never reorder: it is written into every saved model.
CONTROL_TOKENS: dict[str, str] = {
    "bos": "<|bos|>",
    "pad": "<|pad|>",
    "end": "<|end|>",
    "system": "<|system|>",
    "user": "<|user|>",
    "end_of_question": "<|end_of_question|>",
    "assistant": "<|assistant|>",
    "command": "<|command|>",
    "end_of_command": "<EOC>",
    "result": "<|result|>",
}
"""Strings of Chatwright's control tokens by name."""


class Control(Protocol):
    """The control tokens of any tokenizer."""

    @property
    def bos(self) -> ControlId:
        """The token before every document."""
        ...

    @property
    def pad(self) -> ControlId:
        """The token that fills up a batch; masked in attention and never a target."""
        ...

    @property
    def end(self) -> ControlId:
        """The token that ends a document."""
        ...

    def all(self) -> tuple[ControlId, ...]:
        """Return all control ids."""
        ...

    def name_of(self, token_id: int) -> str | None:
        """Return the name of a control id; None for a text id."""
        ...

    def string_of(self, token_id: int) -> str | None:
        """Return the string that displays a control id; None for a text id."""
        ...


@dataclass(frozen=True)
class ControlIds:
    """The ids of Chatwright's control tokens in one tokenizer, in the order of `CONTROL_TOKENS`."""

    bos: ControlId
    """Begins every document and every conversation."""
    pad: ControlId
    """Fills up a batch; masked in attention and never a target."""
    end: ControlId
    """Ends a document and an assistant, system or tool turn: the stop token."""
    system: ControlId
    """Begins a system turn."""
    user: ControlId
    """Begins a user turn."""
    end_of_question: ControlId
    """Ends a user turn."""
    assistant: ControlId
    """Begins an answer: an assistant turn or a tool call."""
    command: ControlId
    """Marks an answer as a tool call; the model writes it right after `assistant`."""
    end_of_command: ControlId
    """Ends a tool call; sampling stops here until the tool has returned."""
    result: ControlId
    """Begins a tool result."""

    @classmethod
    def after_text(cls, n_text: int) -> ControlIds:
        """Return the ids for a tokenizer with `n_text` text ids."""
        return cls(*(ControlId(n_text + index) for index in range(len(CONTROL_TOKENS))))

    def all(self) -> tuple[ControlId, ...]:
        """Return all control ids."""
        return astuple(self)

    def name_of(self, token_id: int) -> str | None:
        """Return the name of a control id; None for a text id."""
        return next((name for name in CONTROL_TOKENS if getattr(self, name) == token_id), None)

    def config_entries(self) -> dict[str, int]:
        """Return the ids under the names that a Hugging Face config.json uses."""
        return {"bos_token_id": self.bos, "eos_token_id": self.end, "pad_token_id": self.pad}

    def string_of(self, token_id: int) -> str | None:
        """Return the string that displays a control id; None for a text id."""
        name = self.name_of(token_id)
        return None if name is None else CONTROL_TOKENS[name]


@dataclass(frozen=True)
class ImportedControl:
    """The special tokens of an imported tokenizer. Their strings also serve as their names."""

    bos: ControlId
    """Begins every document."""
    pad: ControlId
    """Fills up a batch."""
    end: ControlId
    """Ends a document."""
    strings: Mapping[int, str]
    """Strings of all special tokens by id."""

    def all(self) -> tuple[ControlId, ...]:
        """Return the ids of all special tokens in ascending order."""
        return tuple(ControlId(token_id) for token_id in sorted(self.strings))

    def name_of(self, token_id: int) -> str | None:
        """Return the string of a special token; None for a text id."""
        return self.strings.get(token_id)

    def string_of(self, token_id: int) -> str | None:
        """Return the string of a special token; None for a text id."""
        return self.strings.get(token_id)
