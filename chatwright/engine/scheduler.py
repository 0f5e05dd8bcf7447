"""The scheduler: which replies have a slot, and which tokens are read in a step.

- Users take turns. Within a user, the first request is served first. After each slot that a user
  gets, the user goes behind all others who wait.
- A reply that has sampled `quantum` tokens in its slot is preempted if its user has more slots than
  a waiting user. It waits in front of its user's other requests and continues later.
- A step reads at most `prefill_tokens` tokens of prompts, padding included. Short prompts share a
  step. At least every second step reads the oldest prompt.

The scheduler is plain Python without torch. It decides; the engine moves keys and values.
"""

import heapq
from collections import Counter, OrderedDict, deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Generic, NamedTuple, TypeVar

from chatwright.engine.messages import EngineFull, UserQueueFull
from chatwright.engine.scheduled_reply import ScheduledReply, State
from chatwright.errors import InputError
from chatwright.model.setting_checks import require_at_least

R = TypeVar("R", bound=ScheduledReply)


@dataclass(frozen=True, kw_only=True)
class SchedulerConfig:
    """Limits of the scheduler."""

    n_slot: int = 8
    """Number of replies that are generated together."""
    prefill_tokens: int = 256
    """Largest number of prompt tokens read per step, over all new replies."""
    quantum: int = 128
    """Tokens that a reply may sample before another user's may take its slot. 0: no preemption."""
    max_waiting: int = 256
    """Largest number of replies that wait for a slot."""
    max_waiting_tokens: int = 262_144
    """Largest number of prompt tokens of all waiting replies."""
    max_user_waiting: int | None = None
    """Largest number of waiting replies of one user. Default: that of all users."""
    max_user_waiting_tokens: int | None = None
    """Largest number of prompt tokens of one user's waiting replies. Default: that of all."""

    def __post_init__(self) -> None:
        require_at_least(self, 1, "n_slot", "prefill_tokens", "max_waiting", "max_waiting_tokens")
        require_at_least(self, 0, "quantum")
        for name in ("max_user_waiting", "max_user_waiting_tokens"):
            if getattr(self, name) is not None:
                require_at_least(self, 1, name)


class Preempted(NamedTuple, Generic[R]):
    """A reply that lost its slot; its keys and values are still there."""

    reply: R
    slot: int


@dataclass(eq=False)
class _Queue(Generic[R]):
    """The waiting replies of one user."""

    replies: deque[R] = field(default_factory=deque)
    n_token: int = 0  # of their prompts


