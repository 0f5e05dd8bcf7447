"""The shared vocabulary of a conversation: who speaks, and what was said.

Text only. How a message becomes token ids is decided in one place, `tokenizer/chat_template.py`.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, get_args

Role = Literal["system", "user", "assistant", "command", "result"]
ROLES: tuple[str, ...] = get_args(Role)


@dataclass(frozen=True)
class Message:
    """One turn. `command` is the assistant asking for outside data; `result` is what came back.

    `is_learned` is False for an answer that training shows and must not teach: a mistake that is corrected afterwards.
    """

    role: Role
    content: str
    is_learned: bool = True


Conversation = Sequence[Message]
