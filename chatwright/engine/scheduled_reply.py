"""What the scheduler knows of a reply: its state, its slot and how much of its text is read.

    QUEUED -> PREFILL -> DECODE -> DONE        (all but DONE also -> CANCELED or FAILED)
                 ^          |
                 PREEMPTED <+

`set_state` is the only function that changes a state. This module does not import torch.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from enum import Enum

from chatwright.engine.messages import RequestId


class State(Enum):
    """The state of a reply."""

    QUEUED = "queued"
    PREFILL = "prefill"
    DECODE = "decode"
    PREEMPTED = "preempted"
    """Waits for a slot again, so that other users get theirs."""
    DONE = "done"
    CANCELED = "canceled"
    FAILED = "failed"


_FAILURES = (State.CANCELED, State.FAILED)
_NEXT_STATES: dict[State, tuple[State, ...]] = {
    State.QUEUED: (State.PREFILL, *_FAILURES),
    State.PREFILL: (State.DECODE, State.DONE, *_FAILURES),
    State.DECODE: (State.PREEMPTED, State.DONE, *_FAILURES),
    State.PREEMPTED: (State.PREFILL, *_FAILURES),
    State.DONE: (),
    State.CANCELED: (),
    State.FAILED: (),
}


@dataclass(eq=False)
class ScheduledReply:
    """One reply, as the scheduler sees it."""

    request_id: RequestId
    index: int
    """Which of the request's n replies."""
    prompt: Sequence[int]
    user: str = field(default="", kw_only=True)
    generated: list[int] = field(default_factory=list, kw_only=True)
    state: State = field(default=State.QUEUED, kw_only=True)
    slot: int | None = field(default=None, kw_only=True)
    """Slot of the KV cache, while the reply is being generated."""
    n_read: int = field(default=0, kw_only=True)
    """Number of tokens of the text whose keys and values are in the slot."""
    n_before_turn: int = field(default=0, kw_only=True)
    """Length of the reply when it got its slot."""

    def set_state(self, state: State) -> None:
        """Change the state; an impossible change is a bug."""
        assert state in _NEXT_STATES[self.state], (
            f"a {self.state.value} reply cannot become {state.value}"
        )
        self.state = state

    @property
    def is_finished(self) -> bool:
        """Whether the reply is done, canceled or failed."""
        return not _NEXT_STATES[self.state]

    @property
    def n_text(self) -> int:
        """Number of tokens of the prompt and of the reply so far."""
        return len(self.prompt) + len(self.generated)

    @property
    def n_unread(self) -> int:
        """Number of tokens that the model reads before the next token is sampled."""
        return self.n_text - self.n_read

    @property
    def n_in_turn(self) -> int:
        """Number of tokens sampled since the reply got its slot."""
        return len(self.generated) - self.n_before_turn

    def text_part(self, start: int, end: int) -> list[int]:
        """Return the tokens of the prompt and the reply from `start` to before `end`."""
        n_prompt_token = len(self.prompt)
        part = list(self.prompt[start:end]) if start < n_prompt_token else []
        if end > n_prompt_token:
            part += self.generated[max(start - n_prompt_token, 0) : end - n_prompt_token]
        return part