class Scheduler(Generic[R]):
    """Assigns slots to replies and chooses the tokens that a step reads."""

    def __init__(self, config: SchedulerConfig) -> None:
        """Begin without replies."""
        self.config = config
        self.running: list[R] = []  # in the order of admission
        self._queues: OrderedDict[str, _Queue[R]] = OrderedDict()  # users in turn; none is empty
        self._free_slots = list(range(config.n_slot))  # a heap
        self._reads_oldest = True

    @property
    def n_free_slot(self) -> int:
        """Number of slots without a reply."""
        return len(self._free_slots)

    @property
    def n_waiting(self) -> int:
        """Number of replies that wait for a slot."""
        return sum(len(queue.replies) for queue in self._queues.values())

    @property
    def waiting(self) -> Iterator[R]:
        """The replies that wait for a slot, by user in turn."""
        return (reply for queue in self._queues.values() for reply in queue.replies)

    def require_room(self, user: str, n_reply: int, n_prompt_token: int) -> None:
        """Check that the queue has room for more replies.

        Args:
            user: Who asks for them.
            n_reply: Number of replies.
            n_prompt_token: Number of tokens of their one prompt.

        Raises:
            InputError: The queue can never hold this many.
            UserQueueFull: Too much of this user is waiting at the moment.
            EngineFull: Too much of all users is waiting at the moment.
        """
        config, n_token = self.config, n_reply * n_prompt_token
        most = config.max_user_waiting or config.max_waiting
        most_tokens = config.max_user_waiting_tokens or config.max_waiting_tokens
        if n_reply > min(most, config.max_waiting) or n_token > min(
            most_tokens, config.max_waiting_tokens
        ):
            raise InputError(
                f"{n_reply} replies to {n_prompt_token} tokens are more than this engine accepts "
                f"({min(most, config.max_waiting)} replies, "
                f"{min(most_tokens, config.max_waiting_tokens)} prompt tokens).",
                remedy="Ask for fewer replies.",
                field="n",
                value=n_reply,
            )
        own = self._queues.get(user, _Queue())
        if len(own.replies) + n_reply > most or own.n_token + n_token > most_tokens:
            raise UserQueueFull(
                f"{len(own.replies)} replies of this user are waiting; the queue holds {most} "
                f"and {most_tokens} prompt tokens of one user. Ask again later."
            )
        n_waiting_token = sum(queue.n_token for queue in self._queues.values())
        if (
            self.n_waiting + n_reply > config.max_waiting
            or n_waiting_token + n_token > config.max_waiting_tokens
        ):
            raise EngineFull(
                f"{self.n_waiting} replies are waiting; the queue holds {config.max_waiting} "
                f"and {config.max_waiting_tokens} prompt tokens. Ask again later."
            )

    def enqueue(self, replies: Sequence[R]) -> None:
        """Let new replies of one user wait. `require_room` has been asked before."""
        for reply in replies:
            assert reply.state is State.QUEUED, "only a new reply is put into the queue"
            queue = self._queues.setdefault(reply.user, _Queue())
            queue.replies.append(reply)
            queue.n_token += len(reply.prompt)

    def admit(self) -> tuple[list[Preempted[R]], list[R]]:
        """Give slots to waiting replies; return the replies that lost and that got one.

        Save the keys and values of the preempted replies before anything is written to the slots.
        """
        preempted: list[Preempted[R]] = []
        admitted: list[R] = []
        while self._queues:
            user = next(iter(self._queues))
            if not self._free_slots:
                chosen = self._next_preemption()
                if chosen is None:
                    break
                user, victim = chosen
                assert victim.slot is not None, "a running reply has a slot"
                preempted.append(Preempted(victim, victim.slot))
                self._preempt(victim)
            admitted.append(self._admit_next(user))
        return preempted, admitted

    def _next_preemption(self) -> tuple[str, R] | None:
        """Return the first user in turn who gets a slot by preemption, and the reply to preempt."""
        if not self.config.quantum:
            return None
        held = Counter(reply.user for reply in self.running)
        ripe = [
            reply
            for reply in self.running
            if reply.state is State.DECODE and reply.n_in_turn >= self.config.quantum
        ]
        for user in self._queues:
            richer = [reply for reply in ripe if held[reply.user] > held[user]]
            if richer:
                return user, max(richer, key=lambda reply: (held[reply.user], reply.n_in_turn))
        return None

    def _preempt(self, reply: R) -> None:
        self._free(reply)
        reply.set_state(State.PREEMPTED)
        reply.n_read = 0
        queue = self._queues.setdefault(reply.user, _Queue())
        queue.replies.appendleft(reply)
        queue.n_token += len(reply.prompt)

    def _admit_next(self, user: str) -> R:
        """Give a free slot to the first reply of this user, who then goes behind all others."""
        queue = self._queues[user]
        reply = queue.replies[0]
        self._unqueue(reply)
        if user in self._queues:
            self._queues.move_to_end(user)
        reply.slot = heapq.heappop(self._free_slots)
        reply.n_before_turn = len(reply.generated)
        reply.set_state(State.PREFILL)
        self.running.append(reply)
        return reply

    def next_chunk(self, ready: Sequence[R]) -> tuple[list[R], int]:
        """Choose the prompts to read in this step, and the most tokens of each.

        `ready` holds replies in PREFILL, the oldest first. A prompt that fits into one step
        waits at most one step for longer prompts.
        """
        if not ready:
            return [], 0
        limit = self.config.prefill_tokens
        by_length = sorted(ready, key=lambda reply: reply.n_unread)
        first = ready[0] if self._reads_oldest else by_length[0]
        self._reads_oldest = first is not ready[0]
        chosen, length = [first], min(first.n_unread, limit)
        for reply in by_length:
            longest = max(length, min(reply.n_unread, limit))
            if longest * (len(chosen) + 1) > limit:
                break
            if reply is not first:
                chosen.append(reply)
                length = longest
        return chosen, length

    def release(self, reply: R) -> None:
        """Take an ended reply out of its slot or out of the queue. Doing so again does nothing."""
        assert reply.is_finished, "only an ended reply is released"
        if reply.slot is not None:
            self._free(reply)
        else:
            self._unqueue(reply)

    def _free(self, reply: R) -> None:
        assert reply.slot is not None, "a running reply has a slot"
        self.running.remove(reply)
        heapq.heappush(self._free_slots, reply.slot)
        reply.slot = None

    def _unqueue(self, reply: R) -> None:
        queue = self._queues.get(reply.user)
        if queue is None or reply not in queue.replies:
            return
        queue.replies.remove(reply)
        queue.n_token -= len(reply.prompt)
        if not queue.replies:
            del self._queues[reply.user]

    def problems(self) -> list[str]:
        """Check that no slot is used twice or lost, and that every reply is in one place."""
        found = []
        slots = sorted([*self._free_slots, *(reply.slot or 0 for reply in self.running)])
        if slots != list(range(self.config.n_slot)):
            found.append(f"free and used slots together are {slots}")
        if any(reply.slot is None for reply in self.running):
            found.append("a running reply has no slot")
        if any(reply.state not in (State.PREFILL, State.DECODE) for reply in self.running):
            found.append("a reply that does not run has a slot")
        waiting = list(self.waiting)
        if any(reply.state not in (State.QUEUED, State.PREEMPTED) for reply in waiting):
            found.append("a reply that does not wait is in the queue")
        if len({id(reply) for reply in (*waiting, *self.running)}) < len(waiting) + len(
            self.running
        ):
            found.append("a reply is in two places")
        for user, queue in self._queues.items():
            if queue.n_token != sum(len(reply.prompt) for reply in queue.replies):
                found.append(f"the tokens of a queue are miscounted: {queue.n_token}")
            if not queue.replies or any(reply.user != user for reply in queue.replies):
                found.append("a queue is empty or holds another user's reply")
        return found
