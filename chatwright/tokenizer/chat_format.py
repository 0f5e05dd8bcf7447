"""How a conversation is marked up, as ids: what stands before and after each turn, what ends a reply. Code, never a template language.

Text is encoded apart from the markers, so in formats whose markers are control tokens nothing a person wrote can become one. Formats whose
markers are ordinary words ([INST] of Llama 2) cannot promise that, and say so.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from chatwright.tokenizer.control import ControlIds


@dataclass(frozen=True)
class Turn:
    before: tuple[int, ...]  # placed by us, never learned; before an answer it is the prompt
    after: tuple[int, ...]  # ends the turn; the model learns to say it after an answer
    opens: tuple[int, ...] = ()  # what an answer of this kind begins with, said by the model itself
    between: tuple[int, ...] = ()  # placed by us after the turn


@dataclass(frozen=True)
class ChatFormat:
    name: str
    begin: tuple[int, ...]  # before the first turn
    turns: Mapping[str, Turn]  # by role; a role that is missing cannot speak in this format
    stop_ids: tuple[int, ...]  # a reply ends here
    command: int | None = None  # the id with which a reply becomes a command
    default_system: str = ""  # said where a conversation brings no system message
    around_system: tuple[str, str] | None = (
        None  # around the text of a system message, said even where there is none ...
    )
    system_in: int | None = (
        None  # ... or, in a format without a system turn, which question it opens: 0 the first, -1 the last
    )
    before_last: tuple[
        int, ...
    ] = ()  # between `before` and an answer that ends the conversation, and in a prompt

    def turn(self, role: str) -> Turn:
        if role not in self.turns:
            raise ValueError(
                f"a {role} turn has no place in this model's chat format ({self.name}): its roles are {', '.join(self.turns)}"
            )
        return self.turns[role]


def own_format(control: ControlIds) -> ChatFormat:
    """<|bos|> [<|system|> text <|end|>] <|user|> text <|end_of_question|> <|assistant|> text <|end|> ...

    a command:  <|assistant|> <|command|> text <EOC> <|result|> text <|end|> <|assistant|> ...
    """
    turns = {
        "system": Turn((control.system,), (control.end,)),
        "user": Turn((control.user,), (control.end_of_question,)),
        "assistant": Turn((control.assistant,), (control.end,)),
        "command": Turn((control.assistant,), (control.end_of_command,), opens=(control.command,)),
        "result": Turn((control.result,), (control.end,)),
    }
    return ChatFormat(
        "chatwright", (control.bos,), turns, (control.end, control.end_of_command), control.command
    )
