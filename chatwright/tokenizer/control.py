"""Control tokens: our ten, and what is asked of anybody's; their names, their strings and the types that keep them apart from text.

Control ids follow all text ids: text uses 0..n_text-1, control uses n_text..n_text+9. The strings exist only for people
and for other tools that open a saved tokenizer; inside Chatwright a control token is an id, placed by code, never parsed.
`pad` differs from `end` on purpose: a model whose padding is also its stop token learns to ignore the stop.
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


class Control(Protocol):
    """What every tokenizer's control tokens can be asked."""

    @property
    def bos(self) -> ControlId: ...  # begins every document

    @property
    def pad(self) -> ControlId: ...  # fills a batch; never read, never a target

    @property
    def end(self) -> ControlId: ...  # ends a document

    def all(self) -> tuple[ControlId, ...]: ...

    def name_of(self, token_id: int) -> str | None: ...  # of a control id; None for a text id

    def string_of(self, token_id: int) -> str | None: ...  # how a person is shown it


@dataclass(frozen=True)
class ControlIds:
    bos: ControlId  # begins every document and every conversation
    pad: ControlId  # fills a batch; never read, never a target
    end: ControlId  # ends an assistant, system or result turn, and a document: the stop token
    system: ControlId
    user: ControlId
    end_of_question: ControlId  # ends a user turn
    assistant: ControlId
    command: ControlId  # the model samples it right after <|assistant|> to open a command
    end_of_command: ControlId  # ends a command: generation pauses here until the result is known
    result: ControlId

    @classmethod
    def after_text(cls, n_text: int) -> ControlIds:
        """The ids for a tokenizer with `n_text` text ids."""
        return cls(*(ControlId(n_text + index) for index in range(len(CONTROL_TOKENS))))

    def all(self) -> tuple[ControlId, ...]:
        return astuple(self)

    def name_of(self, token_id: int) -> str | None:
        """The name of a control id, or None for a text id."""
        return next((name for name in CONTROL_TOKENS if getattr(self, name) == token_id), None)

    def public(self) -> dict[str, int]:
        return {"bos_token_id": self.bos, "eos_token_id": self.end, "pad_token_id": self.pad}

    def string_of(self, token_id: int) -> str | None:
        name = self.name_of(token_id)
        return None if name is None else CONTROL_TOKENS[name]


@dataclass(frozen=True)
class ImportedControl:
    """Another tool's special tokens. They have no roles of ours, so their strings are their names."""

    bos: ControlId
    pad: ControlId
    end: ControlId
    strings: Mapping[int, str]

    def all(self) -> tuple[ControlId, ...]:
        return tuple(ControlId(token_id) for token_id in sorted(self.strings))

    def name_of(self, token_id: int) -> str | None:
        return self.strings.get(token_id)

    def string_of(self, token_id: int) -> str | None:
        return self.strings.get(token_id)
