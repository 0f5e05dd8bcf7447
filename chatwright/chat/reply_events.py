"""What happens while a reply is made, in the order it happens. The last event is always Finished."""

from dataclasses import dataclass, field
from typing import Literal

from chatwright.conversation import Message
from chatwright.engine.request import TokenSampled

Reason = Literal["stop", "length", "command", "cancelled", "failed"]


@dataclass(frozen=True)
class TextDelta:
    """More of the text. `tokens` are those sampled since the last delta, for whoever shows probabilities."""

    text: str
    tokens: tuple[TokenSampled, ...] = ()


@dataclass(frozen=True)
class ToolCalled:
    """The model asks for outside data."""

    command: str


@dataclass(frozen=True)
class ToolReturned:
    """Outside data came back, and the model goes on with it."""

    command: str
    result: str


@dataclass(frozen=True)
class Truncated:
    """The oldest messages did not fit into what the model can see."""

    n_cut: int
    n_kept: int
    context_length: int

    def __str__(self) -> str:
        return (
            f"The model sees {self.context_length} tokens: the oldest {self.n_cut} messages were left out of this reply, "
            f"{self.n_kept} remain."
        )


@dataclass(frozen=True)
class Usage:
    prompt_tokens: int  # of the last request, where tools made several
    completion_tokens: int  # of all of them, stop tokens included


@dataclass(frozen=True)
class Finished:
    """`message` is the reply; its role is "command" where the reason is."""

    reason: Reason
    usage: Usage
    message: Message
    seed: int | None = (
        None  # with the same conversation, settings and model it gives the same reply again
    )
    stopped_by: str = (
        ""  # the control token's name ("end" is the model's own way to end) or the stop text
    )
    mean_log_prob: float = 0.0  # over the sampled tokens, under the model itself
    error: str = ""
    tokens: tuple[TokenSampled, ...] = field(
        default=(), compare=False
    )  # those in no TextDelta: the one that stopped it, a command's

    @property
    def ended_by_itself(self) -> bool:
        return self.stopped_by in ("end", "end_of_command")


ReplyEvent = TextDelta | ToolCalled | ToolReturned | Truncated | Finished
